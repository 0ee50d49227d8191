/* tests/test_golden.c - the golden models of ../shared/golden: what a float64 sequential reference computes from them, forward, backward and
 * over twelve training steps. Skipped where the folder is not there; nothing of it is copied here. */
#include "core/log.h"
#include "model/weights.h"
#include "tests/rig.h"
#include "tests/train_run.h"
#include "train/trainer.h"

#define GOLDEN "../shared/golden/"
static const char *const models[] = {GOLDEN "tiny-g1", GOLDEN "tiny-g4"};
enum { MODELS = 2, PROMPTS = 8, STEPS = 12, RECORDS = 4, LEN = 96 };

static bool there(void)
{
    if (file_is_dir(GOLDEN))
        return true;
    test_skip("no " GOLDEN);
    return false;
}

static char *in_model(int m, const char *name)
{
    return xprintf("%s/%s", models[m], name);
}

static struct model_config load_config(int m)
{
    struct model_config c;
    struct err e;
    char note[256];
    if (!config_load(&c, models[m], note, sizeof note, &e))
        die("%s", e.msg);
    return c;
}

static void load_weights(struct rig *r, const char *dir)
{
    struct err e;
    if (!weights_load(r->w, NULL, dir, &e))
        die("%s", e.msg);
}

static json_t *golden_lines(int m, const char *name)
{
    char *path = in_model(m, name);
    json_t *all = run_jsonl(path);
    free(path);
    return all;
}

/* Token ids of a record; returns how many. */
static int32_t read_ids(const json_t *record, const char *key, int32_t *out)
{
    const json_t *a = json_object_get(record, key);
    for (size_t i = 0; i < json_array_size(a); i++)
        out[i] = (int32_t)json_integer_value(json_array_get(a, i));
    return (int32_t)json_array_size(a);
}

static double log_softmax(const double *logits, int64_t v, int32_t id)
{
    double most = -INFINITY, sum = 0;
    for (int64_t i = 0; i < v; i++)
        most = fmax(most, logits[i]);
    for (int64_t i = 0; i < v; i++)
        sum += exp(logits[i] - most);
    return logits[id] - most - log(sum);
}

/* The largest difference between the logits of all prompts and those in a file. */
static double logits_error(int m, const double *got, const json_t *prompts, const char *name)
{
    struct safetensors s;
    struct err e;
    char *path = in_model(m, name);
    if (!safetensors_open(&s, path, &e))
        die("%s", e.msg);
    double worst = 0;
    for (size_t k = 0; k < json_array_size(prompts); k++) {
        char key[32];
        snprintf(key, sizeof key, "logits.%zu", k);
        const struct st_tensor *t = safetensors_find(&s, key);
        must(t && t->shape[0] == (int64_t)json_array_size(json_object_get(json_array_get(prompts, k), "input_ids")));
        float *want = xmalloc(sizeof(float) * (size_t)t->n);
        st_read_f32(t, 0, t->n, want);
        for (int64_t i = 0; i < t->n; i++)
            worst = fmax(worst, isfinite(got[i]) ? fabs(got[i] - (double)want[i]) : INFINITY);
        got += t->n;
        free(want);
    }
    safetensors_close(&s);
    free(path);
    return worst;
}

/* All prompts in one pass; the logits of every token. */
static double *all_prompts(struct rig *r, const json_t *prompts, int64_t *tokens, int32_t *len)
{
    int32_t ids[1024];
    *tokens = 0;
    for (size_t k = 0; k < json_array_size(prompts); k++) {
        len[k] = read_ids(json_array_get(prompts, k), "input_ids", ids + *tokens);
        *tokens += len[k];
    }
    struct pass p = rig_pass(r, ids, NULL, NULL, len, (int32_t)json_array_size(prompts), NULL);
    model_forward(&r->acts, r->w, &p, r->state);
    return rig_logits(r, *tokens);
}

static void open_prompts(struct rig *r, int m, enum dtype type)
{
    struct model_shape sh = {
        .config = load_config(m), .type = type, .residual = F32, .max_tokens = 1024, .max_docs = PROMPTS, .logit_rows = 50};
    rig_open(r, &sh, PROMPTS);
    for (int32_t s = 0; s < PROMPTS; s++)
        state_zero(r->state, s);
}

static void test_logprobs(void)
{
    if (!there())
        return;
    for (int m = 0; m < MODELS; m++) {
        struct rig r;
        int64_t tokens;
        int32_t len[PROMPTS];
        open_prompts(&r, m, F32);
        load_weights(&r, models[m]);
        json_t *prompts = golden_lines(m, "prompts.jsonl");
        check_int(json_array_size(prompts), PROMPTS);
        int64_t v = r.shape.config.vocab;
        double *logits = all_prompts(&r, prompts, &tokens, len), *row = logits, worst = 0;
        for (int k = 0; k < PROMPTS; row += len[k++] * v) {
            const json_t *o = json_array_get(prompts, (size_t)k), *want = json_object_get(o, "logprobs");
            check_int(json_array_size(want), len[k] - 1);
            for (int32_t i = 0; i + 1 < len[k]; i++) {
                int32_t next = (int32_t)json_integer_value(json_array_get(json_object_get(o, "input_ids"), (size_t)i + 1));
                double got = log_softmax(row + i * v, v, next), is = json_number_value(json_array_get(want, (size_t)i));
                worst = fmax(worst, isfinite(got) ? fabs(got - is) : INFINITY);
            }
        }
        double logit = logits_error(m, logits, prompts, "logits.safetensors");
        fprintf(stderr, "          %s: largest error of a log-probability %.1e, of a logit %.1e\n", models[m], worst, logit);
        check(worst < 1e-5);
        check(logit < 1e-4);
        free(logits);
        json_decref(prompts);
        rig_close(&r);
    }
}

/* Greedy decoding, all prompts at once, from the states that the prompts left. A token may differ where the margin is tiny, and what follows
 * it then too. */
static void test_greedy(void)
{
    static const int32_t ones[PROMPTS] = {1, 1, 1, 1, 1, 1, 1, 1};
    if (!there())
        return;
    for (int m = 0; m < MODELS; m++) {
        struct rig r;
        int64_t tokens;
        int32_t len[PROMPTS], next[PROMPTS];
        bool open[PROMPTS];
        open_prompts(&r, m, F32);
        load_weights(&r, models[m]);
        json_t *prompts = golden_lines(m, "prompts.jsonl");
        int64_t v = r.shape.config.vocab, compared = 0;
        double *logits = all_prompts(&r, prompts, &tokens, len), *row = logits;
        for (int k = 0; k < PROMPTS; k++) {
            row += (len[k] - 1) * v; /* of the last token */
            memmove(logits + k * v, row, sizeof(double) * (size_t)v);
            row += v;
            open[k] = true;
        }
        for (size_t turn = 0; turn < 24; turn++) {
            for (int k = 0; k < PROMPTS; k++) {
                const json_t *o = json_array_get(prompts, (size_t)k);
                next[k] = 0;
                for (int32_t i = 1; i < v; i++)
                    if (logits[k * v + i] > logits[k * v + next[k]])
                        next[k] = i;
                double margin = json_number_value(json_array_get(json_object_get(o, "margin"), turn));
                int64_t want = json_integer_value(json_array_get(json_object_get(o, "greedy_ids"), turn));
                if (open[k])
                    check_msg(next[k] == want || margin < 1e-4, "%s prompt %d token %zu: %d, want %lld", models[m], k, turn, next[k],
                              (long long)want);
                open[k] = open[k] && next[k] == want;
                compared += open[k];
            }
            free(logits);
            struct pass p = rig_pass(&r, next, NULL, NULL, ones, PROMPTS, NULL);
            model_forward(&r.acts, r.w, &p, r.state);
            logits = rig_logits(&r, PROMPTS);
        }
        check(compared > 24 * PROMPTS - 24);
        free(logits);
        json_decref(prompts);
        rig_close(&r);
    }
}

/* --- training --- */

struct golden_step {
    int32_t ids[RECORDS * LEN], target[RECORDS * LEN], len[RECORDS];
    double weight[RECORDS * LEN];
};
static void first_step(int m, struct golden_step *g)
{
    json_t *records = golden_lines(m, "train.jsonl");
    int learnt = 0;
    for (int d = 0; d < RECORDS; d++) {
        int32_t labels[LEN];
        const json_t *o = json_array_get(records, (size_t)d);
        g->len[d] = read_ids(o, "input_ids", g->ids + d * LEN);
        must(g->len[d] == LEN && read_ids(o, "labels", labels) == LEN);
        for (int i = 0; i < LEN; i++) {
            g->target[d * LEN + i] = i + 1 < LEN && labels[i + 1] >= 0 ? labels[i + 1] : -1;
            learnt += g->target[d * LEN + i] >= 0;
        }
    }
    for (int i = 0; i < RECORDS * LEN; i++)
        g->weight[i] = 1.0 / learnt;
    json_decref(records);
}

static json_t *train_settings(int m)
{
    struct err e;
    char *path = in_model(m, "train.json");
    json_t *o = json_load_path(path, false, NULL, &e);
    if (!o)
        die("%s", e.msg);
    free(path);
    return o;
}

static double number_at(const json_t *o, const char *key, size_t i)
{
    return json_number_value(json_array_get(json_object_get(o, key), i));
}

static struct model_shape training_shape(int m, enum dtype type, int32_t kept)
{
    return (struct model_shape){.config = load_config(m),
                                .type = type,
                                .residual = F32,
                                .max_tokens = RECORDS * LEN,
                                .max_docs = RECORDS,
                                .kept_layers = kept,
                                .train = true,
                                .logit_rows = 100};
}

static void test_first_gradients(void)
{
    if (!there())
        return;
    for (int m = 0; m < MODELS; m++) {
        struct rig r;
        struct golden_step g;
        struct model_shape sh = training_shape(m, F32, 1);
        rig_open(&r, &sh, 0);
        load_weights(&r, models[m]);
        first_step(m, &g);
        struct pass p = rig_pass(&r, g.ids, g.target, g.weight, g.len, RECORDS, NULL);
        double loss = rig_train(&r, &p);
        json_t *settings = train_settings(m);
        check_msg(fabs(loss / number_at(settings, "losses", 0) - 1) < 2e-5, "%.9g", loss);
        struct safetensors s;
        struct err e;
        char *path = in_model(m, "grads_step0.safetensors");
        if (!safetensors_open(&s, path, &e))
            die("%s", e.msg);
        double worst = 0;
        for (int32_t k = 0; k < r.table.n; k++) {
            const struct param *q = &r.table.param[k];
            const struct st_tensor *t = safetensors_find(&s, q->name);
            must(t && t->n == q->n);
            float *raw = xmalloc(sizeof(float) * (size_t)q->n);
            double *want = xmalloc(sizeof(double) * (size_t)q->n), *got = rig_get(r.g, k);
            st_read_f32(t, 0, t->n, raw);
            for (int64_t i = 0; i < t->n; i++)
                want[i] = raw[i];
            double error = ref_error(got, want, t->n);
            check_msg(error < 1e-4, "%s: %g", q->name, error);
            worst = fmax(worst, error);
            free(raw);
            free(want);
            free(got);
        }
        fprintf(stderr, "          %s: largest relative error of a tensor's gradient %.1e\n", models[m], worst);
        safetensors_close(&s);
        free(path);
        json_decref(settings);
        rig_close(&r);
    }
}

/* Recomputing no, some or all layers gives the same bits. */
static void test_recompute(void)
{
    if (!there())
        return;
    for (int m = 0; m < MODELS; m++) {
        struct golden_step g;
        char *want = NULL;
        double want_loss = 0;
        first_step(m, &g);
        for (int32_t kept = load_config(m).layers; kept >= 0; kept--) {
            struct rig r;
            struct model_shape sh = training_shape(m, F32, kept);
            rig_open(&r, &sh, 0);
            load_weights(&r, models[m]);
            struct pass p = rig_pass(&r, g.ids, g.target, g.weight, g.len, RECORDS, NULL);
            double loss = rig_train(&r, &p);
            char *got = rig_bytes(r.g.base, (size_t)r.table.bytes[F32]);
            check(!want || (loss == want_loss && !memcmp(got, want, (size_t)r.table.bytes[F32])));
            if (want)
                free(got);
            else
                want = got, want_loss = loss;
            rig_close(&r);
        }
        free(want);
    }
}

static void write_tok(int m, const char *path)
{
    struct err e;
    struct tokfile_out *o;
    char hex[HASH_XXH3_HEX];
    json_t *records = golden_lines(m, "train.jsonl");
    check_int(json_array_size(records), STEPS * RECORDS);
    bool ok = tokfile_out_open(&o, path, "", 259, &e);
    for (size_t d = 0; ok && d < json_array_size(records); d++) {
        int32_t ids[LEN], labels[LEN];
        uint8_t learnt[LEN];
        read_ids(json_array_get(records, d), "input_ids", ids);
        read_ids(json_array_get(records, d), "labels", labels);
        for (int i = 0; i < LEN; i++) {
            learnt[i] = labels[i] >= 0;
            must(!learnt[i] || labels[i] == ids[i]);
        }
        ok = tokfile_out_add(o, ids, learnt, LEN, &e);
    }
    if (!ok || !tokfile_out_commit(o, hex, &e))
        die("%s", e.msg);
    json_decref(records);
}

/* The twelve steps by the training loop itself, into the folder `name`. */
static void train_golden(int m, const char *name, const char *tok, const char *precision, const char *recompute, int micro_rows)
{
    json_t *g = train_settings(m);
    json_t *o = json_pack("{s:s, s:{s:s, s:s}, s:s, s:s, s:{s:f, s:[f,f], s:f, s:f, s:f, s:i, s:f}, s:{s:i, s:i}, s:[{s:s, s:i, s:i, s:b, "
                          "s:b, s:[{s:s}]}], s:{s:b}}",
                          "run_dir", run_path("%s", name), "model", "config", models[m], "weights", models[m], "precision", precision,
                          "recompute", recompute, "optim", "lr", run_num(g, "lr"), "betas", number_at(g, "betas", 0),
                          number_at(g, "betas", 1), "eps", run_num(g, "eps"), "weight_decay", run_num(g, "weight_decay"), "grad_clip",
                          run_num(g, "grad_clip"), "warmup_steps", (int)run_num(g, "warmup_steps"), "min_lr_ratio",
                          run_num(g, "min_lr_ratio"), "batch", "rows", RECORDS, "micro_rows", micro_rows, "phases", "name", "golden",
                          "seq_len", LEN, "steps", STEPS, "pack", 0, "shuffle", 0, "data", "path", tok, "log", "tensorboard", 0);
    must(o);
    struct err e;
    struct settings s;
    char *path = run_path("%s.json", name);
    bool usage;
    if (!json_write_path(path, o, &e) || !settings_load(&s, path, 0, NULL, &usage, &e) || !trainer_run(&s, RESUME_NEVER, &e))
        die("%s", e.msg);
    settings_free(&s);
    json_decref(o);
    json_decref(g);
}

static void test_training(void)
{
    if (!there())
        return;
    for (int m = 0; m < MODELS; m++) {
        char *tok = xstrdup(run_path("golden%d.tok", m));
        write_tok(m, tok);
        train_golden(m, "none", tok, "f32", "none", 2);
        train_golden(m, "full", tok, "f32", "full", 2);
        check_int(run_metrics_differ(run_path("none/metrics.jsonl"), run_path("full/metrics.jsonl")), 0);
        check(run_same_file(run_path("none/step_000012/model.safetensors"), run_path("full/step_000012/model.safetensors")));
        check(run_same_file(run_path("none/step_000012/exp_avg_sq.safetensors"), run_path("full/step_000012/exp_avg_sq.safetensors")));
        train_golden(m, "whole", tok, "f32", "auto", 4); /* the step in one pass: other sums, the same numbers */

        json_t *want = train_settings(m);
        static const char *const runs[] = {"none", "whole"};
        double worst_loss = 0, worst_norm = 0;
        for (int k = 0; k < 2; k++) {
            json_t *got = run_jsonl(run_path("%s/metrics.jsonl", runs[k]));
            check_int(json_array_size(got), STEPS);
            for (size_t i = 0; i < STEPS; i++) {
                const json_t *o = json_array_get(got, i);
                double loss = fabs(run_num(o, "loss") / number_at(want, "losses", i) - 1);
                double norm = fabs(run_num(o, "grad_norm") / number_at(want, "grad_norms", i) - 1);
                check_msg(loss < 2e-5, "%s %s step %zu: loss %.9g, want %.9g", models[m], runs[k], i, run_num(o, "loss"),
                          number_at(want, "losses", i));
                check_msg(norm < 2e-4, "%s %s step %zu: norm %.9g, want %.9g", models[m], runs[k], i, run_num(o, "grad_norm"),
                          number_at(want, "grad_norms", i));
                check(fabs(run_num(o, "lr") / number_at(want, "lrs", i) - 1) < 1e-12);
                worst_loss = fmax(worst_loss, loss);
                worst_norm = fmax(worst_norm, norm);
            }
            json_decref(got);
        }

        struct rig r;
        int64_t tokens;
        int32_t len[PROMPTS];
        open_prompts(&r, m, F32);
        load_weights(&r, run_path("none/step_000012"));
        json_t *prompts = golden_lines(m, "prompts.jsonl");
        double *logits = all_prompts(&r, prompts, &tokens, len);
        double after = logits_error(m, logits, prompts, "logits_after_training.safetensors");
        check_msg(after < 5e-4, "%g", after);
        fprintf(stderr, "          %s: largest relative error of a loss %.1e, of a norm %.1e; of a logit afterwards %.1e\n", models[m],
                worst_loss, worst_norm, after);
        free(logits);
        json_decref(prompts);
        json_decref(want);
        rig_close(&r);
        for (int k = 0; k < 3; k++) {
            struct err e;
            file_remove_tree(run_path("%s", ((const char *[]){"none", "full", "whole"})[k]), &e);
        }
        free(tok);
    }
}

static void test_bf16(void)
{
    if (!there())
        return;
    ref_device();
    if (!dev_supports(BF16)) {
        test_skip("this backend computes in f32 only");
        return;
    }
    for (int m = 0; m < MODELS; m++) {
        char *tok = xstrdup(run_path("bf16-%d.tok", m)), name[32];
        snprintf(name, sizeof name, "bf16-%d", m);
        write_tok(m, tok);
        train_golden(m, name, tok, "bf16", "auto", 2);
        json_t *want = train_settings(m), *got = run_jsonl(run_path("%s/metrics.jsonl", name));
        check_int(json_array_size(got), STEPS);
        for (size_t i = 0; i < STEPS; i++) {
            double loss = run_num(json_array_get(got, i), "loss");
            check_msg(fabs(loss / number_at(want, "losses", i) - 1) < 1e-2, "%s step %zu: loss %g, want %g", models[m], i, loss,
                      number_at(want, "losses", i));
        }
        json_decref(want);
        json_decref(got);
        free(tok);
    }
}

static const struct test tests[] = {{"log-probabilities and logits", test_logprobs},
                                    {"greedy tokens by steps from the prompts' states", test_greedy},
                                    {"every gradient of the first step", test_first_gradients},
                                    {"recompute none, some, all: the same bits", test_recompute},
                                    {"twelve steps: losses, norms, rates, logits afterwards", test_training},
                                    {"twelve steps in bf16", test_bf16}};
TEST_MAIN("test_golden", tests)
