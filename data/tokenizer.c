/* data/tokenizer.c - see tokenizer.h. */
#include "data/tokenizer.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/json.h" /* tokenizer_config.json */
#include "data/borders.h"
#include "data/segment_cache.h"
#include "data/spm.h" /* SentencePiece */
#include <stdlib.h>
#include <string.h>

/* A token that is matched in the text as a whole, before SentencePiece sees what stands around it. */
struct atom {
    char *text;
    size_t n;
    int32_t id;
    bool control; /* left out in decoding */
};

struct tokenizer {
    struct spm *spm; /* NULL: the byte tokenizer */
    char *model;     /* the bytes of the .model file, for tokenizer_save() */
    size_t model_size;
    struct atom *atom; /* the first n_added were added by tokenizer_config.json, with ids beyond the model's */
    int n_atoms, n_added;
    int32_t vocab;
    struct borders borders;
    bool apart;                  /* text may be cut at the borders */
    struct segment_cache *cache; /* of the parts */
    char digest[HASH_XXH3_HEX];
};

enum { BYTE_PAD, BYTE_BOS, BYTE_EOS, BYTE_FIRST, BYTE_VOCAB = BYTE_FIRST + 256 };
static const char BYTE_CLASS[] = "PromptCoTByteTokenizer"; /* "tokenizer_class" in tokenizer_config.json */
static const char *const CHATML_TAGS[] = {"<|im_start|>", "<|im_end|>"};

void ids_append(struct ids *v, const int32_t *at, int64_t n)
{
    if (n == 0)
        return;
    if (v->n + n > v->room) {
        v->room = v->n + n > 2 * v->room ? v->n + n : 2 * v->room;
        v->at = xrealloc(v->at, (size_t)v->room * sizeof *v->at);
    }
    memcpy(v->at + v->n, at, (size_t)n * sizeof *at);
    v->n += n;
}

void ids_push(struct ids *v, int32_t id)
{
    ids_append(v, &id, 1);
}

void ids_free(struct ids *v)
{
    free(v->at);
    *v = (struct ids){0};
}

static void add_atom(struct tokenizer *t, const char *text, int32_t id, bool control)
{
    t->atom = xrealloc(t->atom, (size_t)(t->n_atoms + 1) * sizeof *t->atom);
    t->atom[t->n_atoms++] = (struct atom){xstrdup(text), strlen(text), id, control};
}

/* The tokens that Hugging Face's "added_tokens_decoder" has beyond the pieces of the model. */
static bool read_added(struct tokenizer *t, const char *path, struct err *e)
{
    json_t *config = json_load_path(path, false, NULL, e);
    if (!config)
        return false;
    bool ok = true;
    const char *key;
    json_t *token;
    json_object_foreach(json_object_get(config, "added_tokens_decoder"), key, token)
    {
        char *end;
        long id = strtol(key, &end, 10);
        const char *text;
        if (*end || end == key || id < 0 || id > 1 << 24)
            ok = err_set(e, "%s: added_tokens_decoder: the key \"%s\" must be a token id", path, key);
        else if (!json_get_str(token, "content", &text, e))
            ok = err_in(e, "%s: added_tokens_decoder: token %s", path, key);
        else if (id >= spm_size(t->spm) && *text)
            add_atom(t, text, (int32_t)id, json_is_true(json_object_get(token, "special")));
        if (!ok)
            break;
        if (id >= t->vocab)
            t->vocab = (int32_t)id + 1;
    }
    json_decref(config);
    return ok;
}

/* Where may a text be cut without changing its ids? Pieces are merged out of neighbours, so a border that no piece reaches over
 * separates what is on its two sides. That holds if unknown characters become bytes (else runs of them become one token) and
 * normalisation leaves text alone: extra spaces, capitals, and what NFC and NFKC would change. */
static void find_borders(struct tokenizer *t)
{
    for (int32_t id = 0; id < spm_size(t->spm); id++)
        if (!spm_is_control(t->spm, id) && !spm_is_byte(t->spm, id))
            borders_join(&t->borders, spm_piece(t->spm, id));
    for (int i = 0; i < t->n_atoms; i++)
        borders_join(&t->borders, t->atom[i].text);
    static const char probe[] = "  A  \n \n\n\x01 e\xcc\x81 \xef\xac\x81 \xe2\x84\xab\t b ";
    struct ids ids = {0};
    spm_encode(t->spm, true, probe, sizeof probe - 1, &ids);
    size_t n;
    char *back = spm_decode(t->spm, true, ids.at, ids.n, &n);
    int32_t byte = spm_find(t->spm, "<0xFF>");
    t->apart = byte >= 0 && spm_is_byte(t->spm, byte) && strcmp(back, probe) == 0;
    free(back);
    ids_free(&ids);
    t->cache = segment_cache_open();
}

static void digest(struct tokenizer *t)
{
    struct hash_stream *h = hash_open();
    hash_add(h, t->model, t->model_size);
    for (int i = 0; i < t->n_added; i++) {
        hash_add(h, &t->atom[i].id, sizeof t->atom[i].id);
        hash_add(h, t->atom[i].text, t->atom[i].n + 1);
    }
    hash_hex(h, t->digest);
    hash_close(h);
}

/* config: the tokenizer_config.json beside the model, NULL: there is none. */
static bool open_model(struct tokenizer *t, const char *path, const char *config, struct err *e)
{
    t->model = file_read(path, (size_t)256 << 20, &t->model_size, e);
    if (!t->model)
        return false;
    t->spm = spm_open(t->model, t->model_size, e);
    if (!t->spm)
        return err_in(e, "%s: not a SentencePiece model", path);
    t->vocab = spm_size(t->spm);
    if (config && !read_added(t, config, e))
        return false;
    t->n_added = t->n_atoms;
    for (int i = 0; i < 2; i++) {
        int32_t id = spm_find(t->spm, CHATML_TAGS[i]);
        if (id >= 0 && spm_is_control(t->spm, id))
            add_atom(t, CHATML_TAGS[i], id, true);
    }
    find_borders(t);
    digest(t);
    return true;
}

static void open_bytes(struct tokenizer *t)
{
    t->vocab = BYTE_VOCAB;
    strcpy(t->digest, "byte");
}

/* Does path name the configuration of a byte tokenizer? */
static bool is_byte_config(const char *path)
{
    struct err e;
    json_t *config = file_exists(path) ? json_load_path(path, false, NULL, &e) : NULL;
    const char *class = json_string_value(json_object_get(config, "tokenizer_class"));
    bool is = class && strcmp(class, BYTE_CLASS) == 0;
    json_decref(config);
    return is;
}

static bool open_dir(struct tokenizer *t, const char *dir, struct err *e)
{
    char *model = xprintf("%s/tokenizer.model", dir), *config = xprintf("%s/tokenizer_config.json", dir);
    bool ok = true;
    if (file_exists(model))
        ok = open_model(t, model, file_exists(config) ? config : NULL, e);
    else if (is_byte_config(config))
        open_bytes(t);
    else
        ok = err_set(e, "%s: no tokenizer in this folder: expected tokenizer.model (SentencePiece) or a tokenizer_config.json of class %s",
                     dir, BYTE_CLASS);
    free(model);
    free(config);
    return ok;
}

bool tokenizer_open(struct tokenizer **t, const char *path, struct err *e)
{
    *t = xcalloc(1, sizeof **t);
    bool ok = true;
    if (strcmp(path, "byte") == 0)
        open_bytes(*t);
    else if (file_is_dir(path))
        ok = open_dir(*t, path, e);
    else
        ok = open_model(*t, path, NULL, e);
    if (!ok) {
        tokenizer_close(*t);
        *t = NULL;
    }
    return ok;
}

void tokenizer_close(struct tokenizer *t)
{
    if (!t)
        return;
    if (t->spm)
        spm_close(t->spm);
    for (int i = 0; i < t->n_atoms; i++)
        free(t->atom[i].text);
    free(t->atom);
    segment_cache_close(t->cache);
    free(t->model);
    free(t);
}

bool tokenizer_in_dir(const char *dir)
{
    char *model = xprintf("%s/tokenizer.model", dir), *config = xprintf("%s/tokenizer_config.json", dir);
    bool is = file_exists(model) || is_byte_config(config);
    free(model);
    free(config);
    return is;
}

/* What Hugging Face says of one token. */
static json_t *token_config(const char *text, bool special)
{
    return json_pack("{s:s, s:b, s:b, s:b, s:b, s:b}", "content", text, "lstrip", 0, "normalized", 0, "rstrip", 0, "single_word", 0,
                     "special", special);
}

static json_t *config_of_model(const struct tokenizer *t)
{
    int32_t bos = spm_bos(t->spm), eos = spm_eos(t->spm);
    json_t *tokens = json_object();
    for (int32_t id = 0; id < 3 && id < spm_size(t->spm); id++) { /* <unk> <s> </s>, which the fast tokenizer wants named */
        char key[16];
        snprintf(key, sizeof key, "%d", id);
        if (spm_is_control(t->spm, id) || id == 0)
            json_object_set_new(tokens, key, token_config(spm_piece(t->spm, id), true));
    }
    for (int i = 0; i < t->n_atoms; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", t->atom[i].id);
        json_object_set_new(tokens, key, token_config(t->atom[i].text, t->atom[i].control));
    }
    json_t *config =
        json_pack("{s:s, s:b, s:b, s:b, s:b, s:b, s:o}", "tokenizer_class", "LlamaTokenizer", "add_bos_token", bos >= 0, "add_eos_token", 0,
                  "legacy", 0, "clean_up_tokenization_spaces", 0, "spaces_between_special_tokens", 0, "added_tokens_decoder", tokens);
    if (bos >= 0)
        json_object_set_new(config, "bos_token", json_string(spm_piece(t->spm, bos)));
    if (eos >= 0)
        json_object_set_new(config, "eos_token", json_string(spm_piece(t->spm, eos)));
    json_object_set_new(config, "unk_token", json_string(spm_piece(t->spm, 0)));
    return config;
}

bool tokenizer_save(const struct tokenizer *t, const char *dir, struct err *e)
{
    if (!file_mkdirs(dir, e))
        return false;
    char *model = xprintf("%s/tokenizer.model", dir), *path = xprintf("%s/tokenizer_config.json", dir);
    bool ok = true;
    if (t->spm) {
        struct file_out *o;
        ok = file_out_open(&o, model, false, e);
        if (ok && !file_out_write(o, t->model, t->model_size, e)) {
            file_out_abort(o);
            ok = false;
        }
        ok = ok && file_out_commit(o, e);
    }
    json_t *config = t->spm ? config_of_model(t)
                            : json_pack("{s:s, s:i, s:s, s:s, s:s}", "tokenizer_class", BYTE_CLASS, "vocab_size", BYTE_VOCAB, "pad_token",
                                        "<pad>", "bos_token", "<s>", "eos_token", "</s>");
    must(config);
    ok = ok && json_write_path(path, config, e);
    json_decref(config);
    free(model);
    free(path);
    return ok;
}

int32_t tokenizer_vocab(const struct tokenizer *t)
{
    return t->vocab;
}

int32_t tokenizer_bos(const struct tokenizer *t)
{
    return t->spm ? spm_bos(t->spm) : BYTE_BOS;
}

int32_t tokenizer_eos(const struct tokenizer *t)
{
    return t->spm ? spm_eos(t->spm) : BYTE_EOS;
}

const char *tokenizer_digest(const struct tokenizer *t)
{
    return t->digest;
}

static const char *const BYTE_NAMES[BYTE_FIRST] = {"<pad>", "<s>", "</s>"};

int32_t tokenizer_piece(const struct tokenizer *t, const char *piece)
{
    for (int32_t id = 0; !t->spm && id < BYTE_FIRST; id++)
        if (strcmp(piece, BYTE_NAMES[id]) == 0)
            return id;
    for (int i = 0; i < t->n_atoms; i++)
        if (strcmp(piece, t->atom[i].text) == 0)
            return t->atom[i].id;
    return t->spm ? spm_find(t->spm, piece) : -1;
}

static const struct atom *atom_of(const struct tokenizer *t, int32_t id)
{
    for (int i = 0; i < t->n_atoms; i++)
        if (t->atom[i].id == id)
            return &t->atom[i];
    return NULL;
}

const char *tokenizer_control(const struct tokenizer *t, int32_t id)
{
    must(id >= 0 && id < t->vocab);
    if (!t->spm)
        return id < BYTE_FIRST ? BYTE_NAMES[id] : NULL;
    if (id < spm_size(t->spm))
        return spm_is_control(t->spm, id) ? spm_piece(t->spm, id) : NULL;
    const struct atom *a = atom_of(t, id);
    return !a ? "<unused>" : a->control ? a->text : NULL;
}

static void encode_segment(const struct tokenizer *t, bool start, const char *text, size_t n, struct ids *out)
{
    bool keep = !start && n <= SEGMENT_MAX;
    if (n == 0 || (keep && segment_cache_get(t->cache, text, n, out)))
        return;
    int64_t from = out->n;
    spm_encode(t->spm, start, text, n, out);
    if (keep)
        segment_cache_put(t->cache, text, n, out->at + from, out->n - from);
}

/* n bytes without atoms, border by border: SentencePiece's time and memory (some 200 bytes for each byte of text) are for the new words
 * only. */
static void encode_part(const struct tokenizer *t, bool start, const char *text, size_t n, struct ids *out)
{
    size_t from = 0;
    for (size_t i = 1; i < n; i++)
        if (t->apart && borders_at(&t->borders, (unsigned char)text[i - 1], (unsigned char)text[i])) {
            encode_segment(t, start, text + from, i - from, out);
            start = false;
            from = i;
        }
    encode_segment(t, start, text + from, n - from, out);
}

/* The atom that begins at text, the longest if several do. */
static const struct atom *atom_at(const struct tokenizer *t, const char *text, size_t n)
{
    const struct atom *best = NULL;
    for (int i = 0; i < t->n_atoms; i++)
        if (t->atom[i].n <= n && (!best || t->atom[i].n > best->n) && memcmp(text, t->atom[i].text, t->atom[i].n) == 0)
            best = &t->atom[i];
    return best;
}

static void encode(const struct tokenizer *t, bool start, const char *text, size_t n, struct ids *out)
{
    if (!t->spm) {
        for (size_t i = 0; i < n; i++)
            ids_push(out, BYTE_FIRST + (unsigned char)text[i]);
        return;
    }
    size_t from = 0;
    for (size_t i = 0; t->n_atoms > 0 && i < n;) {
        const struct atom *a = atom_at(t, text + i, n - i);
        if (!a) {
            i++;
            continue;
        }
        encode_part(t, start, text + from, i - from, out);
        ids_push(out, a->id);
        start = false;
        from = i += a->n;
    }
    encode_part(t, start, text + from, n - from, out);
}

void tokenizer_encode(const struct tokenizer *t, const char *text, size_t n, struct ids *out)
{
    encode(t, true, text, n, out);
}

void tokenizer_encode_more(const struct tokenizer *t, const char *text, size_t n, struct ids *out)
{
    encode(t, false, text, n, out);
}

bool tokenizer_cuts(const struct tokenizer *t, const char *text, size_t n)
{
    return !t->spm || (t->apart && n > 0 && borders_after(&t->borders, (unsigned char)text[n - 1]));
}

struct text {
    char *at;
    size_t n, room;
};

static void add_text(struct text *s, const char *at, size_t n)
{
    if (s->n + n + 1 > s->room) {
        s->room = 2 * (s->n + n + 1);
        s->at = xrealloc(s->at, s->room);
    }
    memcpy(s->at + s->n, at, n);
    s->n += n;
    s->at[s->n] = '\0';
}

static void decode_bytes(const int32_t *ids, int64_t n_ids, struct text *out)
{
    unsigned char *bytes = xmalloc((size_t)n_ids + 1);
    size_t n = 0;
    for (int64_t i = 0; i < n_ids; i++)
        if (ids[i] >= BYTE_FIRST)
            bytes[n++] = (unsigned char)(ids[i] - BYTE_FIRST);
    for (size_t i = 0; i < n;) {
        size_t len = utf8_char(bytes + i, n - i);
        if (len > 0)
            add_text(out, (const char *)bytes + i, len);
        else
            add_text(out, "\xef\xbf\xbd", 3);
        i += len > 0 ? len : 1;
    }
    free(bytes);
}

static void decode_pieces(const struct tokenizer *t, bool start, const int32_t *ids, int64_t n_ids, struct text *out)
{
    int32_t pieces = spm_size(t->spm);
    for (int64_t i = 0; i < n_ids;) {
        int64_t from = i;
        while (i < n_ids && ids[i] < pieces)
            i++;
        size_t n;
        char *s = spm_decode(t->spm, start, ids + from, i - from, &n);
        add_text(out, s, n);
        free(s);
        for (; i < n_ids && ids[i] >= pieces; i++) {
            const struct atom *a = atom_of(t, ids[i]);
            if (a && !a->control)
                add_text(out, a->text, a->n);
            start = false;
        }
    }
}

static char *decode(const struct tokenizer *t, bool start, const int32_t *ids, int64_t n_ids, size_t *n)
{
    for (int64_t i = 0; i < n_ids; i++)
        must(ids[i] >= 0 && ids[i] < t->vocab);
    struct text out = {0};
    add_text(&out, "", 0);
    if (t->spm)
        decode_pieces(t, start, ids, n_ids, &out);
    else
        decode_bytes(ids, n_ids, &out);
    if (n)
        *n = out.n;
    return out.at;
}

char *tokenizer_decode(const struct tokenizer *t, const int32_t *ids, int64_t n_ids, size_t *n)
{
    return decode(t, true, ids, n_ids, n);
}

char *tokenizer_decode_more(const struct tokenizer *t, const int32_t *ids, int64_t n_ids, size_t *n)
{
    return decode(t, false, ids, n_ids, n);
}
