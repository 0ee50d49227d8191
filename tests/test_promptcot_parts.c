/* tests/test_promptcot_parts.c - what promptcot is made of: its wording, how concepts are drawn, what is kept of replies, repeats among problems,
 * embeddings against the double-precision model. */
#include "core/log.h"
#include "core/rng.h"
#include "infer/engine.h"
#include "infer/promptcot/promptcot.h"
#include "infer/promptcot/text.h"
#include "tests/promptcot_files.h"
#include "tests/ref_util.h"
#include "tests/test.h"

/* ------------------------------------------------------------------- wording */

static void wording(void)
{
    json_t *concepts = json_pack("[s, s]", "Prime factorization", "Vieta's formulas");
    char *prompt = text_prompt(concepts, "AIME");
    check_str(
        prompt,
        "Given foundational concepts and difficulty level, identify connections and develop a question that integrates these concepts "
        "with appropriate complexity.\n\nFoundational Concepts:\n1. Prime factorization\n2. Vieta's formulas\n\nDifficulty Level: AIME");
    char *completion = text_completion("R", "P"), *asked = text_ask_problem(prompt, "R", false),
         *whole = xprintf("%s\n\n%s", prompt, completion);
    check(strncmp(whole, asked, strlen(asked)) == 0); /* the request is where the record breaks off */
    check_str(whole + strlen(asked), "P\n<!-- END PROBLEM -->");
    free(asked);
    asked = text_ask_rationale(prompt, false);
    check(strncmp(whole, asked, strlen(asked)) == 0);
    check_str(whole + strlen(asked), "R\n<!-- END RATIONALE -->\n\n<!-- BEGIN PROBLEM -->\nP\n<!-- END PROBLEM -->");
    char *r = text_rationale(completion, false), *p = text_problem(completion, false);
    check_str(r, "R");
    check_str(p, "P");
    free(r);
    free(p);
    r = text_rationale(" some text \n", true); /* it stopped at the mark */
    check_str(r, "some text");
    free(r);
    check(!text_rationale("some text", false) && !text_rationale(" \n", true) &&
          !text_problem("<!-- BEGIN PROBLEM --> \n<!-- END PROBLEM -->", false));
    r = text_rationale("I will use <!-- BEGIN RATIONALE --> now.\n<!-- BEGIN RATIONALE -->\nyes\n<!-- END RATIONALE -->", false);
    check_str(r, "yes");
    free(r);
    char *judge = text_ask_judge(concepts, "AIME", "R", "P");
    check(strstr(judge, completion) && strstr(judge, "2. Vieta's formulas") && strstr(judge, "Difficulty level: AIME"));
    static const struct {
        const char *reply, *verdict;
    } cases[] = {
        {"Final Judgement: perfect", "perfect"},
        {"blah\n\n**Final Judgement:** Perfect.", "perfect"},
        {"final judgement: [acceptable]", "acceptable"},
        {"Final Judgement: perfect\nNo: Final Judgement: bad", "bad"},
        {"Final Judgement: perfectly fine", "none"},
        {"Final Judgement: ", "none"},
        {"perfect", "none"},
        {"", "none"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_str(text_verdict(cases[i].reply), cases[i].verdict);
    free(judge);
    free(asked);
    free(whole);
    free(completion);
    free(prompt);
    json_decref(concepts);
}

/* ------------------------------------------------------------------- drawing concepts */

static void drawing(void)
{
    enum { N = 20, WIDTH = 6, DRAWS = 4000 };
    double v[N * WIDTH];
    struct likeness l;
    for (int i = 0; i < N; i++) /* two camps around opposite directions, far from the origin */
        for (int k = 0; k < WIDTH; k++)
            v[i * WIDTH + k] = 50 + (i < N / 2 ? 1 : -1) * (k + 1) + 0.3 * rng_normal(1, 2, (uint64_t)(i * WIDTH + k));
    likeness_of(&l, v, N, WIDTH);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            float c = l.cosine[i * N + j];
            check(i == j ? fabsf(c - 1) < 1e-6f : (i < N / 2) == (j < N / 2) ? c > 0.8f : c < -0.8f);
            check(c == l.cosine[j * N + i]);
        }
    int64_t a[5], b[5], first[N] = {0}, mixed[2] = {0};
    for (uint64_t d = 0; d < DRAWS; d++)
        for (int wide = 0; wide < 2; wide++) {
            double mean = likeness_draw(&l, 7, d, wide ? 1000 : 0.1, 5, a), pairs = 0;
            bool mix = false;
            for (int i = 0; i < 5; i++)
                for (int j = 0; j < i; j++) {
                    check(a[i] != a[j] && a[i] >= 0 && a[i] < N);
                    mix = mix || (a[i] < N / 2) != (a[j] < N / 2);
                    pairs += (double)l.cosine[a[i] * N + a[j]];
                }
            check(fabs(mean - pairs / 10) < 1e-9);
            mixed[wide] += mix;
            first[a[0]] += !wide;
        }
    check_msg(mixed[0] == 0, "%lld of %d close draws mix the camps", (long long)mixed[0], DRAWS);
    /* Evenly drawn, 2 C(10,5) / C(20,5) = 3.25% stay in one camp. */
    check_msg(fabs((double)mixed[1] / DRAWS - 0.9675) < 0.012, "%lld of %d wide draws mix the camps", (long long)mixed[1], DRAWS);
    for (int i = 0; i < N; i++)
        check_msg(fabs((double)first[i] - DRAWS / N) < 5 * sqrt(DRAWS / N), "concept %d is first %lld times", i, (long long)first[i]);
    for (uint64_t d = 0; d < 200; d++) { /* so close that only the nearest is drawn, also where all that are left are in the other camp */
        enum { MANY = 12 };
        int64_t many[MANY];
        likeness_draw(&l, 7, d, 0.001, MANY, many);
        for (int i = 1; i < MANY; i++) {
            double most = -2, got = -2;
            for (int c = 0; c < N; c++) {
                double sum = 0;
                bool taken = false;
                for (int k = 0; k < i; k++) {
                    sum += (double)l.cosine[many[k] * N + c] / i;
                    taken = taken || many[k] == c;
                }
                most = !taken && sum > most ? sum : most;
                got = many[i] == c ? sum : got;
            }
            check_msg(got > most - 0.05, "draw %llu, concept %d: %g, the nearest is at %g", (unsigned long long)d, i, got, most);
        }
    }
    likeness_draw(&l, 7, 3, 0.1, 5, a);
    likeness_draw(&l, 7, 3, 0.1, 5, b);
    check(memcmp(a, b, sizeof a) == 0);
    likeness_draw(&l, 8, 3, 0.1, 5, b);
    check(memcmp(a, b, sizeof a) != 0);
    free(l.cosine);
}

static void the_library(void)
{
    struct err e;
    json_t *all = json_load_lines("configs/concepts.jsonl", &e), *v, *seen = json_object();
    size_t i, math = 0, code = 0, levels[6] = {0};
    json_array_foreach(all, i, v)
    {
        const char *name, *domain, *area;
        int64_t level;
        check_msg(json_get_str(v, "concept", &name, &e) && json_get_str(v, "domain", &domain, &e) && json_get_str(v, "area", &area, &e) &&
                      json_get_int(v, "level", 1, 5, &level, &e),
                  "line %zu: %s", i + 1, e.msg);
        check_msg(!json_object_get(seen, name), "%s is there twice", name);
        json_object_set_new(seen, name, json_true());
        math += strcmp(domain, "math") == 0;
        code += strcmp(domain, "code") == 0;
        levels[level]++;
    }
    check_msg(math + code == json_array_size(all) && math + code >= 300 && code >= 100, "%zu and %zu", math, code);
    for (int k = 1; k <= 5; k++)
        check(levels[k] >= 20);
    json_decref(all);
    json_decref(seen);
}

/* ------------------------------------------------------------------- replies on disk */

static void replies(void)
{
    char a[HASH_XXH3_HEX], b[HASH_XXH3_HEX], *path = path_of("r.jsonl");
    struct replies *r, *other;
    struct err e;
    hash_xxh3("a", 1, a);
    hash_xxh3("b", 1, b);
    check_msg(replies_open(&r, path, &e), "%s", e.msg);
    json_t *one = json_pack("{s:s, s:f}", "text", "x\n\"y\"", "p", 0.1), *two = json_pack("{s:s}", "text", "second");
    check(replies_put(r, a, one, &e) && replies_put(r, a, two, &e) && !replies_has(r, b)); /* the first stays */
    check(!replies_open(&other, path, &e));
    check_has(e.msg, "is in use");
    check(replies_put(r, b, two, &e));
    replies_close(r);
    char *whole = read_all("r.jsonl");
    size_t n = strlen(whole);
    for (size_t cut = n; cut-- > 0;) { /* cut off anywhere: whole lines stay */
        char *text = xprintf("%.*s", (int)cut, whole);
        put("r.jsonl", text);
        check(replies_open(&r, path, &e));
        size_t first = strcspn(whole, "\n") + 1;
        check(replies_has(r, a) == (cut >= first) && !replies_has(r, b));
        if (cut >= first) {
            json_t *got = replies_get(r, a, &e);
            check(json_equal(got, one));
            json_decref(got);
        }
        check(replies_put(r, a, one, &e) && replies_put(r, b, two, &e));
        replies_close(r);
        char *again = read_all("r.jsonl");
        check_str(again, whole);
        free(again);
        free(text);
        cut -= cut > 40 ? 6 : 0;
    }
    char *wrong =
        xprintf("%.*s{\"key\": 5}\n%s", (int)strcspn(whole, "\n") + 1, whole, whole); /* no trace of a kill: nothing is thrown away */
    put("r.jsonl", wrong);
    check(!replies_open(&r, path, &e));
    check_has(e.msg, "r.jsonl:2 is no reply that this program wrote");
    char *after = read_all("r.jsonl");
    check_str(after, wrong);
    free(after);
    free(wrong);
    free(whole);
    free(path);
    json_decref(one);
    json_decref(two);
}

/* ------------------------------------------------------------------- repeats */

static void repeats(void)
{
    static const struct {
        const char *problem, *why, *of; /* why NULL: it stays */
    } cases[] = {
        {"A club keeps 12 boxes of 30 shells each and 7 loose ones on a long shelf in the hall. How many shells does the whole club own?",
         NULL, NULL},
        {"A train leaves the town at noon.", NULL, NULL},
        {"**A club keeps** $12$ boxes of 30 shells each, and 7 loose ones, on a long shelf in the hall! How many shells does the whole club own?",
         "duplicate", "p0"},
        {"A club keeps 12 boxes of 30 shells each and 7 loose ones on a long shelf in the hall. How many shells does the entire club own?",
         "near_duplicate", "p0"},
        {"A club keeps 11 boxes of 40 shells each and 9 loose ones on a long shelf in the hall. How many shells does the whole club own?",
         NULL, NULL},
        {"A train leaves the town at two.", NULL, NULL}, /* too short to be nearly another */
        {"A train leaves the town at noon!", "duplicate", "p1"},
        {"What is the least prime that is a sum of two squares and larger than one hundred, and why is there none below it?",
         "contaminated", NULL},
        {"So, a club keeps 11 boxes of 40 shells each and 9 loose ones on a long shelf in the hall. How many shells does the whole club own?",
         "near_duplicate", "p4"},
        {"A club keeps 12 boxes of 30 shells each and 7 loose ones on a long shelf in the hall. How many shells does the entire club own?",
         "near_duplicate", "p0"}, /* word for word one that went: of what stays it is a near repeat */
    };
    enum { CASES = sizeof cases / sizeof *cases };
    put("eval.jsonl",
        "{\"id\":\"e\",\"problem\":\"What is the least prime that is a sum of two squares and larger than one hundred, and why is "
        "there none below it?\"}\n");
    char *against = path_of("eval.jsonl");
    struct promptcot p = {.work = dir, .similarity = 0.7, .decontaminate = {.against = {&against, 1}, .ngram = 13, .similarity = 0.6}};
    struct err e;
    for (int clean = 0; clean < 2; clean++) {
        struct step s = {.p = &p, .name = "problem", .out = json_array(), .dropped = json_object()};
        for (int i = 0; i < CASES; i++) {
            char *id = xprintf("p%d", i);
            json_array_append_new(s.out, json_pack("{s:s, s:s}", "id", id, "problem", cases[i].problem));
            free(id);
        }
        check_msg(step_take_out(&s, &e), "%s", e.msg);
        json_t *removed = load_lines("problem.removed.jsonl");
        size_t kept = 0, gone = 0;
        for (int i = 0; i < CASES; i++) {
            const char *why = cases[i].why;
            if (clean && why && strcmp(why, "contaminated") == 0)
                why = NULL;
            const json_t *one = why ? json_array_get(removed, gone++) : json_array_get(s.out, kept++);
            check_str(text_of(one, why ? "text" : "problem"), cases[i].problem);
            check_str(text_of(one, "why"), why ? why : "");
            if (why && cases[i].of)
                check_str(text_of(one, "of"), cases[i].of);
        }
        check_int(json_array_size(s.out), kept);
        check_int(json_array_size(removed), gone);
        check_int(json_integer_value(json_object_get(s.dropped, "near_duplicate")), 3);
        check_int(json_integer_value(json_object_get(s.dropped, "duplicate")), 2);
        json_decref(removed);
        json_decref(s.out);
        json_decref(s.dropped);
        p.decontaminate.against.n = 0;
    }
    free(against);
}

/* ------------------------------------------------------------------- embeddings */

/* The head is linear, so that head * mean of hidden states is the mean of the logits. */
static void embeddings(void)
{
    enum { LONGEST = 130 };
    struct ref_model m;
    struct param_table t;
    struct engine *g;
    struct err e;
    make_model("model", &m, &t, 3);
    char *path = path_of("model");
    const struct model_config *c = &m.c;
    struct engine_settings s = {
        .type = F32, .state_type = F32, .slots = 1, .max_prompt = LONGEST, .sampling = {.top_p = 1, .repetition_penalty = 1}};
    check_msg(engine_open(&g, c, path, &s, &e), "%s", e.msg);
    const struct param *head = params_get(&t, P_HEAD, -1);
    const double *w = m.w[head - t.param];
    static const int32_t lengths[] = {1, 2, 15, 16, 17, 63, 64, 65, 128, 129, 130};
    int32_t ids[LONGEST];
    float *mean = xmalloc(sizeof *mean * (size_t)c->hidden);
    double *logits = xmalloc(sizeof *logits * (size_t)(LONGEST * c->vocab));
    for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
        int32_t n = lengths[k];
        for (int32_t i = 0; i < n; i++)
            ids[i] = (int32_t)rng_below(4, k, (uint64_t)i, (uint64_t)c->vocab);
        check(engine_embed(g, ids, n, mean));
        ref_model_logits(logits, &m, ids, &n, 1);
        double worst = 0, size = 0;
        for (int64_t v = 0; v < c->vocab; v++) {
            double want = 0, got = 0;
            for (int32_t i = 0; i < n; i++)
                want += logits[i * c->vocab + v] / n;
            for (int64_t d = 0; d < c->hidden; d++)
                got += w[v * c->hidden + d] * (double)mean[d];
            worst = fmax(worst, fabs(got - want));
            size = fmax(size, fabs(want));
        }
        check_msg(worst < 5e-6 * size, "%d tokens: %g of %g", n, worst, size);
    }
    engine_close(g);
    free(mean);
    free(logits);
    free(path);
    ref_model_close(&m);
    params_free(&t);
}
static void inputs_of_a_reply(void)
{
    static const char reply[] =
        "<think>\n<!-- BEGIN INPUT -->\n9\n<!-- END INPUT -->\n</think>\n<!-- BEGIN INPUT -->\n  1 2\n3\n\n<!-- END INPUT -->\n"
        "<!-- BEGIN INPUT --> 7 <!-- END INPUT --><!-- BEGIN INPUT -->\n  1 2\n3\n<!-- END INPUT -->"
        "<!-- BEGIN INPUT -->\n \n<!-- END INPUT --><!-- BEGIN INPUT -->\n8\n<!-- END INPUT --><!-- BEGIN INPUT -->\n5";
    static const char *const want[] = {"  1 2\n3\n", "7\n", "8\n"};
    for (int64_t n = 0; n <= 4; n++) {
        json_t *v = text_inputs(reply, n);
        check_int(json_array_size(v), n < 3 ? n : 3);
        for (size_t i = 0; i < json_array_size(v); i++)
            check_str(json_string_value(json_array_get(v, i)), want[i]);
        json_decref(v);
    }
    json_t *none = text_inputs("there are none", 3);
    check_int(json_array_size(none), 0);
    json_decref(none);
}

static const struct test tests[] = {
    {"wording", wording},
    {"drawing", drawing},
    {"the library", the_library},
    {"replies", replies},
    {"repeats", repeats},
    {"embeddings", embeddings},
    {"inputs of a reply", inputs_of_a_reply},
};

int main(int argc, char **argv)
{
    log_mute();
    struct err e;
    if (!dev_open(0, &e))
        die("%s", e.msg);
    return folder_main(argc, argv, "test_promptcot_parts", tests, (int)(sizeof tests / sizeof *tests));
}
