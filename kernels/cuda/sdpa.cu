/* kernels/cuda/sdpa.cu - see sdpa.cuh. One operation of cuDNN's graph API (cudnn_graph.h): tensors are described, an operation of them, a
 * graph of that, ways to compute it are asked for, and the wanted one becomes a plan. Every descriptor lives as long as the plan. */
#include "kernels/cuda/sdpa.cuh"
#include <cudnn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The operation takes pages and lengths from this version on. */
enum { CUDNN_OLDEST = 91500, DESCRIPTORS = 48, CHOICES = 8 };
#if CUDNN_VERSION < 91500
#error "cuDNN 9.15 or newer is needed (its fused attention takes pages from that version on): install libcudnn9-dev-cuda-12 or -13"
#endif
/* The names of a plan's tensors. */
enum { Q = 1, K, V, O, STATS, LEN_Q, LEN_KV, TABLE_K, TABLE_V, SCALE };

struct sdpa {
    struct sdpa_shape shape;
    float scale;
    cudnnBackendDescriptor_t d[DESCRIPTORS], plan;
    int n;
    char why[768]; /* the first thing that went wrong; empty: nothing */
};

static cudnnHandle_t handle;

static void sdpa_die(const char *call, cudnnStatus_t status)
{
    char text[1024] = "";
    cudnnGetLastErrorString(text, sizeof text);
    die("cuDNN %s: %s from %s: %s", sdpa_version(), cudnnGetErrorString(status), call, text);
}

static void start(void)
{
    if (handle)
        return;
    if (cudnnGetVersion() < CUDNN_OLDEST)
        die("cuDNN %s is loaded, expected 9.15 or newer: update the package libcudnn9, or LD_LIBRARY_PATH", sdpa_version());
    cudnnStatus_t status = cudnnCreate(&handle);
    if (status != CUDNN_STATUS_SUCCESS)
        sdpa_die("cudnnCreate", status);
    status = cudnnSetStream(handle, cuda_stream());
    if (status != CUDNN_STATUS_SUCCESS)
        sdpa_die("cudnnSetStream", status);
}

const char *sdpa_version(void)
{
    static char text[32];
    size_t v = cudnnGetVersion();
    snprintf(text, sizeof text, "%zu.%zu.%zu", v / 10000, v / 100 % 100, v % 100);
    return text;
}

/* Remembers the first failure; the calls after it do nothing. */
static bool did(struct sdpa *p, cudnnStatus_t status, const char *what)
{
    if (status == CUDNN_STATUS_SUCCESS)
        return true;
    char text[512] = "";
    cudnnGetLastErrorString(text, sizeof text);
    snprintf(p->why, sizeof p->why, "%s: %s: %s", what, cudnnGetErrorString(status), text);
    return false;
}

static cudnnBackendDescriptor_t create(struct sdpa *p, cudnnBackendDescriptorType_t type, const char *what)
{
    if (p->why[0])
        return NULL;
    must(p->n < DESCRIPTORS);
    cudnnBackendDescriptor_t d = NULL;
    if (did(p, cudnnBackendCreateDescriptor(type, &d), what))
        p->d[p->n++] = d;
    return d;
}
static void set(struct sdpa *p, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t n,
                const void *value, const char *what)
{
    if (!p->why[0])
        did(p, cudnnBackendSetAttribute(d, name, type, n, value), what);
}
static void set_descriptor(struct sdpa *p, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name, cudnnBackendDescriptor_t value,
                           const char *what)
{
    set(p, d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value, what);
}
static bool finish(struct sdpa *p, cudnnBackendDescriptor_t d, const char *what)
{
    return !p->why[0] && did(p, cudnnBackendFinalize(d), what);
}

static cudnnBackendDescriptor_t tensor(struct sdpa *p, int64_t uid, cudnnDataType_t type, const int64_t dims[4], const int64_t strides[4],
                                       const char *what)
{
    const int64_t alignment = 16;
    bool by_value = uid == SCALE;
    cudnnBackendDescriptor_t d = create(p, CUDNN_BACKEND_TENSOR_DESCRIPTOR, what);
    set(p, d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type, what);
    set(p, d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dims, what);
    set(p, d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides, what);
    set(p, d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &uid, what);
    set(p, d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment, what);
    if (by_value)
        set(p, d, CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, 1, &by_value, what);
    finish(p, d, what);
    return d;
}

static cudnnBackendDescriptor_t operation(struct sdpa *p)
{
    const struct sdpa_shape *s = &p->shape;
    const cudnnDataType_t type = CUDNN_DATA_BFLOAT16;
    const int64_t all = s->q_heads * s->queries * s->dim;
    const int64_t q_dims[4] = {s->batch, s->q_heads, s->queries, s->dim};
    const int64_t outside[4] = {all, s->queries * s->dim, s->dim, 1}, inside[4] = {all, s->dim, s->q_heads * s->dim, 1};
    const int64_t *q_strides = s->heads_inside ? inside : outside;
    const int64_t kv_dims[4] = {s->pages, s->kv_heads, s->page, s->dim};
    const int64_t kv_strides[4] = {s->kv_heads * s->page * s->dim, s->page * s->dim, s->dim, 1};
    const int64_t stats_dims[4] = {s->batch, s->q_heads, s->queries, 1}, stats_strides[4] = {s->q_heads * s->queries, s->queries, 1, 1};
    const int64_t table_dims[4] = {s->batch, 1, s->width, 1}, table_strides[4] = {s->width, s->width, 1, 1};
    const int64_t len_dims[4] = {s->batch, 1, 1, 1}, ones[4] = {1, 1, 1, 1};

    cudnnBackendDescriptor_t q = tensor(p, Q, type, q_dims, q_strides, "q"), k = tensor(p, K, type, kv_dims, kv_strides, "k");
    cudnnBackendDescriptor_t v = tensor(p, V, type, kv_dims, kv_strides, "v"), o = tensor(p, O, type, q_dims, q_strides, "o");
    cudnnBackendDescriptor_t len_q = tensor(p, LEN_Q, CUDNN_DATA_INT32, len_dims, ones, "lengths of queries");
    cudnnBackendDescriptor_t len_kv = tensor(p, LEN_KV, CUDNN_DATA_INT32, len_dims, ones, "lengths of keys");
    cudnnBackendDescriptor_t table_k = tensor(p, TABLE_K, CUDNN_DATA_INT32, table_dims, table_strides, "table of k");
    cudnnBackendDescriptor_t table_v = tensor(p, TABLE_V, CUDNN_DATA_INT32, table_dims, table_strides, "table of v");
    cudnnBackendDescriptor_t scale = tensor(p, SCALE, CUDNN_DATA_FLOAT, ones, ones, "scale");

    const char *what = "the attention operation";
    cudnnBackendDescriptor_t op = create(p, CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR, what);
    set_descriptor(p, op, CUDNN_ATTR_OPERATION_SDPA_FWD_QDESC, q, what);
    set_descriptor(p, op, CUDNN_ATTR_OPERATION_SDPA_FWD_KDESC, k, what);
    set_descriptor(p, op, CUDNN_ATTR_OPERATION_SDPA_FWD_VDESC, v, what);
    set_descriptor(p, op, CUDNN_ATTR_OPERATION_SDPA_FWD_ODESC, o, what);
    if (s->stats)
        set_descriptor(p, op, CUDNN_ATTR_OPERATION_SDPA_FWD_STATSDESC,
                       tensor(p, STATS, CUDNN_DATA_FLOAT, stats_dims, stats_strides, "stats"), what);
    set_descriptor(p, op, CUDNN_ATTR_OPERATION_SDPA_FWD_SCALEDESC, scale, what);
    set_descriptor(p, op, CUDNN_ATTR_OPERATION_SDPA_FWD_PAGE_TABLE_KDESC, table_k, what);
    set_descriptor(p, op, CUDNN_ATTR_OPERATION_SDPA_FWD_PAGE_TABLE_VDESC, table_v, what);
    set_descriptor(p, op, CUDNN_ATTR_OPERATION_SDPA_FWD_SEQ_LEN_QDESC, len_q, what);
    set_descriptor(p, op, CUDNN_ATTR_OPERATION_SDPA_FWD_SEQ_LEN_KVDESC, len_kv, what);
    finish(p, op, what);
    return op;
}

/* cuDNN's header calls an attribute deprecated whose successor describes a device that is not there; its own frontend sets it. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
static void set_graph_handle(struct sdpa *p, cudnnBackendDescriptor_t d)
{
    set(p, d, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle, "the graph's handle");
}
static void set_plan_handle(struct sdpa *p, cudnnBackendDescriptor_t d)
{
    set(p, d, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle, "the plan's handle");
}
#pragma GCC diagnostic pop

/* The choice-th of the ways that cuDNN proposes and that can be built within the workspace. */
static void choose(struct sdpa *p, cudnnBackendDescriptor_t graph, size_t workspace)
{
    const cudnnBackendHeurMode_t mode = CUDNN_HEUR_MODE_A;
    const char *what = "the ways to compute it";
    cudnnBackendDescriptor_t heuristics = create(p, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, what), way[CHOICES];
    set_descriptor(p, heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph, what);
    set(p, heuristics, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode, what);
    finish(p, heuristics, what);
    for (int i = 0; i < CHOICES; i++)
        way[i] = create(p, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, what);
    int64_t ways = 0;
    if (p->why[0] ||
        !did(p, cudnnBackendGetAttribute(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, CHOICES, &ways, way),
             what))
        return;
    if (ways == 0)
        snprintf(p->why, sizeof p->why, "%s: there is none on this card (CUDNN_LOGLEVEL_DBG=2 CUDNN_LOGDEST_DBG=stderr says why)", what);
    char last[sizeof p->why] = "";
    int left = p->shape.choice;
    for (int64_t i = 0; i < ways && !p->plan; i++) {
        int64_t bytes = 0, count = 0;
        cudnnBackendDescriptor_t plan = create(p, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, "a plan");
        set_plan_handle(p, plan);
        set_descriptor(p, plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, way[i], "a plan");
        if (finish(p, plan, "a plan") &&
            did(p, cudnnBackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &count, &bytes),
                "a plan's workspace")) {
            if (bytes > (int64_t)workspace)
                snprintf(last, sizeof last, "a plan wants %lld bytes of workspace, there are %zu", (long long)bytes, workspace);
            else if (left-- == 0)
                p->plan = plan;
        } else { /* the next may do */
            memcpy(last, p->why, sizeof last);
            p->why[0] = 0;
        }
    }
    if (!p->plan && !p->why[0])
        snprintf(p->why, sizeof p->why, "%lld ways, no plan number %d; %s", (long long)ways, p->shape.choice, last);
}

struct sdpa *sdpa_open(const struct sdpa_shape *s, size_t workspace, char *why, size_t n)
{
    start();
    struct sdpa *p = (struct sdpa *)xcalloc(1, sizeof *p);
    p->shape = *s;
    p->scale = 1 / sqrtf((float)s->dim);
    cudnnBackendDescriptor_t op = operation(p), graph = create(p, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, "the graph");
    set_descriptor(p, graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, op, "the graph");
    set_graph_handle(p, graph);
    if (finish(p, graph, "the graph"))
        choose(p, graph, workspace);
    if (p->plan)
        return p;
    snprintf(
        why, n,
        "cuDNN %s, attention of %lld x %lld heads x %lld queries of %lld over %lld key heads, %lld pages of %lld, at most %lld each: %s",
        sdpa_version(), (long long)s->batch, (long long)s->q_heads, (long long)s->queries, (long long)s->dim, (long long)s->kv_heads,
        (long long)s->pages, (long long)s->page, (long long)s->width, p->why);
    sdpa_close(p);
    return NULL;
}

void sdpa_close(struct sdpa *p)
{
    if (!p)
        return;
    while (p->n > 0)
        cudnnBackendDestroyDescriptor(p->d[--p->n]);
    free(p);
}

#define cudnn_ok(call)                                                                                                                     \
    do {                                                                                                                                   \
        cudnnStatus_t cudnn_ok_s = (call);                                                                                                 \
        if (cudnn_ok_s != CUDNN_STATUS_SUCCESS)                                                                                            \
            sdpa_die(#call, cudnn_ok_s);                                                                                                   \
    } while (0)

void sdpa_run(struct sdpa *p, const struct sdpa_args *a)
{
    int64_t uid[] = {Q, K, V, O, LEN_Q, LEN_KV, TABLE_K, TABLE_V, SCALE, STATS};
    const void *at[] = {a->q, a->k, a->v, a->o, a->len_q, a->len_kv, a->table, a->table, &p->scale, a->stats};
    int64_t n = (int64_t)(sizeof uid / sizeof *uid) - !p->shape.stats;
    cudnnBackendDescriptor_t pack;
    cudnn_ok(cudnnBackendCreateDescriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack));
    cudnn_ok(cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, n, uid));
    cudnn_ok(cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, n, at));
    cudnn_ok(cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &a->workspace));
    cudnn_ok(cudnnBackendFinalize(pack));
    cudnn_ok(cudnnBackendExecute(handle, p->plan, pack));
    cudnn_ok(cudnnBackendDestroyDescriptor(pack));
}
