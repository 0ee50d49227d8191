/* model/params.c - names, shapes and places of the weights. */
#include "model/params.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct builder {
    struct param_table *t;
    int32_t layer, bucket;
};

/* Appends a parameter of the builder's layer; cols 0: a vector. */
static void add(struct builder b, enum param_kind kind, const char *name, bool matrix, int64_t rows, int64_t cols)
{
    struct param_table *t = b.t;
    struct param *p = &t->param[t->n];
    *p = (struct param){.kind = kind, .layer = b.layer, .bucket = b.bucket, .matrix = matrix, .decay = cols > 0};
    if (b.layer >= 0)
        snprintf(p->name, sizeof p->name, "backbone.layers.%d.%s", b.layer, name);
    else
        snprintf(p->name, sizeof p->name, "%s", name);
    p->rows = rows;
    p->cols = cols ? cols : 1;
    p->n = p->rows * p->cols;
    p->shape[0] = rows;
    p->ndim = cols ? 2 : 1;
    p->shape[1] = cols;
    if (kind == P_CONV_W) { /* [C, 1, K] in the file */
        p->ndim = 3;
        p->shape[1] = 1;
        p->shape[2] = cols;
    }
    p->segment = 2 * b.bucket + matrix;
    p->first = t->segment[p->segment].n;
    t->segment[p->segment].n += (p->n + PARAM_ALIGN - 1) / PARAM_ALIGN * PARAM_ALIGN;
    t->weights += p->n;
    t->index[(b.layer + 1) * P_KINDS + (int)kind] = t->n++;
}

/* Pads the segments, lays them end to end, and with them the parameters. */
static void place(struct param_table *t)
{
    int64_t unit = (int64_t)PARAM_ALIGN * t->ranks;
    for (int type = F32; type <= BF16; type++) {
        t->bucket_at[type] = xcalloc((size_t)t->n_bucket + 1, sizeof(int64_t));
        for (int32_t i = 0; i < 2 * t->n_bucket; i++) {
            struct param_segment *g = &t->segment[i];
            g->n = (g->n + unit - 1) / unit * unit;
            g->at[type] = t->bytes[type];
            t->bytes[type] += g->n * (i % 2 ? dtype_size((enum dtype)type) : 4);
            t->bucket_at[type][i / 2 + 1] = t->bytes[type];
        }
        for (int32_t k = 0; k < t->n; k++) {
            struct param *p = &t->param[k];
            p->at[type] = t->segment[p->segment].at[type] + p->first * (p->matrix ? dtype_size((enum dtype)type) : 4);
        }
    }
}

void params_plan(struct param_table *t, const struct model_config *c)
{
    params_plan_ranks(t, c, 1);
}

void params_plan_ranks(struct param_table *t, const struct model_config *c, int32_t ranks)
{
    int64_t inner = config_inner(c), conv = config_conv_dim(c);
    int32_t most = 3 + c->layers * (P_OUT_PROJ - P_NORM + 1);
    *t = (struct param_table){.n_bucket = c->layers + 2, .ranks = ranks};
    t->param = xcalloc((size_t)most, sizeof *t->param);
    t->index = xmalloc(sizeof *t->index * (size_t)(c->layers + 1) * P_KINDS);
    for (int32_t i = 0; i < (c->layers + 1) * P_KINDS; i++)
        t->index[i] = -1;
    t->segment = xcalloc(2 * (size_t)t->n_bucket, sizeof *t->segment);

    struct builder b = {t, -1, 0};
    add(b, P_EMBED, "backbone.embeddings.weight", true, c->vocab, c->hidden);
    for (int32_t l = 0; l < c->layers; l++) {
        b = (struct builder){t, l, l + 1};
        add(b, P_NORM, "norm.weight", false, c->hidden, 0);
        add(b, P_CONV_W, "mixer.conv1d.weight", false, conv, c->conv);
        add(b, P_CONV_B, "mixer.conv1d.bias", false, conv, 0);
        add(b, P_DT_BIAS, "mixer.dt_bias", false, c->heads, 0);
        add(b, P_A_LOG, "mixer.A_log", false, c->heads, 0);
        add(b, P_D, "mixer.D", false, c->heads, 0);
        add(b, P_GATE_NORM, "mixer.norm.weight", false, inner, 0);
        add(b, P_IN_PROJ, "mixer.in_proj.weight", true, config_proj_dim(c), c->hidden);
        add(b, P_OUT_PROJ, "mixer.out_proj.weight", true, c->hidden, inner);
    }
    b = (struct builder){t, -1, c->layers + 1};
    add(b, P_NORM_F, "backbone.norm_f.weight", false, c->hidden, 0);
    if (!c->tied)
        add(b, P_HEAD, "lm_head.weight", true, c->vocab, c->hidden);
    place(t);
}

void params_free(struct param_table *t)
{
    free(t->param);
    free(t->index);
    free(t->segment);
    free(t->bucket_at[F32]);
    free(t->bucket_at[BF16]);
    *t = (struct param_table){0};
}

const struct param *params_get(const struct param_table *t, enum param_kind kind, int32_t layer)
{
    int32_t i = t->index[(layer + 1) * P_KINDS + (int)kind];
    must(i >= 0);
    return &t->param[i];
}

const struct param *params_find(const struct param_table *t, const char *name)
{
    static const char *const other = "backbone.embedding.", *const ours = "backbone.embeddings.";
    char text[160];
    if (!strncmp(name, "model.", 6)) /* Mistral's consolidated.safetensors */
        name += 6;
    if (!strncmp(name, other, strlen(other))) { /* mamba_ssm */
        snprintf(text, sizeof text, "%s%s", ours, name + strlen(other));
        name = text;
    }
    for (int32_t i = 0; i < t->n; i++)
        if (!strcmp(t->param[i].name, name))
            return &t->param[i];
    return NULL;
}

mat tensors_mat(struct tensors t, enum param_kind kind, int32_t layer)
{
    const struct param *p = params_get(t.table, kind, layer);
    must(p->matrix);
    return mat_make(tensors_at(t, p), t.dtype, p->rows, p->cols);
}

float *tensors_vec(struct tensors t, enum param_kind kind, int32_t layer)
{
    const struct param *p = params_get(t.table, kind, layer);
    must(!p->matrix);
    return (float *)tensors_at(t, p);
}

mat tensors_head(struct tensors t)
{
    return tensors_mat(t, t.table->index[P_HEAD] >= 0 ? P_HEAD : P_EMBED, -1);
}
