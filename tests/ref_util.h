/* tests/ref_util.h - what every op test needs: seeded inputs, matrices on the device beside their exact values on the host, errors.
 *
 * A test fills a struct dmat, which rounds to the device's type first, so that the double-precision reference works on the very values
 * that the op sees. Every function here waits where it has to: the device may be asynchronous.
 */
#ifndef TESTS_REF_UTIL_H
#define TESTS_REF_UTIL_H
#include "core/err.h"
#include "core/rng.h"
#include "kernels/device.h"
#include "kernels/mat.h"
#include "kernels/seqs.h"
#include "tests/test.h"

/* The lengths around every tile size, for loops: for (int i = 0; i < REF_LENGTHS; i++) ... ref_lengths[i]. */
enum { REF_LENGTHS = 10 };
static const int ref_lengths[REF_LENGTHS] = {1, 2, 63, 64, 65, 127, 128, 129, 255, 257};

/* A matrix on the device with what it holds, in double, row-major without gaps, on the host. */
struct dmat {
    mat m;           /* a column slice of block */
    double *v;       /* [rows, cols] */
    void *block;     /* device memory, rows * ld elements */
    int64_t at, all; /* m.data is element at of block, which has all elements */
};

static inline const char *ref_dtype_name(enum dtype t)
{
    return t == F32 ? "f32" : "bf16";
}
/* Largest relative Frobenius error that is rounding: of f32 arithmetic, or of bf16 inputs and outputs. */
static inline double ref_tolerance(enum dtype t)
{
    return t == F32 ? 1e-5 : 1e-2;
}
static inline double ref_round(enum dtype t, double v)
{
    return t == F32 ? (double)(float)v : (double)bf16_to_f32(f32_to_bf16((float)v));
}

/* Opens the device once. */
static inline void ref_device(void)
{
    static bool open;
    struct err e;
    if (!open && !dev_open(0, &e))
        die("%s", e.msg);
    open = true;
}

/* Host values to device elements and back. n elements. */
static inline void ref_put(void *dst, enum dtype t, const double *v, int64_t n)
{
    void *host = xmalloc((size_t)(n * dtype_size(t) + 1));
    for (int64_t i = 0; i < n; i++)
        if (t == F32)
            ((float *)host)[i] = (float)v[i];
        else
            ((uint16_t *)host)[i] = f32_to_bf16((float)v[i]);
    dev_put(dst, host, (size_t)(n * dtype_size(t)));
    free(host);
}
static inline void ref_get(double *v, enum dtype t, const void *src, int64_t n)
{
    void *host = xmalloc((size_t)(n * dtype_size(t) + 1));
    dev_get(host, src, (size_t)(n * dtype_size(t)));
    for (int64_t i = 0; i < n; i++)
        v[i] = t == F32 ? (double)((float *)host)[i] : (double)bf16_to_f32(((uint16_t *)host)[i]);
    free(host);
}

/* Zeroes; the slice starts left elements into its rows, which are left + cols + right long: 0, 0 for a whole matrix. The gap holds
 * 77, which dmat_gap_ok() looks for afterwards. */
static inline struct dmat dmat_make(enum dtype t, int64_t rows, int64_t cols, int64_t left, int64_t right)
{
    struct dmat d = {0};
    int64_t ld = left + cols + right;
    d.at = left;
    d.all = rows * ld;
    d.block = dev_alloc((size_t)(d.all * dtype_size(t)));
    d.m = mat_cols(mat_make(d.block, t, rows, ld), left, cols);
    d.v = (double *)xcalloc((size_t)(rows * cols + 1), sizeof(double));
    double *host = (double *)xmalloc((size_t)(d.all + 1) * sizeof(double));
    for (int64_t i = 0; i < d.all; i++)
        host[i] = i % ld < left || i % ld >= left + cols ? 77 : 0;
    ref_put(d.block, t, host, d.all);
    free(host);
    return d;
}
static inline void dmat_free(struct dmat *d)
{
    dev_free(d->block);
    free(d->v);
    *d = (struct dmat){0};
}
/* Host to device: v is rounded to the type. The gap is kept. */
static inline void dmat_put(struct dmat *d)
{
    mat m = d->m;
    double *host = (double *)xmalloc((size_t)(d->all + 1) * sizeof(double));
    for (int64_t i = 0; i < d->all; i++)
        host[i] = 77;
    for (int64_t r = 0; r < m.rows; r++)
        for (int64_t c = 0; c < m.cols; c++)
            host[d->at + r * m.ld + c] = d->v[r * m.cols + c] = ref_round(m.dtype, d->v[r * m.cols + c]);
    ref_put(d->block, m.dtype, host, d->all);
    free(host);
}
/* Device to caller's [rows, cols]. */
static inline void dmat_read(double *out, const struct dmat *d)
{
    mat m = d->m;
    double *host = (double *)xmalloc((size_t)(d->all + 1) * sizeof(double));
    ref_get(host, m.dtype, d->block, d->all);
    for (int64_t r = 0; r < m.rows; r++)
        for (int64_t c = 0; c < m.cols; c++)
            out[r * m.cols + c] = host[d->at + r * m.ld + c];
    free(host);
}
/* A new array of what the device holds; the caller frees. */
static inline double *dmat_got(const struct dmat *d)
{
    double *out = (double *)xmalloc((size_t)(d->m.rows * d->m.cols + 1) * sizeof(double));
    dmat_read(out, d);
    return out;
}
/* Nothing outside the slice was written. */
static inline bool dmat_gap_ok(const struct dmat *d)
{
    mat m = d->m;
    double *host = (double *)xmalloc((size_t)(d->all + 1) * sizeof(double));
    ref_get(host, m.dtype, d->block, d->all);
    bool ok = true;
    for (int64_t i = 0; i < d->all; i++)
        if (i % m.ld < d->at || i % m.ld >= d->at + m.cols)
            ok = ok && host[i] == 77;
    free(host);
    return ok;
}

/* Normal numbers times scale, plus mean, from (seed, stream) of core/rng.h. */
static inline void ref_normal(double *v, int64_t n, uint64_t stream, double mean, double scale)
{
    for (int64_t i = 0; i < n; i++)
        v[i] = mean + scale * rng_normal(20240521, stream, (uint64_t)i);
}
/* A matrix of normal numbers, as slice [left, cols, right] of its rows. */
static inline struct dmat dmat_normal(enum dtype t, int64_t rows, int64_t cols, int64_t left, int64_t right, uint64_t stream, double scale)
{
    struct dmat d = dmat_make(t, rows, cols, left, right);
    ref_normal(d.v, rows * cols, stream, 0, scale);
    dmat_put(&d);
    return d;
}
/* A vector of f32 weights, as a matrix of one row: ->m.data is the float pointer that ops take. */
static inline struct dmat dvec_normal(int64_t n, uint64_t stream, double mean, double scale)
{
    struct dmat d = dmat_make(F32, 1, n, 0, 0);
    ref_normal(d.v, n, stream, mean, scale);
    dmat_put(&d);
    return d;
}
/* Device copy of n host bytes. */
static inline void *ref_dev(const void *host, size_t bytes)
{
    void *p = dev_alloc(bytes ? bytes : 1);
    dev_put(p, host, bytes);
    return p;
}

/* |got - want| / |want| in the Frobenius norm; infinity when got is not finite somewhere. */
static inline double ref_error(const double *got, const double *want, int64_t n)
{
    double d = 0, w = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(got[i]))
            return INFINITY;
        d += (got[i] - want[i]) * (got[i] - want[i]);
        w += want[i] * want[i];
    }
    return w > 0 ? sqrt(d / w) : sqrt(d);
}
/* The same for what a device matrix holds. */
static inline double dmat_error(const struct dmat *d, const double *want)
{
    double *got = dmat_got(d);
    double e = ref_error(got, want, d->m.rows * d->m.cols);
    free(got);
    return e;
}

/* Plans documents of the given lengths and puts the tables on the device. host points into *block_host, freed with it. */
struct ref_seqs {
    struct seqs host, dev;
    void *host_block, *dev_block;
};
static inline struct ref_seqs ref_seqs_make(const int32_t *len, int32_t n, const int32_t *slot, int32_t chunk)
{
    struct ref_seqs r = {0};
    int64_t tokens = 0;
    for (int32_t d = 0; d < n; d++)
        tokens += len[d];
    struct arena a = {0};
    seqs_layout(&r.host, &a, tokens, n, chunk);
    size_t size = a.used;
    r.host_block = xcalloc(1, size);
    r.dev_block = dev_alloc(size);
    struct arena h = {.base = (char *)r.host_block, .size = size}, v = {.base = (char *)r.dev_block, .size = size};
    seqs_layout(&r.host, &h, tokens, n, chunk);
    seqs_layout(&r.dev, &v, tokens, n, chunk);
    seqs_plan(&r.host, len, n, slot);
    dev_put(r.dev_block, r.host_block, size);
    r.dev = seqs_on(&r.host, &r.dev);
    return r;
}
static inline void ref_seqs_free(struct ref_seqs *r)
{
    free(r->host_block);
    dev_free(r->dev_block);
}
#endif
