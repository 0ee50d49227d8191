/* kernels/cuda/ssd_wgmma.cuh - the machine instructions of sm_90a that the SSD is made of on Hopper, one function each: barriers in shared
 * memory that copies and threads arrive at, the copy engine, matrix stores, and the tensor-core products of a warpgroup (128 threads)
 * whose operands are panels in shared memory. No arithmetic of the op is here. Only code compiled for sm_90a (__CUDA_ARCH_FEAT_SM90_ALL)
 * may use it.
 *
 * A panel is a tile [rows][64] of bf16 as at<64>() of ssd_tile.cuh lays it out, from a multiple of 1024 bytes on: the 128-byte swizzle of
 * the tensor core's descriptors. Wider tiles are panels of 64 columns one after another, PANEL elements apart.
 */
#ifndef KERNELS_CUDA_SSD_WGMMA_CUH
#define KERNELS_CUDA_SSD_WGMMA_CUH
#include "kernels/cuda/ssd_tile.cuh"
#include <cudaTypedefs.h>

constexpr int PANEL = TILE * 64;
constexpr int GROUP = 128; /* threads of a warpgroup */

/* The number of the thread's warpgroup, and of its warp in there. */
__device__ __forceinline__ int group_of_thread()
{
    return __shfl_sync(~0u, threadIdx.x / GROUP, 0); /* so that the compiler knows it to be the warp's */
}
__device__ __forceinline__ int group_warp()
{
    return __shfl_sync(~0u, threadIdx.x % GROUP / 32, 0);
}

/* A barrier completes a phase, and starts the next, with every `count` arrivals. */
__device__ __forceinline__ void barrier_init(uint64_t *b, int count)
{
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(b)), "r"(count) : "memory");
}
__device__ __forceinline__ void barrier_arrive(uint64_t *b)
{
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(b)) : "memory");
}
/* A warp has finished with what the barrier guards. */
__device__ __forceinline__ void warp_arrive(uint64_t *b)
{
    __syncwarp();
    if (lane_id() == 0)
        barrier_arrive(b);
}
/* Waits for the end of phase 0, 1, 2.. of the barrier. */
__device__ __forceinline__ void barrier_wait(uint64_t *b, int phase)
{
    asm volatile("{\n"
                 ".reg .pred done;\n"
                 "again:\n"
                 "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
                 "@!done bra again;\n"
                 "}" ::"r"(shared_address(b)),
                 "r"(phase & 1)
                 : "memory");
}
/* An arrival; the phase does not end before box_load has brought so many bytes. */
__device__ __forceinline__ void barrier_arrive_expecting(uint64_t *b, int bytes)
{
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(b)), "r"(bytes) : "memory");
}
/* The same without an arrival. */
__device__ __forceinline__ void barrier_expect(uint64_t *b, int bytes)
{
    asm volatile("mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%0], %1;" ::"r"(shared_address(b)), "r"(bytes) : "memory");
}
/* A matrix of `rows` rows in device memory as the copy engine knows it, in boxes of 64 columns and so many rows (a panel has TILE). */
static inline CUtensorMap boxes_of(mat m, int64_t rows, int box_rows)
{
    static const PFN_cuTensorMapEncodeTiled_v12000 encode = [] {
        void *f;
        cudaDriverEntryPointQueryResult found;
        cuda_ok(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &f, 12000, cudaEnableDefault, &found));
        must(found == cudaDriverEntryPointSuccess);
        return (PFN_cuTensorMapEncodeTiled_v12000)f;
    }();
    CUtensorMap map;
    const cuuint64_t size[2] = {(cuuint64_t)m.cols, (cuuint64_t)rows}, stride = (cuuint64_t)m.ld * sizeof(bf16);
    const cuuint32_t box[2] = {64, (cuuint32_t)box_rows}, step[2] = {1, 1};
    must(encode(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, m.data, size, &stride, box, step, CU_TENSOR_MAP_INTERLEAVE_NONE,
                CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS);
    return map;
}
/* Starts the copy of the box at (row, col); rows that the matrix does not have are zeros. */
__device__ __forceinline__ void box_load(bf16 *to, const CUtensorMap &from, int64_t row, int col, uint64_t *b)
{
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(
                     shared_address(to)),
                 "l"(&from), "r"(col), "r"((int)row), "r"(shared_address(b))
                 : "memory");
}
/* The way back, after fence_async() by those who wrote the box; boxes_read() waits until all that this thread has started were read. */
__device__ __forceinline__ void box_store(const CUtensorMap &to, const bf16 *from, int64_t row, int col)
{
    asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%0, {%1, %2}], [%3];\n"
                 "cp.async.bulk.commit_group;" ::"l"(&to),
                 "r"(col), "r"((int)row), "r"(shared_address(from))
                 : "memory");
}
__device__ __forceinline__ void boxes_read()
{
    asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory");
}
/* All that this thread has started with copy16_async. */
__device__ __forceinline__ void copies_wait_all()
{
    asm volatile("cp.async.wait_all;" ::: "memory");
}
/* Starts the copy of len rows of W columns by a warpgroup, zeros below them. */
template <int W> __device__ __forceinline__ void panels_copy(bf16 *s, const bf16 *g, int64_t ld, int len)
{
    constexpr int PIECES = W / 8, ROWS = GROUP / PIECES;
    static_assert(ROWS % 8 == 0, "a thread's rows are permuted alike");
    const int t = threadIdx.x % GROUP, piece = t % PIECES, row = t / PIECES, left = len - row;
    const bf16 *from = g + row * ld + piece * 8;
    s += piece / 8 * PANEL + at<64>(row, piece % 8 * 8);
#pragma unroll
    for (int i = 0; i < TILE; i += ROWS, from += ROWS * ld)
        copy16_async(s + i * 64, i < left ? from : g, i < left);
}
/* Gives a warpgroup this many registers a thread, of those that the block has. */
template <int REGISTERS> __device__ __forceinline__ void registers_less()
{
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(REGISTERS));
}
template <int REGISTERS> __device__ __forceinline__ void registers_more()
{
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(REGISTERS));
}
/* Between ordinary accesses to shared memory, in this thread, and those of the tensor core and the copy engine. */
__device__ __forceinline__ void fence_async()
{
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}
/* The inverse of load_matrices(). */
__device__ __forceinline__ void store_matrices(bf16 *p, const uint32_t (&r)[4])
{
    asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1,%2,%3,%4};" ::"r"(shared_address(p)), "r"(r[0]), "r"(r[1]), "r"(r[2]),
                 "r"(r[3])
                 : "memory");
}
/* Products run in the background, in groups. Their accumulators and register operands may not be touched from the product to the end
 * of the wait. The compiler does not know: product_begin before and product_end after keep its other uses of these registers out of
 * that time. */
template <int Q> __device__ __forceinline__ void pin(float (&acc)[Q][4][4])
{
#pragma unroll
    for (int q = 0; q < Q; q++)
#pragma unroll
        for (int j = 0; j < 4; j++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                asm volatile("" : "+f"(acc[q][j][e])::"memory");
}
template <int K> __device__ __forceinline__ void pin(uint32_t (&operand)[K][4])
{
#pragma unroll
    for (int k = 0; k < K; k++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            asm volatile("" : "+r"(operand[k][i])::"memory");
}
template <int Q, class... Operands> __device__ __forceinline__ void product_begin(float (&acc)[Q][4][4], Operands &...operands)
{
    pin(acc);
    (pin(operands), ...);
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void product_commit()
{
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
/* Waits until at most PENDING groups are under way; given are accumulators and operands of those that have ended. */
template <int PENDING, int Q, class... Operands> __device__ __forceinline__ void product_end(float (&acc)[Q][4][4], Operands &...operands)
{
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory");
    pin(acc);
    (pin(operands), ...);
}

__device__ __forceinline__ uint64_t panel_descriptor(const bf16 *s, int stride)
{
    const uint32_t low = shared_address(s) / 16 | (uint32_t)stride / 16 << 16, high = 1024 / 16 | 1u << 30;
    return (uint64_t)high << 32 | low;
}
/* A panel as the right operand of step k16 of a product, k from 16 k16 on. By row: its rows are the product's columns, k its columns. */
__device__ __forceinline__ uint64_t panel_by_row(const bf16 *s, int k16)
{
    return panel_descriptor(s, 16) + ((k16 / 4) * (PANEL * 2) + (k16 % 4) * 32) / 16;
}
/* By column: its columns, and those of the panel after it, are the product's columns, k its rows. */
__device__ __forceinline__ uint64_t panel_by_col(const bf16 *s, int k16)
{
    return panel_descriptor(s, PANEL * 2) + k16 * 2048 / 16;
}

/* Accumulators: fragment j of q is columns 32 q + 8 j.. of the product; warp w of the group has rows 16 w.., laid out as frag_row() and
 * frag_col() say. */
#define SSD_ACC(q)                                                                                                                         \
    "+f"(d[q][0][0]), "+f"(d[q][0][1]), "+f"(d[q][0][2]), "+f"(d[q][0][3]), "+f"(d[q][1][0]), "+f"(d[q][1][1]), "+f"(d[q][1][2]),          \
        "+f"(d[q][1][3]), "+f"(d[q][2][0]), "+f"(d[q][2][1]), "+f"(d[q][2][2]), "+f"(d[q][2][3]), "+f"(d[q][3][0]), "+f"(d[q][3][1]),      \
        "+f"(d[q][3][2]), "+f"(d[q][3][3])
#define SSD_ACC_0 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"
#define SSD_ACC_1 "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define SSD_ACC_2 ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,"
#define SSD_ACC_3 "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
/* d [64][64] = a b, or with more += a b: a [64][16] is the group's registers (as of load_a), b panels by row, or with BY_COL by column. */
template <bool BY_COL> __device__ __forceinline__ void product(float (&d)[2][4][4], const uint32_t (&a)[4], uint64_t b, bool more)
{
    asm volatile("{\n"
                 ".reg .pred more;\n"
                 "setp.ne.b32 more, %37, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" SSD_ACC_0 SSD_ACC_1
                 "}, {%32,%33,%34,%35}, %36, more, 1, 1, %38;\n"
                 "}"
                 : SSD_ACC(0), SSD_ACC(1)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"((int)more), "n"((int)BY_COL));
}
/* The same, a being a panel by row. */
template <bool BY_COL> __device__ __forceinline__ void product(float (&d)[2][4][4], uint64_t a, uint64_t b, bool more)
{
    asm volatile("{\n"
                 ".reg .pred more;\n"
                 "setp.ne.b32 more, %34, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" SSD_ACC_0 SSD_ACC_1 "}, %32, %33, more, 1, 1, 0, %35;\n"
                 "}"
                 : SSD_ACC(0), SSD_ACC(1)
                 : "l"(a), "l"(b), "r"((int)more), "n"((int)BY_COL));
}
/* 128 columns wide. */
template <bool BY_COL> __device__ __forceinline__ void product(float (&d)[4][4][4], const uint32_t (&a)[4], uint64_t b, bool more)
{
    asm volatile("{\n"
                 ".reg .pred more;\n"
                 "setp.ne.b32 more, %69, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" SSD_ACC_0 SSD_ACC_1 SSD_ACC_2 SSD_ACC_3
                 "}, {%64,%65,%66,%67}, %68, more, 1, 1, %70;\n"
                 "}"
                 : SSD_ACC(0), SSD_ACC(1), SSD_ACC(2), SSD_ACC(3)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"((int)more), "n"((int)BY_COL));
}
#undef SSD_ACC
#undef SSD_ACC_0
#undef SSD_ACC_1
#undef SSD_ACC_2
#undef SSD_ACC_3
#endif
