/* kernels/cuda/linear.cu - kernels/linear.h: products by cublasLt. The few rows of a decode step: linear_step.cu.
 *
 * cublasLt sees columns where this project sees rows, so every product is given to it transposed: y = x w^T is y^T = w x^T, whose
 * matrices are the same memory. An algorithm is asked for once per shape and kept. Only algorithms that sum in a fixed order are
 * allowed (none, or partial sums in the workspace that a second kernel adds in order), and no TF32.
 */
#include "kernels/linear.h"
#include "kernels/cuda/linear.cuh"
#include "kernels/cuda/rows.cuh"
#include "kernels/device.h"
#include <cublasLt.h>
#include <string.h>

enum { ALGOS = 1024 }; /* remembered; a power of two */
static const size_t WORKSPACE = 32 << 20;

/* What an algorithm depends on: D = A B + beta C in cublasLt's terms. */
struct problem {
    int64_t m, n, k, lda, ldb, ldc, ldd;
    int32_t ta, tb, in_type, out_type; /* transposed: cublasOperation_t; types: enum dtype */
    int32_t align[4];                  /* bytes that the addresses of A, B, C and D are multiples of */
    int32_t add;                       /* beta is 1 */
    int32_t exact;                     /* no partial sums; n is not the product's */
};
struct algo {
    struct problem problem;
    bool used;
    cublasLtMatmulAlgo_t algo;
};

static cublasLtHandle_t handle;
static void *workspace;
static struct algo *algos;
static int algo_count;

/* dev_exact(): an algorithm is chosen as if for so many rows, whatever their number, so that a row's sums are formed in one order. */
enum { EXACT_FWD_ROWS = 256, EXACT_STEP_ROWS = 64, EXACT_ALIGN = 16 };
#define blas_ok(call)                                                                                                                      \
    do {                                                                                                                                   \
        cublasStatus_t blas_ok_e = (call);                                                                                                 \
        if (blas_ok_e != CUBLAS_STATUS_SUCCESS)                                                                                            \
            die_at(__FILE__, __LINE__, "cublasLt: %s from %s", cublasLtGetStatusString(blas_ok_e), #call);                                 \
    } while (0)

void linear_open(void)
{
    blas_ok(cublasLtCreate(&handle));
    cuda_ok(cudaMalloc(&workspace, WORKSPACE));
    cuda_ok(cudaMemsetAsync(workspace, 0, WORKSPACE, cuda_stream()));
    algos = (struct algo *)xcalloc(ALGOS, sizeof *algos);
}

static int32_t alignment(const void *p)
{
    int32_t a = 256;
    while ((uintptr_t)p % a != 0)
        a /= 2;
    return a;
}

static cudaDataType_t cuda_type(int32_t t)
{
    return t == F32 ? CUDA_R_32F : CUDA_R_16BF;
}

static void choose(struct algo *a, cublasLtMatmulDesc_t op, cublasLtMatrixLayout_t la, cublasLtMatrixLayout_t lb, cublasLtMatrixLayout_t lc,
                   cublasLtMatrixLayout_t ld)
{
    const struct problem *p = &a->problem;
    cublasLtMatmulPreference_t pref;
    uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_NONE;
    if (!p->exact)
        reductions |= CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    static const cublasLtMatmulPreferenceAttributes_t align[4] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    blas_ok(cublasLtMatmulPreferenceCreate(&pref));
    blas_ok(cublasLtMatmulPreferenceSetAttribute(pref, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &WORKSPACE, sizeof WORKSPACE));
    blas_ok(cublasLtMatmulPreferenceSetAttribute(pref, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reductions, sizeof reductions));
    for (int i = 0; i < 4; i++) {
        uint32_t bytes = (uint32_t)p->align[i];
        blas_ok(cublasLtMatmulPreferenceSetAttribute(pref, align[i], &bytes, sizeof bytes));
    }
    cublasLtMatmulHeuristicResult_t result;
    int found = 0;
    cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(handle, op, la, lb, lc, ld, pref, 1, &result, &found);
    if (status == CUBLAS_STATUS_SUCCESS && found > 0)
        status = result.state;
    if (status != CUBLAS_STATUS_SUCCESS || found == 0)
        die("cublasLt has no algorithm for a %s product of %lld x %lld x %lld (leading dimensions %lld, %lld, %lld): %s",
            p->in_type == F32 ? "f32" : "bf16", (long long)p->m, (long long)p->n, (long long)p->k, (long long)p->lda, (long long)p->ldb,
            (long long)p->ldd, cublasLtGetStatusString(status));
    a->algo = result.algo;
    blas_ok(cublasLtMatmulPreferenceDestroy(pref));
}

/* The entry of p; a->used says whether its algorithm is there already. */
static struct algo *find_algo(const struct problem *p)
{
    if (algo_count > ALGOS / 2) { /* prompts of ever new lengths: start anew rather than grow */
        memset(algos, 0, ALGOS * sizeof *algos);
        algo_count = 0;
    }
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < sizeof *p; i++)
        h = (h ^ ((const unsigned char *)p)[i]) * 0x100000001b3u;
    size_t at = (size_t)(h >> 32) & (ALGOS - 1);
    while (algos[at].used && memcmp(&algos[at].problem, p, sizeof *p) != 0)
        at = (at + 1) & (ALGOS - 1);
    return &algos[at];
}

static cublasLtMatrixLayout_t layout(int32_t type, int64_t rows, int64_t cols, int64_t ld)
{
    cublasLtMatrixLayout_t l;
    blas_ok(cublasLtMatrixLayoutCreate(&l, cuda_type(type), (uint64_t)rows, (uint64_t)cols, ld));
    return l;
}

/* d = op(a) op(b) + c for column-major d [m, n], op(a) [m, k], op(b) [k, n]; c NULL: nothing is added. as_if: the n that the algorithm is
 * chosen for, which is then the same for every n; 0: n itself. */
static void multiply(mat d, const void *c, int64_t ldc, mat a, cublasOperation_t ta, mat b, cublasOperation_t tb, int64_t m, int64_t n,
                     int64_t k, int64_t as_if)
{
    must(handle && a.dtype == b.dtype);
    if (a.dtype == F32 && d.dtype == BF16)
        die("a product of f32 matrices into a bf16 one is not built: give it an f32 result and mat_convert() that");
    if (m == 0 || n == 0 || (k == 0 && c == d.data))
        return;
    must(k > 0);
    struct problem p = {};
    p.m = m, p.n = n, p.k = k;
    p.lda = a.ld, p.ldb = b.ld, p.ldc = c ? ldc : d.ld, p.ldd = d.ld;
    p.ta = ta, p.tb = tb, p.in_type = a.dtype, p.out_type = d.dtype;
    p.align[0] = alignment(a.data), p.align[1] = alignment(b.data);
    p.align[2] = alignment(c ? c : d.data), p.align[3] = alignment(d.data);
    p.add = c != NULL;
    if (as_if > 0) {
        p.n = as_if, p.exact = 1;
        for (int i = 0; i < 4; i++) /* where a row begins must not decide either */
            p.align[i] = p.align[i] < EXACT_ALIGN ? p.align[i] : EXACT_ALIGN;
    }

    cublasLtMatmulDesc_t op;
    blas_ok(cublasLtMatmulDescCreate(&op, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    blas_ok(cublasLtMatmulDescSetAttribute(op, CUBLASLT_MATMUL_DESC_TRANSA, &ta, sizeof ta));
    blas_ok(cublasLtMatmulDescSetAttribute(op, CUBLASLT_MATMUL_DESC_TRANSB, &tb, sizeof tb));
    cublasLtMatrixLayout_t la = ta == CUBLAS_OP_N ? layout(p.in_type, m, k, p.lda) : layout(p.in_type, k, m, p.lda);
    cublasLtMatrixLayout_t lb = tb == CUBLAS_OP_N ? layout(p.in_type, k, n, p.ldb) : layout(p.in_type, n, k, p.ldb);
    cublasLtMatrixLayout_t lc = layout(p.out_type, m, n, p.ldc), ld = layout(p.out_type, m, n, p.ldd);
    struct algo *e = find_algo(&p);
    if (!e->used) {
        e->problem = p;
        if (as_if > 0) { /* b is op(b) here: only linear_fwd and linear_step ask */
            cublasLtMatrixLayout_t rb = layout(p.in_type, k, as_if, p.ldb), rc = layout(p.out_type, m, as_if, p.ldc),
                                   rd = layout(p.out_type, m, as_if, p.ldd);
            choose(e, op, la, rb, rc, rd);
            blas_ok(cublasLtMatrixLayoutDestroy(rb));
            blas_ok(cublasLtMatrixLayoutDestroy(rc));
            blas_ok(cublasLtMatrixLayoutDestroy(rd));
        } else {
            choose(e, op, la, lb, lc, ld);
        }
        e->used = true;
        algo_count++;
    }
    float alpha = 1, beta = c ? 1.0f : 0.0f;
    blas_ok(cublasLtMatmul(handle, op, &alpha, a.data, la, b.data, lb, &beta, c ? c : d.data, lc, d.data, ld, &e->algo, workspace,
                           WORKSPACE, cuda_stream()));
    blas_ok(cublasLtMatrixLayoutDestroy(la));
    blas_ok(cublasLtMatrixLayoutDestroy(lb));
    blas_ok(cublasLtMatrixLayoutDestroy(lc));
    blas_ok(cublasLtMatrixLayoutDestroy(ld));
    blas_ok(cublasLtMatmulDescDestroy(op));
}

static void check_forward(mat y, mat x, mat w, mat add)
{
    must(x.cols == w.cols && y.cols == w.rows && y.rows == x.rows);
    must(!add.data || (add.dtype == y.dtype && add.rows == y.rows && add.cols == y.cols));
}

static void forward(mat y, mat x, mat w, mat add, int64_t as_if)
{
    check_forward(y, x, w, add);
    if (add.data && add.data != y.data && add.ld != y.ld) { /* cublasLt promises nothing for C and D of different strides */
        mat_convert(y, add);
        add = y;
    }
    multiply(y, add.data, add.ld, w, CUBLAS_OP_T, x, CUBLAS_OP_N, w.rows, x.rows, x.cols, as_if);
}

void linear_fwd(mat y, mat x, mat w, mat add)
{
    forward(y, x, w, add, dev_is_exact() ? EXACT_FWD_ROWS : 0);
}

void linear_bwd_x(mat dx, mat dy, mat w, float beta)
{
    must(dx.cols == w.cols && dy.cols == w.rows && dx.rows == dy.rows && (beta == 0.0f || beta == 1.0f));
    multiply(dx, beta != 0.0f ? dx.data : NULL, dx.ld, w, CUBLAS_OP_N, dy, CUBLAS_OP_N, w.cols, dy.rows, w.rows, 0);
}

void linear_bwd_w(mat dw, mat dy, mat x)
{
    must(dw.cols == x.cols && dw.rows == dy.cols && dy.rows == x.rows);
    multiply(dw, dw.data, dw.ld, x, CUBLAS_OP_N, dy, CUBLAS_OP_T, x.cols, dy.cols, x.rows, 0);
}

void linear_step_lt(mat y, mat x, mat w, mat add)
{
    forward(y, x, w, add, dev_is_exact() ? EXACT_STEP_ROWS : 0);
}

void mat_convert(mat dst, mat src)
{
    must(dst.rows == src.rows && dst.cols == src.cols);
    rows_copy(dst, src, NULL);
}
