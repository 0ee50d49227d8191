/* kernels/cpu/attention.c - kernels/attention.h: the keys of a row page by page with a running maximum (Milakov & Gimelshein 2018, arXiv
 * 1805.02867). A row's result depends on its own sequence alone. */
#include "kernels/attention.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vmath.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS = 64 }; /* scores at a time */

struct attention {
    struct attention_shape shape;
    struct kv_rows rows;
};

size_t attention_scratch(const struct attention_shape *s)
{
    (void)s;
    return 0;
}

struct attention *attention_open(const struct attention_shape *s, void *scratch)
{
    (void)scratch;
    must(s->type == F32 && s->kv_heads > 0 && s->q_heads % s->kv_heads == 0);
    struct attention *a = xcalloc(1, sizeof *a);
    a->shape = *s;
    return a;
}

void attention_close(struct attention *a)
{
    free(a);
}

void attention_rows(struct attention *a, struct kv_rows rows, int32_t first)
{
    (void)first;
    must(rows.n <= a->shape.rows && rows.width == a->shape.width);
    a->rows = rows;
}

/* o, *most, *sum: of the keys so far; n more, at most KEYS. */
static void add_keys(float *o, float *most, float *sum, const float *q, const float *k, const float *v, int32_t n, int32_t dim, float scale)
{
    float w[KEYS], top = *most, part = 0;
    for (int32_t j = 0; j < n; j++) {
        w[j] = scale * vdot(q, k + (int64_t)j * dim, dim);
        top = w[j] > top ? w[j] : top;
    }
#pragma omp simd
    for (int32_t j = 0; j < n; j++)
        w[j] = vexpf(w[j] - top);
    float keep = vexpf(*most - top);
#pragma omp simd
    for (int32_t i = 0; i < dim; i++)
        o[i] *= keep;
    for (int32_t j = 0; j < n; j++) {
        const float *row = v + (int64_t)j * dim;
        part += w[j];
#pragma omp simd
        for (int32_t i = 0; i < dim; i++)
            o[i] += w[j] * row[i];
    }
    *sum = *sum * keep + part;
    *most = top;
}

static void one_head(float *o, const float *q, struct kv_cache kv, const int32_t *pages, int32_t keys, int32_t head)
{
    float most = -INFINITY, sum = 0, scale = 1 / sqrtf((float)kv.dim);
    memset(o, 0, sizeof *o * (size_t)kv.dim);
    for (int32_t at = 0; at < keys;) {
        int32_t inside = at % kv.page, n = kv.page - inside;
        n = n < KEYS ? n : KEYS;
        n = n < keys - at ? n : keys - at;
        int64_t page = pages[at / kv.page];
        must(page >= 0 && page < kv.pages);
        int64_t from = ((page * kv.heads + head) * kv.page + inside) * kv.dim;
        add_keys(o, &most, &sum, q, (const float *)kv.k + from, (const float *)kv.v + from, n, kv.dim, scale);
        at += n;
    }
    for (int32_t i = 0; i < kv.dim; i++)
        o[i] /= sum;
}

void attention_fwd(struct attention *a, mat o, mat q, struct kv_cache kv)
{
    const struct attention_shape *s = &a->shape;
    struct kv_rows r = a->rows;
    must(o.dtype == F32 && q.dtype == F32 && kv.type == F32 && o.rows == r.n && q.rows == r.n);
    must(q.cols == (int64_t)s->q_heads * s->dim && o.cols == q.cols && kv.heads == s->kv_heads && kv.dim == s->dim && kv.page == s->page);
    int32_t group = s->q_heads / s->kv_heads;
#pragma omp parallel for collapse(2) schedule(dynamic, 1)
    for (int32_t i = 0; i < r.n; i++)
        for (int32_t h = 0; h < s->q_heads; h++)
            one_head(cpu_row(o, i) + h * s->dim, cpu_row(q, i) + h * s->dim, kv, r.table + (int64_t)r.seq[i] * r.width, r.position[i] + 1,
                     h / group);
}

const char *attention_describe(const struct attention *a)
{
    (void)a;
    return "own code, f32";
}
