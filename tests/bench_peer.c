/* tests/bench_peer.c - our scan, gated norm and convolution on given inputs, for scripts/bench_peers.py: reads a problem and its matrices
 * from a folder, times the ops as bench_ops does, and leaves the results and the times there.
 *
 * problem.json: tokens, heads, headdim, groups, state, chunk, conv (K), type ("f32" or "bf16"). Matrices are files of bare row-major
 * elements, in that type unless said otherwise:
 *     in   proj [T, z | x | B | C | dt] of in_proj, conv [T, x | B | C] after convolution (also the gradient that conv_bwd is given),
 *          y [T, inner] that the gated norm is given, dy [T, inner] gradient of what the scan and the gated norm give;
 *          f32: gate_w [inner], conv_w [x | B | C, K], conv_b, dt_bias, A_log, D
 *     out  y_out, gate_out, conv_out; dconv [T, dx | dB | dC] of the scan, dproj [T, dz | dxBC | ddt] of gated norm, conv and scan, dgate
 *          [T, inner] of the norm's y; f32: state_out [H, P, N] after the last token, dgate_w, dconv_w, dconv_b, ddt_bias, dA_log, dD
 *     result.json: what bench_ops writes
 * One sequence, from zero.
 */
#include "core/json.h"
#include "tests/bench_train.h"
#include <errno.h>

static const char *folder;

static void fail(const struct err *e)
{
    exit(cli_fail("bench_peer", e));
}

static struct model_config problem(int64_t *tokens, enum dtype *type)
{
    struct err e;
    char *path = xprintf("%s/problem.json", folder);
    json_t *o = json_load_path(path, false, NULL, &e);
    int64_t v[7];
    static const char *const key[] = {"tokens", "heads", "headdim", "groups", "state", "chunk", "conv"};
    const char *name;
    bool ok = o;
    for (int i = 0; ok && i < 7; i++)
        ok = json_get_int(o, key[i], 1, 1 << 24, &v[i], &e);
    if (!ok || !json_get_str(o, "type", &name, &e))
        fail(&e);
    *type = strcmp(name, "bf16") == 0 ? BF16 : F32;
    if (strcmp(name, ref_dtype_name(*type)) != 0 || !dev_supports(*type)) {
        err_set(&e, "%s: type: expected %s, got %s", path, dev_supports(BF16) ? "f32 or bf16" : "f32, as this build computes", name);
        fail(&e);
    }
    *tokens = v[0];
    json_decref(o);
    free(path);
    return (struct model_config){.heads = (int32_t)v[1],
                                 .headdim = (int32_t)v[2],
                                 .groups = (int32_t)v[3],
                                 .state = (int32_t)v[4],
                                 .chunk = (int32_t)v[5],
                                 .conv = (int32_t)v[6],
                                 .eps = 1e-5};
}

static mat empty(enum dtype t, int64_t rows, int64_t cols)
{
    return mat_make(dev_alloc((size_t)(rows * cols * dtype_size(t))), t, rows, cols);
}

static mat given(const char *name, enum dtype t, int64_t rows, int64_t cols)
{
    struct err e;
    struct file_map m;
    char *path = xprintf("%s/%s", folder, name);
    mat to = empty(t, rows, cols);
    size_t bytes = (size_t)(rows * cols * dtype_size(t));
    if (!file_map_open(&m, path, &e))
        fail(&e);
    if (m.size != bytes) {
        err_set(&e, "%s: expected %zu bytes, got %zu", path, bytes, m.size);
        fail(&e);
    }
    dev_put(to.data, m.data, bytes);
    file_map_close(&m);
    free(path);
    return to;
}

/* Gigabytes that the script reads at once and removes: not worth file_out's syncing. */
static void leave(const char *name, mat m)
{
    struct err e;
    char *path = xprintf("%s/%s", folder, name);
    size_t bytes = (size_t)(m.rows * m.cols * dtype_size(m.dtype));
    void *host = xmalloc(bytes);
    dev_get(host, m.data, bytes);
    FILE *f = fopen(path, "wb");
    bool ok = f && fwrite(host, 1, bytes, f) == bytes;
    if (f && fclose(f) != 0)
        ok = false;
    if (!ok) {
        err_set(&e, "%s: cannot write %zu bytes: %s", path, bytes, strerror(errno));
        fail(&e);
    }
    free(host);
    free(path);
}

static float *vec_given(const char *name, int64_t n)
{
    return given(name, F32, 1, n).data;
}

static void scan(struct bench *b, const struct model_config *c, mat proj, mat conv, mat dy, mat dconv, mat dproj)
{
    int64_t inner = config_inner(c), gn = (int64_t)c->groups * c->state, all = config_conv_dim(c);
    double n = (double)proj.rows, e = (double)dtype_size(proj.dtype);
    struct ssd_dims dims = {c->heads, c->headdim, c->groups, c->state};
    struct ssd_in in = {
        mat_cols(conv, 0, inner),       mat_cols(conv, inner, gn),    mat_cols(conv, inner + gn, gn), mat_cols(proj, inner + all, c->heads),
        vec_given("dt_bias", c->heads), vec_given("A_log", c->heads), vec_given("D", c->heads)};
    int32_t len = (int32_t)proj.rows, chunk = ssd_train_chunk(c->chunk);
    struct ref_seqs q = ref_seqs_make(&len, 1, NULL, chunk);
    struct ssd_kept none = {0}, kept = {empty(F32, proj.rows, c->heads).data, empty(F32, proj.rows, c->heads).data,
                                        empty(proj.dtype, q.host.n_chunk, config_ssd_state(c)).data};
    struct state_view zero = {0};
    mat y = empty(proj.dtype, proj.rows, inner), state = empty(F32, 1, config_ssd_state(c)), sums = empty(F32, 3, c->heads);
    float *sum = sums.data;
    struct ssd_grad g = {mat_cols(dconv, 0, inner),
                         mat_cols(dconv, inner, gn),
                         mat_cols(dconv, inner + gn, gn),
                         mat_cols(dproj, inner + all, c->heads),
                         sum,
                         sum + c->heads,
                         sum + 2 * c->heads};
    void *scratch = dev_alloc(ssd_scratch(dims, proj.rows, 1, chunk, true));

    for (bench_begin(b, "ssd fwd, inference", 0); bench_next(b);)
        ssd_fwd(y, none, in, dims, q.dev, zero, scratch);
    bench_row(b, n * ssd_bytes(c, c->chunk, false, false, e), n * ssd_flops(c, c->chunk, false), 0);
    for (bench_begin(b, "ssd fwd", 0); bench_next(b);)
        ssd_fwd(y, kept, in, dims, q.dev, zero, scratch);
    bench_row(b, n * ssd_bytes(c, chunk, false, true, e), n * ssd_flops(c, chunk, false), 0);
    leave("y_out", y);
    for (bench_begin(b, "ssd bwd", 0); bench_next(b);)
        ssd_bwd(g, dy, kept, in, dims, q.dev, scratch);
    bench_row(b, n * ssd_bytes(c, chunk, true, true, e), n * ssd_flops(c, chunk, true), 0);
    dev_zero(sum, (size_t)(3 * c->heads) * sizeof *sum);
    ssd_bwd(g, dy, kept, in, dims, q.dev, scratch);
    static const char *const name[] = {"ddt_bias", "dA_log", "dD"};
    for (int i = 0; i < 3; i++)
        leave(name[i], mat_rows(sums, i, 1));
    ssd_fwd(y, none, in, dims, q.dev, (struct state_view){state.data, F32, state.cols}, scratch);
    leave("state_out", state);
    dev_free(scratch);
    dev_free(kept.dt);
    dev_free(kept.cum);
    dev_free(kept.states);
    dev_free(y.data);
    ref_seqs_free(&q);
}

static void gate(struct bench *b, const struct model_config *c, mat proj, mat dy, mat dproj)
{
    int64_t inner = config_inner(c);
    double bytes = (double)(proj.rows * inner * dtype_size(proj.dtype));
    mat y = given("y", proj.dtype, proj.rows, inner), z = mat_cols(proj, 0, inner), out = empty(proj.dtype, proj.rows, inner);
    mat dw = empty(F32, 1, inner);
    float *w = vec_given("gate_w", inner), *rstd = empty(F32, proj.rows, c->groups).data;
    void *scratch = dev_alloc(gatenorm_scratch(proj.rows, inner));
    for (bench_begin(b, "gatenorm fwd", 0); bench_next(b);)
        gatenorm_fwd(out, rstd, y, z, w, c->groups, (float)c->eps);
    bench_row(b, 3 * bytes, 0, 0);
    leave("gate_out", out);
    for (bench_begin(b, "gatenorm bwd", 0); bench_next(b);)
        gatenorm_bwd(out, mat_cols(dproj, 0, inner), dw.data, dy, y, z, w, rstd, c->groups, scratch);
    bench_row(b, 5 * bytes, 0, 0);
    dev_zero(dw.data, (size_t)inner * sizeof(float));
    gatenorm_bwd(out, mat_cols(dproj, 0, inner), dw.data, dy, y, z, w, rstd, c->groups, scratch);
    leave("dgate", out);
    leave("dgate_w", dw);
    dev_free(scratch);
    dev_free(y.data);
    dev_free(out.data);
}

static void convolution(struct bench *b, const struct model_config *c, mat proj, mat conv, mat dproj)
{
    int64_t all = config_conv_dim(c), k = c->conv;
    double elements = (double)(proj.rows * all), bytes = elements * (double)dtype_size(proj.dtype);
    int32_t len = (int32_t)proj.rows;
    struct ref_seqs q = ref_seqs_make(&len, 1, NULL, c->chunk);
    struct state_view zero = {0};
    mat x = mat_cols(proj, config_inner(c), all), dx = mat_cols(dproj, config_inner(c), all), y = empty(proj.dtype, proj.rows, all);
    mat dw = empty(F32, all, k), db = empty(F32, 1, all);
    float *w = vec_given("conv_w", all * k), *bias = vec_given("conv_b", all);
    void *scratch = dev_alloc(conv_scratch(proj.rows, all, c->conv));
    for (bench_begin(b, "conv fwd", 0); bench_next(b);)
        conv_fwd(y, x, w, bias, c->conv, q.dev, zero);
    bench_row(b, 2 * bytes, 2 * elements * (double)k, 0);
    leave("conv_out", y);
    for (bench_begin(b, "conv bwd", 0); bench_next(b);)
        conv_bwd(dx, dw.data, db.data, conv, x, w, bias, c->conv, q.dev, scratch);
    bench_row(b, 3 * bytes, 6 * elements * (double)k, 0);
    dev_zero(dw.data, (size_t)(all * k) * sizeof(float));
    dev_zero(db.data, (size_t)all * sizeof(float));
    conv_bwd(dx, dw.data, db.data, conv, x, w, bias, c->conv, q.dev, scratch);
    leave("dconv_w", dw);
    leave("dconv_b", db);
    dev_free(scratch);
    dev_free(y.data);
    ref_seqs_free(&q);
}

int main(int argc, char **argv)
{
    static const struct conf_field table[] = {
        {.key = "quick", .type = CONF_BOOL, .at = offsetof(struct bench_settings, quick), .help = "one sample each"}, {0}};
    struct bench b = {0};
    struct err e;
    const char **words = xcalloc((size_t)argc, sizeof *words);
    int n_words;
    cli_options_words(&b.set, table, argc, argv, "bench_peer FOLDER: our ops on the inputs that scripts/bench_peers.py wrote to FOLDER",
                      words, &n_words);
    if (n_words != 1) {
        err_set(&e, "expected one FOLDER, got %d; scripts/bench_peers.py is the program to start", n_words);
        cli_usage(argv[0], &e);
    }
    folder = words[0];
    b.set.json = xprintf("%s/result.json", folder);
    bench_start(&b);
    int64_t tokens;
    enum dtype type;
    struct model_config c = problem(&tokens, &type);
    mat proj = given("proj", type, tokens, config_proj_dim(&c)), conv = given("conv", type, tokens, config_conv_dim(&c));
    mat dy = given("dy", type, tokens, config_inner(&c));
    mat dconv = empty(type, tokens, conv.cols), dproj = empty(type, tokens, proj.cols);
    char title[64];
    snprintf(title, sizeof title, "T = %lld, chunk %d, %s", (long long)tokens, c.chunk, ref_dtype_name(type));
    bench_group(&b, title);
    scan(&b, &c, proj, conv, dy, dconv, dproj);
    leave("dconv", dconv);
    gate(&b, &c, proj, dy, dproj);
    convolution(&b, &c, proj, conv, dproj);
    leave("dproj", dproj);
    free(words);
    return bench_close(&b, "bench_peer");
}
