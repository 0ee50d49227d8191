/* Scoring: numbers read exactly, where an answer is looked for, metrics with known values, files that are wrong. */
#include "core/file.h"
#include "infer/score/scoring.h"
#include "tests/test.h"
#include <unistd.h>

static const char truth_path[] = "/tmp/test_score_truth.jsonl", answers_path[] = "/tmp/test_score_answers.jsonl",
                  page_path[] = "/tmp/test_score_page.html";

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    check(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

/* want NULL: the text is not a single number. */
static void single_numbers(void)
{
    static const char *const cases[][2] = {
        {"42", "42"},
        {" 42. ", "42"},
        {"-5", "-5"},
        {"- 5", "-5"},
        {"\u22123", "-3"},
        {"-0", "0"},
        {"033", "33"},
        {"1,234", "1234"},
        {"7,425,000", "7425000"},
        {"32,\\!349", "32349"},
        {"14{,}916", "14916"},
        {"1 000 000", "1000000"},
        {"32, 349", NULL},
        {"1,23", NULL},
        {"0,123", NULL},
        {"$18", "18"},
        {"\\$16,\\!386.20", "81931/5"},
        {"-$3", "-3"},
        {"$-3", "-3"},
        {"18.00", "18"},
        {".5", "1/2"},
        {"2.50", "5/2"},
        {"3/4", "3/4"},
        {"-6/8", "-3/4"},
        {"6/-8", "-3/4"},
        {"1 / 2", "1/2"},
        {"3/0", NULL},
        {"\\frac{10}{9}", "10/9"},
        {"-\\frac{1}{2}", "-1/2"},
        {"\\frac{-1}{-2}", "1/2"},
        {"\\frac12", "1/2"},
        {"\\frac1{72}", "1/72"},
        {"\\dfrac{3}{3}", "1"},
        {"\\left( \\frac{1}{3} \\right)", "1/3"},
        {"2 1/2", "5/2"},
        {"-2 1/2", "-5/2"},
        {"918\\frac{1}{2}", "1837/2"},
        {"3\u00bd", "7/2"},
        {"\u00bd", "1/2"},
        {"20%", "20"},
        {"28\\%", "28"},
        {"90^\\circ", "90"},
        {"250\u00b0", "250"},
        {"18 dollars", "18"},
        {"36\\text{ cm}^2", "36"},
        {"36\\ \\mathrm{km/h}", "36"},
        {"x = 11", "11"},
        {"total cost = $18", "18"},
        {"2x + z = 1", NULL},
        {"(36)^2", NULL},
        {"{36}^2", NULL},
        {"6*3 = 18", "18"},
        {"7.8\\times 10^2", "780"},
        {"6.0e-3", "3/500"},
        {"3\\cdot 10^{-3}", "3/1000"},
        {"1e999", NULL},
        {"10^{10^{10}}", NULL},
        {"2^{10}", NULL},
        {"12:30", NULL},
        {"1.2.3", NULL},
        {"1/2/2024", NULL},
        {"3, 4", NULL},
        {"6 and 8", NULL},
        {"3+4", NULL},
        {"\\sqrt{3}", NULL},
        {"\\pi", NULL},
        {"AZYUK2A", NULL},
        {"", NULL},
        {"-", NULL},
        {"$", NULL},
        {"100000000000000000000000000000000000000000000000001", "100000000000000000000000000000000000000000000000001"},
        {"0.1", "1/10"},
        {"0.10000000000000000000000000000000000000000000001",
         "10000000000000000000000000000000000000000000001/100000000000000000000000000000000000000000000000"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct number v;
        bool ok = number_single(&v, cases[i][0]);
        check_msg(ok == (cases[i][1] != NULL) && (!ok || strcmp(v.canon, cases[i][1]) == 0), "\"%s\": got %s, want %s", cases[i][0],
                  ok ? v.canon : "nothing", cases[i][1] ? cases[i][1] : "nothing");
        number_free(&v);
    }
}

static void numbers_in_running_text(void)
{
    static const char *const cases[][3] = {
        /* text, first, last */
        {"She sells 16 - 3 = 13 eggs for $26.", "16", "26"},
        {"16-3=13", "16", "13"},
        {"it falls to -3 degrees", "-3", "-3"},
        {"7 -3", "7", "3"},
        {"Q3 of 2 pages", "2", "2"},
        {"they have 3 apples and 4 pears", "3", "4"},
        {"5 cm^2", "5", "5"},
        {"$1,000,000.", "1000000", "1000000"},
        {"pi is 3.14159.", "314159/100000", "314159/100000"},
        {"at 12:30 it is 5", "5", "5"},
        {"no number at all", NULL, NULL},
        {"<<16-3-4=9>>9 a day", "16", "9"},
        {"**18**", "18", "18"},
        {"3/4 of 2 1/2", "3/4", "5/2"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct number a, b;
        number_first(&a, cases[i][0]);
        number_last(&b, cases[i][0]);
        check_msg(cases[i][1] ? a.canon && strcmp(a.canon, cases[i][1]) == 0 : !a.canon, "\"%s\": first %s", cases[i][0], a.canon);
        check_msg(cases[i][2] ? b.canon && strcmp(b.canon, cases[i][2]) == 0 : !b.canon, "\"%s\": last %s", cases[i][0], b.canon);
        number_free(&a);
        number_free(&b);
    }
}

struct judged {
    const char *task, *gold, *text;
    bool cut, correct;
    const char *extracted; /* NULL: none */
};
static void verdicts_on_texts(void)
{
    static const struct judged cases[] = {
        {"arithmetic", "42", "27+15: 7+5=12, 2+1+1=4 -> 42\n</think>\n\n42", false, true, "42"},
        {"arithmetic", "42", "27+15=42\n</think>\n\n41", false, false, "41"},
        {"arithmetic", "42", "27+15=42", true, false, NULL}, /* cut off: the last number is a step on the way */
        {"arithmetic", "42", "27+15=42", false, true, "42"},
        {"arithmetic", "1/2", "</think>\n\n0.50", false, true, "0.50"},
        {"arithmetic", "42", "</think>\n\nIt is 6 times 7, so the answer is 42, not 41.", false, true, "42"},
        {"arithmetic", "7", "</think>\n\\boxed{7} or 8", false, true, "7"},
        {"arithmetic", "7", "first 6\n</think> 8 </think>\n\n7", false, true, "7"},
        {"arithmetic", "7", "the sum is 7\n</think>\n\n", false, false, NULL},
        {"arithmetic", "12345678901234567890", "</think>\n\n12345678901234567891", false, false, "12345678901234567891"},
        {"gsm8k", "Natalia sold <<48/2=24>>24.\n#### 72", "She sold 72.\n#### 72", false, true, "72"},
        {"gsm8k", "#### 70,000", "#### $70000.00", false, true, "70000.00"},
        {"gsm8k", "#### 18", "16-3-4=9, 9*2=18\n#### 18\nCheck: 9*2 = 18, 3+4=7", false, true, "18"},
        {"gsm8k", "#### 18", "#### 17\n#### 18 dollars", false, true, "18"},
        {"gsm8k", "#### 18", "#### unknown\n18", false, false, NULL},
        {"gsm8k", "#### 27", "First \\boxed{26}? No: \\boxed{27}. In 2 steps.", false, true, "27"},
        {"gsm8k", "#### 3", "The answer is $\\boxed{3", false, false, NULL}, /* an answer that was not finished */
        {"gsm8k", "#### 26", "\\boxed{26}, or \\boxed{27", false, true, "26"},
        {"gsm8k", "#### 3", "so $\\boxed{3", true, false, NULL},
        {"gsm8k", "#### 8", "<think>\nIt may be \\boxed{7}.\n</think>\n\nThe answer is \\boxed{8}.", false, true, "8"},
        {"gsm8k", "#### 7", "<think>\nIt may be \\boxed{7}.\n</think>\n\nThe answer is \\boxed{8}.", false, false, "8"},
        {"gsm8k", "#### 7", "<think>\n\\boxed{7}.\n</think>\n\n", false, true, "7"},
        {"gsm8k", "#### 18", "Janet makes $18 every day. The answer is $18 a day, in 2 weeks 252.", false, true, "18"},
        {"gsm8k", "#### 18", "The final answer is:\n\n**18**\n", false, true, "18"},
        {"gsm8k", "#### 18", "Answer: 9 * 2 = $18.", false, true, "18"},
        {"gsm8k", "#### 1000", "The value is 1 000.0 in the end; the answer is 1000.0", false, true, "1000.0"},
        {"gsm8k", "#### 20", "It is 20%.", false, true, "20"},
        {"gsm8k", "#### 20", "It is 0.2.", false, false, "0.2"},
        {"gsm8k", "#### 5", "\\boxed{3, 5}", false, false, NULL},
        {"gsm8k", "#### 5", "", false, false, NULL},
        {"gsm8k", "5", "A: 5", false, true, "5"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct judged *c = &cases[i];
        struct err e = {""};
        const struct task *t = task_find(c->task, &e);
        json_t *truth = json_pack("{s:s}", "answer", c->gold);
        char *key = NULL;
        check_msg(t && t->gold(truth, &key, &e), "%s", e.msg);
        struct verdict v = {0};
        t->judge(&v, truth, key, c->text, c->cut);
        check_msg(v.correct == c->correct, "\"%s\" against \"%s\": %s", c->text, c->gold, v.why);
        check_msg(c->extracted ? v.extracted && strcmp(v.extracted, c->extracted) == 0 : !v.extracted, "\"%s\": extracted %s", c->text,
                  v.extracted ? v.extracted : "nothing");
        check(v.why && *v.why);
        verdict_free(&v);
        free(key);
        json_decref(truth);
    }
}

static void near(double got, double want)
{
    check_msg(fabs(got - want) < 1e-12, "got %.15g, want %.15g", got, want);
}

static json_t *run(const char *task, const char *truth, const char *answers, struct err *e)
{
    write_file(truth_path, truth);
    write_file(answers_path, answers);
    e->msg[0] = 0;
    json_t *score = scoring_run(task_find(task, e), truth_path, answers_path, &(struct scoring_options){0}, e);
    return score;
}

static double value(const json_t *score, const char *metric)
{
    const json_t *v = json_object_get(json_object_get(json_object_get(score, "metrics"), metric), "value");
    check_msg(json_is_number(v), "no metric %s", metric);
    return json_number_value(v);
}

/* An answer that was ended because it repeated itself counts as one that was cut off. */
static void a_loop(void)
{
    static const char *const ends[] = {"length", "loop"};
    json_t *counts[2];
    for (int i = 0; i < 2; i++) {
        struct err e;
        char *answers = xprintf("{\"id\":1,\"sample\":0,\"text\":\"2 2 2 2\",\"finish_reason\":\"%s\"}\n", ends[i]);
        json_t *s = run("arithmetic", "{\"id\":1,\"answer\":\"2\"}\n", answers, &e);
        check_msg(s, "%s", s ? "" : e.msg);
        counts[i] = json_incref(json_object_get(s, "counts"));
        check_int(json_integer_value(json_object_get(counts[i], "truncated")), 1);
        json_decref(s);
        free(answers);
    }
    check(json_equal(counts[0], counts[1]));
    json_decref(counts[0]);
    json_decref(counts[1]);
}

static void a_whole_score(void)
{
    struct err e;
    json_t *s = run("arithmetic", "{\"id\":\"a\",\"answer\":\"2\"}\n{\"id\":7,\"answer\":3}\n\n{\"id\":\"c\",\"answer\":\"6/2\"}\n",
                    "{\"id\":\"a\",\"sample\":1,\"text\":\"</think>2\",\"finish_reason\":\"stop\"}\n"
                    "{\"id\":\"a\",\"sample\":0,\"text\":\"</think>3\",\"finish_reason\":\"stop\"}\n"
                    "{\"id\":\"7\",\"sample\":0,\"text\":\"</think>3.0\"}\n"
                    "{\"id\":7,\"sample\":1,\"text\":\"1+2=3\",\"finish_reason\":\"length\"}\n"
                    "{\"id\":\"c\",\"sample\":0,\"text\":\"</think>3\"}\n",
                    &e);
    check_msg(s, "%s", e.msg);
    if (!s)
        return;
    static const struct {
        const char *key;
        int want;
    } counts[] = {{"problems", 3},  {"samples", 5}, {"samples_per_problem", 2}, {"missing", 1}, {"truncated", 1},
                  {"no_answer", 1}, {"correct", 3}};
    for (int i = 0; i < 7; i++)
        check_int(json_integer_value(json_object_get(json_object_get(s, "counts"), counts[i].key)), counts[i].want);
    near(value(s, "accuracy"), 0.5);
    near(value(s, "pass@1"), 0.5);
    near(value(s, "pass@2"), 1);
    near(value(s, "maj@2"), (0.5 + 1 + 1) / 3);
    near(value(s, "most_frequent_answer"), 2.0 / 3);
    char *verdicts = json_dumps(json_object_get(s, "verdicts"), JSON_COMPACT);
    check_str(
        verdicts,
        "[{\"id\":\"a\",\"sample\":0,\"correct\":false,\"extracted\":\"3\",\"why\":\"found as the whole answer; expected 2\","
        "\"gold\":\"2\"},"
        "{\"id\":\"a\",\"sample\":1,\"correct\":true,\"extracted\":\"2\",\"why\":\"found as the whole answer\",\"gold\":\"2\"},"
        "{\"id\":7,\"sample\":0,\"correct\":true,\"extracted\":\"3.0\",\"why\":\"found as the whole answer\",\"gold\":\"3\"},"
        "{\"id\":7,\"sample\":1,\"correct\":false,\"extracted\":null,\"why\":\"cut off before an answer\",\"gold\":\"3\",\"truncated\":true},"
        "{\"id\":\"c\",\"sample\":0,\"correct\":true,\"extracted\":\"3\",\"why\":\"found as the whole answer\",\"gold\":\"3\"},"
        "{\"id\":\"c\",\"sample\":1,\"correct\":false,\"extracted\":null,\"why\":\"missing from the answers\",\"gold\":\"3\"}]");
    free(verdicts);
    check_msg(scoring_page(page_path, s, answers_path, &e), "%s", e.msg);
    size_t n;
    char *page = file_read(page_path, 1 << 20, &n, &e);
    check(page);
    if (page) {
        check_has(page, "pass@2");
        check_has(page, "always answering 3");
        check_has(page, "&lt;/think&gt;3.0");
        check_has(page, "95%, problems like these");
        check_has(page, "95%, these problems");
        check_has(page, "<a href=\"#s5\">");
        check_has(page, "<details id=\"s5\">");
        check_has(page, "7, sample 1: cut off: the token limit, or a loop");
        check_has(page, "a: 1 of 2 right");
        check_has(page, "sample 0: wrong</strong>; answered 3; found as the whole answer; expected 2");
        check_has(page, "missing from the answers");
    }
    free(page);
    json_decref(s);
}

/* openai's records have no id: the line number is. */
static void truth_without_ids(void)
{
    struct err e;
    json_t *s = run("gsm8k", "{\"question\":\"q\",\"answer\":\"x\\n#### 5\"}\n{\"question\":\"q\",\"answer\":\"#### 1,000\"}\n",
                    "{\"id\":2,\"sample\":0,\"text\":\"1000\"}\n{\"id\":1,\"sample\":0,\"text\":\"#### 5\"}\n", &e);
    check_msg(s, "%s", e.msg);
    if (s)
        near(value(s, "accuracy"), 1);
    json_decref(s);
}

static void wrong_files(void)
{
    static const char good[] = "{\"id\":\"a\",\"answer\":\"2\"}\n", one[] = "{\"id\":\"a\",\"sample\":0,\"text\":\"2\"}\n";
    static const char *const cases[][3] = {
        /* truth, answers, words of the error */
        {good, "{\"id\":\"b\",\"sample\":0,\"text\":\"2\"}\n", "answers.jsonl:1: the id \"b\" is not in"},
        {good, "{\"id\":\"a\",\"sample\":0,\"text\":\"2\"}\n{\"id\":\"a\",\"sample\":0,\"text\":\"3\"}\n",
         "answers.jsonl:2: sample 0 of this id is in line 1 already"},
        {"{\"id\":\"a\",\"answer\":\"2\"}\n{\"id\":\"a\",\"answer\":\"3\"}\n", one, "truth.jsonl:2: the id \"a\" is in line 1 already"},
        {good, "{\"id\":\"a\",\"sample\":0,\"te\n", "answers.jsonl:1"},
        {good, "[1]\n", "answers.jsonl:1: expected an object"},
        {good, "{\"id\":\"a\",\"text\":\"2\"}\n", "\"sample\""},
        {good, "{\"id\":\"a\",\"sample\":-1,\"text\":\"2\"}\n", "\"sample\""},
        {good, "{\"id\":\"a\",\"sample\":0}\n", "no \"text\""},
        {good, "{\"id\":\"a\",\"sample\":0,\"text\":5}\n", "\"text\""},
        {good, "{\"sample\":0,\"text\":\"2\"}\n", "\"id\" must be a string or an integer, got nothing"},
        {good, "{\"id\":\"a\",\"sample\":0,\"text\":\"2\",\"finish_reason\":\"eos\"}\n", "\"finish_reason\""},
        {good, "", "holds no answer"},
        {"", one, "holds no problem"},
        {"{\"id\":\"a\",\"answer\":0.1}\n", one, "a decimal as a string"},
        {"{\"id\":\"a\"}\n", one, "got nothing"},
        {"{\"id\":\"a\",\"answer\":\"1 or 2\"}\n", one, "must hold a single number"},
        {"{\"id\":[],\"answer\":\"1\"}\n", one, "\"id\" must be"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err e;
        json_t *s = run("arithmetic", cases[i][0], cases[i][1], &e);
        check_msg(!s, "case %zu was accepted", i);
        check_has(e.msg, cases[i][2]);
        check_msg(!strchr(e.msg, '\n'), "%s", e.msg);
        json_decref(s);
    }
    struct err e = {""};
    check(!task_find("aime99", &e));
    check_has(e.msg, "arithmetic, gsm8k");
    check(!scoring_run(&task_gsm8k, "/tmp/there is no such file", answers_path, &(struct scoring_options){0}, &e));
}

/* Text made to be slow: none of it may take long. */
static void hostile_texts(void)
{
    enum { N = 400000 };
    static const char *const pieces[] = {"\\boxed{", "{", "1,", "9", "\\frac{", "####", "answer is ", "-", " ", "</think>", "1e", "$"};
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        size_t n = strlen(pieces[i]);
        char *text = malloc(N + 8);
        for (size_t j = 0; j < N; j += n)
            memcpy(text + j, pieces[i], N - j < n ? N - j : n);
        text[N] = 0;
        json_t *truth = json_pack("{s:s}", "answer", "2");
        struct verdict v = {0};
        task_gsm8k.judge(&v, truth, "2", text, false);
        check(!v.correct);
        verdict_free(&v);
        json_decref(truth);
        free(text);
    }
}

struct shared {
    int n, agree, accepted, refused;
};

/* Public model solutions to GSM8K: their labels were given by openai's own grader, which reads what follows "A: ". */
static bool judge_solutions(void *ctx, json_t *record, int64_t line, struct err *e)
{
    struct shared *s = ctx;
    static const char *const models[] = {"6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification"};
    const char *truth = json_string_value(json_object_get(record, "ground_truth"));
    const char *gold = truth ? strstr(truth, "\nA: ") : NULL;
    if (!gold)
        return err_set(e, "no answer line");
    char *answer = xprintf("#### %s", gold + 4);
    json_t *t = json_pack("{s:s}", "answer", answer);
    char *key = NULL;
    bool ok = task_gsm8k.gold(t, &key, e);
    for (int i = 0; ok && i < 4; i++) {
        json_t *m = json_object_get(record, models[i]);
        struct verdict v = {0};
        task_gsm8k.judge(&v, t, key, json_string_value(json_object_get(m, "solution")), false);
        bool label = json_is_true(json_object_get(m, "is_correct"));
        s->n++;
        s->agree += v.correct == label;
        s->accepted += v.correct && !label;
        s->refused += !v.correct && label;
        if (v.correct != label)
            fprintf(stderr, "    line %lld, %s: label %s, ours %s (%s, extracted %s)\n", (long long)line, models[i],
                    label ? "right" : "wrong", v.correct ? "right" : "wrong", v.why, v.extracted ? v.extracted : "nothing");
        verdict_free(&v);
    }
    free(key);
    free(answer);
    json_decref(t);
    return ok;
}

static void gsm8k_model_solutions(void)
{
    static const char path[] = "../shared/corpus/grading/gsm8k_model_solutions.jsonl.zst";
    if (!file_exists(path)) {
        test_skip("no ../shared/corpus/grading");
        return;
    }
    struct shared s = {0};
    struct err e = {""};
    check_msg(json_each_line(path, judge_solutions, &s, &e), "%s", e.msg);
    check_int(s.n, 1319 * 4);
    check_msg(s.agree == s.n, "%d of %d agree; %d accepted and %d refused against the label", s.agree, s.n, s.accepted, s.refused);
}

/* The grading cases whose gold is a plain number, with what the mathematics says. */
static bool judge_case(void *ctx, json_t *record, int64_t line, struct err *e)
{
    (void)line;
    struct shared *s = ctx;
    static const char *const kinds[] = {"integer",  "decimal", "fraction",   "percent",    "degrees",
                                        "currency", "units",   "scientific", "extraction", "equation"};
    /* Not numbers by our reading: powers, factorials, binomials, roots, sums of several boxes; and 1/12 given as a rounded decimal. */
    static const char *const beyond[] = {"s-012", "s-014", "s-015", "s-016", "s-042", "s-048", "s-049", "s-172", "s-173", "s-186"};
    const char *kind = json_string_value(json_object_get(record, "category")), *id = json_string_value(json_object_get(record, "id"));
    bool ours = false;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        ours = ours || strcmp(kind, kinds[i]) == 0;
    for (size_t i = 0; i < sizeof(beyond) / sizeof(beyond[0]); i++)
        ours = ours && strcmp(id, beyond[i]) != 0;
    json_t *t = json_pack("{s:O}", "answer", json_object_get(record, "gold"));
    char *key = NULL;
    if (ours && task_gsm8k.gold(t, &key, e)) {
        struct verdict v = {0};
        bool expected = json_is_true(json_object_get(record, "expected"));
        task_gsm8k.judge(&v, t, key, json_string_value(json_object_get(record, "prediction")), false);
        s->n++;
        check_msg(v.correct == expected, "%s: %s", id, v.why);
        verdict_free(&v);
    }
    free(key);
    json_decref(t);
    return true;
}

static void grading_cases(void)
{
    static const char path[] = "../shared/corpus/grading/grading_cases.jsonl";
    if (!file_exists(path)) {
        test_skip("no ../shared/corpus/grading");
        return;
    }
    struct shared s = {0};
    struct err e = {""};
    check_msg(json_each_line(path, judge_case, &s, &e), "%s", e.msg);
    check_msg(s.n >= 75, "only %d cases apply", s.n);
}

static const struct test all[] = {
    {"single numbers", single_numbers},
    {"numbers in running text", numbers_in_running_text},
    {"a loop is cut off", a_loop},
    {"verdicts on texts", verdicts_on_texts},
    {"a whole score", a_whole_score},
    {"truth without ids", truth_without_ids},
    {"wrong files", wrong_files},
    {"hostile texts", hostile_texts},
    {"gsm8k model solutions", gsm8k_model_solutions},
    {"grading cases", grading_cases},
};
TEST_MAIN("test_score", all)
