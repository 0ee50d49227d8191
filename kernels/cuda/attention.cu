/* kernels/cuda/attention.cu - kernels/attention.h by cuDNN's fused operation (sdpa.cuh), which knows neither a mask nor, for few sequences,
 * enough work to fill the card. Both are had by how it is asked:
 *
 *   a step     The query heads that share a key head are given to it as that head's queries, so that a key is read once for them all; and
 *              a sequence's pages as several shorter sequences, whose results are put together by their log-sum-exps (flash decoding; Dao
 *              et al. 2023). Which of these ways is fastest for a shape is measured when it is first called.
 *   a prompt   A piece's tokens see the pages before the piece, all of them and without a mask: one call with many queries. What they see of
 *              the piece itself is one call in which every token is a sequence of its own length on the piece's pages.
 */
#include "kernels/attention.h"
#include "kernels/cuda/sdpa.cuh"
#include "core/arena.h"
#include "kernels/device.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MULTIPROCESSORS = 132, WAYS = 5 }; /* of an H100; parts are chosen to fill them once or twice */
static const size_t WORKSPACE = 32 << 20;

/* A way to compute a step. */
struct way {
    bool packed; /* a group's heads as queries */
    int32_t parts;
    int choice; /* of cuDNN's own ways */
};
struct attention {
    struct attention_shape shape;
    struct kv_rows rows;
    int32_t first, most_parts;
    struct way way;
    struct sdpa *step;            /* NULL: not chosen yet */
    struct sdpa *before, *inside; /* a prompt's two calls */
    char text[96];
    /* In the caller's memory: e counts sequences as cuDNN is given them, part by part. */
    bf16 *q, *o;                            /* [e][q_heads dim] */
    float *stats;                           /* [e][q_heads] */
    int32_t *len_q, *len_kv, *used, *table; /* [e], [e], [e] keys, [e][pages of a part] */
    int32_t *whole, *whole_q, *whole_kv;    /* a prompt's row of the table, and the lengths [1] of the call over it */
    void *workspace;
};

/* The i-th way of a step: false when the shape leaves it out. */
static bool way_of(const struct attention_shape *s, int i, struct way *w)
{
    if (i < 2) {
        *w = (struct way){false, 1, i};
        return true;
    }
    int32_t parts = i == 2 ? 1 : (i - 2) * MULTIPROCESSORS / (s->rows * s->kv_heads);
    parts = parts < s->width ? parts : s->width;
    *w = (struct way){true, parts, 0};
    return i == 2 || parts > 1;
}

static int32_t piece_pages(const struct attention_shape *s)
{
    return (int32_t)ceil_div(s->rows, s->page);
}

static void layout(struct attention *a, struct arena *mem, const struct attention_shape *wanted)
{
    struct attention_shape *s = &a->shape;
    *s = *wanted;
    if (s->kind == ATTENTION_PROMPT)
        s->rows = (s->rows + 7) / 8 * 8; /* so that what lies behind a piece's results is aligned */
    size_t heads = (size_t)s->q_heads, row = heads * (size_t)s->dim * sizeof(bf16), e = (size_t)s->rows, entries;
    struct way w;
    a->most_parts = s->kind == ATTENTION_STEP ? 1 : 2;
    for (int i = 0; s->kind == ATTENTION_STEP && i < WAYS; i++)
        if (way_of(s, i, &w) && w.parts > a->most_parts)
            a->most_parts = w.parts;
    entries = s->kind == ATTENTION_STEP ? e * (size_t)(s->width + a->most_parts) : e * (size_t)piece_pages(s);
    e *= (size_t)a->most_parts;
    a->q = (bf16 *)arena_take(mem, e * row);
    a->o = (bf16 *)arena_take(mem, e * row);
    a->stats = (float *)arena_take(mem, e * heads * sizeof(float));
    a->len_q = (int32_t *)arena_take(mem, e * sizeof(int32_t));
    a->len_kv = (int32_t *)arena_take(mem, e * sizeof(int32_t));
    a->used = (int32_t *)arena_take(mem, e * sizeof(int32_t));
    a->table = (int32_t *)arena_take(mem, entries * sizeof(int32_t));
    a->whole = (int32_t *)arena_take(mem, (size_t)s->width * sizeof(int32_t));
    a->whole_q = (int32_t *)arena_take(mem, sizeof(int32_t));
    a->whole_kv = (int32_t *)arena_take(mem, sizeof(int32_t));
    a->workspace = arena_take(mem, WORKSPACE);
}

size_t attention_scratch(const struct attention_shape *s)
{
    struct attention a = {};
    struct arena mem = {};
    layout(&a, &mem, s);
    return mem.used;
}

struct attention *attention_open(const struct attention_shape *wanted, void *scratch)
{
    struct attention *a = (struct attention *)xcalloc(1, sizeof *a);
    const struct attention_shape *s = &a->shape;
    struct arena mem = {(char *)scratch, attention_scratch(wanted), 0};
    must(wanted->type == BF16 && wanted->rows >= 1 && wanted->width >= 1 && wanted->dim % 8 == 0 && wanted->dim <= 1024);
    must(wanted->kv_heads > 0 && wanted->q_heads % wanted->kv_heads == 0);
    layout(a, &mem, wanted);
    if (s->kind == ATTENTION_STEP)
        return a;
    char why[1024];
    struct sdpa_shape before = {1, s->q_heads, s->kv_heads, s->rows, s->dim, true, s->pages, s->page, s->width, true, 0};
    struct sdpa_shape inside = {
        s->rows, s->kv_heads, s->kv_heads, s->q_heads / s->kv_heads, s->dim, false, s->pages, s->page, piece_pages(s), true, 0};
    if (!(a->before = sdpa_open(&before, WORKSPACE, why, sizeof why)) || !(a->inside = sdpa_open(&inside, WORKSPACE, why, sizeof why)))
        die("%s", why);
    snprintf(a->text, sizeof a->text, "cuDNN %s", sdpa_version());
    return a;
}

void attention_close(struct attention *a)
{
    if (!a)
        return;
    sdpa_close(a->step);
    sdpa_close(a->before);
    sdpa_close(a->inside);
    free(a);
}

/* A block is one part (x) of one row (y): its pages, and how many of the row's keys they hold. A part without keys gets one, so that cuDNN
 * never meets an empty sequence; used says 0. */
static __global__ void step_tables(int32_t *table, int32_t *len_q, int32_t *len_kv, int32_t *used, struct kv_rows rows, int32_t page,
                                   int32_t part_width, int32_t queries)
{
    int32_t part = blockIdx.x, r = blockIdx.y, keys = rows.position[r] + 1;
    int32_t pages = (keys + page - 1) / page, span = (pages + gridDim.x - 1) / gridDim.x, from = part * span;
    int32_t n = min(span, pages - from), own = min(keys - from * page, span * page);
    int64_t e = (int64_t)part * rows.n + r;
    const int32_t *row = rows.table + (int64_t)rows.seq[r] * rows.width;
    for (int32_t i = threadIdx.x; i < part_width; i += blockDim.x)
        table[e * part_width + i] = row[i < n ? from + i : 0];
    if (threadIdx.x == 0) {
        len_q[e] = queries;
        len_kv[e] = max(own, 1);
        used[e] = max(own, 0);
    }
}

/* A prompt's piece of n rows in room for gridDim.x. */
static __global__ void prompt_tables(int32_t *table, int32_t *len_q, int32_t *len_kv, int32_t *whole, int32_t *whole_q, int32_t *whole_kv,
                                     struct kv_rows rows, int32_t first, int32_t page, int32_t part_width, int32_t queries)
{
    int32_t r = blockIdx.x;
    const int32_t *row = rows.table + (int64_t)rows.seq[0] * rows.width;
    for (int32_t i = threadIdx.x; i < part_width; i += blockDim.x)
        table[(int64_t)r * part_width + i] = row[min(first / page + i, rows.width - 1)];
    if (threadIdx.x == 0) {
        len_q[r] = queries;
        len_kv[r] = r < rows.n ? r + 1 : 1;
    }
    if (r > 0)
        return;
    for (int32_t i = threadIdx.x; i < rows.width; i += blockDim.x)
        whole[i] = row[i];
    if (threadIdx.x == 0) {
        *whole_q = rows.n;
        *whole_kv = max(first, 1);
    }
}

/* Copies of n values, blockIdx.y-th behind each other. */
static __global__ void repeat_kernel(uint4 *to, const uint4 *from, int64_t n)
{
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        to[blockIdx.y * n + i] = from[i];
}

/* o [row][head][channel] of parts results and their log-sum-exps. The latter of part 0 lie row_stride and head_stride apart, those of the others
 * [rows][heads]. used NULL: every part has keys. */
static __global__ void merge_kernel(bf16 *o, const bf16 *part_o, const float *stats, const int32_t *used, int32_t parts, int64_t part_rows,
                                    int64_t row_stride, int64_t head_stride)
{
    int64_t r = blockIdx.y, h = blockIdx.x, heads = gridDim.x, at = (r * heads + h) * blockDim.x + threadIdx.x;
    float most = -INFINITY, sum = 0, acc = 0;
    for (int32_t p = 0; p < parts; p++) {
        if (used && used[p * part_rows + r] == 0)
            continue;
        float l = stats[p == 0 ? r * row_stride + h * head_stride : (p * part_rows + r) * heads + h], top = fmaxf(most, l);
        float keep = expf(most - top), w = expf(l - top);
        acc = acc * keep + w * __bfloat162float(part_o[p * part_rows * heads * blockDim.x + at]);
        sum = sum * keep + w;
        most = top;
    }
    o[at] = __float2bfloat16_rn(acc / sum);
}

static void repeat(bf16 *to, mat from, int32_t times)
{
    int64_t n = from.rows * from.cols / 8;
    repeat_kernel<<<dim3(grid_size(ceil_div(n, 256)), (unsigned)times), 256, 0, cuda_stream()>>>((uint4 *)to, (const uint4 *)from.data, n);
    cuda_launched();
}

static int32_t part_width(const struct attention *a, struct way w)
{
    return (int32_t)ceil_div(a->shape.width, w.parts);
}

static int32_t group(const struct attention *a)
{
    return a->shape.q_heads / a->shape.kv_heads;
}

static void make_step_tables(struct attention *a, struct way w)
{
    step_tables<<<dim3((unsigned)w.parts, (unsigned)a->rows.n), 128, 0, cuda_stream()>>>(
        a->table, a->len_q, a->len_kv, a->used, a->rows, a->shape.page, part_width(a, w), w.packed ? group(a) : 1);
    cuda_launched();
}

void attention_rows(struct attention *a, struct kv_rows rows, int32_t first)
{
    const struct attention_shape *s = &a->shape;
    must(rows.width == s->width && rows.n >= 1 && rows.n <= s->rows && rows.n <= 65535);
    a->rows = rows;
    a->first = first;
    if (s->kind == ATTENTION_STEP) {
        must(rows.n == s->rows && first == 0);
        if (a->step)
            make_step_tables(a, a->way);
        return;
    }
    must(first % s->page == 0);
    prompt_tables<<<(unsigned)s->rows, 128, 0, cuda_stream()>>>(a->table, a->len_q, a->len_kv, a->whole, a->whole_q, a->whole_kv, rows,
                                                                first, s->page, piece_pages(s), group(a));
    cuda_launched();
}

static void run_step(struct attention *a, struct sdpa *plan, struct way w, mat o, mat q, struct kv_cache kv)
{
    const struct attention_shape *s = &a->shape;
    bool one = w.parts == 1;
    if (!one)
        repeat(a->q, q, w.parts);
    struct sdpa_args args = {one ? q.data : a->q, kv.k, kv.v, one ? o.data : a->o, a->stats, a->len_q, a->len_kv, a->table, a->workspace};
    sdpa_run(plan, &args);
    if (one)
        return;
    merge_kernel<<<dim3((unsigned)s->q_heads, (unsigned)s->rows), (unsigned)s->dim, 0, cuda_stream()>>>(
        (bf16 *)o.data, a->o, a->stats, a->used, w.parts, s->rows, s->q_heads, 1);
    cuda_launched();
}

static struct sdpa *open_step(const struct attention *a, struct way w, char *why, size_t n)
{
    const struct attention_shape *s = &a->shape;
    struct sdpa_shape shape = {(int64_t)s->rows * w.parts,
                               w.packed ? s->kv_heads : s->q_heads,
                               s->kv_heads,
                               w.packed ? group(a) : 1,
                               s->dim,
                               false,
                               s->pages,
                               s->page,
                               part_width(a, w),
                               w.parts > 1,
                               w.choice};
    return sdpa_open(&shape, WORKSPACE, why, n);
}

/* Milliseconds of a call: the shortest of some. */
static float time_step(struct attention *a, struct sdpa *plan, struct way w, mat o, mat q, struct kv_cache kv)
{
    cudaEvent_t from, to;
    float best = INFINITY, ms;
    cuda_ok(cudaEventCreate(&from));
    cuda_ok(cudaEventCreate(&to));
    make_step_tables(a, w);
    for (int i = 0; i < 6; i++) {
        cuda_ok(cudaEventRecord(from, cuda_stream()));
        run_step(a, plan, w, o, q, kv);
        cuda_ok(cudaEventRecord(to, cuda_stream()));
        cuda_ok(cudaEventSynchronize(to));
        cuda_ok(cudaEventElapsedTime(&ms, from, to));
        best = i > 0 && ms < best ? ms : best; /* the first loads the code */
    }
    cuda_ok(cudaEventDestroy(from));
    cuda_ok(cudaEventDestroy(to));
    return best;
}

/* All ways mean the same: one that gives something else than the first (bf16's rounding apart) is an error of ours or the library's. */
static void compare(const struct attention *a, struct way w, uint16_t **first, mat o)
{
    size_t n = (size_t)(o.rows * o.cols);
    uint16_t *now = (uint16_t *)xmalloc(n * sizeof *now);
    double diff = 0, all = 0;
    dev_get(now, o.data, n * sizeof *now);
    if (!*first) {
        *first = now;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        double want = bf16_to_f32((*first)[i]), d = bf16_to_f32(now[i]) - want;
        diff += d * d;
        all += want * want;
    }
    free(now);
    if (!(diff <= 4e-4 * all))
        die("attention of %d rows over at most %d pages of %d: with %s and keys in %d parts it is %.3f of itself away from cuDNN's plain result",
            (int)a->shape.rows, (int)a->shape.width, (int)a->shape.page, w.packed ? "a group's heads as queries" : "cuDNN's second choice",
            (int)w.parts, sqrt(diff / all));
}

static void choose_way(struct attention *a, mat o, mat q, struct kv_cache kv)
{
    float best = INFINITY;
    char why[1024] = "";
    uint16_t *first = NULL;
    for (int i = 0; i < WAYS; i++) {
        struct way w;
        struct sdpa *plan = way_of(&a->shape, i, &w) ? open_step(a, w, why, sizeof why) : NULL;
        if (!plan)
            continue;
        float ms = time_step(a, plan, w, o, q, kv);
        compare(a, w, &first, o);
        if (ms < best) {
            sdpa_close(a->step);
            a->step = plan;
            a->way = w;
            best = ms;
        } else {
            sdpa_close(plan);
        }
    }
    free(first);
    if (!a->step)
        die("%s", why);
    make_step_tables(a, a->way);
    snprintf(a->text, sizeof a->text, "cuDNN %s, %s, keys in %d part%s, %.1f us", sdpa_version(),
             a->way.packed        ? "a group's heads as queries"
             : a->way.choice == 0 ? "its first choice"
                                  : "its second choice",
             a->way.parts, a->way.parts == 1 ? "" : "s", best * 1e3f);
}

static void run_prompt(struct attention *a, mat o, mat q, struct kv_cache kv)
{
    const struct attention_shape *s = &a->shape;
    size_t part = (size_t)s->rows * s->q_heads;
    repeat(a->q, q, 1); /* into room for a whole piece */
    struct sdpa_args args = {a->q, kv.k, kv.v, a->o + part * s->dim, a->stats + part, a->len_q, a->len_kv, a->table, a->workspace};
    sdpa_run(a->inside, &args);
    if (a->first > 0) {
        args = (struct sdpa_args){a->q, kv.k, kv.v, a->o, a->stats, a->whole_q, a->whole_kv, a->whole, a->workspace};
        sdpa_run(a->before, &args);
    }
    dim3 grid((unsigned)s->q_heads, (unsigned)q.rows);
    if (a->first > 0)
        merge_kernel<<<grid, (unsigned)s->dim, 0, cuda_stream()>>>((bf16 *)o.data, a->o, a->stats, NULL, 2, s->rows, 1, s->rows);
    else
        merge_kernel<<<grid, (unsigned)s->dim, 0, cuda_stream()>>>((bf16 *)o.data, a->o + part * s->dim, a->stats + part, NULL, 1, s->rows,
                                                                   s->q_heads, 1);
    cuda_launched();
}

void attention_fwd(struct attention *a, mat o, mat q, struct kv_cache kv)
{
    const struct attention_shape *s = &a->shape;
    must(o.dtype == BF16 && q.dtype == BF16 && kv.type == BF16 && o.rows == a->rows.n && q.rows == a->rows.n);
    must(q.cols == (int64_t)s->q_heads * s->dim && o.cols == q.cols && q.ld == q.cols && o.ld == o.cols && q.cols % 8 == 0);
    must(kv.heads == s->kv_heads && kv.dim == s->dim && kv.page == s->page && kv.pages == s->pages);
    if (s->kind == ATTENTION_PROMPT) {
        run_prompt(a, o, q, kv);
        return;
    }
    if (!a->step)
        choose_way(a, o, q, kv);
    run_step(a, a->step, a->way, o, q, kv);
}

const char *attention_describe(const struct attention *a)
{
    return a->text;
}
