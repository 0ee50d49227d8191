/* kernels/cpu/ssd_chunk.c - see ssd_chunk.h. */
#include "kernels/cpu/ssd_chunk.h"
#include "core/err.h"
#include "kernels/cpu/vmath.h"
#include <math.h>
#include <omp.h>
#include <string.h>

/* Floats of a vector, and rows of a register tile: tiles of 2 vectors leave registers for the factors. */
#if defined(__AVX512F__)
enum { WIDTH = 16, ROWS = 8 };
#elif defined(__AVX__)
enum { WIDTH = 8, ROWS = 4 };
#else
enum { WIDTH = 4, ROWS = 4 };
#endif
typedef float vec __attribute__((vector_size(WIDTH * sizeof(float)), aligned(sizeof(float)), may_alias));

/* rows and vecs are constants where this is called, so that sum stays in registers. */
static inline __attribute__((always_inline)) void tile(const int rows, const int vecs, int64_t k, const float *a, int64_t ai, int64_t al,
                                                       const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
    vec sum[ROWS][2];
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vecs; v++)
            sum[r][v] = (vec){0};
    for (int64_t l = 0; l < k; l++) {
        vec x[2];
        for (int v = 0; v < vecs; v++)
            x[v] = *(const vec *)(b + l * ldb + v * WIDTH);
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < vecs; v++)
                sum[r][v] += a[r * ai + l * al] * x[v];
    }
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vecs; v++) {
            vec *to = (vec *)(c + r * ldc + v * WIDTH);
            if (beta == 0.0f)
                *to = sum[r][v];
            else
                *to = beta * *to + sum[r][v];
        }
}

/* All rows of 2 vectors or 1 of columns. */
static inline __attribute__((always_inline)) void panel(const int vecs, int64_t m, int64_t k, const float *a, int64_t ai, int64_t al,
                                                        const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
    int64_t i = 0;
    for (; i + ROWS <= m; i += ROWS)
        tile(ROWS, vecs, k, a + i * ai, ai, al, b, ldb, beta, c + i * ldc, ldc);
    for (; i + 2 <= m; i += 2)
        tile(2, vecs, k, a + i * ai, ai, al, b, ldb, beta, c + i * ldc, ldc);
    if (i < m)
        tile(1, vecs, k, a + i * ai, ai, al, b, ldb, beta, c + i * ldc, ldc);
}

void ssd_mm(int64_t m, int64_t n, int64_t k, const float *a, int64_t ai, int64_t al, const float *b, int64_t ldb, float beta, float *c,
            int64_t ldc)
{
    int64_t j = 0;
    for (; j + 2 * WIDTH <= n; j += 2 * WIDTH)
        panel(2, m, k, a, ai, al, b + j, ldb, beta, c + j, ldc);
    for (; j + WIDTH <= n; j += WIDTH)
        panel(1, m, k, a, ai, al, b + j, ldb, beta, c + j, ldc);
    for (; j < n; j++) /* sizes that are no multiple of a vector: correct, not fast */
        for (int64_t i = 0; i < m; i++) {
            float sum = 0.0f;
            for (int64_t l = 0; l < k; l++)
                sum += a[i * ai + l * al] * b[l * ldb + j];
            c[i * ldc + j] = beta == 0.0f ? sum : beta * c[i * ldc + j] + sum;
        }
}

/* 4 x 4 in registers: to rows of ld_to = the transpose of from's rows of ld_from. */
static inline void transpose4(float *to, int64_t ld_to, const float *from, int64_t ld_from)
{
    typedef float quad __attribute__((vector_size(16), aligned(sizeof(float)), may_alias));
    typedef int32_t lanes __attribute__((vector_size(16)));
    const quad r0 = *(const quad *)from, r1 = *(const quad *)(from + ld_from);
    const quad r2 = *(const quad *)(from + 2 * ld_from), r3 = *(const quad *)(from + 3 * ld_from);
    const lanes low = {0, 4, 1, 5}, high = {2, 6, 3, 7}, first = {0, 1, 4, 5}, second = {2, 3, 6, 7};
    const quad a = __builtin_shuffle(r0, r1, low), b = __builtin_shuffle(r2, r3, low);
    const quad c = __builtin_shuffle(r0, r1, high), d = __builtin_shuffle(r2, r3, high);
    *(quad *)to = __builtin_shuffle(a, b, first);
    *(quad *)(to + ld_to) = __builtin_shuffle(a, b, second);
    *(quad *)(to + 2 * ld_to) = __builtin_shuffle(c, d, first);
    *(quad *)(to + 3 * ld_to) = __builtin_shuffle(c, d, second);
}

void ssd_transpose(float *to, int64_t ld_to, const float *from, int64_t ld_from, int64_t rows, int64_t cols)
{
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) {
        int64_t col = 0;
        for (; col + 4 <= cols; col += 4)
            transpose4(to + col * ld_to + r, ld_to, from + r * ld_from + col, ld_from);
        for (; col < cols; col++)
            for (int64_t i = r; i < r + 4; i++)
                to[col * ld_to + i] = from[i * ld_from + col];
    }
    for (; r < ld_to; r++)
        for (int64_t col = 0; col < cols; col++)
            to[col * ld_to + r] = r < rows ? from[r * ld_from + col] : 0.0f;
}

void ssd_decay_layout(struct ssd_decay *k, struct arena *a, int32_t chunk)
{
    k->cum = arena_take(a, (size_t)chunk * sizeof(double));
    k->dt = ssd_floats(a, chunk);
    k->a = ssd_floats(a, chunk);
    k->in = ssd_floats(a, chunk);
    k->out = ssd_floats(a, chunk);
}

/* Less than this is nothing beside what float32 sums hold, and products of it would be subnormal, which some processors do slowly. NaN
 * stays. */
static inline float at_least_tiny(float v)
{
    return v < 1e-30f ? 0.0f : v;
}

void ssd_decay_fill(struct ssd_decay *k, const float *dt, int64_t ld, int64_t q, double A_log)
{
    const double A = -exp(A_log);
    double sum = 0.0;
    for (int64_t i = 0; i < q; i++) {
        k->dt[i] = dt[i * ld];
        sum += A * (double)k->dt[i];
        k->cum[i] = sum;
    }
    /* Exponents are differences of double sums, never above zero: a fast decay far back must not cost the slow ones after it their
     * digits. */
#pragma omp simd
    for (int64_t i = 0; i < q; i++) {
        k->a[i] = vexpf((float)(A * (double)k->dt[i]));
        k->in[i] = at_least_tiny(vexpf((float)k->cum[i]));
        k->out[i] = at_least_tiny(vexpf((float)(sum - k->cum[i])));
    }
    k->last = k->in[q - 1];
}

void ssd_decay_matrix(float *m, const float *cb, int64_t ld, float *decay, int64_t ld_decay, const struct ssd_decay *k, int64_t q)
{
    const float *before = decay;
    for (int64_t i = 0; i < q; i++) {
        float *row = decay + i * ld_decay, *out = m + i * ld;
        const float *in = cb + i * ld;
        if (i % SSD_BLOCK == 0) { /* from the exponents, so that the rounding of the products below does not pile up */
            double here = k->cum[i];
#pragma omp simd
            for (int64_t j = 0; j < i; j++)
                row[j] = at_least_tiny(vexpf((float)(here - k->cum[j])));
        } else {
            float a = k->a[i];
#pragma omp simd
            for (int64_t j = 0; j < i; j++)
                row[j] = at_least_tiny(before[j] * a);
        }
        row[i] = 1.0f;
#pragma omp simd
        for (int64_t j = 0; j <= i; j++)
            out[j] = in[j] * row[j];
        for (int64_t j = i + 1; j < ssd_round(i + 1); j++)
            out[j] = 0.0f;
        before = row;
    }
}

int64_t ssd_state_rows(struct ssd_dims d, int32_t docs)
{
    int64_t rows = d.headdim, heads = (int64_t)docs * d.heads;
    while (rows > 16 && heads * ((d.headdim + rows - 1) / rows) < 2 * omp_get_max_threads())
        rows = (rows + 1) / 2;
    return rows;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

void ssd_room_layout(struct ssd_room *r, struct arena *a, struct ssd_dims d, int64_t tokens, int64_t chunks, int32_t chunk, int train)
{
    r->dt = ssd_floats(a, tokens * d.heads);
    r->states = ssd_floats(a, chunks * d.heads * d.headdim * d.state);
    r->partial = train ? ssd_floats(a, chunks * d.heads * 3) : NULL;
    r->own_size = train ? larger(ssd_fwd_own(d, chunk), ssd_bwd_own(d, chunk)) : ssd_fwd_own(d, chunk);
    r->own = arena_take(a, r->own_size * (size_t)omp_get_max_threads());
}

int32_t ssd_train_chunk(int32_t chunk)
{
    return chunk;
}

size_t ssd_scratch(struct ssd_dims d, int64_t tokens, int32_t max_docs, int32_t chunk, int train)
{
    struct ssd_room r;
    struct arena a = {0};
    ssd_room_layout(&r, &a, d, tokens, seqs_max_chunks(tokens, max_docs, chunk), chunk, train);
    return a.used;
}

struct ssd_room ssd_room(void *scratch, struct ssd_dims d, const struct seqs *s, int train)
{
    struct ssd_room r;
    struct arena a = {0};
    ssd_room_layout(&r, &a, d, s->tokens, s->n_chunk, s->chunk, train);
    a = (struct arena){.base = scratch, .size = a.used};
    ssd_room_layout(&r, &a, d, s->tokens, s->n_chunk, s->chunk, train);
    return r;
}

struct arena ssd_room_own(const struct ssd_room *r)
{
    return (struct arena){.base = r->own + r->own_size * (size_t)omp_get_thread_num(), .size = r->own_size};
}
