/* tests/test_tokfile.c - .tok shards: what is written is read back; damaged, cut, foreign and forged files are refused. */
#include "data/tokfile.h"
#include "core/file.h"
#include "core/rng.h"
#include "tests/test.h"
#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

enum { SEED = 7 };
static char folder[64], path[96];

static void fresh_folder(void)
{
    strcpy(folder, "/tmp/test_tokfile.XXXXXX");
    if (!mkdtemp(folder))
        die("no temporary folder");
    snprintf(path, sizeof path, "%s/a.tok", folder);
}

static void drop_folder(void)
{
    struct err e = {""};
    check_msg(file_remove_tree(folder, &e), "%s", e.msg);
}

static int files_in_folder(void)
{
    DIR *d = opendir(folder);
    int n = 0;
    for (struct dirent *f; (f = readdir(d));)
        n += f->d_name[0] != '.';
    closedir(d);
    return n;
}

/* Document d: awkward lengths first, then random ones. */
static int64_t length(int64_t d)
{
    static const int64_t awkward[] = {1, 2, 63, 64, 65, 127, 128, 129, 255, 257, 1, 1, 8, 5000};
    int64_t n = sizeof awkward / sizeof *awkward;
    return d < n ? awkward[d] : 1 + (int64_t)rng_below(SEED, 1, (uint64_t)d, 300);
}

static void fill(int64_t d, int32_t vocab, int32_t *ids, uint8_t *learnt)
{
    for (int64_t t = 0; t < length(d); t++) {
        uint64_t i = (uint64_t)(d << 32 | t);
        ids[t] = (int32_t)rng_below(SEED, 2, i, (uint64_t)vocab);
        learnt[t] = rng_below(SEED, 3, i, 3) == 0;
    }
}

static void write_file(const char *to, int64_t docs, int32_t vocab, const char *tokenizer, char hex[HASH_XXH3_HEX])
{
    struct err e = {""};
    struct tokfile_out *o = NULL;
    static int32_t ids[5000];
    static uint8_t learnt[5000];
    if (!tokfile_out_open(&o, to, tokenizer, vocab, &e))
        die("%s", e.msg);
    for (int64_t d = 0; d < docs; d++) {
        fill(d, vocab, ids, learnt);
        if (!tokfile_out_add(o, ids, learnt, length(d), &e))
            die("%s", e.msg);
    }
    if (!tokfile_out_commit(o, hex, &e))
        die("%s", e.msg);
}

static void round_trip(int32_t vocab, int64_t docs)
{
    struct err e = {""};
    struct tokfile *f = NULL;
    char hex[HASH_XXH3_HEX];
    fresh_folder();
    write_file(path, docs, vocab, "digest of a tokenizer", hex);
    check_int(files_in_folder(), 1);
    if (!tokfile_open(&f, path, true, &e)) {
        check_msg(false, "%s", e.msg);
        return;
    }
    static int32_t want[5000], got[5000];
    static uint8_t want_learnt[5000], got_learnt[5000];
    int64_t tokens = 0, all_learnt = 0;
    int32_t max = -1;
    bool same = true, counts = true;
    for (int64_t d = 0; d < docs; d++) {
        int64_t n = length(d), half = n / 2, learnt = 0, learnt_half = 0;
        fill(d, vocab, want, want_learnt);
        tokfile_read(f, d, 0, half, got, got_learnt);
        tokfile_read(f, d, half, n - half, got + half, got_learnt + half);
        same &= memcmp(want, got, (size_t)n * sizeof *got) == 0 && memcmp(want_learnt, got_learnt, (size_t)n) == 0;
        tokfile_read(f, d, n - 1, 1, got, NULL);
        same &= got[0] == want[n - 1];
        for (int64_t t = 0; t < n; t++) {
            max = want[t] > max ? want[t] : max;
            learnt += t > 0 && want_learnt[t];
            learnt_half += t > 0 && t < half && want_learnt[t];
        }
        counts &= tokfile_doc_len(f, d) == n && tokfile_doc_learnt(f, d) == learnt && tokfile_learnt_in(f, d, half) == learnt_half;
        counts &= tokfile_learnt_in(f, d, n) == learnt && tokfile_learnt_in(f, d, 0) == 0;
        tokens += n;
        all_learnt += learnt;
    }
    check(same);
    check(counts);
    check_int(tokfile_docs(f), docs);
    check_int(tokfile_tokens(f), tokens);
    check_int(tokfile_learnt(f), all_learnt);
    check_int(tokfile_max_id(f), max);
    check_str(tokfile_tokenizer(f), "digest of a tokenizer");
    check_str(tokfile_digest(f), hex);
    tokfile_close(f);
    drop_folder();
}

static void test_round_trip(void)
{
    round_trip(65536, 400);
    round_trip(65537, 400);
    round_trip(3, 60);
    round_trip(INT32_MAX, 60);
    round_trip(300, 1);
    round_trip(300, 0);
}

/* Ids take two bytes exactly when the vocabulary fits. */
static void test_id_width(void)
{
    char hex[HASH_XXH3_HEX];
    int64_t tokens = 0;
    for (int64_t d = 0; d < 400; d++)
        tokens += length(d);
    fresh_folder();
    write_file(path, 400, 65536, "", hex);
    int64_t narrow = file_size(path);
    write_file(path, 400, 65537, "", hex);
    check_msg(llabs(file_size(path) - narrow - 2 * tokens) <= 64, "%lld and %lld bytes", (long long)narrow, (long long)file_size(path));
    check_msg(narrow <= 2 * tokens + tokens / 8 + 401 * 16 + 256 + 4 * 64, "%lld bytes", (long long)narrow);
    drop_folder();
}

static void test_same_bytes(void)
{
    struct err e = {""};
    char hex[2][HASH_XXH3_HEX], file[2][HASH_XXH3_HEX], other[96];
    fresh_folder();
    snprintf(other, sizeof other, "%s/b.tok", folder);
    write_file(path, 100, 1000, NULL, hex[0]);
    write_file(other, 100, 1000, NULL, hex[1]);
    check_str(hex[1], hex[0]);
    check(hash_xxh3_file(path, file[0], &e) && hash_xxh3_file(other, file[1], &e));
    check_str(file[1], file[0]);
    write_file(other, 99, 1000, NULL, hex[1]);
    check(strcmp(hex[0], hex[1]) != 0);
    drop_folder();
}

static void put(const char *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(bytes, 1, n, f) != n || fclose(f) != 0)
        die("cannot write %s", path);
}

static bool opens(bool verify, struct err *e)
{
    struct tokfile *f = NULL;
    e->msg[0] = '\0';
    if (!tokfile_open(&f, path, verify, e))
        return false;
    /* What opens must be readable to the end, whatever it holds. */
    static int32_t ids[5000];
    static uint8_t learnt[5000];
    for (int64_t d = 0; d < tokfile_docs(f); d++)
        tokfile_read(f, d, 0, tokfile_doc_len(f, d), ids, learnt);
    tokfile_close(f);
    return true;
}

static char *small_file(size_t *n)
{
    struct err e = {""};
    char hex[HASH_XXH3_HEX];
    fresh_folder();
    write_file(path, 4, 300, "tokenizer", hex);
    char *bytes = file_read(path, 1 << 20, n, &e);
    if (!bytes)
        die("%s", e.msg);
    check(opens(true, &e));
    return bytes;
}

static void test_every_byte_counts(void)
{
    struct err e;
    size_t n;
    char *bytes = small_file(&n);
    int accepted = 0, header_accepted = 0, silent = 0;
    for (size_t i = 0; i < n; i++)
        for (int how = 0; how < 3; how++) {
            char kept = bytes[i];
            bytes[i] = (char)(how == 0 ? kept ^ 1 : how == 1 ? kept ^ 0x80 : ~kept);
            put(bytes, n);
            accepted += opens(true, &e);
            silent += !strstr(e.msg, path) || !strstr(e.msg, "prepare");
            header_accepted += opens(false, &e) && i < 256;
            bytes[i] = kept;
        }
    check_int(accepted, 0);
    check_int(silent, 0);
    check_int(header_accepted, 0);
    put(bytes, n);
    check(opens(true, &e));
    free(bytes);
    drop_folder();
}

static void test_every_length_counts(void)
{
    struct err e;
    size_t n;
    char *bytes = small_file(&n);
    int accepted = 0, silent = 0;
    for (size_t i = 0; i < n; i++) {
        put(bytes, i);
        accepted += opens(false, &e);
        silent += !strstr(e.msg, path);
        if (i >= 8)
            silent += !strstr(e.msg, "truncated") || !strstr(e.msg, "prepare");
        accepted += opens(true, &e);
    }
    check_int(accepted, 0);
    check_int(silent, 0);
    bytes = xrealloc(bytes, n + 1);
    bytes[n] = 0;
    put(bytes, n + 1);
    check(!opens(false, &e));
    check_has(e.msg, "overlong");
    free(bytes);
    drop_folder();
}

static void test_foreign(void)
{
    struct err e;
    fresh_folder();
    check(!opens(true, &e));
    check_has(e.msg, path);
    char text[1000];
    memset(text, 'x', sizeof text);
    put(text, sizeof text);
    check(!opens(true, &e));
    check_has(e.msg, "not a .tok file");
    check_has(e.msg, "prepare");
    put(text, 0);
    check(!opens(true, &e));
    check_has(e.msg, path);
    drop_folder();
}

/* A header whose checksum is right but whose numbers are wrong must not lead outside the mapping. */
static void test_forged(void)
{
    enum { DOCS = 32, SIZE = 88, STARTS_AT = 72, CHECK = 208 };
    static const int64_t nasty[] = {INT64_MIN, -1, 0, 1, 5, 63, 64, 1000, 1LL << 31, 1LL << 60, 1LL << 61, INT64_MAX - 7, INT64_MAX};
    struct err e;
    size_t n;
    char *bytes = small_file(&n), *forged = xmalloc(n);
    int accepted = 0;
    for (int field = DOCS; field <= SIZE; field += 8)
        for (size_t k = 0; k < sizeof nasty / sizeof *nasty; k++)
            for (int relative = 0; relative < 2; relative++) {
                int64_t value;
                memcpy(forged, bytes, n);
                memcpy(&value, bytes + field, 8);
                int64_t changed = relative ? (int64_t)((uint64_t)value + (uint64_t)nasty[k]) : nasty[k];
                if (changed == value)
                    continue;
                memcpy(forged + field, &changed, 8);
                hash_xxh3(forged, CHECK, forged + CHECK);
                put(forged, n);
                accepted += opens(false, &e);
            }
    check_int(accepted, 0);
    /* The table of documents is checked even when the content is not hashed. */
    int64_t at;
    memcpy(&at, bytes + STARTS_AT, 8);
    for (int doc = 0; doc <= 4; doc++)
        for (size_t k = 0; k < sizeof nasty / sizeof *nasty; k++) {
            memcpy(forged, bytes, n);
            memcpy(forged + at + 8 * doc, &nasty[k], 8);
            put(forged, n);
            if (memcmp(forged, bytes, n) != 0 && opens(false, &e)) /* a start may move between its neighbours: then it is only damage */
                check_msg(nasty[k] > 0 && nasty[k] < 130 && !opens(true, &e), "document %d starts at %lld", doc, (long long)nasty[k]);
        }
    free(forged);
    free(bytes);
    drop_folder();
}

static void test_bad_ids(void)
{
    struct err e = {""};
    struct tokfile_out *o = NULL;
    const int32_t high[] = {1, 2, 300}, negative[] = {-1};
    const uint8_t learnt[] = {1, 1, 1};
    fresh_folder();
    check(tokfile_out_open(&o, path, "", 300, &e));
    check(!tokfile_out_add(o, high, learnt, 3, &e));
    check_has(e.msg, "document 0, token 2: id 300 is outside the vocabulary (0..299)");
    tokfile_out_abort(o);
    check_int(files_in_folder(), 0);
    check(tokfile_out_open(&o, path, "", INT32_MAX, &e));
    check(!tokfile_out_add(o, negative, learnt, 1, &e));
    check_has(e.msg, "id -1");
    tokfile_out_abort(o);
    check(!tokfile_out_open(&o, "/tmp/x.tok.zst", "", 300, &e));
    check_has(e.msg, "without .zst");
    check(!tokfile_out_open(&o, "/nonexistent/x.tok", "", 300, &e));
    check_has(e.msg, "/nonexistent/x.tok");
    check_int(files_in_folder(), 0);
    drop_folder();
}

/* A file that cannot grow stands for a full disk: every stage fails in turn, the old file stays, nothing else is left. */
static void test_disk_full(void)
{
    struct rlimit old, small;
    char hex[HASH_XXH3_HEX];
    getrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, SIG_IGN);
    fresh_folder();
    write_file(path, 400, 300, "", hex);
    rlim_t whole = (rlim_t)file_size(path);
    write_file(path, 3, 300, "", hex);
    static int32_t ids[5000];
    static uint8_t learnt[5000];
    const rlim_t limits[] = {0, 100, 3000, 4096, 20000, 60000, 100000, whole - 1};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct err e = {""};
        struct tokfile_out *o = NULL;
        small = old;
        small.rlim_cur = limits[i];
        setrlimit(RLIMIT_FSIZE, &small);
        bool ok = tokfile_out_open(&o, path, "", 300, &e), opened = ok;
        for (int64_t d = 0; ok && d < 400; d++) {
            fill(d, 300, ids, learnt);
            ok = tokfile_out_add(o, ids, learnt, length(d), &e);
        }
        if (ok)
            ok = tokfile_out_commit(o, hex, &e);
        else if (opened)
            tokfile_out_abort(o);
        setrlimit(RLIMIT_FSIZE, &old);
        check_msg(!ok, "with a limit of %lld bytes", (long long)limits[i]);
        check_has(e.msg, "a.tok");
        check_int(files_in_folder(), 1);
        check(opens(true, &e));
    }
    drop_folder();
}

static const struct test tests[] = {
    {"round_trip", test_round_trip},
    {"id_width", test_id_width},
    {"same_bytes", test_same_bytes},
    {"every_byte_counts", test_every_byte_counts},
    {"every_length_counts", test_every_length_counts},
    {"foreign", test_foreign},
    {"forged", test_forged},
    {"bad_ids", test_bad_ids},
    {"disk_full", test_disk_full},
};
TEST_MAIN("test_tokfile", tests)
