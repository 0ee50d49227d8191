/* kernels/cuda/sdpa.cuh - cuDNN's fused attention over pages as one function: a plan for a shape, run as often as wanted, also while a CUDA
 * graph is recorded. Used by attention.cu.
 *
 *     o[b, h, i] = softmax over keys 0 .. len_kv[b]-1 of (q[b, h, i] . k / sqrt(dim)) v,  queries i < len_q[b]; nothing is masked.
 */
#ifndef KERNELS_CUDA_SDPA_CUH
#define KERNELS_CUDA_SDPA_CUH
#include "kernels/cuda/cuda.cuh"

struct sdpa_shape {
    int64_t batch, q_heads, kv_heads, queries, dim; /* queries: of a sequence at most */
    bool heads_inside;                              /* q, o are [batch][queries][q_heads][dim]; else [batch][q_heads][queries][dim] */
    int64_t pages, page, width;                     /* of the caches; pages of a sequence at most */
    bool stats;                                     /* log-sum-exp of the scores [batch][q_heads][queries] is wanted */
    int choice;                                     /* 0: the way that cuDNN expects to be fastest, 1: the next, ... */
};
struct sdpa_args {
    const void *q, *k, *v;
    void *o;
    float *stats;
    const int32_t *len_q, *len_kv, *table; /* [batch], [batch], [batch][width] */
    void *workspace;
};
struct sdpa;

/* NULL: cuDNN refuses it or wants more than workspace bytes; why (n bytes) receives the shape and cuDNN's words. Takes about a second. */
struct sdpa *sdpa_open(const struct sdpa_shape *s, size_t workspace, char *why, size_t n);
void sdpa_close(struct sdpa *p);
void sdpa_run(struct sdpa *p, const struct sdpa_args *a);
/* "9.19.0" */
const char *sdpa_version(void);
#endif
