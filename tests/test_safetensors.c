/* tests/test_safetensors.c - the file format: what is read is exact, what is broken is refused by name, and no bytes whatever make it crash. */
#include "model/safetensors.h"
#include "kernels/mat.h"
#include "tests/train_run.h"

/* A file of a header and data bytes. size: what the header's length says; -1: the truth. */
static void write_st(const char *path, const char *header, const void *data, size_t n, int64_t size)
{
    size_t len = strlen(header);
    unsigned char *all = xmalloc(8 + len + n);
    uint64_t said = size < 0 ? len : (uint64_t)size;
    for (int i = 0; i < 8; i++)
        all[i] = (unsigned char)(said >> (8 * i));
    memcpy(all + 8, header, len);
    memcpy(all + 8 + len, data, n);
    run_write(path, all, 8 + len + n);
    free(all);
}

static void refused(const char *path, const char *words)
{
    struct safetensors s;
    struct err e = {""};
    bool ok = safetensors_open(&s, path, &e);
    check_msg(!ok, "%s opens; expected: %s", path, words);
    if (ok) {
        safetensors_close(&s);
        return;
    }
    check_has(e.msg, words);
    check_has(e.msg, run_folder); /* says where */
}

static void test_broken(void)
{
    static const unsigned char data[64];
    static const struct {
        const char *header;
        size_t n;
        const char *words;
    } bad[] = {
        {"{\"a\": {\"dtype\": \"F32\" \"shape\": [2], \"data_offsets\": [0, 8]}}", 8, "not valid JSON"},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [0, 8]}", 8, "not valid JSON"},
        {"[1, 2]", 0, "the header must be an object, got an array"},
        {"{\"a\": 3}", 0, "tensor \"a\": expected an object, got an integer"},
        {"{\"a\": {\"shape\": [2], \"data_offsets\": [0, 8]}}", 8, "\"dtype\" is missing"},
        {"{\"a\": {\"dtype\": \"F31\", \"shape\": [2], \"data_offsets\": [0, 8]}}", 8, "unknown dtype \"F31\""},
        {"{\"a\": {\"dtype\": \"a very long name of a type\", \"shape\": [2], \"data_offsets\": [0, 8]}}", 8, "unknown dtype"},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": 2, \"data_offsets\": [0, 8]}}", 8, "\"shape\" must be a list"},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": [1,1,1,1,1,1,1,1,2], \"data_offsets\": [0, 8]}}", 8, "at most 8"},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": [-2], \"data_offsets\": [0, 8]}}", 8, "\"shape\" must be a list of whole numbers"},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": [2.0], \"data_offsets\": [0, 8]}}", 8, "\"shape\" must be a list of whole numbers"},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": [4611686018427387904, 4], \"data_offsets\": [0, 8]}}", 8, "fit in memory"},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [0, 8, 9]}}", 8, "\"data_offsets\" must be [begin, end]"},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [8, 0]}}", 8, "data_offsets [8, 0]"},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [-8, 0]}}", 8, "data_offsets [-8, 0]"},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": [3], \"data_offsets\": [0, 12]}}", 8,
         "go past the 8 bytes of data: the file is cut short"},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": [3], \"data_offsets\": [0, 8]}}", 8, "8 bytes of data for 3 numbers of F32"},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [0, 8]}, \"b\": {\"dtype\": \"F32\", \"shape\": [2], "
         "\"data_offsets\": [4, 12]}}",
         12, "tensors \"a\" and \"b\" overlap"},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [0, 8]}, \"b\": {\"dtype\": \"F32\", \"shape\": [2], "
         "\"data_offsets\": [0, 8]}}",
         8, "overlap"},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [4, 8]}}", 8, "a hole of 4 bytes before tensor \"a\""},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 4]}, \"b\": {\"dtype\": \"F32\", \"shape\": [1], "
         "\"data_offsets\": [8, 12]}}",
         12, "a hole of 4 bytes before tensor \"b\""},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 4]}}", 9, "5 bytes behind the last tensor belong to none"},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 4]}, \"a\": {\"dtype\": \"F32\", \"shape\": [1], "
         "\"data_offsets\": [4, 8]}}",
         8, "not valid JSON"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_st(run_path("bad.safetensors"), bad[i].header, data, bad[i].n, -1);
        refused(run_path("bad.safetensors"), bad[i].words);
    }
    const char *good = "{\"a\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 4]}}";
    write_st(run_path("bad.safetensors"), good, data, 4, (int64_t)1 << 40);
    refused(run_path("bad.safetensors"), "a header of 1099511627776 bytes");
    write_st(run_path("bad.safetensors"), good, data, 4, (int64_t)strlen(good) + 5);
    refused(run_path("bad.safetensors"), "cut short, damaged, or no safetensors file");
    write_st(run_path("bad.safetensors"), good, data, 4, INT64_MAX);
    refused(run_path("bad.safetensors"), "a header of 9223372036854775807 bytes");
    run_write(run_path("bad.safetensors"), data, 7);
    refused(run_path("bad.safetensors"), "7 bytes are no safetensors file");
    run_write(run_path("bad.safetensors"), data, 0);
    refused(run_path("bad.safetensors"), "empty");
    refused(run_path("nothing.safetensors"), "nothing.safetensors");
    refused(run_folder, "no weights here");
}

/* A header of more than 100 MiB is refused even when it is all there. */
static void test_oversized(void)
{
    char *path = run_path("big.safetensors");
    FILE *f = fopen(path, "wb");
    must(f);
    uint64_t n = ((uint64_t)100 << 20) + 1;
    must(fwrite(&n, 8, 1, f) == 1 && fseek(f, (long)n + 8, SEEK_SET) == 0 && fputc('x', f) == 'x' && fclose(f) == 0);
    refused(path, "a header of 104857601 bytes");
    unlink(path);
}

/* Value of a 16-bit float by its definition. */
static double half(uint32_t h)
{
    double sign = h >> 15 ? -1 : 1, fraction = h & 1023;
    int exponent = (int)(h >> 10 & 31);
    if (exponent == 31)
        return fraction > 0 ? NAN : sign * INFINITY;
    return exponent ? sign * ldexp(1 + fraction / 1024, exponent - 15) : sign * ldexp(fraction, -24);
}
static double brain(uint32_t h)
{
    double sign = h >> 15 ? -1 : 1, fraction = h & 127;
    int exponent = (int)(h >> 7 & 255);
    if (exponent == 255)
        return fraction > 0 ? NAN : sign * INFINITY;
    return exponent ? sign * ldexp(1 + fraction / 128, exponent - 127) : sign * ldexp(fraction, -133);
}

/* Every number that 16 bits can hold. */
static void test_types(void)
{
    enum { ALL = 65536 };
    static uint16_t data[2 * ALL];
    static float got[ALL];
    for (int i = 0; i < ALL; i++)
        data[i] = data[ALL + i] = (uint16_t)i;
    const char *path = run_path("types.safetensors");
    write_st(path,
             "{\"h\": {\"dtype\": \"F16\", \"shape\": [256, 256], \"data_offsets\": [0, 131072]}, \"b\": {\"dtype\": \"BF16\", \"shape\": "
             "[65536], \"data_offsets\": [131072, 262144]}, \"__metadata__\": {\"format\": \"pt\"}}",
             data, sizeof data, -1);
    struct safetensors s;
    struct err e = {""};
    bool ok = safetensors_open(&s, path, &e);
    check_msg(ok, "%s", e.msg);
    if (!ok)
        return;
    check_int(s.n, 2);
    for (int brains = 0; brains < 2; brains++) {
        const struct st_tensor *t = safetensors_find(&s, brains ? "b" : "h");
        check(t && st_check_dtype(t, &e));
        st_read_f32(t, 0, 1000, got); /* in two pieces */
        st_read_f32(t, 1000, ALL - 1000, got + 1000);
        for (uint32_t i = 0; i < ALL; i++) {
            double want = brains ? brain(i) : half(i), is = (double)got[i];
            if (isnan(want) ? !isnan(is) : is != want || signbit(is) != signbit(want)) {
                check_msg(false, "%s %04x: got %g, want %g", t->dtype, i, is, want);
                break;
            }
        }
    }
    check(!safetensors_find(&s, "c"));
    safetensors_close(&s);

    write_st(path,
             "{\"i\": {\"dtype\": \"I64\", \"shape\": [], \"data_offsets\": [0, 8]}, \"none\": {\"dtype\": \"F32\", \"shape\": [0, 4], "
             "\"data_offsets\": [8, 8]}}",
             data, 8, -1);
    ok = safetensors_open(&s, path, &e);
    check_msg(ok, "%s", e.msg);
    if (!ok)
        return;
    check_int(safetensors_find(&s, "i")->n, 1);
    check_int(safetensors_find(&s, "none")->n, 0);
    check(!st_check_dtype(safetensors_find(&s, "i"), &e));
    check_str(e.msg, "tensor \"i\": dtype must be F32, BF16 or F16, got I64");
    safetensors_close(&s);
}

static const char *const one = "{\"a\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [0, 8]}}";
static const char *const two = "{\"b\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 4]}}";

static void write_index(const char *dir, const char *text)
{
    run_write_text(run_path("%s/model.safetensors.index.json", dir), text);
}

static void test_shards(void)
{
    static const float numbers[] = {1.5f, -2.25f};
    struct safetensors s;
    struct err e = {""};
    must(file_mkdirs(run_path("shards"), &e));
    const char *dir = run_path("shards");
    write_st(run_path("shards/x.safetensors"), one, numbers, 8, -1);
    write_st(run_path("shards/y.safetensors"), two, numbers, 4, -1);
    write_index("shards", "{\"metadata\": {}, \"weight_map\": {\"a\": \"x.safetensors\", \"b\": \"y.safetensors\"}}");
    bool ok = safetensors_open(&s, dir, &e);
    check_msg(ok, "%s", e.msg);
    if (ok) {
        float v[2];
        check_int(s.n, 2);
        st_read_f32(safetensors_find(&s, "a"), 0, 2, v);
        check(v[0] == 1.5f && v[1] == -2.25f);
        st_read_f32(safetensors_find(&s, "b"), 0, 1, v);
        check(v[0] == 1.5f);
        safetensors_close(&s);
    }
    write_index("shards", "{\"weight_map\": {\"a\": \"x.safetensors\", \"b\": \"z.safetensors\"}}");
    refused(dir, "z.safetensors");
    write_index("shards", "{\"weight_map\": {\"a\": \"x.safetensors\", \"c\": \"y.safetensors\"}}");
    refused(dir, "tensor \"c\" is missing");
    write_index("shards", "{\"weight_map\": {\"a\": \"y.safetensors\", \"b\": \"y.safetensors\"}}");
    refused(dir, "tensor \"a\" is missing");
    write_index("shards", "{\"weight_map\": {\"a\": \"../x.safetensors\"}}");
    refused(dir, "the shard of \"a\" must be a file name");
    write_index("shards", "{\"weight_map\": {\"a\": 7}}");
    refused(dir, "the shard of \"a\" must be a file name");
    write_index("shards", "{\"weight_map\": [\"x.safetensors\"]}");
    refused(dir, "\"weight_map\" must be an object, got an array");
    write_index("shards", "{\"weight_map\": {\"a\": \"x.safetensors\"");
    refused(dir, "not valid JSON");
    write_st(run_path("shards/y.safetensors"), one, numbers, 8, -1);
    write_index("shards", "{\"weight_map\": {\"a\": \"x.safetensors\", \"b\": \"y.safetensors\"}}");
    refused(dir, "\"b\" is missing");
    write_st(run_path("shards/y.safetensors"),
             "{\"a\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 4]}, \"b\": {\"dtype\": \"F32\", \"shape\": [1], "
             "\"data_offsets\": [4, 8]}}",
             numbers, 8, -1);
    refused(dir, "tensor \"a\" is there twice");
}

/* What is written is read back, plain and compressed; an unfinished file leaves nothing. */
static void test_writing(void)
{
    static const struct st_spec spec[] = {{"first", "F32", 2, {2, 3}}, {"second", "BF16", 1, {5}}, {"third", "F32", 3, {2, 1, 1}}};
    float first[6], third[2] = {7, -8};
    uint16_t second[5];
    struct err e = {""};
    struct st_out *o;
    for (int i = 0; i < 6; i++)
        first[i] = (float)i / 3;
    for (int i = 0; i < 5; i++)
        second[i] = f32_to_bf16((float)i);
    for (int zst = 0; zst < 2; zst++) {
        const char *path = run_path("out.safetensors%s", zst ? ".zst" : "");
        bool ok = st_out_open(&o, path, spec, 3, zst, &e);
        ok = ok && st_out_write(o, first, 10, &e) && st_out_write(o, (char *)first + 10, 14, &e) && st_out_write(o, second, 10, &e) &&
             st_out_write(o, third, 8, &e) && st_out_commit(o, &e);
        check_msg(ok, "%s", e.msg);
        struct safetensors s;
        ok = safetensors_open(&s, path, &e);
        check_msg(ok, "%s", e.msg);
        if (!ok)
            continue;
        check_int(s.n, 3);
        const struct st_tensor *t = safetensors_find(&s, "first");
        check(t && t->ndim == 2 && t->shape[0] == 2 && t->shape[1] == 3 && !memcmp(t->data, first, sizeof first));
        t = safetensors_find(&s, "second");
        check(t && !strcmp(t->dtype, "BF16") && !memcmp(t->data, second, sizeof second));
        t = safetensors_find(&s, "third");
        check(t && t->ndim == 3 && !memcmp(t->data, third, sizeof third));
        safetensors_close(&s);
    }
    size_t n;
    char *text = run_read(run_path("out.safetensors"), &n);
    check_int(text[0] % 8, 0); /* so that data begin at a multiple of 8 */
    free(text);
    check(st_out_open(&o, run_path("half.safetensors"), spec, 3, false, &e) && st_out_write(o, first, 8, &e));
    st_out_abort(o);
    check(!file_exists(run_path("half.safetensors")) && !file_exists(run_path("half.safetensors.part")));
}

static void write_raw(int fd, const unsigned char *p, size_t n)
{
    must(ftruncate(fd, 0) == 0 && pwrite(fd, p, n, 0) == (ssize_t)n);
}

/* Any byte changed to anything near, any length: an error or a file whose every number can be read; under the sanitizers too. */
static void test_fuzz(void)
{
    static const float numbers[] = {1, 2, 3, 4, 5};
    const char *path = run_path("fuzz.safetensors");
    write_st(
        path,
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"BF16\",\"shape\":[2,2],\"data_offsets\":[8,"
        "16]}}",
        numbers, 16, -1);
    size_t n;
    unsigned char *good = (unsigned char *)run_read(path, &n), *bad = xmalloc(n);
    int fd = open(path, O_WRONLY), opened = 0, refused_files = 0;
    must(fd >= 0);
    for (size_t at = 0; at < n; at++)
        for (int bit = 0; bit < 9; bit++) {
            struct safetensors s;
            struct err e = {""};
            memcpy(bad, good, n);
            bad[at] = bit < 8 ? (unsigned char)(good[at] ^ 1 << bit) : '9';
            write_raw(fd, bad, n);
            if (!safetensors_open(&s, path, &e)) {
                refused_files++;
                check_msg(e.msg[0] && !strchr(e.msg, '\n'), "byte %zu bit %d: \"%s\"", at, bit, e.msg);
                continue;
            }
            for (int32_t i = 0; i < s.n; i++) {
                float v[64];
                if (st_check_dtype(&s.at[i], &e))
                    for (int64_t k = 0; k < s.at[i].n; k++)
                        st_read_f32(&s.at[i], k, 1, v);
            }
            safetensors_close(&s);
            opened++;
        }
    check(opened > 16 * 8 && refused_files > 400); /* changed numbers and names are none of the format's business */
    for (size_t len = 1; len < n; len++) {
        struct safetensors s;
        struct err e = {""};
        write_raw(fd, good, len);
        bool ok = safetensors_open(&s, path, &e);
        check_msg(!ok, "cut to %zu of %zu bytes, it opens", len, n);
        if (ok)
            safetensors_close(&s);
    }
    close(fd);
    free(good);
    free(bad);
}

static const struct test tests[] = {{"broken files, each by its name", test_broken},
                                    {"an oversized header", test_oversized},
                                    {"every 16-bit number, scalars, empty tensors", test_types},
                                    {"shards with an index", test_shards},
                                    {"written and read back", test_writing},
                                    {"every bit flipped, every length", test_fuzz}};
TEST_MAIN("test_safetensors", tests)
