/* data/borders.h - between which characters of a text a piece of the vocabulary can never reach.
 *
 * Kept as pairs of bytes (last byte of a character, first byte of the next), so it errs on the side of no border.
 */
#ifndef DATA_BORDERS_H
#define DATA_BORDERS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

struct borders {
    uint64_t joined[256][4]; /* bit b of row a: some piece holds bytes a and b side by side, at the edge of two characters */
};

/* Adds a piece (valid UTF-8). U+2581, which stands for a space in pieces, counts as itself and as a space. */
void borders_join(struct borders *b, const char *piece);
/* Is there a border between these neighbouring bytes of a text? */
static inline bool borders_at(const struct borders *b, unsigned char before, unsigned char after)
{
    return (after & 0xc0) != 0x80 && !(b->joined[before][after / 64] >> after % 64 & 1);
}
/* Is there one after this byte, whatever follows? */
bool borders_after(const struct borders *b, unsigned char before);

/* Bytes of the UTF-8 character at p (of n > 0 bytes), 0 when there is no valid one. */
size_t utf8_char(const unsigned char *p, size_t n);
/* The code point of such a character of len bytes. */
uint32_t utf8_code(const unsigned char *p, size_t len);

#ifdef __cplusplus
}
#endif
#endif
