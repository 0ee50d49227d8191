/* data/tokfile.c - reading and writing .tok shards.
 *
 * Reading trusts nothing: the place of every section follows from the counts in the header and must match what is written there and the
 * size of the file, so a damaged file can never be read outside its mapping. Writing never holds more than a buffer: the ids go straight
 * to the output, the three smaller sections to unlinked temporary files beside it, which are appended at the end.
 */
#include "data/tokfile.h"
#include "core/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { IDS, MASK, STARTS, COUNTS, SECTIONS };
enum { ALIGN = 64, VERSION = 1, CHUNK = 1 << 16 };
#define MAGIC  "PCM.tok\n"
#define ENDIAN 0x01020304u

struct tokfile_header {
    char magic[8];
    uint32_t version;
    uint32_t endian;   /* ENDIAN as the writer's machine stores it */
    uint32_t id_bytes; /* 2 or 4 */
    int32_t vocab;     /* as given to the writer */
    int32_t max_id;
    uint32_t zero;
    int64_t docs, tokens, learnt;
    int64_t at[SECTIONS]; /* bytes from the start of the file */
    int64_t size;         /* of the whole file */
    char tokenizer[72];
    char digest[40]; /* XXH3-128 of everything after this header */
    char check[48];  /* XXH3-128 of this header up to here */
};
_Static_assert(sizeof(struct tokfile_header) == 256, "the header is 256 bytes");

struct tokfile {
    struct file_map map;
    const struct tokfile_header *h;
    const void *ids;
    const uint8_t *mask;
    const int64_t *start, *count;
};

static int64_t aligned(int64_t n)
{
    return (n + ALIGN - 1) / ALIGN * ALIGN;
}

static int64_t section_bytes(const struct tokfile_header *h, int section)
{
    switch (section) {
    case IDS:
        return h->tokens * h->id_bytes;
    case MASK:
        return (h->tokens + 7) / 8;
    case STARTS:
        return (h->docs + 1) * 8;
    default:
        return h->docs * 8;
    }
}

/* Sets at and size from the counts. */
static void place_sections(struct tokfile_header *h)
{
    int64_t at = sizeof *h;
    for (int i = 0; i < SECTIONS; i++) {
        h->at[i] = at = aligned(at);
        at += section_bytes(h, i);
    }
    h->size = at;
}

static void header_check(const struct tokfile_header *h, char check[sizeof h->check])
{
    memset(check, 0, sizeof h->check);
    hash_xxh3(h, offsetof(struct tokfile_header, check), check);
}

static bool damaged(struct err *e, const char *path, const char *what)
{
    return err_set(e, "%s: damaged .tok file (%s): make it again with prepare", path, what);
}

/* Everything that can be told from the header and the size of the file. */
static bool check_header(const struct tokfile_header *h, size_t size, const char *path, struct err *e)
{
    if (size < sizeof h->magic || memcmp(h->magic, MAGIC, sizeof h->magic) != 0)
        return err_set(e, "%s: not a .tok file (it does not begin with the mark of one): make one with prepare", path);
    if (size < sizeof *h)
        return err_set(e, "%s: truncated .tok file (%zu bytes, the header alone has %zu): make it again with prepare", path, size,
                       sizeof *h);
    if (h->endian != ENDIAN)
        return err_set(e, "%s: written on a machine of the other byte order, or damaged: make it with prepare on this one", path);
    if (h->version != VERSION)
        return err_set(e, "%s: .tok version %u, this program reads version %d: make it again with prepare", path, h->version, VERSION);
    char check[sizeof h->check];
    header_check(h, check);
    if (memcmp(check, h->check, sizeof check) != 0)
        return damaged(e, path, "its header does not match the header's checksum");
    if (h->size < 0 || (uint64_t)h->size != size)
        return err_set(e, "%s: %s .tok file (%zu bytes, its header says %lld): make it again with prepare", path,
                       (uint64_t)h->size > size ? "truncated" : "overlong", size, (long long)h->size);

    /* The bounds come before place_sections(), so that no product can overflow. */
    struct tokfile_header want = *h;
    bool sane = (h->id_bytes == 2 || h->id_bytes == 4) && h->docs >= 0 && h->docs < h->size && h->tokens >= h->docs &&
                h->tokens < h->size && h->learnt >= 0 && h->learnt <= h->tokens && memchr(h->tokenizer, 0, sizeof h->tokenizer) &&
                memchr(h->digest, 0, sizeof h->digest);
    if (sane)
        place_sections(&want);
    if (!sane || memcmp(want.at, h->at, sizeof want.at) != 0 || want.size != h->size)
        return damaged(e, path, "its header contradicts itself");
    return true;
}

/* Learnt tokens at positions from..to-1 of the whole file. */
static int64_t mask_count(const uint8_t *mask, int64_t from, int64_t to)
{
    int64_t n = 0;
    for (; from < to && from % 8; from++)
        n += mask[from / 8] >> (from % 8) & 1;
    for (; from + 64 <= to; from += 64) {
        uint64_t word;
        memcpy(&word, mask + from / 8, sizeof word);
        n += __builtin_popcountll(word);
    }
    for (; from < to; from++)
        n += mask[from / 8] >> (from % 8) & 1;
    return n;
}

static bool check_tables(const struct tokfile *f, const char *path, struct err *e)
{
    int64_t docs = f->h->docs, learnt = 0;
    if (f->start[0] != 0 || f->start[docs] != f->h->tokens)
        return damaged(e, path, "its documents do not cover its tokens");
    for (int64_t i = 0; i < docs; i++) {
        if (f->start[i + 1] <= f->start[i] || f->start[i + 1] > f->h->tokens)
            return damaged(e, path, "its table of documents is not in order");
        int64_t len = f->start[i + 1] - f->start[i];
        if (f->count[i] < 0 || f->count[i] >= len)
            return damaged(e, path, "its table of learnt tokens does not fit its documents");
        learnt += f->count[i];
    }
    return learnt == f->h->learnt || damaged(e, path, "its table of learnt tokens does not add up");
}

static int32_t largest_id(const struct tokfile *f, bool *negative)
{
    int32_t max = -1, min = 0;
    for (int64_t i = 0; i < f->h->tokens; i++) {
        int32_t id = f->h->id_bytes == 2 ? ((const uint16_t *)f->ids)[i] : ((const int32_t *)f->ids)[i];
        max = id > max ? id : max;
        min = id < min ? id : min;
    }
    *negative = min < 0;
    return max;
}

static bool check_content(const struct tokfile *f, const char *path, struct err *e)
{
    char hex[sizeof f->h->digest] = {0};
    hash_xxh3(f->map.data + sizeof *f->h, f->map.size - sizeof *f->h, hex);
    if (memcmp(hex, f->h->digest, sizeof hex) != 0)
        return damaged(e, path, "its content does not match its digest");
    bool negative;
    if (largest_id(f, &negative) != f->h->max_id || negative)
        return damaged(e, path, "its largest id is not the header's");
    for (int64_t i = 0; i < f->h->docs; i++)
        if (mask_count(f->mask, f->start[i] + 1, f->start[i + 1]) != f->count[i])
            return damaged(e, path, "its learnt mask does not match its table of learnt tokens");
    return true;
}

bool tokfile_open(struct tokfile **out, const char *path, bool verify, struct err *e)
{
    struct tokfile *f = xcalloc(1, sizeof *f);
    if (!file_map_open(&f->map, path, e)) {
        free(f);
        return false;
    }
    f->h = (const struct tokfile_header *)f->map.data;
    bool ok = check_header(f->h, f->map.size, path, e);
    if (ok) {
        f->ids = f->map.data + f->h->at[IDS];
        f->mask = f->map.data + f->h->at[MASK];
        f->start = (const int64_t *)(f->map.data + f->h->at[STARTS]);
        f->count = (const int64_t *)(f->map.data + f->h->at[COUNTS]);
        ok = check_tables(f, path, e) && (!verify || check_content(f, path, e));
    }
    if (!ok) {
        tokfile_close(f);
        return false;
    }
    *out = f;
    return true;
}

void tokfile_close(struct tokfile *f)
{
    if (!f)
        return;
    file_map_close(&f->map);
    free(f);
}

int64_t tokfile_docs(const struct tokfile *f)
{
    return f->h->docs;
}

int64_t tokfile_tokens(const struct tokfile *f)
{
    return f->h->tokens;
}

int64_t tokfile_learnt(const struct tokfile *f)
{
    return f->h->learnt;
}

int32_t tokfile_max_id(const struct tokfile *f)
{
    return f->h->max_id;
}

const char *tokfile_tokenizer(const struct tokfile *f)
{
    return f->h->tokenizer;
}

const char *tokfile_digest(const struct tokfile *f)
{
    return f->h->digest;
}

int64_t tokfile_doc_len(const struct tokfile *f, int64_t doc)
{
    must(doc >= 0 && doc < f->h->docs);
    return f->start[doc + 1] - f->start[doc];
}

int64_t tokfile_doc_learnt(const struct tokfile *f, int64_t doc)
{
    must(doc >= 0 && doc < f->h->docs);
    return f->count[doc];
}

int64_t tokfile_learnt_in(const struct tokfile *f, int64_t doc, int64_t n)
{
    must(n >= 0 && n <= tokfile_doc_len(f, doc));
    return mask_count(f->mask, f->start[doc] + 1, f->start[doc] + n);
}

void tokfile_read(const struct tokfile *f, int64_t doc, int64_t from, int64_t n, int32_t *ids, uint8_t *learnt)
{
    must(from >= 0 && n >= 0 && n <= tokfile_doc_len(f, doc) - from);
    int64_t at = f->start[doc] + from;
    if (f->h->id_bytes == 2)
        for (int64_t i = 0; i < n; i++)
            ids[i] = ((const uint16_t *)f->ids)[at + i];
    else
        memcpy(ids, (const int32_t *)f->ids + at, (size_t)n * sizeof *ids);
    for (int64_t i = 0; learnt && i < n; i++)
        learnt[i] = f->mask[(at + i) / 8] >> ((at + i) % 8) & 1;
}

/* ------------------------------------------------------------------- writing */

struct tokfile_out {
    char *path;
    struct file_out *file;
    struct hash_stream *hash;
    FILE *spool[SECTIONS]; /* MASK, STARTS, COUNTS: appended to file at the end */
    struct tokfile_header h;
    unsigned mask_byte; /* the bits of the last, unfinished byte of the mask */
};

/* A temporary file without a name in the folder of path, so that it shares the output's file system and vanishes with the process. */
static FILE *open_spool(const char *path, struct err *e)
{
    char *name = xprintf("%s.spool.XXXXXX", path);
    int fd = mkstemp(name);
    FILE *f = NULL;
    if (fd >= 0) {
        unlink(name);
        f = fdopen(fd, "w+b");
    }
    if (!f) {
        err_set(e, "%s: cannot write a temporary file beside it: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
    }
    free(name);
    return f;
}

static void out_free(struct tokfile_out *o)
{
    file_out_abort(o->file);
    if (o->hash)
        hash_close(o->hash);
    for (int i = 0; i < SECTIONS; i++)
        if (o->spool[i])
            fclose(o->spool[i]);
    free(o->path);
    free(o);
}

bool tokfile_out_open(struct tokfile_out **out, const char *path, const char *tokenizer_digest, int32_t vocab, struct err *e)
{
    const char *tokenizer = tokenizer_digest ? tokenizer_digest : "";
    size_t n = strlen(path);
    must(strlen(tokenizer) < sizeof(((struct tokfile_header *)0)->tokenizer) && vocab > 0);
    if (n >= 4 && strcmp(path + n - 4, ".zst") == 0)
        return err_set(e, "%s: a .tok file is read by memory mapping and cannot be compressed: give it a name without .zst", path);
    struct tokfile_out *o = xcalloc(1, sizeof *o);
    o->path = xstrdup(path);
    o->hash = hash_open();
    memcpy(o->h.magic, MAGIC, sizeof o->h.magic);
    o->h.version = VERSION;
    o->h.endian = ENDIAN;
    o->h.id_bytes = vocab <= 65536 ? 2 : 4;
    o->h.vocab = vocab;
    o->h.max_id = -1;
    strcpy(o->h.tokenizer, tokenizer);
    /* The header of all zeroes that is written now is no valid one: it is patched when everything else is there. */
    static const struct tokfile_header blank;
    bool ok = file_out_open(&o->file, path, false, e) && file_out_write(o->file, &blank, sizeof blank, e);
    for (int i = MASK; ok && i < SECTIONS; i++)
        ok = (o->spool[i] = open_spool(path, e)) != NULL;
    if (!ok) {
        out_free(o);
        return false;
    }
    *out = o;
    return true;
}

static bool content_write(struct tokfile_out *o, const void *p, size_t n, struct err *e)
{
    hash_add(o->hash, p, n);
    return file_out_write(o->file, p, n, e);
}

static bool spool_write(struct tokfile_out *o, int section, const void *p, size_t n, struct err *e)
{
    if (fwrite(p, 1, n, o->spool[section]) != n)
        return err_set(e, "%s: cannot write a temporary file beside it: %s", o->path, strerror(errno));
    return true;
}

static bool write_ids(struct tokfile_out *o, const int32_t *ids, int64_t n, struct err *e)
{
    if (o->h.id_bytes == 4)
        return content_write(o, ids, (size_t)n * sizeof *ids, e);
    uint16_t narrow[4096];
    for (int64_t done = 0; done < n;) {
        int64_t part = n - done < 4096 ? n - done : 4096;
        for (int64_t i = 0; i < part; i++)
            narrow[i] = (uint16_t)ids[done + i];
        if (!content_write(o, narrow, (size_t)part * sizeof *narrow, e))
            return false;
        done += part;
    }
    return true;
}

/* Bits follow each other over documents; a byte goes out when its eight are there. */
static bool write_mask(struct tokfile_out *o, const uint8_t *learnt, int64_t n, struct err *e)
{
    uint8_t bytes[4096];
    size_t full = 0;
    for (int64_t i = 0; i < n; i++) {
        int bit = (int)((o->h.tokens + i) % 8);
        o->mask_byte |= (unsigned)(learnt[i] != 0) << bit;
        if (bit < 7)
            continue;
        bytes[full++] = (uint8_t)o->mask_byte;
        o->mask_byte = 0;
        if (full == sizeof bytes) {
            if (!spool_write(o, MASK, bytes, full, e))
                return false;
            full = 0;
        }
    }
    return full == 0 || spool_write(o, MASK, bytes, full, e);
}

bool tokfile_out_add(struct tokfile_out *o, const int32_t *ids, const uint8_t *learnt, int64_t n, struct err *e)
{
    must(n >= 1);
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= o->h.vocab)
            return err_set(e, "%s: document %lld, token %lld: id %d is outside the vocabulary (0..%d)", o->path, (long long)o->h.docs,
                           (long long)i, ids[i], o->h.vocab - 1);
        o->h.max_id = ids[i] > o->h.max_id ? ids[i] : o->h.max_id;
        count += i > 0 && learnt[i];
    }
    if (!write_ids(o, ids, n, e) || !write_mask(o, learnt, n, e) || !spool_write(o, STARTS, &o->h.tokens, sizeof o->h.tokens, e) ||
        !spool_write(o, COUNTS, &count, sizeof count, e))
        return false;
    o->h.docs++;
    o->h.tokens += n;
    o->h.learnt += count;
    return true;
}

static bool append_spool(struct tokfile_out *o, int section, struct err *e)
{
    static const char zero[ALIGN];
    int64_t pad = o->h.at[section] - (int64_t)file_out_tell(o->file);
    if (!content_write(o, zero, (size_t)pad, e))
        return false;
    FILE *f = o->spool[section];
    if (fflush(f) != 0 || fseeko(f, 0, SEEK_SET) != 0)
        return err_set(e, "%s: cannot write a temporary file beside it: %s", o->path, strerror(errno));
    char *buf = xmalloc(CHUNK);
    bool ok = true;
    for (size_t n; ok && (n = fread(buf, 1, CHUNK, f)) > 0;)
        ok = content_write(o, buf, n, e);
    free(buf);
    if (ok && ferror(f))
        ok = err_set(e, "%s: cannot read back a temporary file beside it: %s", o->path, strerror(errno));
    return ok;
}

bool tokfile_out_commit(struct tokfile_out *o, char hex[HASH_XXH3_HEX], struct err *e)
{
    uint8_t last = (uint8_t)o->mask_byte;
    bool ok = (o->h.tokens % 8 == 0 || spool_write(o, MASK, &last, 1, e)) &&
              spool_write(o, STARTS, &o->h.tokens, sizeof o->h.tokens, e); /* the end of the last document */
    place_sections(&o->h);
    for (int i = MASK; ok && i < SECTIONS; i++)
        ok = append_spool(o, i, e);
    if (ok) {
        must((int64_t)file_out_tell(o->file) == o->h.size);
        hash_hex(o->hash, hex);
        memcpy(o->h.digest, hex, HASH_XXH3_HEX);
        header_check(&o->h, o->h.check);
        ok = file_out_patch(o->file, 0, &o->h, sizeof o->h, e);
    }
    if (ok) {
        ok = file_out_commit(o->file, e);
        o->file = NULL; /* freed either way */
    }
    out_free(o);
    return ok;
}

void tokfile_out_abort(struct tokfile_out *o)
{
    if (o)
        out_free(o);
}
