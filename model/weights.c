/* model/weights.c - weights: random, loaded, saved. */
#include "model/weights.h"
#include "core/file.h"
#include "core/json.h"
#include "core/rng.h"
#include "kernels/device.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Sends those of n host numbers that w holds to a parameter, from its first-th number on. */
static void put(struct tensors w, const struct param *p, int64_t first, const float *from, int64_t n, uint16_t *half)
{
    enum dtype t = tensors_dtype(w, p);
    int64_t begin = first;
    n = tensors_clip(w, p, &begin, n);
    from += begin - first;
    const void *bytes = from;
    if (n == 0)
        return;
    if (t == BF16) {
        for (int64_t i = 0; i < n; i++)
            half[i] = f32_to_bf16(from[i]);
        bytes = half;
    }
    dev_put(tensors_value(w, p, begin), bytes, (size_t)(n * dtype_size(t)));
}

/* Host room for a piece of a tensor. */
enum { PIECE = 1 << 19 };
struct piece {
    float *f;
    uint16_t *h;
};

static struct piece piece_new(void)
{
    return (struct piece){xmalloc(sizeof(float) * PIECE), xmalloc(sizeof(uint16_t) * PIECE)};
}

static void piece_free(struct piece b)
{
    free(b.f);
    free(b.h);
}

static void put_both(struct tensors w, struct tensors *master, const struct param *p, int64_t first, int64_t n, struct piece b)
{
    put(w, p, first, b.f, n, b.h);
    if (master && master->base != w.base)
        put(*master, p, first, b.f, n, b.h);
}

/* A weight's i-th number. stream: the weight's own random stream. */
static float random_value(const struct param *p, const struct model_config *c, uint64_t seed, uint64_t stream, int64_t i)
{
    double u = rng_uniform(seed, stream, (uint64_t)i), bound, dt;
    switch (p->kind) {
    case P_EMBED:
        return (float)(0.02 * rng_normal(seed, stream, (uint64_t)i));
    case P_IN_PROJ:
    case P_HEAD:
    case P_CONV_W:
        return (float)((2 * u - 1) / sqrt((double)p->cols));
    case P_OUT_PROJ:
        bound = 1 / sqrt((double)p->cols * c->layers);
        return (float)((2 * u - 1) * bound);
    case P_CONV_B:
        return (float)((2 * u - 1) / sqrt((double)c->conv));
    case P_DT_BIAS: /* the inverse of softplus at dt */
        dt = fmax(exp(u * (log(0.1) - log(0.001)) + log(0.001)), 1e-4);
        return (float)(dt + log(-expm1(-dt)));
    case P_A_LOG:
        return (float)log(1 + 15 * u);
    case P_NORM:
    case P_D:
    case P_GATE_NORM:
    case P_NORM_F:
        return 1;
    case P_KINDS:
        break;
    }
    die("no initial value for %s", p->name);
}

void weights_random(struct tensors w, struct tensors *master, const struct model_config *c, uint64_t seed)
{
    struct piece b = piece_new();
    for (int32_t k = 0; k < w.table->n; k++) {
        const struct param *p = &w.table->param[k];
        uint64_t stream = (uint64_t)(p->layer + 1) * P_KINDS + (uint64_t)p->kind;
        for (int64_t first = 0; first < p->n; first += PIECE) {
            int64_t n = p->n - first < PIECE ? p->n - first : PIECE;
#pragma omp parallel for schedule(static)
            for (int64_t i = 0; i < n; i++)
                b.f[i] = random_value(p, c, seed, stream, first + i);
            put_both(w, master, p, first, n, b);
        }
    }
    piece_free(b);
}

static bool check_shape(const struct param *p, const struct st_tensor *t, struct err *e)
{
    bool same = t->ndim == p->ndim;
    for (int d = 0; same && d < p->ndim; d++)
        same = t->shape[d] == p->shape[d];
    if (same)
        return true;
    char got[128] = "", want[128] = "";
    for (int d = 0; d < t->ndim; d++)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s%lld", d ? ", " : "", (long long)t->shape[d]);
    for (int d = 0; d < p->ndim; d++)
        snprintf(want + strlen(want), sizeof want - strlen(want), "%s%lld", d ? ", " : "", (long long)p->shape[d]);
    return err_set(e, "tensor \"%s\" has shape [%s]; config.json asks for [%s]: weights and config do not belong together", t->name, got,
                   want);
}

bool weights_match(const struct param_table *table, const struct safetensors *s, const struct st_tensor **to, struct err *e)
{
    bool tied = table->index[P_HEAD] < 0;
    for (int32_t i = 0; i < s->n; i++) {
        const struct param *p = params_find(table, s->at[i].name);
        if (!p && tied && strstr(s->at[i].name, "lm_head.weight"))
            continue; /* some writers store the tied head too */
        if (!p)
            return err_set(e, "tensor \"%s\" is not part of this model: does config.json belong to these weights?", s->at[i].name);
        if (!st_check_dtype(&s->at[i], e) || !check_shape(p, &s->at[i], e))
            return false;
        if (to[p - table->param])
            return err_set(e, "\"%s\" and \"%s\" are the same weight", to[p - table->param]->name, s->at[i].name);
        to[p - table->param] = &s->at[i];
    }
    for (int32_t k = 0; k < table->n; k++)
        if (!to[k])
            return err_set(e, "tensor \"%s\" is missing", table->param[k].name);
    return true;
}

/* Of a parameter's values first .. end-1. */
struct range {
    int64_t first, end;
};

static struct range range_held(struct tensors t, const struct param *p)
{
    struct range r = {0, 0};
    r.end = tensors_clip(t, p, &r.first, p->n);
    r.end += r.first;
    return r;
}

/* The least range that has both in it. */
static struct range range_hull(struct range a, struct range b)
{
    if (a.first == a.end || b.first == b.end)
        return a.first == a.end ? b : a;
    return (struct range){a.first < b.first ? a.first : b.first, a.end > b.end ? a.end : b.end};
}

bool weights_load(struct tensors w, struct tensors *master, const char *path, struct err *e)
{
    struct safetensors s;
    if (!safetensors_open(&s, path, e))
        return false;
    const struct st_tensor **from = xcalloc((size_t)w.table->n, sizeof(struct st_tensor *));
    bool ok = weights_match(w.table, &s, from, e) || err_in(e, "%s", path);
    if (ok) {
        struct piece b = piece_new();
        for (int32_t k = 0; k < w.table->n; k++) {
            const struct param *p = &w.table->param[k];
            struct range held = range_held(w, p);
            if (master)
                held = range_hull(held, range_held(*master, p));
            for (int64_t first = held.first; first < held.end; first += PIECE) {
                int64_t n = held.end - first < PIECE ? held.end - first : PIECE;
                st_read_f32(from[k], first, n, b.f);
                put_both(w, master, p, first, n, b);
                safetensors_forget(&s, from[k], first, n);
            }
        }
        piece_free(b);
    }
    free(from);
    safetensors_close(&s);
    return ok;
}

void weights_read_tensors(void *from, const struct param *p, int64_t first, int64_t n, float *out)
{
    struct tensors w = *(const struct tensors *)from;
    enum dtype t = tensors_dtype(w, p);
    dev_get(out, tensors_value(w, p, first), (size_t)(n * dtype_size(t)));
    if (t == BF16) /* in place, from the last, so that nothing is overwritten before it is read */
        for (int64_t i = n - 1; i >= 0; i--)
            out[i] = bf16_to_f32(((const uint16_t *)(const void *)out)[i]);
}

/* Parameters begin .. end-1 as the file names them; the caller frees. */
static struct st_spec *specs(const struct param_table *t, int32_t begin, int32_t end, enum dtype file_type)
{
    struct st_spec *spec = xcalloc((size_t)(end - begin), sizeof *spec);
    for (int32_t k = begin; k < end; k++) {
        const struct param *p = &t->param[k];
        spec[k - begin] = (struct st_spec){p->name, file_type == F32 ? "F32" : "BF16", p->ndim, {0}};
        memcpy(spec[k - begin].shape, p->shape, sizeof p->shape);
    }
    return spec;
}

char *weights_head(const struct param_table *t, enum dtype file_type, size_t *bytes, int64_t *data)
{
    struct st_spec *spec = specs(t, 0, t->n, file_type);
    char *head = st_head(spec, t->n, bytes, data);
    free(spec);
    return head;
}

static bool save_range(const struct param_table *t, int32_t begin, int32_t end, weights_read *read, void *from, enum dtype file_type,
                       const char *path, bool compress, struct err *e)
{
    struct st_spec *spec = specs(t, begin, end, file_type);
    struct st_out *o = NULL;
    bool ok = st_out_open(&o, path, spec, end - begin, compress, e);
    free(spec);
    struct piece b = piece_new();
    for (int32_t k = begin; ok && k < end; k++) {
        const struct param *p = &t->param[k];
        for (int64_t first = 0; ok && first < p->n; first += PIECE) {
            int64_t n = p->n - first < PIECE ? p->n - first : PIECE;
            read(from, p, first, n, b.f);
            if (file_type == BF16)
                for (int64_t i = 0; i < n; i++)
                    b.h[i] = f32_to_bf16(b.f[i]);
            ok = st_out_write(o, file_type == F32 ? (void *)b.f : (void *)b.h, (size_t)(n * dtype_size(file_type)), e);
        }
    }
    piece_free(b);
    if (ok)
        return st_out_commit(o, e);
    st_out_abort(o);
    return false;
}

bool weights_save_file(const struct param_table *t, weights_read *read, void *from, enum dtype file_type, const char *path, bool compress,
                       struct err *e)
{
    return save_range(t, 0, t->n, read, from, file_type, path, compress, e);
}

bool weights_save(const struct param_table *t, weights_read *read, void *from, const char *dir, enum dtype file_type, int64_t max_shard,
                  struct err *e)
{
    int32_t *end = xmalloc(sizeof *end * (size_t)t->n), shards = 0; /* one past the last parameter of each shard */
    int64_t bytes = 0, all = 0;
    for (int32_t k = 0; k < t->n; k++) {
        int64_t size = t->param[k].n * dtype_size(file_type);
        if (shards == 0 || (max_shard > 0 && bytes > 0 && bytes + size > max_shard)) {
            shards++;
            bytes = 0;
        }
        bytes += size;
        all += size;
        end[shards - 1] = k + 1;
    }
    bool ok = true;
    json_t *map = json_object();
    for (int32_t i = 0; ok && i < shards; i++) {
        char *name = shards == 1 ? xstrdup("model.safetensors") : xprintf("model-%05d-of-%05d.safetensors", i + 1, shards);
        char *path = xprintf("%s/%s", dir, name);
        int32_t first = i ? end[i - 1] : 0;
        ok = save_range(t, first, end[i], read, from, file_type, path, false, e);
        for (int32_t k = first; k < end[i]; k++)
            json_object_set_new(map, t->param[k].name, json_string(name));
        free(path);
        free(name);
    }
    free(end);
    json_t *index = json_pack("{s:{s:I}, s:o}", "metadata", "total_size", (json_int_t)all, "weight_map", map);
    if (ok && shards > 1) {
        char *path = xprintf("%s/model.safetensors.index.json", dir);
        ok = json_write_path(path, index, e);
        free(path);
    }
    json_decref(index);
    return ok;
}
