/* tests/bench_attention.c - a decode step's attention over pages (kernels/attention.h) at given shapes; started by scripts/bench_attention.py, which
 * times PyTorch's at the same shapes. Every call reads another layer's keys and values, so that no cache keeps them between calls. */
#include "kernels/attention.h"
#include "tests/bench.h"

struct settings {
    struct conf_strs shape;
    int64_t page;
    char *json;
    bool quick;
};
static const struct conf_field table[] = {
    {.key = "case",
     .type = CONF_STRS,
     .at = offsetof(struct settings, shape),
     .help = "batch,keys,query heads,key heads,head size,layers; may be repeated; not given: one small one"},
    {.key = "page",
     .type = CONF_INT,
     .at = offsetof(struct settings, page),
     .def = 128,
     .min = 1,
     .max = 1 << 16,
     .help = "tokens of a page"},
    {.key = "quick", .type = CONF_BOOL, .at = offsetof(struct settings, quick), .help = "one sample each: does it run at all?"},
    {.key = "json", .type = CONF_STR, .at = offsetof(struct settings, json), .help = "not given: build/BACKEND/bench_attention.json"},
    {0}};

struct shape {
    int batch, keys, q_heads, kv_heads, dim, layers;
};

static void bench_shape(struct bench *b, const struct shape *s, int32_t page)
{
    int32_t width = (s->keys + page - 1) / page, pages = s->batch * width, *host = xmalloc(sizeof *host * (size_t)pages);
    int64_t q_width = (int64_t)s->q_heads * s->dim, layer = (int64_t)pages * s->kv_heads * page * s->dim, size = dtype_size(b->type);
    mat q = mat_make(bench_numbers(b->type, s->batch * q_width), b->type, s->batch, q_width), o = q;
    o.data = dev_alloc((size_t)(s->batch * q_width * size));
    char *k = bench_numbers(b->type, s->layers * layer), *v = bench_numbers(b->type, s->layers * layer);
    for (int32_t i = 0; i < pages; i++)
        host[i] = (int32_t)rng_permute(1, 1, (uint64_t)pages, (uint64_t)i);
    void *page_table = ref_dev(host, sizeof *host * (size_t)pages);
    for (int32_t i = 0; i < s->batch; i++)
        host[i] = i;
    void *seq = ref_dev(host, sizeof *host * (size_t)s->batch);
    for (int32_t i = 0; i < s->batch; i++)
        host[i] = s->keys - 1;
    void *position = ref_dev(host, sizeof *host * (size_t)s->batch);
    struct attention_shape shape = {ATTENTION_STEP, b->type, s->batch, s->q_heads, s->kv_heads, s->dim, pages, page, width};
    void *scratch = dev_alloc(attention_scratch(&shape));
    struct attention *a = attention_open(&shape, scratch);
    struct kv_rows rows = {s->batch, seq, position, page_table, width};
    char name[sizeof b->name];
    snprintf(name, sizeof name, "%d x %d keys", s->batch, s->keys);
    int call = 0;
    for (bench_begin(b, name, s->layers); bench_next(b); call++) {
        int l = call % s->layers;
        struct kv_cache kv = {k + l * layer * size, v + l * layer * size, b->type, pages, s->kv_heads, page, s->dim};
        if (l == 0)
            attention_rows(a, rows, 0);
        attention_fwd(a, o, q, kv);
    }
    double bytes = 2.0 * s->batch * s->keys * s->kv_heads * s->dim * (double)size;
    bench_row_bound(b, bytes, 4.0 * s->batch * s->keys * (double)q_width, bytes / b->read, 1);
    json_t *row = json_array_get(b->rows, json_array_size(b->rows) - 1);
    json_object_set_new(row, "how", json_string(attention_describe(a)));
    printf("    %s\n", attention_describe(a));
    attention_close(a);
    void *all[] = {q.data, o.data, k, v, page_table, seq, position, scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        dev_free(all[i]);
    free(host);
}

int main(int argc, char **argv)
{
    struct settings s = {0};
    struct bench b = {0};
    cli_options(&s, table, argc, argv, "bench_attention: a decode step's attention over pages");
    b.set.quick = s.quick;
    b.set.json = s.json;
    s.json = NULL;
    struct shape shapes[64] = {{3, 300, 4, 2, 64, 4}};
    int64_t n = s.shape.n > 0 ? s.shape.n : 1;
    for (int64_t i = 0; i < s.shape.n; i++) {
        struct shape *p = &shapes[i];
        char end;
        if (i == 64 ||
            sscanf(s.shape.at[i], "%d,%d,%d,%d,%d,%d%c", &p->batch, &p->keys, &p->q_heads, &p->kv_heads, &p->dim, &p->layers, &end) != 6 ||
            p->batch < 1 || p->keys < 1 || p->kv_heads < 1 || p->q_heads % p->kv_heads != 0 || p->dim < 8 || p->layers < 1) {
            struct err e;
            err_set(&e, "--case %s: expected at most 64 of batch,keys,query heads,key heads,head size,layers", s.shape.at[i]);
            cli_usage(argv[0], &e);
        }
    }
    bench_start(&b);
    bench_group(&b, "attention of a decode step over pages");
    for (int64_t i = 0; i < n; i++)
        bench_shape(&b, &shapes[i], (int32_t)s.page);
    conf_free(&s, table);
    return bench_close(&b, "bench_attention");
}
