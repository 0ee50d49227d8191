/* The judge of mathematical answers: what is equal and what is not, where answers stand in texts, the paper's own verdicts, hostile input. */
#include "infer/math/equal.h"
#include "infer/math/judge.h"
#include "infer/math/paper.h"
#include "core/file.h"
#include "core/rng.h"
#include "tests/program.h"
#include "tests/test.h"
#include <time.h>

static void verdicts(const char *const (*pairs)[2], size_t n, bool want)
{
    for (size_t i = 0; i < n; i++)
        for (int turned = 0; turned < 2; turned++) {
            const char *how, *gold = pairs[i][turned], *answer = pairs[i][1 - turned];
            bool got = math_equal(gold, answer, &how);
            check_msg(got == want, "gold \"%s\", answer \"%s\": %s (%s)", gold, answer, got ? "equal" : "not equal", how);
        }
}
#define VERDICTS(pairs, want) verdicts(pairs, sizeof(pairs) / sizeof((pairs)[0]), want)

static void equal_numbers(void)
{
    static const char *const pairs[][2] = {
        {"1234", "1,234"},
        {"10080", "10,\\!080"},
        {"1000000", "1{,}000{,}000"},
        {"1000", "1 000.0"},
        {"33", "033"},
        {"-3", "\u22123"},
        {"0", "-0"},
        {"10^{20}", "100000000000000000000"},
        {"2^{100}", "4^{50}"},
        {"100!/2^{50}", "\\frac{100!}{2^{50}}"},
        {"2021 \\cdot 505 \\cdot 337", "343943885"},
        {"\\binom{5}{2}", "10"},
        {"5e-3", "5\\times 10^{-3}"},
        {"\\frac12", "0.5"},
        {"\\frac 34", ".75"},
        {"\\frac{1}{-2}", "-\\dfrac{1}{2}"},
        {"1\\frac{4}{5}", "\\frac95"},
        {"137 \\frac{1}{2}", "137.5"},
        {"2 1/2", "\\frac{5}{2}"},
        {"3\u00bd", "3.5"},
        {"0.\\overline{3}", "\\frac{1}{3}"},
        {"0.1\\overline{6}", "\\frac16"},
        {"\\frac{1}{12}", "0.0833333333333333"},
        {"204_5", "204_{5}"},
        {"3\\sqrt{13}", "\\sqrt{117}"},
        {"11\\sqrt2", "11 * sqrt(2)"},
        {"\\sqrt{5+2\\sqrt{6}}", "\\sqrt2+\\sqrt3"},
        {"\\frac{\\sqrt{5}-1}{2}", "\\frac{2}{1+\\sqrt5}"},
        {"\\sqrt[3]{-8}", "-2"},
        {"\\sqrt[3]{\\frac{5}{12}}", "(\\frac{5}{12})^{1/3}"},
        {"\\pi/2", "\u03c0/2"},
        {"\\frac{20000}{\\pi}", "20000/pi"},
        {"1-\\frac1e", "\\frac{e-1}{e}"},
        {"e^{i\\pi}", "-1"},
        {"i\\sqrt{3}", "\\sqrt{-3}"},
        {"6 - 5i", "-5i+6"},
        {"\\frac{1+i\\sqrt3}{2}", "e^{i\\pi/3}"},
        {"\\frac{\\log 2}{\\log 2-\\log 3}", "\\frac{\\ln 2}{\\ln (2/3)}"},
        {"\\log_{10} 2", "\\log 2"},
        {"\\sin 30^\\circ", "\\frac12"},
        {"\\tan \\frac{\\pi}{3}", "\\sqrt{3}"},
        {"\\cos^2 20^\\circ + \\sin^2 20^\\circ", "1"},
        {"\\lfloor \\log_2 8 \\rfloor", "3"},
        {"\\infty", "+\\infty"},
        {"3.14159265358979", "\\pi"},
        {"10^{10^{10^{10}}}", "10^{10^{10^{10}}} "},
    };
    VERDICTS(pairs, true);
}

static void unequal_numbers(void)
{
    static const char *const pairs[][2] = {
        {"100000000000000000001", "100000000000000000000"},
        {"32349", "32, 349"},
        {"33", "3300"},
        {"20000", "20001"},
        {"\\frac23", "0.67"},
        {"2\\pi", "6.28"},
        {"3.14", "\\pi"},
        {"\\frac13", "0.3333"},
        {"5", "5.001"},
        {"0", "10^{-100}"},
        {"2516_8", "2516"},
        {"\\frac{\\pi}{6}", "30^\\circ"},
        {"4", "4\\sqrt{2}"},
        {"3+4i", "4+3i"},
        {"\\infty", "-\\infty"},
        {"10^{10^{10^{10}}}", "10^{10}"},
        {"2", "AZYUK2A"},
        {"3", "not 3"},
        {"3", "3 or more"},
        {"12:00", "1:00"},
        {"7:32", "7:23"},
    };
    VERDICTS(pairs, false);
}

static void signs_and_units(void)
{
    static const char *const equal[][2] = {
        {"28\\%", "28"},
        {"28\\%", "0.28"},
        {"50\\%", "\\frac12"},
        {"62.5%", "62.5 percent"},
        {"90^\\circ", "90"},
        {"90^\\circ", "90\\text{ degrees}"},
        {"\\$18.90", "18.9"},
        {"5.4 \\text{ cents}", "0.054 \\text{ dollars}"},
        {"\\$32,\\!348", "32348 dollars"},
        {"15\\mbox{ cm}^2", "15"},
        {"15\\mbox{ cm}^2", "15 \\text{ square centimeters}"},
        {"36\\ \\mathrm{km/h}", "10\\text{ m/s}"},
        {"2 \\text{ hours}", "120\\text{ minutes}"},
        {"17", "17\\text{ apples}"},
        {"\\frac{270}7\\text{ degrees}", "\\frac{270}{7}"},
        {"1:2", "2:4"},
    };
    static const char *const unequal[][2] = {
        {"15\\text{ cm}^2", "15\\text{ cm}"}, {"15\\text{ cm}", "15\\text{ m}"}, {"28", "82\\%"}, {"28", "0.28"},
        {"\\$5", "5\\text{ cents}"},
    };
    VERDICTS(equal, true);
    VERDICTS(unequal, false);
}

static void expressions(void)
{
    static const char *const equal[][2] = {
        {"x^2+2x+1", "(x+1)^2"},
        {"\\frac{x+2}{7}", "\\frac{x}{7}+\\frac27"},
        {"\\tan^2 y+1", "\\sec^2(y)"},
        {"2 \\sin b \\cos a", "2\\cos a\\sin b"},
        {"x^{2/3}", "\\sqrt[3]{x^2}"},
        {"\\frac{q_0}{\\sqrt{2LC}}", "\\frac{ q_{0} }{ \\sqrt{2 C L}  }"},
        {"n!", "\\frac{(n+1)!}{n+1}"},
        {"\\binom{2n}{n}", "\\frac{(2n)!}{n!^2}"},
        {"\\lceil n/2 \\rceil", "\\left\\lfloor \\frac{n+1}{2} \\right\\rfloor"},
        {"\\lfloor\\log _{2} n\\rfloor+1", "\\lceil \\log_2 (n+1) \\rceil"},
        {"(-1)^n", "\\cos(n\\pi)"},
        {"x^5 - x^4 + x^3 - x^2 + x - 1", "(x-1)(x^4+x^2+1)"},
        {"|x-y|", "|y-x|"},
        {"1/2x", "\\frac{x}{2}"},
        {"f(x)=2x", "f(n)=2n"},
        {"y=2x+3", "x = (y-3)/2"},
        {"2x+4y-3=0", "y=-\\frac12 x+\\frac34"},
        {"x^2 + y^2 = 4", "\\frac{x^2}{4}+\\frac{y^2}{4}=1"},
    };
    static const char *const unequal[][2] = {
        {"p-q", "q-p"},
        {"|x|", "x"},
        {"x^3+3x-6", "x^3+3x+6"},
        {"\\lceil n/2 \\rceil", "\\lfloor n/2 \\rfloor"},
        {"(a+5)(b+2)", "(+5)(b+2)"},
        {"f(x)=2x", "f(n)=2x"},
        {"x=1", "y=1"},
        {"x^2 + y^2 = 4", "x^2+y^2=4.0001"},
        {"2x+z=1", "1"},
        {"2", "x^2"},
    };
    VERDICTS(equal, true);
    VERDICTS(unequal, false);
}

static void structures(void)
{
    static const char *const equal[][2] = {
        {"2,3,5", "5, 3, 2"},
        {"6, 8", "8 \\text{ and } 6"},
        {"x=2 \\text{ or } x=-3", "-3, 2"},
        {"-12;-11;-10", "\\{-12,-11,-10\\}"},
        {"\\{1,1,2\\}", "\\{2,1\\}"},
        {"1 \\pm \\sqrt{19}", "1-\\sqrt{19}, 1+\\sqrt{19}"},
        {"(\\pm 3, 2)", "(3,2),(-3,2)"},
        {"(3,2)", "(p,q)=(3,2)"},
        {"(3,2)", "p=3, q=2"},
        {"(15,-29)", "15,-29"},
        {"(-18,-49,96)", "\\begin{pmatrix} -18 \\\\ -49 \\\\ 96 \\end{pmatrix}"},
        {"\\begin{pmatrix} -1/3 \\\\ 2/3 \\end{pmatrix}", "\\frac13 \\begin{bmatrix} -1 \\\\ 2\\end{bmatrix}"},
        {"[0,\\infty)", "x \\ge 0"},
        {"-2 \\le x \\le 7", "x \\in [-2,7]"},
        {"(0,1]\\cup[1,2)", "(0,2)"},
        {"(0,9) \\cup (9,36)", "(0, 36) \\setminus \\{9\\}"},
        {"\\mathbb{R}\\setminus\\{3\\}", "x \\ne 3"},
        {"x<2 \\text{ or } x>5", "(5,\\infty)\\cup(-\\infty,2)"},
        {"\\emptyset", "\\{\\}"},
        {"\\text{Evelyn}", "evelyn"},
        {"two", "2"},
        {"100,200", "200,100"},
    };
    static const char *const unequal[][2] = {
        {"2,3,5", "2,3"},
        {"-2,-2,3", "-2,3,3"},
        {"(3,1)", "(1,3)"},
        {"(1,2,3)", "(1,2)"},
        {"(0,9)", "[0,9)"},
        {"(3,2)", "q=3, p=2"},
        {"\\pm 2021", "2021"},
        {"x \\ge 5", "x \\le 5"},
        {"x \\ge 5", "x > 5"},
        {"[-3,2]", "(-\\infty,-3]\\cup[2,\\infty)"},
        {"\\begin{pmatrix}1 & 2\\end{pmatrix}", "\\begin{pmatrix}1 \\\\ 2\\end{pmatrix}"},
        {"\\text{east}", "\\text{seat}"},
        {"\\text{(B)}", "(C)"},
        {"\\text{June 20}", "June 21"},
    };
    VERDICTS(equal, true);
    VERDICTS(unequal, false);
    const char *how;
    check(math_equal("\\text{(B)}", "(B) 5", &how));
    check(!math_equal("5", "(B)", &how));
    check(!math_equal("(0,9)", "0,9", &how)); /* may be an interval */
    check(math_equal("33", "m+n=33", &how));  /* names the answer */
    check(!math_equal("m+n=33", "33", &how)); /* is an equation */
    check(math_within("4.2", "4.3", "0.1") && !math_within("4.2", "4.31", "0.1") && !math_within("4.2", "x", "0.1"));
}

struct found {
    const char *text;
    bool cut;
    const char *answer;
};
static void answers_in_texts(void)
{
    static const struct found cases[] = {
        {"so $\\boxed{\\frac{1}{\\sqrt{4}}}$", false, "\\frac{1}{\\sqrt{4}}"},
        {"\\boxed{26}? No. \\boxed{27}.", false, "27"},
        {"\\(\\boxed{1}\\) and \\(\\boxed{-2}\\).", false, "1, -2"},
        {"\\boxed{7}, \\boxed{7}", false, "7"},
        {"<think>\\boxed{7}</think> The answer is \\boxed{8}.", false, "8"},
        {"<think>\\boxed{7}</think>\n", false, "7"},
        {"<think>\\boxed{7}</think>\nIt is 9", false, "9"},
        {"so x is 9", false, "9"},
        {"\\boxed{3", false, NULL},
        {"\\boxed{}", false, NULL},
        {"#### 1,234", false, "1,234"},
        {"The answer is 18.", false, "18"},
        {"The value is 1 000.0 in the end; the answer is 1000.0", false, "1000.0"},
        {"Final Answer: The largest $n$ is 34.", false, "34"},
        {"**Answer:**\n\n$x = 5$", false, "$x = 5$"},
        {"so the two are equal.\nTherefore $f(x) = x^2 + 1$.", false, "x^2 + 1$"},
        {"It takes her 12 minutes to get there", false, "12"},
        {"It takes her 12 minutes to get there", true, NULL},
        {"I could not find the answer.", false, NULL},
        {"", false, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *how = NULL;
        char *got = math_find_answer(cases[i].text, cases[i].cut, &how);
        check_msg(cases[i].answer ? got && strcmp(got, cases[i].answer) == 0 : !got, "\"%s\": found \"%s\" (%s)", cases[i].text,
                  got ? got : "nothing", how);
        free(got);
    }
}

static bool paper(const char *gold, const char *text)
{
    struct verdict v = {0};
    task_paper_judge(&v, NULL, gold, text, false);
    bool correct = v.correct;
    verdict_free(&v);
    return correct;
}

/* Its rules, with their holes. */
static void the_papers_verdicts(void)
{
    check(paper("33", "\\boxed{33}") && paper("33", "\\boxed{3300}") && paper("33", "\\boxed{0.33}") && paper("20000", "\\boxed{20001}"));
    check(paper("100000000000000000001", "\\boxed{100000000000000000000}"));
    check(paper("32349", "\\boxed{32, 349}") && paper("x\\geq 5", "\\boxed{x\\leq 5}") && paper("(0,9)", "\\boxed{[0,9)}"));
    check(paper("3", "\\boxed{3") && paper("2", "AZYUK2A"));
    check(paper("7", "<think>\\boxed{7}</think> The answer is 8."));
    check(paper("336^\\circ", "\\boxed{336}") && paper("36", "\\boxed{36\\text{ cm}^2}"));
    check(paper("\\frac{3}{4}", "\\boxed{0.75}") && paper("3\\sqrt{13}", "\\boxed{\\sqrt{117}}"));
    check(!paper("2,3,5", "\\boxed{5,3,2}") && !paper("1\\pm\\sqrt{19}", "\\boxed{1+\\sqrt{19},1-\\sqrt{19}}") &&
          !paper("(3,2)", "\\boxed{(p,q)=(3,2)}"));
    check(!paper("33", "\\boxed{34}") && !paper("\\pi", "\\boxed{pi}") && !paper("3", ""));
}

struct agreement {
    int n, agree;
    const char *gold, *prediction;
};
static bool grade(void *ctx, json_t *record, int64_t line, struct err *e)
{
    struct agreement *s = ctx;
    json_t *truth = json_pack("{s:O}", "answer", json_object_get(record, "gold"));
    char *key = NULL;
    struct verdict v = {0};
    bool expected = json_is_true(json_object_get(record, "expected")), ok = task_math_gold(truth, &key, e);
    if (ok) {
        task_math_judge(&v, truth, key, json_string_value(json_object_get(record, "prediction")), false);
        s->n++;
        s->agree += v.correct == expected;
        check_msg(v.correct == expected, "line %lld: %s", (long long)line, v.why);
    }
    verdict_free(&v);
    free(key);
    json_decref(truth);
    return ok;
}

static void grading_cases(void)
{
    static const char path[] = "../shared/corpus/grading/grading_cases.jsonl";
    if (!file_exists(path)) {
        test_skip("no ../shared/corpus/grading");
        return;
    }
    struct agreement s = {0};
    struct err e;
    check_msg(json_each_line(path, grade, &s, &e), "%s", e.msg);
    check(s.n >= 200);
    fprintf(stderr, "    %d of %d cases as expected\n", s.agree, s.n);
}

/* Verdicts recorded from Qwen2.5-Math's own run; Minerva's rule, which the paper adds, may accept more. */
static bool as_recorded(void *ctx, json_t *record, int64_t line, struct err *e)
{
    struct agreement *s = ctx;
    char *text = xprintf("\\boxed{%s}", json_string_value(json_object_get(record, "pred")));
    bool right = paper(json_string_value(json_object_get(record, "gold")), text),
         recorded = json_is_true(json_object_get(record, "qwen_score"));
    (void)e;
    s->n++;
    s->agree += right == recorded;
    check_msg(right || !recorded, "line %lld: %s was right by their run", (long long)line, text);
    free(text);
    return true;
}

static void recorded_verdicts(void)
{
    static const char path[] = "../shared/corpus/grading/qwen25_math_grader_pairs.jsonl";
    if (!file_exists(path)) {
        test_skip("no ../shared/corpus/grading");
        return;
    }
    struct agreement s = {0};
    struct err e;
    check_msg(json_each_line(path, as_recorded, &s, &e), "%s", e.msg);
    check(s.n >= 100 && s.n - s.agree <= 1); /* 10{,}000 against 10000, which Minerva's rule accepts */
}

/* ---- hostile input ---- */

static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static void judge_all(const char *gold, const char *answer, double *worst)
{
    const char *how;
    double start = cpu_ms();
    math_equal(gold, answer, &how);
    double took = cpu_ms() - start;
    *worst = took > *worst ? took : *worst;
    free(math_key(answer));
    free(math_find_answer(answer, false, &how));
    paper(gold, answer);
}

static uint64_t drawn;
static int draw(int n)
{
    return (int)rng_below(5, 6, drawn++, (uint64_t)n);
}

/* Well-formed, and as costly as it gets: towers, factorials of factorials, functions of huge and tiny arguments. */
static void costly(char *to, int depth)
{
    static const char *const leaves[] = {"x",     "n",    "k", "2", "3",     "10",   "99",      "12345678901234567890",
                                         "0.001", "\\pi", "e", "i", "50000", "3999", "\\frac13"};
    static const char *const around[][3] = {{"\\frac{", "}{", "}"}, {"{(", ")}^{", "}"}, {"(", ")^{", "}"}, {"\\binom{", "}{", "}"},
                                            {"(", "+", ")"},        {"(", "-", ")"},     {"(", ")(", ")"},  {"\\log_{", "}(", ")"}};
    static const char *const functions[] = {"\\sin", "\\tan", "\\arcsin", "\\arctan", "\\ln", "\\exp", "\\sqrt", "\\sqrt[3]", "\\cot"};
    if (depth == 0 || draw(6) == 0 || strlen(to) > 3000) {
        strcat(to, leaves[draw(15)]);
        return;
    }
    int shape = draw(13);
    if (shape < 8) {
        strcat(to, around[shape][0]);
        costly(to, depth - 1);
        strcat(to, around[shape][1]);
        costly(to, depth - 1);
        strcat(to, around[shape][2]);
    } else {
        strcat(to, shape == 8 ? "(" : shape == 9 ? "\\lfloor " : functions[draw(9)]);
        strcat(to, shape > 9 ? "{" : "");
        costly(to, depth - 1);
        strcat(to, shape == 8 ? ")!" : shape == 9 ? "\\rfloor " : "}");
    }
}

static void hostile_answers(void)
{
    static const char *const pieces[] = {"\\frac",
                                         "{",
                                         "}",
                                         "(",
                                         ")",
                                         "[",
                                         "]",
                                         "1",
                                         "23",
                                         "x",
                                         "\\sqrt",
                                         "^",
                                         "_",
                                         "\\pi",
                                         "e",
                                         "!",
                                         "-",
                                         "/",
                                         ",",
                                         "\\left",
                                         "\\{",
                                         "\\}",
                                         "|",
                                         "\\text{",
                                         "\\sin",
                                         "\\pm",
                                         "=",
                                         "<",
                                         "\\infty",
                                         "\\lfloor",
                                         "&",
                                         "\\\\",
                                         "%",
                                         "\\cup",
                                         "\\begin{pmatrix}",
                                         "\\end{pmatrix}",
                                         "10^{",
                                         "99999",
                                         "0.5",
                                         "1,234",
                                         "\\boxed{",
                                         "$",
                                         "\u00bd",
                                         "\u2212",
                                         "\\overline{",
                                         ":",
                                         "\\binom",
                                         "^\\circ"};
    enum { COUNT = sizeof(pieces) / sizeof(pieces[0]), SIZE = 16384 };
    char *a = xmalloc(SIZE), *b = xmalloc(SIZE);
    double worst = 0;
    for (int i = 0; i < 4000; i++) { /* no grammar at all */
        a[0] = b[0] = 0;
        for (int side = 0; side < 2; side++)
            for (int n = 1 + draw(i % 50 ? 14 : 400); n > 0; n--) {
                char odd[2] = {(char)(1 + draw(255)), 0};
                strcat(side ? b : a, draw(40) ? pieces[draw(COUNT)] : odd);
            }
        judge_all(a, i % 3 ? b : a, &worst);
    }
    for (int i = 0; i < 1500; i++) { /* grammar, and then a cut or a wrong byte */
        a[0] = b[0] = 0;
        costly(a, 1 + draw(7));
        costly(b, 1 + draw(7));
        if (i % 4 == 0)
            a[draw((int)strlen(a))] = i % 8 ? 0 : (char)(1 + draw(255));
        if (i % 2) {
            strcpy(b, a);
            strcat(b, " ,"); /* the same, but not to the letter */
        }
        judge_all(a, b, &worst);
    }
    for (int i = 0; i < COUNT; i++) { /* one piece, over and over */
        a[0] = 0;
        for (size_t n = strlen(pieces[i]), k = 0; k + n < 4000; k += n)
            strcat(a + k, pieces[i]);
        judge_all("1", a, &worst);
        judge_all(a, a, &worst);
    }
    fprintf(stderr, "    the slowest pair took %.1f ms of CPU\n", worst);
    check(worst < 1000); /* 100 ms and a tenth of a machine */
    free(a);
    free(b);
}

static void towers(void)
{
    static const char *const pairs[][2] = {
        {"9^{9^{9^{9^9}}}", "9^{9^{9^{9^8}}}"},
        {"((((9!)!)!)!)!", "(((9!)!)!)!"},
        {"\\sin(10^{10^{10}})", "0"},
        {"\\binom{10^{30}}{10^{20}}", "1"},
        {"x^{10^{30}}", "x^{10^{31}}"},
        {"2^{65536}+x", "2^{65536}-x"},
        {"\\sqrt[10^{9}]{2}", "1"},
        {"\\ln\\ln\\ln\\ln 2", "\\ln\\ln\\ln 2"},
    };
    double start = cpu_ms();
    VERDICTS(pairs, false);
    check_msg(cpu_ms() - start < 2000, "%.0f ms", cpu_ms() - start);
}

/* Prompts, sampling and the two judges through the program. */
static void the_program(void)
{
    char dir[] = "/tmp/test_math_XXXXXX";
    check(mkdtemp(dir));
    char *truth = xprintf("%s/truth.jsonl", dir), *answers = xprintf("%s/answers.jsonl", dir);
    FILE *f = fopen(truth, "w");
    check(f && fputs("{\"id\":\"a\",\"problem\":\"1+1?\",\"answer\":\"2\"}\n{\"problem\":\"2\",\"answer\":33}\n", f) >= 0 &&
          fclose(f) == 0);
    f = fopen(answers, "w");
    check(f &&
          fputs("{\"id\":\"a\",\"sample\":0,\"text\":\"\\\\boxed{2}\"}\n{\"id\":2,\"sample\":0,\"text\":\"\\\\boxed{3300}\"}\n", f) >= 0 &&
          fclose(f) == 0);
    struct err e;
    struct ran r = run_program(dir, "score --task aime24 --truth truth.jsonl --write-prompts p.jsonl");
    check_msg(r.code == 0, "%s", r.err);
    ran_free(&r);
    char *p = xprintf("%s/p.jsonl", dir), *prompts = file_read(p, 1 << 20, NULL, &e);
    check_str(prompts ? prompts : "",
              "{\"id\":\"a\",\"prompt\":\"<|im_start|>user\\n1+1?\\nPlease reason step by step, and put your final answer within "
              "\\\\boxed{}.<|im_end|>\\n<|im_start|>assistant\\n<think>\\n\"}\n"
              "{\"id\":2,\"prompt\":\"<|im_start|>user\\n2\\nPlease reason step by step, and put your final answer within "
              "\\\\boxed{}.<|im_end|>\\n<|im_start|>assistant\\n<think>\\n\"}\n");
    r = run_program(dir, "score --task aime24 --print-sampling");
    check_str(r.out, "--samples 16 --max-new-tokens 65536 --temperature 0.8 --top-p 0.95 --repetition-penalty 1.1\n");
    ran_free(&r);
    static const char *const judges[] = {"default", "paper"}, *const accuracy[] = {"\"correct\": 1", "\"correct\": 2"};
    for (int i = 0; i < 2; i++) {
        r = run_program(dir, "score --task aime24 --truth truth.jsonl --answers answers.jsonl --output s.json --judge %s", judges[i]);
        check_msg(r.code == 0, "%s", r.err);
        ran_free(&r);
        char *s = xprintf("%s/s.json", dir), *score = file_read(s, 1 << 20, NULL, &e);
        check_has(score ? score : "", accuracy[i]);
        free(score);
        free(s);
    }
    r = run_program(dir, "score --task aime24 --truth truth.jsonl");
    check(r.code == 2);
    check_has(r.err, "--answers is missing");
    ran_free(&r);
    r = run_program(dir, "score --task arithmetic --truth truth.jsonl --answers answers.jsonl --output s.json --judge paper");
    check(r.code == 1);
    check_has(r.err, "no rules for the task arithmetic");
    ran_free(&r);
    f = fopen(truth, "w");
    check(f && fputs("{\"id\":\"a\",\"problem\":\"1+1?\",\"answer\":\"1000\"}\n", f) >= 0 && fclose(f) == 0);
    r = run_program(dir, "score --task aime25 --truth truth.jsonl --answers answers.jsonl --output s.json");
    check(r.code == 1);
    check_has(r.err, "an integer from 0 to 999, got \"1000\"");
    ran_free(&r);
    free(prompts);
    free(p);
    free(truth);
    free(answers);
    check(file_remove_tree(dir, &e));
}

static const struct test tests[] = {
    {"equal numbers", equal_numbers},
    {"unequal numbers", unequal_numbers},
    {"signs and units", signs_and_units},
    {"expressions", expressions},
    {"structures", structures},
    {"answers in texts", answers_in_texts},
    {"the paper's verdicts", the_papers_verdicts},
    {"grading cases", grading_cases},
    {"recorded verdicts", recorded_verdicts},
    {"hostile answers", hostile_answers},
    {"towers", towers},
    {"the program", the_program},
};
TEST_MAIN("test_math", tests)
