/* core/hash.c - see hash.h. */
#include "core/hash.h"
#define XXH_INLINE_ALL /* no library to link */
#include <xxhash.h>
#include <openssl/evp.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { PIECE = 1 << 20 };

struct hash_stream {
    XXH3_state_t *state;
};

static void to_hex(const unsigned char *p, size_t n, char *hex)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        hex[2 * i] = digits[p[i] >> 4];
        hex[2 * i + 1] = digits[p[i] & 15];
    }
    hex[2 * n] = '\0';
}

/* The canonical (big-endian) form, which is what xxh128sum prints. */
static void xxh3_hex(XXH128_hash_t h, char *hex)
{
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, h);
    to_hex(c.digest, sizeof c.digest, hex);
}

void hash_xxh3(const void *p, size_t n, char hex[HASH_XXH3_HEX])
{
    xxh3_hex(XXH3_128bits(p, n), hex);
}

struct hash_stream *hash_open(void)
{
    struct hash_stream *h = xmalloc(sizeof *h);
    h->state = XXH3_createState();
    must(h->state && XXH3_128bits_reset(h->state) == XXH_OK);
    return h;
}

void hash_add(struct hash_stream *h, const void *p, size_t n)
{
    if (n > 0)
        must(XXH3_128bits_update(h->state, p, n) == XXH_OK);
}

void hash_hex(struct hash_stream *h, char hex[HASH_XXH3_HEX])
{
    xxh3_hex(XXH3_128bits_digest(h->state), hex);
}

void hash_close(struct hash_stream *h)
{
    if (!h)
        return;
    XXH3_freeState(h->state);
    free(h);
}

void hash_sum_join(struct hash_sum *s, struct hash_sum other)
{
    s->low += other.low;
    s->high += other.high + (s->low < other.low);
}

void hash_sum_add(struct hash_sum *s, uint64_t place, const void *p, size_t n)
{
    XXH128_hash_t piece = XXH3_128bits(p, n);
    const uint64_t placed[] = {piece.low64, piece.high64, place};
    piece = XXH3_128bits(placed, sizeof placed);
    hash_sum_join(s, (struct hash_sum){piece.low64, piece.high64});
}

void hash_sum_hex(struct hash_sum s, char hex[HASH_XXH3_HEX])
{
    xxh3_hex((XXH128_hash_t){s.low, s.high}, hex);
}

/* Hands the file's bytes as they are on disk to add(). */
static bool each_piece(const char *path, void (*add)(void *to, const void *p, size_t n), void *to, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(e, "cannot open %s: %s", path, strerror(errno));
    char *piece = xmalloc(PIECE);
    ssize_t n;
    while ((n = read(fd, piece, PIECE)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            err_set(e, "cannot read %s: %s", path, strerror(errno));
            break;
        }
        add(to, piece, (size_t)n);
    }
    free(piece);
    close(fd);
    return n == 0;
}

static void add_xxh3(void *to, const void *p, size_t n)
{
    hash_add(to, p, n);
}

static void add_sha256(void *to, const void *p, size_t n)
{
    must(EVP_DigestUpdate(to, p, n) == 1);
}

bool hash_xxh3_file(const char *path, char hex[HASH_XXH3_HEX], struct err *e)
{
    struct hash_stream *h = hash_open();
    bool ok = each_piece(path, add_xxh3, h, e);
    if (ok)
        hash_hex(h, hex);
    hash_close(h);
    return ok;
}

bool hash_sha256_file(const char *path, char hex[HASH_SHA256_HEX], struct err *e)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    must(c && EVP_DigestInit_ex(c, EVP_sha256(), NULL) == 1);
    bool ok = each_piece(path, add_sha256, c, e);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    must(EVP_DigestFinal_ex(c, digest, &n) == 1 && 2 * n + 1 == HASH_SHA256_HEX);
    if (ok)
        to_hex(digest, n, hex);
    EVP_MD_CTX_free(c);
    return ok;
}
