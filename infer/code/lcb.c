/* infer/code/lcb.c - the tests of LiveCodeBench's own records. See code.h. */
#include "infer/code/code.h"
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { INFLATED_MOST = 1 << 30 }; /* bytes; the largest known test set is a fifth of it */

/* base64 to bytes; the caller frees. NULL: it is not base64. */
static unsigned char *from_base64(const char *text, size_t n, size_t *bytes)
{
    if (n % 4 || n == 0 || n > INFLATED_MOST)
        return NULL;
    unsigned char *data = xmalloc(n / 4 * 3);
    int got = EVP_DecodeBlock(data, (const unsigned char *)text, (int)n);
    if (got != (int)(n / 4 * 3)) { /* fewer: blanks were around it; -1: other characters */
        free(data);
        return NULL;
    }
    *bytes = (size_t)got - (text[n - 1] == '=') - (text[n - 2] == '=');
    return data;
}

/* The whole zlib stream and nothing after it; the caller frees. NULL: it is not one, or it grows beyond all measure. */
static unsigned char *inflate_all(unsigned char *data, size_t n, size_t *bytes)
{
    z_stream z = {.next_in = data, .avail_in = (uInt)n};
    if (inflateInit(&z) != Z_OK)
        die("zlib: out of memory");
    size_t room = 4 * n + 1024;
    unsigned char *out = xmalloc(room);
    int status = Z_OK;
    while (status == Z_OK && z.total_out < INFLATED_MOST) {
        if (z.total_out == room) {
            room *= 2;
            out = xrealloc(out, room);
        }
        z.next_out = out + z.total_out;
        z.avail_out = (uInt)(room - z.total_out);
        status = inflate(&z, Z_NO_FLUSH);
        if (status == Z_OK && z.avail_in == 0 && z.avail_out > 0)
            break; /* cut off */
    }
    bool whole = status == Z_STREAM_END && z.avail_in == 0;
    *bytes = z.total_out;
    inflateEnd(&z);
    if (whole)
        return out;
    free(out);
    return NULL;
}

/* The string that is the whole pickle: optional PROTO and FRAME, one of the three Unicode opcodes, optionally put into the memo, STOP. Any
 * other opcode is refused: none is ever run. */
static const char *pickled_string(const unsigned char *p, size_t n, size_t *length)
{
    const unsigned char *end = p + n;
    if (end - p >= 2 && p[0] == 0x80) { /* PROTO */
        if (p[1] < 2 || p[1] > 5)
            return NULL;
        p += 2;
    }
    if (end - p >= 9 && p[0] == 0x95) /* FRAME: a hint about the length of what follows */
        p += 9;
    if (p == end)
        return NULL;
    size_t digits = *p == 0x8c ? 1 : *p == 'X' ? 4 : *p == 0x8d ? 8 : 0; /* SHORT_BINUNICODE, BINUNICODE, BINUNICODE8 */
    p++;
    if (digits == 0 || (size_t)(end - p) < digits)
        return NULL;
    uint64_t bytes = 0;
    for (size_t i = 0; i < digits; i++)
        bytes |= (uint64_t)p[i] << (8 * i);
    p += digits;
    if (bytes > (uint64_t)(end - p))
        return NULL;
    const char *text = (const char *)p;
    p += bytes;
    if (p < end && *p == 0x94) /* MEMOIZE */
        p++;
    else if (end - p >= 2 && *p == 'q') /* BINPUT */
        p += 2;
    else if (end - p >= 5 && *p == 'r') /* LONG_BINPUT */
        p += 5;
    if (end - p != 1 || *p != '.') /* STOP */
        return NULL;
    *length = (size_t)bytes;
    return text;
}

static json_t *decode(const char *text, size_t n, struct err *e)
{
    static const char where[] = "the tests";
    if (n && text[0] == '[')
        return json_parse(text, n, where, e);
    size_t bytes = 0, inflated_bytes = 0, length = 0;
    unsigned char *zipped = from_base64(text, n, &bytes);
    unsigned char *pickle = zipped ? inflate_all(zipped, bytes, &inflated_bytes) : NULL;
    const char *string = pickle ? pickled_string(pickle, inflated_bytes, &length) : NULL;
    json_t *tests = string ? json_parse(string, length, where, e) : NULL;
    if (!string)
        err_set(e, "neither JSON nor base64 of a zlib stream of a pickled string: %s",
                !zipped   ? "it is not base64"
                : !pickle ? "the zlib stream is damaged"
                          : "the pickle holds something else, which is never read");
    free(zipped);
    free(pickle);
    return tests;
}

static bool right_form(const json_t *tests, struct err *e)
{
    size_t i;
    json_t *test;
    if (!json_is_array(tests))
        return err_set(e, "expected an array of tests, got %s", json_type_name(tests));
    json_array_foreach(tests, i, test)
    {
        const char *text;
        struct err why;
        if (!json_get_str(test, "input", &text, &why) || !json_get_str(test, "output", &text, &why) ||
            !json_get_str(test, "testtype", &text, &why))
            return err_set(e, "test %zu: %s", i + 1, why.msg);
        if (strcmp(text, "stdin") != 0 && strcmp(text, "functional") != 0)
            return err_set(e, "test %zu: \"testtype\" must be \"stdin\" or \"functional\", got \"%.40s\"", i + 1, text);
    }
    return true;
}

json_t *code_lcb_tests(const json_t *truth, struct err *e)
{
    static const char *const keys[] = {"public_test_cases", "private_test_cases"};
    json_t *all = json_array();
    for (int i = 0; i < 2; i++) {
        const json_t *value = json_object_get(truth, keys[i]);
        json_t *tests = NULL;
        if (!json_is_string(value))
            err_set(e, "expected a string, got %s", value ? json_type_name(value) : "nothing");
        else
            tests = decode(json_string_value(value), json_string_length(value), e);
        bool ok = tests && right_form(tests, e);
        if (ok)
            json_array_extend(all, tests);
        json_decref(tests);
        if (!ok) {
            err_in(e, "\"%s\"", keys[i]);
            json_decref(all);
            return NULL;
        }
    }
    return all;
}
