/* tests/test_parquet.c - Parquet files read as what they hold: files by pyarrow of every codec and encoding (tests/make_parquet.py), those of
 * ../shared when it is there; and damaged ones are errors: cut anywhere, changed anywhere, a thousandfold. */
#include "core/file.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/rng.h"
#include "data/parquet/parquet.h"
#include "tests/test.h"
#include <unistd.h>

#define SHARED "../shared/corpus/parquet/"
static char temporary[] = "/tmp/test_parquet.XXXXXX";

static const char *const files[] = {"none.v1.plain",   "snappy.v1.dictionary", "gzip.v1.fallback",    "zstd.v1.pages", "none.v2.dictionary",
                                    "snappy.v2.plain", "zstd.v2.delta_length", "gzip.v2.delta_bytes", "none.v1.split", "older_lists"};
enum { FILES = sizeof files / sizeof *files, ROWS = 100, COLUMNS = 14 };

static char *path_of(const char *name)
{
    return xprintf("tests/data/%s.parquet", name);
}

/* Equal as JSON; a number counts as its value, so that 1 and 1.0 are the same. */
static bool same(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b))
        return json_number_value(a) == json_number_value(b);
    if (json_typeof(a) != json_typeof(b) || json_object_size(a) != json_object_size(b) || json_array_size(a) != json_array_size(b))
        return false;
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)a, key, v)
    {
        const json_t *other = json_object_get(b, key);
        if (!other || !same(v, other))
            return false;
    }
    for (size_t i = 0; i < json_array_size(a); i++)
        if (!same(json_array_get(a, i), json_array_get(b, i)))
            return false;
    return json_is_object(a) || json_is_array(a) || json_equal(a, b);
}

/* The file's rows are those of the lines. */
static void check_rows(const char *path, const char *lines, int64_t want)
{
    struct err e = {""};
    json_t *all = json_load_lines(lines, &e);
    struct parquet *p = NULL;
    check_msg(all && parquet_open(&p, path, &e), "%s", e.msg);
    if (!all || !p)
        return;
    struct packed row = {0};
    int64_t n = 0;
    int got;
    check_int(parquet_rows(p), want);
    while ((got = parquet_next(p, &row, &e)) == 1) {
        json_t *v = packed_json(row.at, row.n, &e), *expected = json_array_get(all, (size_t)n);
        check_msg(v, "%s", e.msg);
        if (v && want > (int64_t)json_array_size(all)) { /* the same rows repeatedly, as number id + 100k */
            json_int_t id = json_integer_value(json_object_get(v, "id")) % 100;
            json_object_set_new(v, "id", json_integer(id));
            expected = json_array_get(all, (size_t)id);
        }
        bool equal = v && same(v, expected);
        char *text = equal ? NULL : json_dumps(v, 0), *other = equal ? NULL : json_dumps(expected, 0);
        check_msg(equal, "%s, row %lld: %.2000s\nwant %.2000s", path, (long long)n, text, other);
        free(text);
        free(other);
        json_decref(v);
        row.n = 0;
        check_int(parquet_number(p), ++n);
        if (!equal)
            break;
    }
    check_msg(got == 0, "%s: %s", path, e.msg);
    check_int(n, want);
    packed_free(&row);
    parquet_close(p);
    json_decref(all);
}

static void every_codec_and_encoding(void)
{
    for (int i = 0; i < FILES; i++) {
        char *path = path_of(files[i]);
        check(parquet_is(path));
        check_rows(path, "tests/data/rows.jsonl", ROWS);
        free(path);
    }
    check(!parquet_is("tests/data/rows.jsonl") && !parquet_is("tests/data/none"));
}

/* What a filter leaves of a shard, at times. */
static void no_rows(void)
{
    check_rows("tests/data/no_rows.parquet", "tests/data/rows.jsonl", 0);
}

static void names_and_types(void)
{
    static const char *const want[][2] = {{"id", "int64"},
                                          {"text", "string"},
                                          {"kind", "string"},
                                          {"small", "int32"},
                                          {"score", "double"},
                                          {"ratio", "float"},
                                          {"flag", "bool"},
                                          {"tags", "list<string>"},
                                          {"turns", "list<struct<from: string, value: string>>"},
                                          {"meta", "struct<level: int32, from: struct<year: int64, name: string>>"},
                                          {"grid", "list<list<int64>>"},
                                          {"code", "bytes"},
                                          {"must", "string"},
                                          {"count", "uint32"}};
    static const char *const both[] = {"none.v1.plain", "older_lists"};
    for (int f = 0; f < 2; f++) {
        struct err e;
        struct parquet *p;
        char *path = path_of(both[f]);
        check_msg(parquet_open(&p, path, &e), "%s", e.msg);
        check_int(parquet_columns(p), COLUMNS);
        for (int i = 0; i < COLUMNS; i++) {
            char *type = parquet_column_type(p, i);
            check_str(parquet_column(p, i), want[i][0]);
            check_str(type, want[i][1]);
            free(type);
        }
        parquet_close(p);
        free(path);
    }
}

/* What is not wanted is not read: here it would be refused. */
static void wanted_columns(void)
{
    struct err e = {""};
    struct packed row = {0};
    for (int column = 0; column < COLUMNS; column++) {
        struct parquet *p;
        check(parquet_open(&p, "tests/data/gzip.v1.fallback.parquet", &e));
        for (int i = 0; i < COLUMNS; i++)
            parquet_want(p, i, i == column);
        int n = 0;
        for (; parquet_next(p, &row, &e) == 1; row.n = 0, n++) {
            json_t *v = packed_json(row.at, row.n, &e);
            check(json_object_size(v) == 1 && json_object_get(v, parquet_column(p, column)));
            json_decref(v);
        }
        check_int(n, ROWS);
        parquet_close(p);
    }
    struct parquet *p;
    check(parquet_open(&p, "tests/data/refused.brotli.parquet", &e));
    check_int(parquet_next(p, &row, &e), -1);
    check_has(e.msg, "refused.brotli.parquet: row 1, column \"id\": it is compressed with brotli, which is not read here");
    parquet_close(p);
    check(parquet_open(&p, "tests/data/refused.brotli.parquet", &e));
    parquet_want(p, 0, false);
    parquet_want(p, 1, false);
    row.n = 0;
    int n = 0;
    while (parquet_next(p, &row, &e) == 1)
        n++;
    check_int(n, ROWS);
    parquet_close(p);
    packed_free(&row);
}

/* Reads as much as there is, at most limit rows; returns whether the file was read to its end without an error. */
static bool read_all(const char *path, int64_t limit, struct err *e)
{
    struct parquet *p;
    if (!parquet_open(&p, path, e))
        return false;
    struct packed row = {0};
    int got = 1;
    for (int64_t n = 0; got == 1 && n < limit; n++) {
        row.n = 0;
        got = parquet_next(p, &row, e);
        if (got == 1) /* a text that is no longer UTF-8 is a null pointer, which json_decref() takes */
            json_decref(packed_json(row.at, row.n, e));
    }
    packed_free(&row);
    parquet_close(p);
    return got == 0;
}

static void put(const char *path, const void *p, size_t n)
{
    FILE *f = fopen(path, "wb");
    must(f && fwrite(p, 1, n, f) == n && fclose(f) == 0);
}

static unsigned char *bytes_of(const char *path, size_t *n)
{
    struct err e;
    struct file_map m;
    must(file_map_open(&m, path, &e));
    unsigned char *copy = xmalloc(m.size);
    memcpy(copy, m.data, m.size);
    *n = m.size;
    file_map_close(&m);
    return copy;
}

static void cut_short(void)
{
    struct err e;
    size_t size;
    char *path = path_of("older_lists"), *cut = xprintf("%s/cut.parquet", temporary);
    unsigned char *all = bytes_of(path, &size);
    for (size_t n = 1; n < size; n += n < 64 || n > size - 64 ? 1 : 97) {
        put(cut, all, n);
        check_msg(!read_all(cut, INT64_MAX, &e), "read %zu of %zu bytes as if they were all", n, size);
        check_has(e.msg, "cut.parquet is ");
    }
    put(cut, all, size);
    check_msg(read_all(cut, INT64_MAX, &e), "%s", e.msg);
    put(cut, all, size - 10);
    check(!read_all(cut, INT64_MAX, &e));
    check_has(e.msg, "is cut short: a Parquet file ends with PAR1");
    all[size - 5] = 0x7f; /* the footer's size */
    put(cut, all, size);
    check(!read_all(cut, INT64_MAX, &e));
    check_has(e.msg, "is damaged: its footer (the last 21");
    put(cut, "PK\3\4 this is no such thing", 25);
    check(!read_all(cut, INT64_MAX, &e));
    check_has(e.msg, "is no Parquet file: it does not begin with PAR1");
    put(cut, "", 0);
    check(!read_all(cut, INT64_MAX, &e));
    check_has(e.msg, "is empty");
    unlink(cut);
    free(all);
    free(cut);
    free(path);
}

/* Bytes changed at random, most of them in what is not text (headers, footer): each reads as rows or as an error, whatever they claim.
 * The sanitizers watch this. */
static void changed_anywhere(void)
{
    char *path = xprintf("%s/fuzz.parquet", temporary);
    double end = log_now() + 4;
    int64_t tries = 0, refused = 0;
    for (uint64_t seed = 0; seed < 400 && log_now() < end; seed++)
        for (int i = 0; i < FILES && log_now() < end; i++) {
            char *from = path_of(files[i]);
            size_t size;
            unsigned char *all = bytes_of(from, &size);
            uint64_t at = (uint64_t)i << 20, changes = 1 + rng_below(seed, at, 0, 4);
            for (uint64_t c = 0; c < changes; c++) {
                uint32_t r[4];
                rng_block(seed, at, c + 1, r);
                size_t footer = 2500 < size ? 2500 : size, where = r[0] % 2 ? r[1] % size : size - 8 - r[1] % (footer - 8);
                all[where] = r[2] % 4 == 0   ? (unsigned char)(all[where] ^ 1u << r[3] % 8)
                             : r[2] % 4 == 1 ? 0xff
                             : r[2] % 4 == 2 ? (unsigned char)(all[where] + 1)
                                             : (unsigned char)r[3];
            }
            put(path, all, size);
            struct err e = {""};
            bool whole = read_all(path, 20000, &e);
            check_msg(whole || e.msg[0], "seed %llu, %s: neither rows nor an error", (unsigned long long)seed, files[i]);
            refused += !whole;
            tries++;
            free(all);
            free(from);
        }
    check_msg(tries >= 100 && refused > tries / 3, "%lld of %lld refused", (long long)refused, (long long)tries);
    unlink(path);
    free(path);
}

/* The digest of all rows; false: there is an error. */
static bool digest_of(const char *path, char hex[HASH_XXH3_HEX])
{
    struct err e;
    struct parquet *p;
    if (!parquet_open(&p, path, &e))
        return false;
    struct hash_stream *h = hash_open();
    struct packed row = {0};
    int got;
    while ((got = parquet_next(p, &row, &e)) == 1) {
        hash_add(h, row.at, row.n);
        row.n = 0;
    }
    hash_hex(h, hex);
    hash_close(h);
    packed_free(&row);
    parquet_close(p);
    return got == 0;
}

/* With checksums a change inside a page is an error, or (in a header's statistics) changes no row: never other rows. */
static void checksums(void)
{
    size_t size;
    char *path = xprintf("%s/sum.parquet", temporary), want[HASH_XXH3_HEX], got[HASH_XXH3_HEX];
    unsigned char *all = bytes_of("tests/data/zstd.v1.pages.parquet", &size);
    check(digest_of("tests/data/zstd.v1.pages.parquet", want));
    int found = 0, tries = 0;
    for (size_t at = 60; at < size / 2; at += 37, tries++) {
        all[at] ^= 16;
        put(path, all, size);
        if (digest_of(path, got))
            check_msg(strcmp(got, want) == 0, "byte %zu changed other rows", at);
        else
            found++;
        all[at] ^= 16;
    }
    check_msg(found >= tries / 2, "%d of %d", found, tries);
    unlink(path);
    free(path);
    free(all);
}

static void of_the_published_sets(void)
{
    static const struct {
        const char *parquet, *lines;
        int64_t rows;
    } cases[] = {{"mbpp_sanitized_test", "mbpp_sanitized_test.jsonl.zst", 257},
                 {"opencodereasoning_split_0_like.snappy", "opencodereasoning_split_0_like.jsonl.zst", 40},
                 {"opencodereasoning_split_1_like.snappy", "opencodereasoning_split_1_like.jsonl.zst", 20},
                 {"openmathreasoning_cot_like.gzip", "openmathreasoning_cot_like.jsonl", 50},
                 {"openmathreasoning_cot_like.plain", "openmathreasoning_cot_like.jsonl", 50},
                 {"openmathreasoning_cot_like.snappy", "openmathreasoning_cot_like.jsonl", 50},
                 {"openmathreasoning_cot_like.zstd", "openmathreasoning_cot_like.jsonl", 50},
                 {"openthoughts2_1m_like.rowgroups", "openthoughts2_1m_like.jsonl.zst", 5040},
                 {"openthoughts2_1m_like.snappy", "openthoughts2_1m_like.jsonl.zst", 63},
                 {"openthoughts2_1m_like.v2.zstd", "openthoughts2_1m_like.jsonl.zst", 63},
                 {"verl_arithmetic_sequence_train", "verl_arithmetic_sequence_train.jsonl", 800}};
    if (!file_exists(SHARED)) {
        test_skip("no ../shared");
        return;
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *parquet = xprintf(SHARED "%s.parquet", cases[i].parquet), *lines = xprintf(SHARED "expected/%s", cases[i].lines);
        check_rows(parquet, lines, cases[i].rows);
        free(parquet);
        free(lines);
    }
}

static const struct test tests[] = {
    {"every codec and encoding", every_codec_and_encoding},
    {"no rows", no_rows},
    {"names and types", names_and_types},
    {"only what is wanted is read", wanted_columns},
    {"files cut short", cut_short},
    {"checksums of pages", checksums},
    {"files changed anywhere", changed_anywhere},
    {"files like the published sets", of_the_published_sets},
};

int main(int argc, char **argv)
{
    must(mkdtemp(temporary));
    int code = test_main(argc, argv, "test_parquet", tests, (int)(sizeof tests / sizeof *tests));
    rmdir(temporary);
    return code;
}
