/* data/borders.c - see borders.h. */
#include "data/borders.h"
#include <string.h>

/* Unicode 15, table 3-7. */
size_t utf8_char(const unsigned char *p, size_t n)
{
    if (p[0] < 0x80)
        return 1;
    size_t len = p[0] >= 0xc2 && p[0] <= 0xdf ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4 : 0;
    if (len == 0 || len > n)
        return 0;
    unsigned char low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80, high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return len;
}

uint32_t utf8_code(const unsigned char *p, size_t len)
{
    uint32_t c = len == 1 ? p[0] : p[0] & 0x7fu >> len;
    for (size_t i = 1; i < len; i++)
        c = c << 6 | (p[i] & 0x3fu);
    return c;
}

static void join(struct borders *b, unsigned char before, unsigned char after)
{
    b->joined[before][after / 64] |= (uint64_t)1 << after % 64;
}

void borders_join(struct borders *b, const char *piece)
{
    const unsigned char *p = (const unsigned char *)piece;
    size_t n = strlen(piece);
    unsigned char last = 0, last_too = 0; /* how the character before may end in a text */
    for (size_t at = 0; at < n;) {
        size_t len = utf8_char(p + at, n - at);
        len = len > 0 ? len : 1;
        bool mark = len == 3 && memcmp(p + at, "\xe2\x96\x81", 3) == 0;
        unsigned char first = p[at], first_too = mark ? ' ' : first;
        if (at > 0) {
            join(b, last, first);
            join(b, last, first_too);
            join(b, last_too, first);
            join(b, last_too, first_too);
        }
        at += len;
        last = p[at - 1];
        last_too = mark ? ' ' : last;
    }
}

bool borders_after(const struct borders *b, unsigned char before)
{
    const uint64_t *row = b->joined[before];
    return !(row[0] | row[1] | row[2] | row[3]);
}
