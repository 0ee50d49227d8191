/* tests/test_tokenizer.c - ids and texts: the byte tokenizer, a tiny SentencePiece model made here, and Mistral's where ../shared has it. */
#include "core/file.h"
#include "core/json.h"
#include "core/rng.h"
#include "data/spm.h" /* the oracle of the segments */
#include "data/tokenizer.h"
#include "tests/test.h"
#include "tests/tiny_spm.h"
#include <openssl/evp.h> /* SHA-256 of the bulk golden file */
#include <unistd.h>

#define SHARED "../shared/corpus/"
static char dir[] = "/tmp/test_tokenizer.XXXXXX";

static struct tokenizer *open_or_fail(const char *path)
{
    struct tokenizer *t = NULL;
    struct err e = {""};
    check_msg(tokenizer_open(&t, path, &e), "%s", e.msg);
    return t;
}

static void check_ids(const struct ids *got, const int32_t *want, int64_t n)
{
    check_int(got->n, n);
    for (int64_t i = 0; i < n && i < got->n; i++)
        check_msg(got->at[i] == want[i], "id %lld: got %d, want %d", (long long)i, got->at[i], want[i]);
}
#define check_encoding(t, more, text, ...)                                                                                                 \
    do {                                                                                                                                   \
        struct ids got_ = {0};                                                                                                             \
        const int32_t want_[] = {__VA_ARGS__};                                                                                             \
        (more ? tokenizer_encode_more : tokenizer_encode)(t, text, strlen(text), &got_);                                                   \
        check_ids(&got_, want_, (int64_t)(sizeof want_ / sizeof *want_));                                                                  \
        ids_free(&got_);                                                                                                                   \
    } while (0)
#define check_decoding(t, more, text, ...)                                                                                                 \
    do {                                                                                                                                   \
        const int32_t ids_[] = {__VA_ARGS__};                                                                                              \
        size_t n_;                                                                                                                         \
        char *got_ = (more ? tokenizer_decode_more : tokenizer_decode)(t, ids_, (int64_t)(sizeof ids_ / sizeof *ids_), &n_);               \
        check_str(got_, text);                                                                                                             \
        check_int(n_, strlen(text));                                                                                                       \
        free(got_);                                                                                                                        \
    } while (0)

static void byte_ids(void)
{
    struct tokenizer *t = open_or_fail("byte");
    check_int(tokenizer_vocab(t), 259);
    check_int(tokenizer_bos(t), 1);
    check_int(tokenizer_eos(t), 2);
    check_int(tokenizer_piece(t, "<pad>"), 0);
    check_int(tokenizer_piece(t, "</s>"), 2);
    check_int(tokenizer_piece(t, "[INST]"), -1);
    check_str(tokenizer_digest(t), "byte");
    check_str(tokenizer_control(t, 1), "<s>");
    check(tokenizer_control(t, 3) == NULL);
    check_encoding(t, false, "a\n\xc3\xa9", 'a' + 3, '\n' + 3, 0xc3 + 3, 0xa9 + 3);
    check_encoding(t, true, " <s>", ' ' + 3, '<' + 3, 's' + 3, '>' + 3);
    check_decoding(t, false, "hi", 1, 'h' + 3, 'i' + 3, 2, 0);
    check_decoding(t, false, "a\xef\xbf\xbd\xef\xbf\xbd", 'a' + 3, 0xe2 + 3, 0x82 + 3);                         /* cut character */
    check_decoding(t, false, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", 0xed + 3, 0xa0 + 3, 0x80 + 3);             /* surrogate */
    check_decoding(t, false, "\xef\xbf\xbd\xef\xbf\xbd/", 0xc0 + 3, 0xaf + 3, '/' + 3);                         /* overlong */
    check_decoding(t, false, "\xf0\x9f\x98\x80\xef\xbf\xbd", 0xf0 + 3, 0x9f + 3, 0x98 + 3, 0x80 + 3, 0xf5 + 3); /* valid, invalid */
    struct ids none = {0};
    tokenizer_encode(t, "", 0, &none);
    check_int(none.n, 0);
    char *empty = tokenizer_decode(t, NULL, 0, NULL);
    check_str(empty, "");
    free(empty);
    tokenizer_close(t);
}

/* n random characters of all UTF-8 lengths, with many spaces and newlines among them. */
static size_t random_text(char *to, int64_t n, uint64_t seed)
{
    size_t at = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t r[4];
        rng_block(seed, 0, (uint64_t)i, r);
        uint32_t kind = r[0] % 8, c = kind < 2   ? (uint32_t) " \n\tab"[r[1] % 5]
                                      : kind < 5 ? 'a' + r[1] % 26
                                      : kind < 6 ? 0x80 + r[1] % 0x780
                                      : kind < 7 ? 0x800 + r[1] % 0xd000 /* below the surrogates */
                                                 : 0x10000 + r[1] % 0x100000;
        if (c == 0x2581) /* the space mark itself comes back as a space */
            c = 'x';
        if (c < 0x80) {
            to[at++] = (char)c;
        } else if (c < 0x800) {
            to[at++] = (char)(0xc0 | c >> 6);
            to[at++] = (char)(0x80 | (c & 63));
        } else if (c < 0x10000) {
            to[at++] = (char)(0xe0 | c >> 12);
            to[at++] = (char)(0x80 | (c >> 6 & 63));
            to[at++] = (char)(0x80 | (c & 63));
        } else {
            to[at++] = (char)(0xf0 | c >> 18);
            to[at++] = (char)(0x80 | (c >> 12 & 63));
            to[at++] = (char)(0x80 | (c >> 6 & 63));
            to[at++] = (char)(0x80 | (c & 63));
        }
    }
    to[at] = '\0';
    return at;
}

/* decode(encode(x)) == x, and the same with x cut in two at a character. */
static void check_round_trips(const struct tokenizer *t)
{
    char text[4 * 400 + 1];
    for (uint64_t seed = 1; seed <= 300; seed++) {
        size_t n = random_text(text, (int64_t)(seed % 400), seed), cut = n / 2;
        while (cut > 0 && ((unsigned char)text[cut] & 0xc0) == 0x80)
            cut--;
        struct ids whole = {0}, first = {0}, rest = {0};
        tokenizer_encode(t, text, n, &whole);
        size_t got_n;
        char *got = tokenizer_decode(t, whole.at, whole.n, &got_n);
        check_msg(got_n == n && memcmp(got, text, n) == 0, "seed %llu", (unsigned long long)seed);
        free(got);
        tokenizer_encode(t, text, cut, &first);
        tokenizer_encode_more(t, text + cut, n - cut, &rest);
        char *a = tokenizer_decode(t, first.at, first.n, NULL), *b = tokenizer_decode_more(t, rest.at, rest.n, NULL);
        check_msg(strlen(a) == cut && memcmp(a, text, cut) == 0 && strcmp(b, text + cut) == 0, "seed %llu cut at %zu",
                  (unsigned long long)seed, cut);
        free(a);
        free(b);
        ids_free(&whole);
        ids_free(&first);
        ids_free(&rest);
    }
}

static void byte_round_trips(void)
{
    struct tokenizer *t = open_or_fail("byte");
    check_round_trips(t);
    tokenizer_close(t);
}

static struct tokenizer *open_tiny(bool chatml)
{
    char *path = xprintf("%s/tiny%d.model", dir, chatml);
    tiny_spm_write(path, chatml);
    struct tokenizer *t = open_or_fail(path);
    free(path);
    return t;
}

static void piece_ids(void)
{
    struct tokenizer *t = open_tiny(false);
    if (!t)
        return;
    check_int(tokenizer_vocab(t), TINY_VOCAB);
    check_int(tokenizer_bos(t), 1);
    check_int(tokenizer_eos(t), 2);
    check_int(tokenizer_piece(t, "[INST]"), TINY_INST);
    check_int(tokenizer_piece(t, TINY_SPACE "ab"), TINY_MARK_AB);
    check_int(tokenizer_piece(t, "zebra"), -1);
    check_int(tokenizer_piece(t, "<unk>"), 0);
    check_str(tokenizer_control(t, TINY_INST), "[INST]");
    check(tokenizer_control(t, TINY_USER) == NULL);
    check_int(strlen(tokenizer_digest(t)), 32);
    check_encoding(t, false, "ab", TINY_MARK_AB);
    check_encoding(t, true, "ab", TINY_AB);
    check_encoding(t, false, "c hel", TINY_MARK, TINY_A + 2, TINY_MARK, TINY_HEL);
    check_encoding(t, false, "\nab", TINY_MARK, TINY_BYTE + '\n', TINY_AB);
    check_encoding(t, false, "\xc3\xa9", TINY_MARK, TINY_BYTE + 0xc3, TINY_BYTE + 0xa9);
    /* Names of control pieces are ordinary text, a user-defined piece is not. */
    check_encoding(t, true, "</s>", TINY_BYTE + '<', TINY_BYTE + '/', TINY_A + 's' - 'a', TINY_BYTE + '>');
    check_encoding(t, true, "a[USER]ab", TINY_A, TINY_USER, TINY_AB);
    check_encoding(t, true, "<|im_end|>", TINY_BYTE + '<', TINY_BYTE + '|', TINY_A + 8, TINY_A + 12, TINY_BYTE + '_', TINY_A + 4,
                   TINY_A + 13, TINY_A + 3, TINY_BYTE + '|', TINY_BYTE + '>');
    check_decoding(t, false, "ab hel", 1, TINY_MARK_AB, TINY_INST, TINY_MARK, TINY_HEL, 2);
    check_decoding(t, true, " ab", TINY_MARK_AB);
    check_decoding(t, true, "a\xef\xbf\xbd", TINY_A, TINY_BYTE + 0xc3);
    tokenizer_close(t);
}

static void piece_round_trips(void)
{
    struct tokenizer *t = open_tiny(false);
    if (t)
        check_round_trips(t);
    tokenizer_close(t);
}

/* The tags of ChatML as control pieces: one id each, wherever they stand; no space is put in after them. */
static void chatml_pieces(void)
{
    struct tokenizer *t = open_tiny(true);
    if (!t)
        return;
    check_int(tokenizer_piece(t, "<|im_end|>"), TINY_IM_END);
    check_encoding(t, false, "<|im_start|>ab<|im_end|>\n", TINY_IM_START, TINY_AB, TINY_IM_END, TINY_BYTE + '\n');
    check_encoding(t, false, "ab<|im_end|><|im_end|", TINY_MARK_AB, TINY_IM_END, TINY_BYTE + '<', TINY_BYTE + '|', TINY_A + 8, TINY_A + 12,
                   TINY_BYTE + '_', TINY_A + 4, TINY_A + 13, TINY_A + 3, TINY_BYTE + '|');
    check_decoding(t, false, "ab", TINY_IM_START, TINY_AB, TINY_IM_END);
    tokenizer_close(t);
}

/* Texts go to SentencePiece in segments, some of which are remembered: the ids are those of the text as a whole. */
static void check_segments(const char *path)
{
    struct err e = {""};
    size_t n_model;
    char *model = file_read(path, (size_t)1 << 28, &n_model, &e);
    struct spm *oracle = model ? spm_open(model, n_model, &e) : NULL;
    struct tokenizer *t = open_or_fail(path);
    check_msg(oracle != NULL, "%s", e.msg);
    /* Characters that pieces are made of, the space mark itself, a letter beyond ASCII, digits, and a byte no piece holds. */
    static const char *const alphabet[] = {"a", "b",  " ",    "h",       "e", "l", "\n", TINY_SPACE, "\xc3\xa9", "\xe4\xb8\x80",
                                           "7", "</", "\x7f", "\xcc\x81"};
    char text[4 * 500 + 1];
    for (uint64_t seed = 1; oracle && t && seed <= 3000; seed++) {
        size_t n = 0;
        for (uint64_t i = 0; i < seed % 60; i++) {
            const char *c = alphabet[rng_u64(seed, 1, i) % (sizeof alphabet / sizeof *alphabet)];
            memcpy(text + n, c, strlen(c));
            n += strlen(c);
        }
        if (seed % 10 == 0)
            n = random_text(text, 500, seed);
        struct ids got = {0}, want = {0};
        tokenizer_encode(t, text, n, &got);
        spm_encode(oracle, true, text, n, &want);
        check_ids(&got, want.at, want.n);
        got.n = want.n = 0;
        tokenizer_encode_more(t, text, n, &got);
        spm_encode(oracle, false, text, n, &want);
        check_ids(&got, want.at, want.n);
        ids_free(&got);
        ids_free(&want);
    }
    tokenizer_close(t);
    if (oracle)
        spm_close(oracle);
    free(model);
}

static void segments(void)
{
    char *path = xprintf("%s/tiny.model", dir);
    tiny_spm_write(path, false);
    check_segments(path);
    free(path);
}

/* Where a text may be cut whatever follows. */
static void cuts(void)
{
    struct tokenizer *t = open_tiny(false), *byte = open_or_fail("byte");
    if (t && byte) {
        check(tokenizer_cuts(t, "ab\n", 3) && tokenizer_cuts(t, "ab", 2) && tokenizer_cuts(t, "l", 1));
        check(!tokenizer_cuts(t, "a", 1) && !tokenizer_cuts(t, "h", 1) && !tokenizer_cuts(t, "a ", 2) && !tokenizer_cuts(t, "", 0));
        check(!tokenizer_cuts(t, TINY_SPACE, 3));
        check(tokenizer_cuts(byte, "a", 1) && tokenizer_cuts(byte, "", 0));
    }
    tokenizer_close(t);
    tokenizer_close(byte);
}

static void save_and_open(void)
{
    struct err e = {""};
    char *folder = xprintf("%s/saved", dir), *config = xprintf("%s/saved/tokenizer_config.json", dir);
    check(!tokenizer_in_dir(folder));
    struct tokenizer *byte = open_or_fail("byte");
    check_msg(tokenizer_save(byte, folder, &e), "%s", e.msg);
    tokenizer_close(byte);
    check(tokenizer_in_dir(folder));
    byte = open_or_fail(folder);
    check(byte && strcmp(tokenizer_digest(byte), "byte") == 0);
    tokenizer_close(byte);

    struct tokenizer *t = open_tiny(true);
    check_msg(tokenizer_save(t, folder, &e), "%s", e.msg);
    struct tokenizer *back = open_or_fail(folder);
    if (back) {
        check_str(tokenizer_digest(back), tokenizer_digest(t));
        check_int(tokenizer_vocab(back), TINY_VOCAB);
        check_encoding(back, false, "<|im_start|>ab", TINY_IM_START, TINY_AB);
    }
    tokenizer_close(back);
    json_t *c = json_load_path(config, false, NULL, &e);
    const json_t *tokens = json_object_get(c, "added_tokens_decoder");
    check_str(json_string_value(json_object_get(c, "tokenizer_class")), "LlamaTokenizer");
    check(json_is_true(json_object_get(c, "add_bos_token")) && json_is_false(json_object_get(c, "add_eos_token")));
    check_str(json_string_value(json_object_get(c, "bos_token")), "<s>");
    check_str(json_string_value(json_object_get(c, "eos_token")), "</s>");
    check_str(json_string_value(json_object_get(c, "unk_token")), "<unk>");
    check_str(json_string_value(json_object_get(json_object_get(tokens, "10"), "content")), "<|im_start|>");
    json_decref(c);
    tokenizer_close(t);
    free(folder);
    free(config);
}

static void write_text(const char *path, const char *text)
{
    struct err e = {""};
    struct file_out *o;
    check_msg(file_out_open(&o, path, false, &e) && file_out_write(o, text, strlen(text), &e) && file_out_commit(o, &e), "%s", e.msg);
}

/* Tokens that tokenizer_config.json adds beyond the model's pieces. */
static void added_tokens(void)
{
    struct err e = {""};
    char *folder = xprintf("%s/added", dir), *model = xprintf("%s/added/tokenizer.model", dir),
         *config = xprintf("%s/added/tokenizer_config.json", dir);
    check(file_mkdirs(folder, &e));
    tiny_spm_write(model, false);
    write_text(config, "{\"added_tokens_decoder\": {\"1\": {\"content\": \"<s>\", \"special\": true},"
                       " \"303\": {\"content\": \"<|im_start|>\", \"special\": true}, \"305\": {\"content\": \"<think>\"}}}");
    struct tokenizer *t = open_or_fail(folder), *plain = open_or_fail(model);
    if (t && plain) {
        check_int(TINY_VOCAB, 301);
        check_int(tokenizer_vocab(t), 306);
        check_int(tokenizer_piece(t, "<think>"), 305);
        check(strcmp(tokenizer_digest(t), tokenizer_digest(plain)) != 0);
        check_encoding(t, false, "<|im_start|>ab<think>a", 303, TINY_AB, 305, TINY_A);
        check_encoding(t, true, "<s>", TINY_BYTE + '<', TINY_A + 's' - 'a', TINY_BYTE + '>');
        check_decoding(t, false, "ab<think> ab", 303, TINY_AB, 305, TINY_MARK_AB, 304);
        check_str(tokenizer_control(t, 303), "<|im_start|>");
        check_str(tokenizer_control(t, 304), "<unused>");
        check(tokenizer_control(t, 305) == NULL);
        check_msg(tokenizer_save(t, folder, &e), "%s", e.msg);
        struct tokenizer *back = open_or_fail(folder);
        check(back && strcmp(tokenizer_digest(back), tokenizer_digest(t)) == 0);
        tokenizer_close(back);
    }
    tokenizer_close(t);
    tokenizer_close(plain);
    write_text(config, "{\"added_tokens_decoder\": {\"x\": {\"content\": \"<s>\"}}}");
    check(!tokenizer_open(&t, folder, &e));
    check_has(e.msg, "the key \"x\" must be a token id");
    free(folder);
    free(model);
    free(config);
}

static void bad_files(void)
{
    struct err e;
    struct tokenizer *t;
    check(!tokenizer_open(&t, "/nonexistent/tokenizer.model", &e));
    check_has(e.msg, "/nonexistent/tokenizer.model");
    check(!tokenizer_open(&t, dir, &e));
    check_has(e.msg, "no tokenizer in this folder");
    char *bad = xprintf("%s/bad.model", dir);
    write_text(bad, "this is no protocol buffer");
    check(!tokenizer_open(&t, bad, &e));
    check_has(e.msg, "bad.model: not a SentencePiece model");
    free(bad);
}

static struct tokenizer *open_mistral(void)
{
    if (!file_exists(SHARED "tokenizer/mistral_v3.model")) {
        test_skip("no ../shared/corpus/tokenizer");
        return NULL;
    }
    return open_or_fail(SHARED "tokenizer/mistral_v3.model");
}

static void golden(void)
{
    struct tokenizer *t = open_mistral();
    if (!t)
        return;
    struct err e = {""};
    struct lines *l;
    check_msg(lines_open(&l, SHARED "tokenizer/mistral_v3.golden.jsonl", &e), "%s", e.msg);
    char *line;
    size_t n;
    int records = 0;
    while (lines_next(l, &line, &n, &e) == 1) {
        json_error_t je;
        json_t *r = json_loadb(line, n, JSON_ALLOW_NUL, &je); /* one text holds a NUL */
        check(r != NULL);
        const char *name = json_string_value(json_object_get(r, "name"));
        const json_t *ids = json_object_get(r, "ids"), *text = json_object_get(r, "text"), *decoded = json_object_get(r, "decoded"),
                     *pieces = json_object_get(r, "pieces");
        struct ids want = {0}, got = {0};
        for (size_t i = 0; i < json_array_size(ids); i++) {
            ids_push(&want, (int32_t)json_integer_value(json_array_get(ids, i)));
            int32_t id = tokenizer_piece(t, json_string_value(json_array_get(pieces, i)));
            check_msg(id == want.at[i], "%s: piece %zu has id %d, want %d", name, i, id, want.at[i]);
        }
        if (text) {
            tokenizer_encode(t, json_string_value(text), json_string_length(text), &got);
            check_msg(got.n == want.n && (got.n == 0 || memcmp(got.at, want.at, (size_t)got.n * 4) == 0), "%s: ids differ", name);
        }
        size_t back_n;
        char *back = tokenizer_decode(t, want.at, want.n, &back_n);
        check_msg(back_n == json_string_length(decoded) && memcmp(back, json_string_value(decoded), back_n) == 0, "%s: \"%s\"", name, back);
        free(back);
        ids_free(&want);
        ids_free(&got);
        json_decref(r);
        records++;
    }
    lines_close(l);
    check_int(records, 55);
    check_int(tokenizer_vocab(t), 32768);
    check_int(tokenizer_bos(t), 1);
    check_int(tokenizer_eos(t), 2);
    check_int(tokenizer_piece(t, "<|im_start|>"), -1);
    tokenizer_close(t);
}

/* SHA-256 over (count, ids) of every record's field. */
static void bulk_golden(void)
{
    struct tokenizer *t = open_mistral();
    if (!t)
        return;
    struct err e = {""};
    json_t *all = json_load_lines(SHARED "tokenizer/mistral_v3.bulk_golden.jsonl", &e), *want, *r;
    check_msg(all, "%s", e.msg);
    size_t i, k;
    int files = 0;
    json_array_foreach(all, i, want)
    {
        const char *file = json_string_value(json_object_get(want, "file")), *field = json_string_value(json_object_get(want, "field"));
        if (json_integer_value(json_object_get(want, "utf8_bytes")) > 3000000 && !getenv("TEST_LONG"))
            continue; /* the large files take half a minute: TEST_LONG=1 */
        char *path = xprintf(SHARED "%s", file);
        if (!file_exists(path)) {
            free(path);
            path = xprintf(SHARED "%s.zst", file);
        }
        json_t *records = json_load_lines(path, &e);
        check_msg(records, "%s", e.msg);
        EVP_MD_CTX *sha = EVP_MD_CTX_new();
        EVP_DigestInit_ex(sha, EVP_sha256(), NULL);
        int64_t tokens = 0;
        struct ids ids = {0};
        json_array_foreach(records, k, r)
        {
            const json_t *text = json_object_get(r, field);
            ids.n = 0;
            tokenizer_encode(t, json_string_value(text), json_string_length(text), &ids);
            uint32_t count = (uint32_t)ids.n;
            EVP_DigestUpdate(sha, &count, sizeof count);
            EVP_DigestUpdate(sha, ids.at, (size_t)ids.n * sizeof *ids.at);
            tokens += ids.n;
        }
        unsigned char sum[32];
        EVP_DigestFinal_ex(sha, sum, NULL);
        EVP_MD_CTX_free(sha);
        char hex[65];
        for (int j = 0; j < 32; j++)
            snprintf(hex + 2 * j, 3, "%02x", sum[j]);
        check_msg(strcmp(hex, json_string_value(json_object_get(want, "sha256_of_ids"))) == 0, "%s %s", file, field);
        check_int(tokens, json_integer_value(json_object_get(want, "tokens")));
        check_int(json_array_size(records), json_integer_value(json_object_get(want, "records")));
        json_decref(records);
        ids_free(&ids);
        free(path);
        files++;
    }
    json_decref(all);
    check(files >= 7);
    tokenizer_close(t);
}

static void mistral_round_trips(void)
{
    struct tokenizer *t = open_mistral();
    if (t)
        check_round_trips(t);
    tokenizer_close(t);
}

static void mistral_segments(void)
{
    struct tokenizer *t = open_mistral();
    tokenizer_close(t);
    if (t)
        check_segments(SHARED "tokenizer/mistral_v3.model");
}

static const struct test tests[] = {
    {"byte_ids", byte_ids},
    {"byte_round_trips", byte_round_trips},
    {"piece_ids", piece_ids},
    {"piece_round_trips", piece_round_trips},
    {"chatml_pieces", chatml_pieces},
    {"segments", segments},
    {"cuts", cuts},
    {"save_and_open", save_and_open},
    {"added_tokens", added_tokens},
    {"bad_files", bad_files},
    {"golden", golden},
    {"bulk_golden", bulk_golden},
    {"mistral_round_trips", mistral_round_trips},
    {"mistral_segments", mistral_segments},
};

int main(int argc, char **argv)
{
    if (!mkdtemp(dir)) {
        perror(dir);
        return 1;
    }
    int rc = test_main(argc, argv, "test_tokenizer", tests, (int)(sizeof tests / sizeof *tests));
    struct err e;
    if (!file_remove_tree(dir, &e))
        fprintf(stderr, "%s\n", e.msg);
    return rc;
}
