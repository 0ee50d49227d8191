/* kernels/cpu/embed.c - kernels/embed.h. The gradient sums each touched row on one thread, in the order of the tokens. */
#include "kernels/embed.h"
#include "kernels/cpu/cpu.h"
#include "kernels/linear.h" /* mat_convert */
#include <string.h>

void embed_fwd(mat y, mat w, const int32_t *ids)
{
    must(y.cols == w.cols);
    int64_t n = y.cols;
#pragma omp parallel for schedule(static) if (y.rows * n > CPU_SERIAL)
    for (int64_t i = 0; i < y.rows; i++) {
        must(ids[i] >= 0 && ids[i] < w.rows);
        if (y.dtype == F32 && w.dtype == F32)
            memcpy(cpu_row(y, i), cpu_row(w, ids[i]), (size_t)n * sizeof(float));
        else
            mat_convert(mat_rows(y, i, 1), mat_rows(w, ids[i], 1));
    }
}

/* first [vocab]: the first token with this id; next [tokens]: the next with the same id, -1 at the end. */
size_t embed_scratch(int64_t tokens, int64_t vocab)
{
    return (size_t)(tokens + vocab) * sizeof(int32_t);
}

/* sum += the rows of the list that begins at i, columns at .. at+n-1. */
static inline void add_rows(float *restrict sum, mat dy, int32_t i, const int32_t *next, int64_t at, int64_t n)
{
    for (int32_t t = i; t >= 0; t = next[t]) {
        const float *g = cpu_row(dy, t) + at;
#pragma omp simd
        for (int64_t j = 0; j < n; j++)
            sum[j] += g[j];
    }
}

/* dw's row id += the rows of the list that begins at i, summed in f32 whatever dw is. */
static void add_list(mat dw, mat dy, int32_t id, int32_t i, const int32_t *next)
{
    if (dw.dtype == F32) {
        add_rows(cpu_row(dw, id), dy, i, next, 0, dy.cols);
        return;
    }
    enum { PIECE = 512 };
    float sum[PIECE];
    for (int64_t at = 0; at < dy.cols; at += PIECE) {
        int64_t size = cpu_min(PIECE, dy.cols - at);
        mat row = mat_cols(mat_rows(dw, id, 1), at, size), part = mat_make(sum, F32, 1, size);
        mat_convert(part, row);
        add_rows(sum, dy, i, next, at, size);
        mat_convert(row, part);
    }
}

void embed_bwd(mat dw, mat dy, const int32_t *ids, void *scratch)
{
    must(dy.dtype == F32 && dw.cols == dy.cols);
    int32_t *next = scratch, *first = next + dy.rows;
    for (int64_t i = 0; i < dy.rows; i++) {
        must(ids[i] >= 0 && ids[i] < dw.rows);
        first[ids[i]] = -1;
    }
    for (int64_t i = dy.rows - 1; i >= 0; i--) {
        next[i] = first[ids[i]];
        first[ids[i]] = (int32_t)i;
    }
    /* Who sums a row does not change it, so rows may go to whichever thread is free: some ids are in every second token. */
#pragma omp parallel for schedule(dynamic, 16) if (dy.rows * dy.cols > CPU_SERIAL)
    for (int64_t i = 0; i < dy.rows; i++)
        if (first[ids[i]] == i)
            add_list(dw, dy, ids[i], (int32_t)i, next);
}
