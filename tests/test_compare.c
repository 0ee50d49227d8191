/* tests/test_compare.c - the program compare from outside: its numbers, its page, and what it refuses. */
#include "tests/program.h"
#include "tests/test.h"

static char dir[] = "/tmp/test_compare.XXXXXX";

static void write_text(const char *name, const char *text)
{
    char *path = xprintf("%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    must(f && fputs(text, f) >= 0 && fclose(f) == 0);
    free(path);
}

static char *read_text(const char *name)
{
    struct err e = {""};
    char *path = xprintf("%s/%s", dir, name), *text = file_read(path, 1 << 26, NULL, &e);
    check_msg(text, "%s", e.msg);
    free(path);
    return text ? text : xstrdup("");
}

/* Answers of 40 problems, one sample: the ids from first on, right where the string has a 1. The score is made by score itself. */
static void make_score(const char *name, int first, const char *right)
{
    size_t n = strlen(right);
    char *truth = xcalloc(1, 100 * n), *answers = xcalloc(1, 200 * n), *t = truth, *a = answers;
    for (size_t i = 0; i < n; i++) {
        t += sprintf(t, "{\"id\":\"p%d\",\"answer\":\"7\"}\n", first + (int)i);
        a += sprintf(a, "{\"id\":\"p%d\",\"sample\":0,\"text\":\"</think>%d\",\"output_ids\":[1,2,3]}\n", first + (int)i,
                     right[i] == '1' ? 7 : 8);
    }
    write_text("truth.jsonl", truth);
    write_text("answers.jsonl", answers);
    struct ran r = run_program(dir, "score --task arithmetic --truth truth.jsonl --answers answers.jsonl --output %s", name);
    check_msg(r.code == 0, "%s", r.err);
    ran_free(&r);
    free(truth);
    free(answers);
}

static const char *const one = "1111111110111111111110000000000000000000", *const two = "0111111100000000000000000000000000000000";

static void two_evaluations(void)
{
    /* Of b's 40: 8 right, all but one of them in a, which has 20: 13 only a, 1 only b. McNemar: 2 (C(14,0) + C(14,1)) / 2^14. */
    char b[41];
    strcpy(b, two);
    b[39] = '1';
    make_score("a.json", 0, one);
    make_score("b.json", 0, b);
    struct ran r = run_program(dir, "compare a.json b.json --label-a before --label-b 'after & co' --output page.html");
    check_msg(r.code == 0, "%s", r.err);
    check_has(r.out, "arithmetic");
    check_has(r.out, " 50.0%");
    check_has(r.out, " 20.0%");
    check_has(r.out, "-30.0");
    check_has(r.out, "40 problems: 1 better in after & co, 13 better in before, 26 equal.");
    check_has(r.out, "p = 0.001831 on problems like these (exact sign-flip test: McNemar's), p = 0.001831 on these problems");
    check(!strstr(r.out, "Left out"));
    ran_free(&r);
    char *page = read_text("page.html");
    check_has(page, "after &amp; co");
    check_has(page, "p = 0.001831");
    check_has(page, "The 14 problems that changed");
    check_has(page, "p39: 0 of 1, then 1 of 1");
    check(!strstr(page, "http") && !strstr(page, "<script"));
    free(page);
    /* The same against itself: no difference, and p = 1. */
    r = run_program(dir, "compare a.json a.json");
    check_int(r.code, 0);
    check_has(r.out, "40 problems: 0 better in a.json, 0 better in a.json, 40 equal. p = 1 on");
    ran_free(&r);
    /* Ten problems more on one side are left out of the difference. */
    make_score("c.json", -10, "00000000001111111110111111111110000000000000000000");
    r = run_program(dir, "compare c.json a.json");
    check_int(r.code, 0);
    check_has(r.out, "40 problems: 0 better in a.json, 0 better in c.json, 40 equal.");
    check_has(r.out, "Left out of the difference: 10 problems that only c.json has, 0 that only a.json has.");
    ran_free(&r);
}

/* The same answers by two judges. */
static void two_judges(void)
{
    write_text("math.truth.jsonl", "{\"id\":1,\"problem\":\"\",\"answer\":\"33\"}\n");
    write_text("math.answers.jsonl", "{\"id\":1,\"sample\":0,\"text\":\"</think>\\\\boxed{3300}\"}\n");
    struct ran r = run_program(dir, "score --task math500 --truth math.truth.jsonl --answers math.answers.jsonl --output ours.json");
    check_msg(r.code == 0, "%s", r.err);
    ran_free(&r);
    r = run_program(dir, "score --task math500 --truth math.truth.jsonl --answers math.answers.jsonl --output theirs.json --judge paper");
    check_msg(r.code == 0, "%s", r.err);
    ran_free(&r);
    r = run_program(dir, "compare ours.json theirs.json --output page.html");
    check_msg(r.code == 0, "%s", r.err);
    check_has(r.out, "+100.0");
    check_has(r.out, "The judges differ: --judge default in ours.json, --judge paper in theirs.json.");
    ran_free(&r);
    char *page = read_text("page.html");
    check_has(page, "The judges differ");
    free(page);
    r = run_program(dir, "compare ours.json ours.json");
    check(!strstr(r.out, "judges"));
    ran_free(&r);
}

static void folders(void)
{
    struct ran r = run_program(
        dir, "score --help > /dev/null; mkdir -p x/arithmetic y/arithmetic x/only && cp a.json x/arithmetic/score.json && cp a.json "
             "x/only/score.json && cp b.json y/arithmetic/score.json");
    check_int(r.code, 0);
    ran_free(&r);
    write_text("x/metrics.jsonl", "{\"step\":1,\"phase\":\"one\",\"loss\":4.0,\"tokens\":100,\"tokens_per_s\":50}\n"
                                  "{\"step\":2,\"phase\":\"one\",\"loss\":3.0,\"tokens\":200,\"tokens_per_s\":60}\n"
                                  "{\"event\":\"saved\"}\n"
                                  "{\"step\":3,\"phase\":\"two\",\"loss\":2.5,\"tokens\":400,\"tokens_per_s\":70}\n");
    write_text("y/metrics.jsonl", "{\"step\":1,\"phase\":\"one\",\"loss\":5.0,\"tokens\":150,\"tokens_per_s\":80}\n");
    r = run_program(dir, "compare x y --output page.html");
    check_msg(r.code == 0, "%s", r.err);
    check_has(r.out, "arithmetic");
    check(!strstr(r.out, "only"));
    check_has(r.out, "run  phase  steps  tokens so far  loss, first  loss, last tenth  tokens/s, median\n"
                     "x    one        2            200       4.0000            3.0000                60\n"
                     "x    two        1            400       2.5000            2.5000                70\n"
                     "y    one        1            150       5.0000            5.0000                80\n");
    ran_free(&r);
    char *page = read_text("page.html");
    check_has(page, "Loss by tokens");
    check_has(page, "Loss by step");
    check_has(page, "p39: 0 of 1, then 1 of 1");
    free(page);
    r = run_program(dir, "compare x/metrics.jsonl y/metrics.jsonl");
    check_int(r.code, 0);
    check_has(r.out, "x/metrics.jsonl  one ");
    ran_free(&r);
}

static void refused(void)
{
    static const struct {
        const char *args, *says;
        int code;
    } cases[] = {
        {"a.json", "two files or folders are needed, got 1", 2},
        {"a.json b.json --labels x", "unknown option --labels", 2},
        {"a.json nowhere.json", "nowhere.json: no such file or folder", 1},
        {"a.json x/metrics.jsonl", "nothing in common to compare", 1},
        {"a.json other.json", "is of the task arithmetic, other.json of gsm8k", 1},
        {"a.json bad.json", "bad.json: has no task, verdicts or counts.samples_per_problem", 1},
        {"a.json far.json", "a.json and far.json have no problem in common", 1},
        {"a.json else.json", "the problem \"p1\" has the answer 7 in a.json and 9 in else.json", 1},
        {"x/metrics.jsonl truth.jsonl", "truth.jsonl: holds no step", 1},
    };
    write_text("bad.json", "{\"task\":\"arithmetic\"}");
    write_text("other.json", "{\"task\":\"gsm8k\",\"counts\":{\"samples_per_problem\":1},\"verdicts\":[{\"id\":\"p1\",\"correct\":true}]}");
    write_text("else.json", "{\"task\":\"arithmetic\",\"counts\":{\"samples_per_problem\":1},\"verdicts\":[{\"id\":\"p1\",\"correct\":true,"
                            "\"gold\":\"9\"}]}");
    make_score("far.json", 1000, "1");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ran r = run_program(dir, "compare %s --output never.html", cases[i].args);
        check_msg(r.code == cases[i].code, "%s: exit code %d", cases[i].args, r.code);
        check_has(r.err, cases[i].says);
        ran_free(&r);
    }
    char *never = xprintf("%s/never.html", dir);
    check(!file_exists(never));
    free(never);
}

static const struct test all[] = {
    {"two evaluations", two_evaluations},
    {"two judges", two_judges},
    {"folders of evaluations and runs", folders},
    {"what is refused", refused},
};

int main(int argc, char **argv)
{
    struct err e;
    must(mkdtemp(dir));
    int status = test_main(argc, argv, "test_compare", all, 4);
    file_remove_tree(dir, &e);
    return status;
}
