/* tests/ref_model.c - see ref_model.h. */
#include "tests/ref_model.h"
#include "core/rng.h"
#include "tests/ref_ops.h"
#include "tests/ref_ssd.h"
#include <math.h>
#include <stdlib.h>

/* A number of the weight's own, whatever its place in the table: a test's weights stay what they are when the places change. */
static uint64_t number_of(const struct param *p, int32_t layers)
{
    const int64_t of_layer = P_NORM_F - P_NORM;
    return (uint64_t)(p->kind == P_EMBED ? 0
                      : p->layer >= 0    ? 1 + p->layer * of_layer + (int64_t)p->kind - P_NORM
                                         : 1 + layers * of_layer + (int64_t)p->kind - P_NORM_F);
}

void ref_model_open(struct ref_model *m, const struct model_config *c, const struct param_table *table, uint64_t stream)
{
    *m = (struct ref_model){*c, table, xcalloc((size_t)table->n, sizeof(double *))};
    for (int32_t k = 0; k < table->n; k++) {
        const struct param *p = &table->param[k];
        double mean = 0, scale = 1 / sqrt((double)p->cols);
        if (p->kind == P_NORM || p->kind == P_GATE_NORM || p->kind == P_NORM_F || p->kind == P_D)
            mean = 1, scale = 0.2;
        else if (p->kind == P_DT_BIAS)
            mean = -2, scale = 0.7;
        else if (p->kind == P_A_LOG)
            mean = 0.5, scale = 0.5;
        else if (p->kind == P_CONV_B)
            scale = 0.2;
        m->w[k] = xmalloc(sizeof(double) * (size_t)p->n);
        for (int64_t i = 0; i < p->n; i++)
            m->w[k][i] = mean + scale * rng_normal(stream, number_of(p, c->layers), (uint64_t)i);
    }
}

void ref_model_close(struct ref_model *m)
{
    for (int32_t k = 0; k < m->table->n; k++)
        free(m->w[k]);
    free(m->w);
}

static const double *weight_of(const struct ref_model *m, enum param_kind kind, int32_t layer)
{
    return m->w[params_get(m->table, kind, layer) - m->table->param];
}

static double *zeros(int64_t n)
{
    return xcalloc((size_t)n + 1, sizeof(double));
}

/* Columns first .. first + n - 1 of a [t, cols] as a matrix of its own. */
static double *columns(const double *a, int64_t t, int64_t cols, int64_t first, int64_t n)
{
    double *out = zeros(t * n);
    for (int64_t i = 0; i < t; i++)
        for (int64_t j = 0; j < n; j++)
            out[i * n + j] = a[i * cols + first + j];
    return out;
}

/* x [t, hidden] becomes what the block makes of it. state NULL: documents start from zero; else there is one, which goes on from it. */
static void block(double *x, const struct ref_model *m, int32_t l, const int32_t *len, int32_t n, int64_t t, const struct ref_state *state)
{
    const struct model_config *c = &m->c;
    int64_t d = c->hidden, inner = config_inner(c), conv = config_conv_dim(c), proj = config_proj_dim(c),
            gn = (int64_t)c->groups * c->state;
    double *h = zeros(t * d), *p = zeros(t * proj), *v = zeros(t * conv), *y = zeros(t * inner), *g = zeros(t * inner), *o = zeros(t * d);
    ref_rmsnorm(h, x, weight_of(m, P_NORM, l), c->eps, t, d);
    ref_linear(p, h, weight_of(m, P_IN_PROJ, l), NULL, t, d, proj);
    double *z = columns(p, t, proj, 0, inner), *xBC = columns(p, t, proj, inner, conv), *dt = columns(p, t, proj, inner + conv, c->heads);
    ref_conv(v, xBC, weight_of(m, P_CONV_W, l), weight_of(m, P_CONV_B, l), c->conv, len, n, conv, state ? state->conv[l] : NULL);
    double *sx = columns(v, t, conv, 0, inner), *B = columns(v, t, conv, inner, gn), *C = columns(v, t, conv, inner + gn, gn);
    struct ref_ssd ssd = {.d = {c->heads, c->headdim, c->groups, c->state},
                          .len = len,
                          .n = n,
                          .x = sx,
                          .B = B,
                          .C = C,
                          .dt = dt,
                          .dt_bias = weight_of(m, P_DT_BIAS, l),
                          .A_log = weight_of(m, P_A_LOG, l),
                          .D = weight_of(m, P_D, l),
                          .state = state ? state->ssd[l] : NULL};
    ref_ssd_fwd(y, state ? state->ssd[l] : NULL, &ssd);
    ref_gatenorm(g, y, z, weight_of(m, P_GATE_NORM, l), c->eps, c->groups, t, inner);
    ref_linear(o, g, weight_of(m, P_OUT_PROJ, l), x, t, inner, d);
    for (int64_t i = 0; i < t * d; i++)
        x[i] = o[i];
    double *all[] = {h, p, v, y, g, o, z, xBC, dt, sx, B, C};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
}

static int64_t total(const int32_t *len, int32_t n)
{
    int64_t t = 0;
    for (int32_t i = 0; i < n; i++)
        t += len[i];
    return t;
}

/* h [t, hidden] after the last norm. */
static void run(double *h, double *logits, const struct ref_model *m, const int32_t *ids, const int32_t *len, int32_t n,
                const struct ref_state *state)
{
    const struct model_config *c = &m->c;
    int64_t t = total(len, n), d = c->hidden;
    double *x = zeros(t * d);
    const double *table = weight_of(m, P_EMBED, -1);
    for (int64_t i = 0; i < t * d; i++)
        x[i] = table[ids[i / d] * d + i % d];
    for (int32_t l = 0; l < c->layers; l++)
        block(x, m, l, len, n, t, state);
    ref_rmsnorm(h, x, weight_of(m, P_NORM_F, -1), c->eps, t, d);
    ref_linear(logits, h, weight_of(m, c->tied ? P_EMBED : P_HEAD, -1), NULL, t, d, c->vocab);
    free(x);
}

void ref_model_logits(double *logits, const struct ref_model *m, const int32_t *ids, const int32_t *len, int32_t n)
{
    double *h = zeros(total(len, n) * m->c.hidden);
    run(h, logits, m, ids, len, n, NULL);
    free(h);
}

void ref_state_open(struct ref_state *s, const struct ref_model *m)
{
    const struct model_config *c = &m->c;
    *s = (struct ref_state){xcalloc((size_t)c->layers, sizeof(double *)), xcalloc((size_t)c->layers, sizeof(double *)), c->layers};
    for (int32_t l = 0; l < c->layers; l++) {
        s->conv[l] = zeros((c->conv - 1) * config_conv_dim(c));
        s->ssd[l] = zeros(config_ssd_state(c));
    }
}

void ref_state_close(struct ref_state *s)
{
    for (int32_t l = 0; l < s->layers; l++) {
        free(s->conv[l]);
        free(s->ssd[l]);
    }
    free(s->conv);
    free(s->ssd);
}

void ref_model_step(double *hidden, double *logits, const struct ref_model *m, struct ref_state *s, int32_t id)
{
    const int32_t one = 1;
    run(hidden, logits, m, &id, &one, 1, s);
}

double ref_model_loss(const struct ref_model *m, const int32_t *ids, const int32_t *target, const double *weight, const int32_t *len,
                      int32_t n)
{
    int64_t t = total(len, n);
    double *logits = zeros(t * m->c.vocab), *loss = zeros(t), sum = 0;
    ref_model_logits(logits, m, ids, len, n);
    ref_xent(loss, logits, target, weight, t, m->c.vocab);
    for (int64_t i = 0; i < t; i++)
        sum += loss[i];
    free(logits);
    free(loss);
    return sum;
}
