/* infer/saved.c - see saved.h. */
#include "infer/saved.h"
#include "core/hash.h"
#include "core/json.h"
#include "kernels/device.h"
#include "model/state.h"
#include <stdlib.h>
#include <string.h>

enum { HEAD = 512, VERSION = 1, TRAILER = HASH_XXH3_HEX };
static const char version_key[] = "promptcot_mamba_state";
static const char *const type_names[] = {"f32", "bf16"};

void saved_make(struct saved *s, const struct model_config *c, size_t words, size_t bytes)
{
    *s = (struct saved){.words = words, .bytes = bytes};
    s->ids = xcalloc((size_t)c->chunk, sizeof *s->ids);
    s->seen = xcalloc(words, sizeof *s->seen);
    s->state = xcalloc(1, bytes);
}

void saved_free(struct saved *s)
{
    free(s->ids);
    free(s->seen);
    free(s->state);
    *s = (struct saved){0};
}

/* The parts behind the head, in the file's order. */
struct part {
    void *at;
    size_t bytes;
};
enum { PARTS = 3 };
static void parts(struct part part[PARTS], const struct saved *s, const struct model_config *c)
{
    part[0] = (struct part){s->ids, (size_t)c->chunk * sizeof *s->ids};
    part[1] = (struct part){s->seen, s->words * sizeof *s->seen};
    part[2] = (struct part){s->state, s->bytes};
}

static int64_t file_bytes(const struct saved *s, const struct model_config *c)
{
    struct part part[PARTS];
    int64_t n = HEAD + TRAILER;
    parts(part, s, c);
    for (int i = 0; i < PARTS; i++)
        n += (int64_t)part[i].bytes;
    return n;
}

bool saved_write(struct file_out **to, struct saved *s, const char *path, const struct model_config *c, enum dtype type, const char *model,
                 struct err *e)
{
    must(s->tail >= 1 && s->tail <= c->chunk && s->tokens >= s->tail);
    char head[HEAD + 1];
    json_t *o = json_pack("{s:i, s:I, s:s, s:s, s:I, s:I, s:I}", version_key, VERSION, "bytes", (json_int_t)file_bytes(s, c), "model",
                          model, "dtype", type_names[type], "tokens", (json_int_t)s->tokens, "tail", (json_int_t)s->tail, "chain",
                          (json_int_t)s->chain); /* the same 64 bits */
    must(o);
    char *line = json_dumps(o, JSON_COMPACT);
    must(strlen(line) < HEAD);
    snprintf(head, sizeof head, "%-*s\n", HEAD - 1, line);
    free(line);
    json_decref(o);
    struct file_out *out;
    if (!file_out_open(&out, path, false, e))
        return false;
    struct hash_stream *h = hash_open();
    struct part part[PARTS];
    parts(part, s, c);
    hash_add(h, head, HEAD);
    bool ok = file_out_write(out, head, HEAD, e);
    for (int i = 0; ok && i < PARTS; i++) {
        hash_add(h, part[i].at, part[i].bytes);
        ok = file_out_write(out, part[i].at, part[i].bytes, e);
    }
    hash_hex(h, s->digest);
    hash_close(h);
    char end[TRAILER + 1];
    snprintf(end, sizeof end, "%s\n", s->digest);
    if (ok && file_out_write(out, end, TRAILER, e)) {
        *to = out;
        return true;
    }
    file_out_abort(out);
    return false;
}

/* The head's numbers; false: no head of ours. */
static bool read_head(const unsigned char *data, struct saved *s, int64_t *bytes, json_int_t *version, char model[SAVED_DIGEST],
                      char type[SAVED_DIGEST])
{
    struct err ignored;
    json_t *o = json_parse((const char *)data, HEAD, "state file", &ignored);
    json_int_t all, tokens, tail, chain;
    const char *of, *in;
    bool ok = o && json_unpack(o, "{s:I, s:I, s:s, s:s, s:I, s:I, s:I}", version_key, version, "bytes", &all, "model", &of, "dtype", &in,
                               "tokens", &tokens, "tail", &tail, "chain", &chain) == 0;
    if (ok) {
        *bytes = all;
        s->tokens = tokens;
        s->tail = tail;
        s->chain = (uint64_t)chain;
        snprintf(model, SAVED_DIGEST, "%s", of);
        snprintf(type, SAVED_DIGEST, "%s", in);
    }
    json_decref(o);
    return ok;
}

static bool check_file(struct saved *s, const struct file_map *m, const char *path, const struct model_config *c, enum dtype type,
                       const char *model, struct err *e)
{
    int64_t bytes;
    json_int_t version;
    char of[SAVED_DIGEST], in[SAVED_DIGEST];
    if (m->size < HEAD + TRAILER || !read_head(m->data, s, &bytes, &version, of, in))
        return err_set(e, "%s: this is no state file, or its beginning is damaged; expected one that generate --save-state wrote", path);
    if (version != VERSION)
        return err_set(e, "%s: a state file of version %lld, this program reads version %d; save the state again", path, (long long)version,
                       VERSION);
    if ((int64_t)m->size != bytes)
        return err_set(e, "%s: %zu bytes, but %lld were saved: the file is cut short or damaged; save the state again", path, m->size,
                       (long long)bytes);
    hash_xxh3(m->data, m->size - TRAILER, s->digest);
    if (memcmp(m->data + m->size - TRAILER, s->digest, TRAILER - 1) != 0)
        return err_set(e, "%s: damaged: its bytes do not have the digest that was saved with them; save the state again", path);
    if (strcmp(of, model) != 0)
        return err_set(e, "%s: the state of another model: weights or shape differ; give the --model that saved it", path);
    if (strcmp(in, type_names[type]) != 0)
        return err_set(e, "%s: saved with --dtype %s, but this run's is %s; give --dtype %s, or save it again", path, in, type_names[type],
                       in);
    if (bytes != file_bytes(s, c))
        return err_set(e, "%s: %lld bytes, but with --dtype %s this model's take %lld where generate runs on %s; save the state again here",
                       path, (long long)bytes, in, (long long)file_bytes(s, c), dev_backend());
    bool fits = s->tail >= 1 && s->tail <= c->chunk && s->tokens >= s->tail;
    for (int64_t i = 0; fits && i < s->tail; i++) {
        int32_t id;
        memcpy(&id, m->data + HEAD + (size_t)i * sizeof id, sizeof id);
        fits = id >= 0 && id < c->vocab;
    }
    return fits || err_set(e, "%s: its parts do not fit this model; save the state again", path);
}

bool saved_read(struct saved *s, const char *path, const struct model_config *c, enum dtype type, const char *model, struct err *e)
{
    struct file_map m;
    saved_make(s, c, (size_t)(c->vocab + 31) / 32, (size_t)state_slot_bytes(c, dev_activations(type), F32));
    if (!file_map_open(&m, path, e))
        return false;
    bool ok = check_file(s, &m, path, c, type, model, e);
    if (ok) {
        struct part part[PARTS];
        size_t at = HEAD;
        parts(part, s, c);
        for (int i = 0; i < PARTS; at += part[i++].bytes)
            memcpy(part[i].at, m.data + at, part[i].bytes);
    }
    file_map_close(&m);
    return ok;
}
