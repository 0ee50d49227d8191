/* tests/test_weights.c - the model's shape and its weights: config.json, the parameter table, initial values, files in and out. */
#include "model/weights.h"
#include "tests/rig.h"
#include "tests/train_run.h"

/* --- config.json --- */

static const char good_config[] =
    "{\"model_type\": \"mamba2\", \"hidden_size\": 16, \"num_hidden_layers\": 2, \"num_heads\": 4, \"head_dim\": 8, "
    "\"n_groups\": 2, \"state_size\": 8, \"conv_kernel\": 4, \"vocab_size\": 40, \"expand\": 2, "
    "\"layer_norm_epsilon\": 1e-05, \"chunk_size\": 64, \"time_step_limit\": [0.0, Infinity]%s}";

static bool config_of(struct model_config *c, const char *more, char *note, struct err *e)
{
    char *text = xprintf(good_config, more);
    run_write_text(run_path("config.json"), text);
    free(text);
    return config_load(c, run_path("config.json"), note, 256, e);
}

static void test_config(void)
{
    struct model_config c;
    struct err e = {""};
    char note[256] = "?";
    check_msg(config_of(&c, "", note, &e), "%s", e.msg);
    check_str(note, "");
    check(c.hidden == 16 && c.layers == 2 && c.heads == 4 && c.headdim == 8 && c.groups == 2 && c.state == 8 && c.conv == 4 &&
          c.chunk == 64);
    check(c.vocab == 40 && !c.tied && c.bos == -1 && c.eos == -1 && c.pad == -1 && c.eps == 1e-5);
    check_int(config_inner(&c), 32);
    check_int(config_conv_dim(&c), 64);
    check_int(config_proj_dim(&c), 100);
    check(config_of(&c, ", \"norm_before_gate\": true, \"tie_word_embeddings\": true, \"eos_token_id\": 3, \"bos_token_id\": null", note,
                    &e));
    check_has(note, "norm_before_gate is true");
    check(c.tied && c.eos == 3 && c.bos == -1);

    static const struct {
        const char *more, *words;
    } bad[] = {
        {", \"use_bias\": true", "\"use_bias\" must be false"},
        {", \"use_conv_bias\": false", "\"use_conv_bias\" must be true"},
        {", \"rms_norm\": false", "\"rms_norm\" must be true"},
        {", \"hidden_act\": \"gelu\"", "\"hidden_act\" must be \"silu\", got \"gelu\""},
        {", \"eos_token_id\": 40", "\"eos_token_id\" must be an integer from -1 to 39, got 40"},
        {", \"eos_token_id\": \"x\"", "\"eos_token_id\" must be an integer"},
        {", \"hidden_size\": 17", "not valid JSON: duplicate object key"},
        {", \"x\": ", "not valid JSON"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        check(!config_of(&c, bad[i].more, note, &e));
        check_has(e.msg, bad[i].words);
        check_has(e.msg, "config.json");
    }
    static const struct {
        const char *from, *to, *words;
    } edits[] = {
        {"mamba2", "llama", "\"model_type\" must be \"mamba2\", got \"llama\""},
        {"\"num_heads\": 4", "\"num_heads\": 3", "\"num_heads\" (3) must be a multiple of \"n_groups\" (2)"},
        {"\"head_dim\": 8", "\"head_dim\": 6", "\"num_heads\" x \"head_dim\" (24) must equal \"expand\" x \"hidden_size\" (32)"},
        {"\"conv_kernel\": 4", "\"conv_kernel\": 5", "\"conv_kernel\" must be an integer from 2 to 4, got 5"},
        {"\"state_size\": 8", "\"state_size\": 0", "\"state_size\" must be an integer from 1"},
        {"\"vocab_size\": 40, ", "", "\"vocab_size\" is missing"},
        {"\"hidden_size\": 16", "\"hidden_size\": \"16\"", "\"hidden_size\" must be an integer, got a string"},
        {"1e-05", "0", "\"layer_norm_epsilon\" must be above 0"},
        {"[0.0, Infinity]", "[0.001, 0.1]", "\"time_step_limit\" must be [0, Infinity]"},
    };
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        char *text = xprintf(good_config, ""), *at = strstr(text, edits[i].from);
        must(at);
        char *other = xprintf("%.*s%s%s", (int)(at - text), text, edits[i].to, at + strlen(edits[i].from));
        run_write_text(run_path("config.json"), other);
        check(!config_load(&c, run_path("config.json"), note, sizeof note, &e));
        check_has(e.msg, edits[i].words);
        free(text);
        free(other);
    }
    check(!config_load(&c, run_path("nothing.json"), note, sizeof note, &e));
    check_has(e.msg, "nothing.json");
}

static void test_config_round_trip(void)
{
    struct model_config c = tiny_config(), back;
    struct err e = {""};
    char note[256];
    for (int i = 0; i < 2; i++) {
        if (i) { /* nothing optional; an inner size that is no multiple of hidden */
            c.hidden = 24;
            c.bos = c.eos = c.pad = -1;
            c.tied = true;
        }
        memset(&back, 0, sizeof back);
        save_config(run_path("round.json"), &c);
        check_msg(config_load(&back, run_path("round.json"), note, sizeof note, &e), "%s", e.msg);
        check(back.vocab == c.vocab && back.hidden == c.hidden && back.layers == c.layers && back.heads == c.heads &&
              back.headdim == c.headdim && back.groups == c.groups && back.state == c.state && back.conv == c.conv &&
              back.chunk == c.chunk && back.eps == c.eps && back.tied == c.tied && back.bos == c.bos && back.eos == c.eos &&
              back.pad == c.pad);
    }
}

/* --- the table --- */

/* Every parameter has its place, in order, with gaps of less than PARAM_ALIGN values but before a new segment, which begins where the last
 * one's shares end. */
static void check_table(const char *path, int64_t weights, int32_t ranks)
{
    struct model_config c;
    struct err e = {""};
    char note[256];
    check_msg(config_load(&c, path, note, sizeof note, &e), "%s", e.msg);
    struct param_table t;
    params_plan_ranks(&t, &c, ranks);
    check_int(t.weights, weights);
    int64_t n = 0;
    for (int type = F32; type <= BF16; type++) {
        int64_t end = 0;
        for (int32_t k = 0; k < t.n; k++) {
            const struct param *p = &t.param[k];
            int64_t size = p->n * (p->matrix ? dtype_size((enum dtype)type) : 4), of_shape = 1;
            const struct param_segment *g = &t.segment[p->segment];
            int64_t width = p->matrix ? dtype_size((enum dtype)type) : 4, gap = PARAM_ALIGN * width;
            if (p->first == 0) {
                check(p->at[type] == g->at[type] && p->segment == 2 * p->bucket + p->matrix && g->n % (PARAM_ALIGN * ranks) == 0);
                gap = PARAM_ALIGN * 4 * (int64_t)ranks;
            }
            check(p->at[type] % 256 == 0 && p->at[type] >= end && p->at[type] < end + gap);
            check(p->at[type] == g->at[type] + p->first * width && p->first % PARAM_ALIGN == 0 && p->first + p->n <= g->n);
            check(p->at[type] >= t.bucket_at[type][p->bucket] && p->at[type] + size <= t.bucket_at[type][p->bucket + 1]);
            end = p->at[type] + size;
            for (int d = 0; d < p->ndim; d++)
                of_shape *= p->shape[d];
            check(of_shape == p->n && p->rows * p->cols == p->n && p->decay == (p->ndim >= 2));
            check(params_get(&t, p->kind, p->layer) == p && params_find(&t, p->name) == p);
            n += type == F32 ? p->n : 0;
        }
        check(end <= t.bytes[type] && t.bucket_at[type][t.n_bucket] == t.bytes[type] && t.bucket_at[type][0] == 0);
    }
    check_int(n, weights);
    params_free(&t);
}

static void test_tables(void)
{
    static const int32_t ranks[] = {1, 2, 3, 8};
    for (int i = 0; i < 4; i++) {
        check_table("configs/models/mamba-codestral-7b.json", 7285403648, ranks[i]);
        check_table("configs/models/mamba2-130m.json", 128989632, ranks[i]);
    }
}

/* --- values --- */

struct weights {
    struct param_table table;
    struct tensors w;
};
static struct weights *weights_new(const struct model_config *c, enum dtype type)
{
    struct weights *v = xcalloc(1, sizeof *v);
    ref_device();
    params_plan(&v->table, c);
    v->w = (struct tensors){&v->table, type, dev_alloc((size_t)v->table.bytes[type]), NULL};
    return v;
}
static void weights_drop(struct weights *v)
{
    dev_free(v->w.base);
    params_free(&v->table);
    free(v);
}
static bool weights_same(const struct weights *a, const struct weights *b)
{
    size_t n = (size_t)a->table.bytes[a->w.dtype];
    char *x = rig_bytes(a->w.base, n), *y = rig_bytes(b->w.base, n);
    bool same = !memcmp(x, y, n);
    free(x);
    free(y);
    return same;
}

static void test_random(void)
{
    struct model_config c = tiny_config();
    c.heads = 64;
    c.headdim = 4;
    c.hidden = 64;
    struct weights *a = weights_new(&c, F32), *b = weights_new(&c, F32);
    weights_random(a->w, &a->w, &c, 7);
    weights_random(b->w, NULL, &c, 8);
    check(!weights_same(a, b));
    weights_random(b->w, NULL, &c, 7);
    check(weights_same(a, b));
    for (int32_t k = 0; k < a->table.n; k++) {
        const struct param *p = &a->table.param[k];
        double *v = rig_get(a->w, k), mean = 0, square = 0, least = INFINITY, most = -INFINITY;
        for (int64_t i = 0; i < p->n; i++) {
            double x = p->kind == P_DT_BIAS ? log1p(exp(v[i])) : p->kind == P_A_LOG ? exp(v[i]) : v[i];
            mean += x / (double)p->n;
            square += x * x / (double)p->n;
            least = fmin(least, x);
            most = fmax(most, x);
        }
        double bound = 1 / sqrt((double)(p->kind == P_CONV_B ? c.conv : p->cols)) / (p->kind == P_OUT_PROJ ? sqrt(c.layers) : 1);
        switch (p->kind) {
        case P_EMBED:
            check(fabs(mean) < 0.002 && fabs(sqrt(square) - 0.02) < 0.002);
            break;
        case P_DT_BIAS:
            check(least >= 0.001 * (1 - 1e-5) && most <= 0.1 * (1 + 1e-5) && least < 0.005 && most > 0.03);
            break;
        case P_A_LOG:
            check(least >= 1 - 1e-5 && most <= 16 + 1e-5 && least < 3 && most > 13);
            break;
        case P_NORM:
        case P_NORM_F:
        case P_GATE_NORM:
        case P_D:
            check(least == 1 && most == 1);
            break;
        default:
            check_msg(least >= -bound * (1 + 1e-6) && most <= bound * (1 + 1e-6) && least < -0.9 * bound && most > 0.9 * bound,
                      "%s: %g to %g, bound %g", p->name, least, most, bound);
        }
        free(v);
    }
    /* Two layers do not share their numbers. */
    double *x = rig_get(a->w, a->table.index[1 * P_KINDS + P_IN_PROJ]), *y = rig_get(a->w, a->table.index[2 * P_KINDS + P_IN_PROJ]);
    check(x[0] != y[0] && x[1] != y[1]);
    free(x);
    free(y);
    weights_drop(a);
    weights_drop(b);
}

static void save(const struct weights *v, const char *dir, enum dtype type, int64_t shard)
{
    struct err e;
    must(file_remove_tree(dir, &e));
    save_weights(dir, v->w, type, shard);
}

static void test_round_trip(void)
{
    struct err e = {""};
    for (int tied = 0; tied < 2; tied++) {
        struct model_config c = tiny_config();
        c.tied = tied;
        struct weights *a = weights_new(&c, F32), *b = weights_new(&c, F32), *half = weights_new(&c, BF16), *master = weights_new(&c, F32);
        weights_random(a->w, NULL, &c, 3);
        const char *dir = run_path("saved");
        save(a, dir, F32, 0);
        check(file_exists(run_path("saved/model.safetensors")) && !file_exists(run_path("saved/model.safetensors.index.json")));
        check_msg(weights_load(b->w, &b->w, dir, &e), "%s", e.msg);
        check(weights_same(a, b));

        save(a, dir, F32, 6000); /* the largest tensor is 100 x 16 x 4 = 6,400 bytes: alone in a shard */
        check(file_exists(run_path("saved/model.safetensors.index.json")) && !file_exists(run_path("saved/model.safetensors")));
        json_t *index = json_load_path(run_path("saved/model.safetensors.index.json"), false, NULL, &e);
        check_int(json_integer_value(json_object_get(json_object_get(index, "metadata"), "total_size")), 4 * a->table.weights);
        check_int(json_object_size(json_object_get(index, "weight_map")), a->table.n);
        const char *shard = json_string_value(json_object_get(json_object_get(index, "weight_map"), "backbone.norm_f.weight"));
        int at, of;
        check(shard && sscanf(shard, "model-%05d-of-%05d.safetensors", &at, &of) == 2 && at <= of && of > 3);
        for (int i = 1; i <= of; i++)
            check(file_size(run_path("saved/model-%05d-of-%05d.safetensors", i, of)) > 0);
        json_decref(index);
        dev_zero(b->w.base, (size_t)b->table.bytes[F32]);
        check_msg(weights_load(b->w, NULL, dir, &e), "%s", e.msg);
        check(weights_same(a, b));

        /* bf16: the file holds rounded numbers; weights in bf16 keep vectors in f32, and the master copy has what the file has. */
        save(a, dir, BF16, 0);
        dev_zero(b->w.base, (size_t)b->table.bytes[F32]);
        check_msg(weights_load(half->w, &master->w, dir, &e) && weights_load(b->w, NULL, dir, &e), "%s", e.msg);
        check(weights_same(master, b));
        for (int32_t k = 0; k < a->table.n; k++) {
            double *x = rig_get(a->w, k), *y = rig_get(half->w, k), *z = rig_get(b->w, k);
            for (int64_t i = 0; i < a->table.param[k].n; i++)
                if (y[i] != ref_round(BF16, x[i]) || z[i] != y[i]) {
                    check_msg(false, "%s[%lld]: %g became %g and %g", a->table.param[k].name, (long long)i, x[i], y[i], z[i]);
                    break;
                }
            free(x);
            free(y);
            free(z);
        }
        /* From bf16 weights into a file. */
        save(half, dir, BF16, 0);
        dev_zero(b->w.base, (size_t)b->table.bytes[F32]);
        check_msg(weights_load(b->w, NULL, dir, &e), "%s", e.msg);
        check(weights_same(master, b));
        weights_drop(a);
        weights_drop(b);
        weights_drop(half);
        weights_drop(master);
    }
}

/* --- files that other programs write, and broken ones --- */

/* The model's file with every name passed through rename() (NULL: the tensor is left out); one dtype or shape changed; one tensor more. */
struct variant {
    const char *(*name)(const char *name, char buf[128]);
    const char *changed, *dtype; /* this tensor gets that dtype, */
    int64_t shape[3];            /* or this shape */
    int ndim;
    const char *extra;
};
static void write_variant(const struct weights *v, const char *path, const struct variant *is)
{
    struct err e;
    struct st_spec spec[40] = {{0}};
    int32_t of[40], n = 0;
    static char names[40][128];
    for (int32_t k = 0; k < v->table.n; k++) {
        const struct param *p = &v->table.param[k];
        const char *name = is->name ? is->name(p->name, names[n]) : p->name;
        if (!name)
            continue;
        spec[n] = (struct st_spec){name, "F32", p->ndim, {p->shape[0], p->shape[1], p->shape[2]}};
        if (is->changed && !strcmp(p->name, is->changed)) {
            if (is->dtype)
                spec[n].dtype = is->dtype;
            if (is->ndim) {
                spec[n].ndim = is->ndim;
                memcpy(spec[n].shape, is->shape, sizeof is->shape);
            }
        }
        of[n++] = k;
    }
    if (is->extra) {
        spec[n] = (struct st_spec){is->extra, "F32", 2, {v->table.param[0].rows, v->table.param[0].cols}};
        of[n++] = 0;
    }
    struct st_out *o;
    bool ok = st_out_open(&o, path, spec, n, false, &e);
    for (int32_t i = 0; ok && i < n; i++) {
        const struct param *p = &v->table.param[of[i]];
        size_t bytes = sizeof(float) * (size_t)p->n;
        char *data = rig_bytes(tensors_at(v->w, p), bytes);
        ok = st_out_write(o, data, bytes, &e);
        free(data);
    }
    if (!ok || !st_out_commit(o, &e))
        die("%s", e.msg);
}

static const char *as_mamba_ssm(const char *name, char buf[128])
{
    return strcmp(name, "backbone.embeddings.weight") ? name : strcpy(buf, "backbone.embedding.weight");
}
static const char *as_mistral(const char *name, char buf[128])
{
    char inner[128];
    snprintf(buf, 128, "model.%s", as_mamba_ssm(name, inner));
    return buf;
}
static const char *without_norm_f(const char *name, char buf[128])
{
    (void)buf;
    return strcmp(name, "backbone.norm_f.weight") ? name : NULL;
}

static void test_names(void)
{
    struct model_config c = tiny_config();
    struct err e = {""};
    c.tied = true;
    struct weights *a = weights_new(&c, F32), *b = weights_new(&c, F32);
    weights_random(a->w, NULL, &c, 5);
    static const struct variant good[] = {{0}, {.name = as_mamba_ssm}, {.name = as_mistral}, {.extra = "lm_head.weight"}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        char *path = run_path("variant.safetensors");
        write_variant(a, path, &good[i]);
        dev_zero(b->w.base, (size_t)b->table.bytes[F32]);
        check_msg(weights_load(b->w, NULL, path, &e), "%zu: %s", i, e.msg);
        check(weights_same(a, b));
    }
    /* Mistral's folder. */
    must(file_mkdirs(run_path("mistral"), &e));
    write_variant(a, run_path("mistral/consolidated.safetensors"), &good[2]);
    dev_zero(b->w.base, (size_t)b->table.bytes[F32]);
    check_msg(weights_load(b->w, NULL, run_path("mistral"), &e), "%s", e.msg);
    check(weights_same(a, b));

    static const struct {
        struct variant is;
        const char *words;
    } bad[] = {
        {{.name = without_norm_f}, "tensor \"backbone.norm_f.weight\" is missing"},
        {{.extra = "backbone.layers.2.norm.weight"}, "tensor \"backbone.layers.2.norm.weight\" is not part of this model"},
        {{.extra = "backbone.embedding.weight"}, "are the same weight"},
        {{.changed = "backbone.layers.1.mixer.conv1d.weight", .shape = {64, 4}, .ndim = 2},
         "tensor \"backbone.layers.1.mixer.conv1d.weight\" has shape [64, 4]; config.json asks for [64, 1, 4]"},
        {{.changed = "backbone.layers.0.mixer.in_proj.weight", .shape = {16, 100}, .ndim = 2},
         "tensor \"backbone.layers.0.mixer.in_proj.weight\" has shape [16, 100]; config.json asks for [100, 16]"},
        {{.changed = "backbone.layers.0.mixer.D", .dtype = "I32"},
         "tensor \"backbone.layers.0.mixer.D\": dtype must be F32, BF16 or F16, got I32"},
    };
    char *untouched = rig_bytes(b->w.base, (size_t)b->table.bytes[F32]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char *path = run_path("variant.safetensors");
        write_variant(a, path, &bad[i].is);
        check_msg(!weights_load(b->w, NULL, path, &e), "%zu", i);
        check_has(e.msg, bad[i].words);
        check_has(e.msg, "variant.safetensors");
    }
    char *after = rig_bytes(b->w.base, (size_t)b->table.bytes[F32]);
    check(!memcmp(untouched, after, (size_t)b->table.bytes[F32])); /* a refused file changes nothing */
    free(untouched);
    free(after);
    weights_drop(a);
    weights_drop(b);

    /* A head of its own cannot be missing. */
    c.tied = false;
    struct weights *own = weights_new(&c, F32);
    c.tied = true;
    struct weights *tied = weights_new(&c, F32);
    weights_random(tied->w, NULL, &c, 5);
    write_variant(tied, run_path("tied.safetensors"), &(struct variant){0});
    check(!weights_load(own->w, NULL, run_path("tied.safetensors"), &e));
    check_has(e.msg, "tensor \"lm_head.weight\" is missing");
    weights_drop(own);
    weights_drop(tied);
}

static const struct test tests[] = {{"config.json, right and wrong", test_config},
                                    {"config.json there and back", test_config_round_trip},
                                    {"the tables of the 7B and the 130M model", test_tables},
                                    {"initial values", test_random},
                                    {"saved and loaded, one file, shards, bf16", test_round_trip},
                                    {"names of other programs, wrong files", test_names}};
TEST_MAIN("test_weights", tests)
