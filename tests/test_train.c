/* tests/test_train.c - runs of the program train: metrics, what the loss is the mean of, phases, steps that are not finite, memory as planned. */
#include "model/weights.h"
#include "tests/rig.h"
#include "tests/train_run.h"

/* --- metrics --- */

static void test_metrics(void)
{
    static const char *const numbers[] = {"loss", "grad_norm", "lr", "tokens_per_s", "step_s", "mem_gib"};
    char *text, *config = run_settings("metrics", "{\"log\": {\"every_steps\": 5}}");
    check_int(run_train(&text, config), 0);
    json_t *all = run_jsonl(run_path("metrics/metrics.jsonl"));
    check_int(json_array_size(all), 12);
    double tokens = 0;
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *o = json_array_get(all, i);
        check_int(json_integer_value(json_object_get(o, "step")), (int)i + 1);
        check_str(json_string_value(json_object_get(o, "phase")), i < 7 ? "one" : "two");
        for (size_t k = 0; k < sizeof numbers / sizeof numbers[0]; k++)
            check_msg(run_num(o, numbers[k]) > 0, "%s", numbers[k]);
        double learnt = run_num(o, "learnt_tokens"), seen = run_num(o, "tokens") - tokens;
        check(learnt > 0 && learnt < seen && seen <= 4 * (i < 7 ? 32 : 48));
        check(fabs(run_num(o, "tokens_per_s") * run_num(o, "step_s") / seen - 1) < 1e-9);
        tokens = run_num(o, "tokens");
        check(!json_object_get(o, "skipped"));
    }
    check(run_num(json_array_get(all, 0), "lr") == 0.005 && run_num(json_array_get(all, 1), "lr") == 0.01);
    check(run_num(json_array_get(all, 7), "lr") == 0.0025); /* the phase's own peak, warmed up anew */
    check(run_num(json_array_get(all, 6), "loss") < run_num(json_array_get(all, 0), "loss"));
    check(!strstr(text, "step 4/12") && strstr(text, "step 5/12 one 71% | loss ") && strstr(text, "step 7/12 one 100% | loss "));
    check_has(text, strcmp(dev_backend(), "cpu") ? " tok/s | mfu " : " tok/s | mem "); /* where the card's peak is known */
    json_decref(all);
    free(text);
    free(config);
}

/* --- which numbers a step's loss is the mean of --- */

static double first_loss(const char *name, const char *edits)
{
    char *config = run_settings(name, edits);
    check_int(run_train(NULL, config), 0);
    json_t *all = run_jsonl(run_path("%s/metrics.jsonl", name));
    double loss = run_num(json_array_get(all, 0), "loss");
    json_decref(all);
    free(config);
    return loss;
}

static void test_loss_mean(void)
{
    static const int32_t len[] = {9, 20};
    int32_t ids[29], target[29];
    uint8_t learnt[29];
    struct err e;
    struct tokfile_out *o;
    char hex[HASH_XXH3_HEX];
    for (int i = 0; i < 29; i++) {
        ids[i] = (i * 7 + i / 3) % 40;
        learnt[i] = i >= 5 && i != 9; /* 4 targets of the first document, 19 of the second */
    }
    must(tokfile_out_open(&o, run_path("two.tok"), "", 40, &e) && tokfile_out_add(o, ids, learnt, 9, &e) &&
         tokfile_out_add(o, ids + 9, learnt + 9, 20, &e) && tokfile_out_commit(o, hex, &e));
    for (int i = 0; i < 29; i++)
        target[i] = i != 8 && i != 28 && learnt[i + 1] ? ids[i + 1] : -1;

    struct rig r;
    struct model_shape sh = {.config = tiny_config(),
                             .type = F32,
                             .residual = F32,
                             .max_tokens = 29,
                             .max_docs = 2,
                             .train = true,
                             .kept_layers = 2,
                             .logit_rows = 29};
    double loss[29], sum[2] = {0}, count[2] = {0};
    rig_open(&r, &sh, 0);
    weights_random(r.w, NULL, &sh.config, 1234);
    struct pass p = rig_pass(&r, ids, target, NULL, len, 2, NULL);
    rig_train(&r, &p);
    ref_get(loss, F32, r.acts.loss, 29);
    for (int i = 0; i < 29; i++) {
        sum[i >= 9] += loss[i];
        count[i >= 9] += target[i] >= 0;
    }
    rig_close(&r);
    check(count[0] == 4 && count[1] == 19);

    const char *form =
        "{\"loss_mean\": \"%s\", \"batch\": {\"rows\": 2, \"micro_rows\": %d}, \"phases\": [{\"name\": \"p\", \"seq_len\": 20, "
        "\"steps\": 1, \"pack\": false, \"shuffle\": false, \"data\": [{\"path\": \"%s\"}]}]}";
    for (int micro = 1; micro <= 2; micro++) {
        char *edits = xprintf(form, "tokens", micro, run_path("two.tok"));
        double got = first_loss(micro == 1 ? "tokens1" : "tokens2", edits), want = (sum[0] + sum[1]) / 23;
        check_msg(fabs(got / want - 1) < 1e-6, "tokens, %d rows a pass: %.9g, want %.9g", micro, got, want);
        free(edits);
        edits = xprintf(form, "rows", micro, run_path("two.tok"));
        got = first_loss(micro == 1 ? "rows1" : "rows2", edits);
        want = (sum[0] / 4 + sum[1] / 19) / 2;
        check_msg(fabs(got / want - 1) < 1e-6, "rows, %d rows a pass: %.9g, want %.9g", micro, got, want);
        free(edits);
    }
}

/* --- phases --- */

static json_t *progress(const char *dir)
{
    struct err e;
    json_t *o = json_load_path(run_path("%s/trainer.json", dir), false, NULL, &e);
    if (!o)
        die("%s", e.msg);
    return o;
}

/* A second phase that resets the optimizer is the same as a run of its own from the first phase's checkpoint. */
static void test_reset(void)
{
    char *whole = run_settings("whole", "{\"phases\": []}");
    struct err e;
    json_t *o = json_load_path(whole, false, NULL, &e);
    free(whole);
    whole = run_settings("whole", NULL);
    json_decref(o);
    o = json_load_path(whole, false, NULL, &e);
    json_object_set_new(json_array_get(json_object_get(o, "phases"), 1), "reset_optimizer", json_true());
    must(json_write_path(whole, o, &e));
    check_int(run_train(NULL, whole), 0);

    json_t *phases = json_object_get(o, "phases");
    json_array_remove(phases, 0);
    json_object_set_new(o, "run_dir", json_string(run_path("second")));
    json_object_set_new(json_object_get(o, "model"), "weights", json_string(run_path("whole/step_000007")));
    json_object_set_new(o, "seed", json_integer(1235)); /* phase i is shuffled with seed + i */
    must(json_write_path(run_path("second.json"), o, &e));
    json_decref(o);
    check_int(run_train(NULL, run_path("second.json")), 0);

    json_t *a = run_jsonl(run_path("whole/metrics.jsonl")), *b = run_jsonl(run_path("second/metrics.jsonl"));
    check_int(json_array_size(b), 5);
    for (size_t i = 0; i < 5; i++) {
        const json_t *x = json_array_get(a, 7 + i), *y = json_array_get(b, i);
        check(run_num(x, "loss") == run_num(y, "loss") && run_num(x, "grad_norm") == run_num(y, "grad_norm"));
        check(run_num(x, "lr") == run_num(y, "lr"));
    }
    json_decref(a);
    json_decref(b);
    check(run_same_file(run_path("whole/step_000012/model.safetensors"), run_path("second/step_000005/model.safetensors")));
    check(run_same_file(run_path("whole/step_000012/exp_avg.safetensors"), run_path("second/step_000005/exp_avg.safetensors")));
    json_t *p = progress("whole/step_000012"), *q = progress("whole/step_000007");
    check(run_num(p, "updates") == 5 && run_num(p, "step") == 12 && run_num(p, "phase") == 1 && run_num(p, "phase_step") == 5);
    check(run_num(q, "updates") == 7 && run_num(q, "phase") == 0 && json_is_true(json_object_get(q, "phase_end")));
    json_decref(p);
    json_decref(q);

    /* Without the reset the second phase is another one. */
    char *kept = run_settings("kept", NULL);
    check_int(run_train(NULL, kept), 0);
    p = progress("kept/step_000012");
    check(run_num(p, "updates") == 12);
    json_decref(p);
    check(run_same_file(run_path("whole/step_000007/model.safetensors"), run_path("kept/step_000007/model.safetensors")));
    check(!run_same_file(run_path("whole/step_000012/model.safetensors"), run_path("kept/step_000012/model.safetensors")));
    free(kept);
    free(whole);
}

/* --- steps that are not finite --- */

static void test_all_nan(void)
{
    char *text, *config = run_settings("nan", NULL), *option = xprintf("--model.weights=%s", run_path("nan.weights"));
    run_write_weights(run_path("nan.weights"), P_NORM_F, -1, 3, NAN);
    check_int(run_train(&text, config, option, "--checkpoint.every_steps=100", "--phases.0.steps=20"), 1);
    check_has(text, "step 1 skipped: loss nan");
    check_has(text, "train: step 10: 10 steps in a row without finite loss and gradients");
    json_t *all = run_jsonl(run_path("nan/metrics.jsonl"));
    check_int(json_array_size(all), 10);
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *o = json_array_get(all, i);
        check(json_is_true(json_object_get(o, "skipped")) && !json_object_get(o, "loss") && !json_object_get(o, "grad_norm"));
        const char *rows = json_string_value(json_object_get(o, "rows"));
        check(rows && strstr(rows, "a.tok:"));
    }
    check(!file_exists(run_path("nan/step_000010")) && !file_exists(run_path("nan/latest")));
    json_decref(all);
    free(text);
    free(option);
    free(config);
}

/* One token's embedding is NaN: the steps that meet it are skipped, counted and named; the others train. */
static void test_some_nan(void)
{
    char *text, *config = run_settings("rare", NULL), *option = xprintf("--model.weights=%s", run_path("rare.weights"));
    run_write_weights(run_path("rare.weights"), P_EMBED, -1, 39 * 16 + 5, NAN); /* token 39 */
    struct err e;
    struct tokfile_out *o;
    char hex[HASH_XXH3_HEX];
    must(tokfile_out_open(&o, run_path("rare.tok"), "", 40, &e));
    for (int d = 0; d < 12; d++) { /* documents 2, 5 and 6 hold it: steps 2, 3 of two rows each, and 4 (document 6) */
        int32_t ids[10];
        uint8_t learnt[10];
        for (int i = 0; i < 10; i++) {
            ids[i] = (d * 5 + i) % 38;
            learnt[i] = 1;
        }
        ids[4] = d == 2 || d == 5 || d == 6 ? 39 : ids[4];
        must(tokfile_out_add(o, ids, learnt, 10, &e));
    }
    must(tokfile_out_commit(o, hex, &e));
    char *phases = xprintf("--phases=[{\"name\": \"p\", \"seq_len\": 10, \"epochs\": 1, \"pack\": false, \"shuffle\": false, \"data\": "
                           "[{\"path\": \"%s\"}]}]",
                           run_path("rare.tok"));
    check_int(run_train(&text, config, option, phases, "--batch.rows=2", "--checkpoint.every_steps=100"), 0);
    check_has(text, "3 steps were skipped");
    check_has(text, "rare.tok:2");
    json_t *all = run_jsonl(run_path("rare/metrics.jsonl"));
    check_int(json_array_size(all), 6);
    for (size_t i = 0; i < json_array_size(all); i++) {
        bool skipped = json_is_true(json_object_get(json_array_get(all, i), "skipped"));
        check_msg(skipped == (i >= 1 && i <= 3), "step %zu", i + 1);
        check(skipped || isfinite(run_num(json_array_get(all, i), "loss")));
    }
    check_has(json_string_value(json_object_get(json_array_get(all, 2), "rows")), "rare.tok:5");
    json_t *p = progress("rare/step_000006");
    check(run_num(p, "updates") == 3 && run_num(p, "skipped") == 3 && run_num(p, "skipped_in_row") == 0);
    json_decref(p);
    json_decref(all);
    free(phases);
    free(text);
    free(option);
    free(config);
}

/* --- memory --- */

/* What --plan says is what the process takes, within 2%. On a GPU that the plan is printed is all that is looked at here. */
static void test_plan(void)
{
    char *text, *config = run_plan_settings(2);
    static const char *const ways[] = {"--recompute=none", "--recompute=full"};
    for (int i = 0; i < 2; i++) {
        int64_t peak;
        check_int(run_train(&text, config, "--plan", ways[i]), 0);
        check(!file_exists(run_path("plan/metrics.jsonl")));
        double plan = run_planned(text, "\n  in all ");
        check_has(text, i ? "0 of 6 layers keep" : "6 of 6 layers keep");
        free(text);
        check(plan > 1e8 && plan < (strcmp(dev_backend(), "cpu") ? 4e9 : 1e9)); /* a GPU's context is part of it */
        check_int(run_train_limited(&text, &peak, 0, config, (const char *const[]){ways[i], NULL}), 0);
        free(text);
        double taken = (double)peak / plan - 1;
        /* Going on from the checkpoint takes no more. */
        check_int(run_train_limited(&text, &peak, 0, config, (const char *const[]){ways[i], "--phases.0.steps=3", NULL}), 0);
        free(text);
        double taken_again = (double)peak / plan - 1;
        fprintf(stderr, "          %s: %.1f MiB planned, %+.2f%% taken, resumed %+.2f%%\n", ways[i], plan / 1048576, 100 * taken,
                100 * taken_again);
        struct err e;
        must(file_remove_tree(run_path("plan"), &e));
        if (OWN_MEMORY && !strcmp(dev_backend(), "cpu"))
            check_msg(fabs(taken) < 0.02 && taken_again < 0.02, "%+.2f%%, resumed %+.2f%%", 100 * taken, 100 * taken_again);
    }
    free(config);
}

static const struct test tests[] = {{"metrics.jsonl and progress lines", test_metrics},
                                    {"loss over tokens and over rows", test_loss_mean},
                                    {"phases, with the optimizer reset and not", test_reset},
                                    {"nothing finite: ten steps and out", test_all_nan},
                                    {"some steps not finite", test_some_nan},
                                    {"memory as planned", test_plan}};
TEST_MAIN("test_train", tests)
