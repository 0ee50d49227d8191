/* The code judge without the corpus: where a program stands in an answer, outputs compared, LiveCodeBench's test files decoded and damaged,
 * whole evaluations through score, and programs that try to be judged right without solving anything. */
#include "core/rng.h"
#include "infer/code/code.h"
#include "infer/code/sandbox.h"
#include "infer/score/scoring.h"
#include "tests/cases.h"
#include <openssl/evp.h>
#include <unistd.h>
#include <zlib.h>

/* Skips the test where no program can be run. */
static bool can_run(void)
{
    static char why[1100];
    struct err e;
    struct sandbox *s = sandbox_open(false, &e);
    if (!s) {
        snprintf(why, sizeof(why), "no sandbox on this machine: %.1000s", e.msg);
        test_skip(why);
        return false;
    }
    sandbox_close(s);
    return true;
}

static void programs_in_answers(void)
{
    static const struct {
        const char *text;
        bool cut;
        const char *program;
    } cases[] = {
        {"x\n</think>\n\n```python\na = 1\n```\n", false, "a = 1\n"},
        {"```python\nold\n```\n</think>\n\n```python\na = 1\n```", false, "a = 1\n"},
        {"</think>\n```\na\n```\ntext\n```py\nb\nc\n```\nmore", false, "b\nc\n"},
        {"</think>\n```python\na\n```\n```\n", false, ""}, /* the last two lines with a fence */
        {"no thoughts\n```python\na = 2\n```\n", false, "a = 2\n"},
        {"cut in thoughts ```python\na = 2\n```\n", true, NULL},
        {"</think>\n```python\na = 2\n```\nand then it w", true, "a = 2\n"},
        {"</think>\n```python\na = 2\nb", true, NULL},
        {"</think>\nno program", false, NULL},
        {"```python\na = 2\n```\n</think>\nThat was it.", false, NULL},
        {"</think>\n  ```python\n  a = 2\n  ```\n", false, "  a = 2\n"},
        {"</think>\n```python\n```\n", false, ""},
        {"", false, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct verdict v = {0};
        code_find_program(&v, cases[i].text, cases[i].cut);
        check_msg(cases[i].program ? v.extracted && strcmp(v.extracted, cases[i].program) == 0 : !v.extracted && v.why, "text %zu: \"%s\"",
                  i, v.extracted ? v.extracted : "(none)");
        verdict_free(&v);
    }
}

static void outputs(void)
{
    static const struct {
        const char *got, *want;
        bool same;
    } cases[] = {
        {"1\n2\n", "1\n2", true},
        {"  1  \n2   ", "1\n2\n\n", true},
        {"1 2", "1\n2", false},
        {"1\n\n2", "1\n2", false},
        {"1\n \n2", "1\n\n2", true},
        {"1 2 3", "1  2   3", true}, /* as numbers */
        {"a b", "a  b", false},
        {"1.50", "1.5", true},
        {"1.50 2", "1.5 2.000", true},
        {"15e-1", "1.5", true},
        {"0.015E+2", "1.5", true},
        {"1.5", "1.5000001", false},
        {"+3", "3", true},
        {"-0.0", "0", true},
        {"-3", "3", false},
        {"003", "3", true},
        {".5", "0.5", true},
        {"5.", "5", true},
        {"50", "5", false},
        {"0.05", "0.5", false},
        {"100000000000000000000000000000000000001", "100000000000000000000000000000000000000", false},
        {"1e400", "10e399", true},
        {"1e400", "1e401", false},
        {"1e", "1", false},
        {"e1", "0", false},
        {".", "0", false},
        {"", "0", false},
        {"", "", true},
        {"\n\n", "", true},
        {"1.2.3", "1.2.3", true},
        {"1.2.3", "1.20.3", false},
        {"YES 1.0", "YES 1", false},
        {"yes", "YES", false},
        {"nan", "nan", true},
        {"inf", "infinity", false},
        {"1,5", "1.5", false},
        {"1_0", "10", false},
        {"1\n2\n3", "1\n2", false},
        {"1\r\n2\r\n", "1\n2\n", true},
        {"[1, 2]", "[1,2]", false},
        {"0x10", "16", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char why[200] = "";
        bool same = code_same_output(cases[i].got, strlen(cases[i].got), cases[i].want, why, sizeof(why));
        check_msg(same == cases[i].same && same == !why[0], "\"%s\" for \"%s\": %s", cases[i].got, cases[i].want, why);
    }
    char why[200];
    check(!code_same_output("1\0", 2, "1", why, sizeof(why)));
}

/* Decimal numbers made two ways are equal; one digit changed, they are not. */
static void outputs_at_random(void)
{
    for (uint64_t i = 0; i < 3000; i++) {
        int whole = (int)rng_below(7, 0, i, 40), part = (int)rng_below(7, 1, i, 40);
        char digits[100], a[200], b[200], c[200], why[200];
        for (int d = 0; d < whole + part; d++)
            digits[d] = (char)('0' + rng_below(7, 2, 100 * i + (uint64_t)d, 10));
        digits[whole + part] = '\0';
        if (whole + part == 0)
            continue;
        snprintf(a, sizeof(a), "%.*s.%s", whole, digits, digits + whole);
        snprintf(b, sizeof(b), "000%s0e-%d", digits, part + 1);
        check_msg(code_same_output(a, strlen(a), b, why, sizeof(why)), "%s for %s: %s", a, b, why);
        int at = (int)rng_below(7, 3, i, (uint64_t)(whole + part));
        digits[at] = (char)('0' + (digits[at] - '0' + 1 + rng_below(7, 4, i, 9)) % 10);
        snprintf(c, sizeof(c), "%se-%d", digits, part);
        check_msg(!code_same_output(c, strlen(c), b, why, sizeof(why)), "%s for %s", c, b);
    }
}

/* base64(zlib(pickle)) of the bytes; the caller frees. */
static char *packed(const unsigned char *pickle, size_t n)
{
    uLongf zipped_n = compressBound(n);
    unsigned char *zipped = xmalloc(zipped_n);
    must(compress(zipped, &zipped_n, pickle, n) == Z_OK);
    char *text = xmalloc(zipped_n / 3 * 4 + 8);
    EVP_EncodeBlock((unsigned char *)text, zipped, (int)zipped_n);
    free(zipped);
    return text;
}

static json_t *decode(const char *private_tests, struct err *e)
{
    json_t *truth = json_pack("{s:s, s:s}", "public_test_cases", "[{\"input\": \"1\", \"output\": \"2\", \"testtype\": \"stdin\"}]",
                              "private_test_cases", private_tests);
    json_t *tests = code_lcb_tests(truth, e);
    json_decref(truth);
    return tests;
}

static const char one_test[] = "[{\"input\": \"3\", \"output\": \"4\", \"testtype\": \"stdin\"}]";

/* The string between head and tail, with its length in `digits` bytes. */
static size_t pickle_of(unsigned char *p, const char *head, size_t head_n, int digits, const char *tail, size_t tail_n)
{
    size_t n = strlen(one_test), at = head_n;
    memcpy(p, head, head_n);
    for (int i = 0; i < digits; i++)
        p[at++] = (unsigned char)(i < 4 ? n >> (8 * i) : 0);
    memcpy(p + at, one_test, n);
    memcpy(p + at + n, tail, tail_n);
    return at + n + tail_n;
}

#define BYTES(text) text, sizeof(text) - 1
static void private_tests(void)
{
    static const struct {
        const char *head;
        size_t head_n;
        int digits;
        const char *tail;
        size_t tail_n;
        bool good;
    } cases[] = {
        {BYTES("\x80\x04\x95\x44\0\0\0\0\0\0\0\x8c"), 1, BYTES("\x94."), true}, /* protocol 4, as Python writes it */
        {BYTES("\x80\x04\x95\x44\0\0\0\0\0\0\0X"), 4, BYTES("\x94."), true},    /* longer than 255 */
        {BYTES("\x80\x05\x8d"), 8, BYTES("\x94."), true},                       /* longer than 2^32, without a frame */
        {BYTES("\x80\x02X"), 4, BYTES("q\0."), true},                           /* protocol 2 */
        {BYTES("\x80\x03X"), 4, BYTES("r\0\0\0\0."), true},                     /* protocol 3, another memo */
        {BYTES("X"), 4, BYTES("."), true},                                      /* the string alone */
        {BYTES("\x80\x04X"), 4, BYTES("\x94"), false},                          /* no STOP */
        {BYTES("\x80\x04X"), 4, BYTES("\x94.."), false},                        /* more after it */
        {BYTES("\x80\x04X"), 4, BYTES("\x94N."), false},                        /* another value on top */
        {BYTES("\x80\x04X"), 4, BYTES("\x94\x8c\2os\x8c\6system\x93."), false}, /* a function looked up */
        {BYTES("\x80\x04"
               "cos\nsystem\nX"),
         4, BYTES("\x85R."), false},                  /* a function called */
        {BYTES("\x80\x04]X"), 4, BYTES("a."), false}, /* in a list */
        {BYTES("\x80\x09X"), 4, BYTES("."), false},   /* a protocol that is none */
        {BYTES("\x80\x04T"), 4, BYTES("."), false},   /* bytes of protocol 1 */
        {BYTES("\x80\x04"
               "B"),
         4, BYTES("."), false}, /* bytes */
        {BYTES("\x80\x04\x95"), 1, BYTES("."), false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unsigned char pickle[256];
        size_t n = pickle_of(pickle, cases[i].head, cases[i].head_n, cases[i].digits, cases[i].tail, cases[i].tail_n);
        char *text = packed(pickle, n);
        struct err e;
        json_t *tests = decode(text, &e);
        check_msg((tests != NULL) == cases[i].good, "pickle %zu: %s", i, tests ? "read" : e.msg);
        if (tests) {
            check_int(json_array_size(tests), 2);
            check_str(json_string_value(json_object_get(json_array_get(tests, 1), "output")), "4");
        }
        json_decref(tests);
        free(text);
    }
    static const char *const bad[][2] = {
        {"", "it is not base64"},
        {"!!!!", "it is not base64"},
        {"AAAA", "the zlib stream is damaged"},
        {"AAA", "it is not base64"},
        {"[1]", "test 1"},
        {"[", "not valid JSON"},
        {"{}", "it is not base64"},
        {"[{\"input\": \"3\", \"output\": 4, \"testtype\": \"stdin\"}]", "\"output\""},
        {"[{\"input\": \"3\", \"output\": \"4\", \"testtype\": \"magic\"}]", "magic"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct err e;
        json_t *tests = decode(bad[i][0], &e);
        check_msg(!tests, "\"%s\" is read", bad[i][0]);
        if (!tests) {
            check_has(e.msg, bad[i][1]);
            check_has(e.msg, "private_test_cases");
        }
        json_decref(tests);
    }
}

/* Bytes changed, cut and put in at every level: each is refused or gives tests of the right form, and nothing crashes (make asan). */
static void private_tests_damaged(void)
{
    unsigned char good[256];
    size_t n = pickle_of(good, BYTES("\x80\x04\x95\x44\0\0\0\0\0\0\0X"), 4, BYTES("\x94."));
    char *text = packed(good, n);
    int read = 0;
    for (uint64_t i = 0; i < 6000; i++) {
        unsigned char p[300];
        memcpy(p, good, n);
        size_t m = n;
        uint64_t what = rng_below(11, 0, i, 4), at = rng_below(11, 1, i, n), byte = rng_below(11, 2, i, 256);
        if (what == 0)
            p[at] = (unsigned char)byte;
        else if (what == 1)
            m = at;
        else if (what == 2)
            p[m++] = (unsigned char)byte;
        char *damaged = what == 3 ? xstrdup(text) : packed(p, m);
        if (what == 3) /* the base64 text itself */
            damaged[rng_below(11, 3, i, strlen(text))] = (char)(1 + rng_below(11, 4, i, 255));
        struct err e;
        json_t *truth = json_pack("{s:s, s:s%}", "public_test_cases", "[]", "private_test_cases", damaged, strlen(damaged));
        json_t *tests = truth ? code_lcb_tests(truth, &e) : NULL; /* text that is not UTF-8 is no JSON string */
        size_t k;
        json_t *test;
        json_array_foreach(tests, k, test)
            check(json_is_string(json_object_get(test, "input")) && json_is_string(json_object_get(test, "output")));
        read += tests != NULL;
        json_decref(tests);
        json_decref(truth);
        free(damaged);
    }
    check_msg(read > 100 && read < 3000, "%d of 6000 were read", read); /* a changed letter within the tests is still a test */
    free(text);
}

/* A stream of zeros that would fill the memory is given up. */
static void private_tests_that_swell(void)
{
    enum { MIB = 1 << 20, TIMES = 1100 };
    unsigned char *zeros = xcalloc(MIB, 1), *zipped = xmalloc(2 * MIB);
    z_stream z = {.next_out = zipped, .avail_out = 2 * MIB};
    must(deflateInit(&z, 9) == Z_OK);
    for (int i = 0; i <= TIMES; i++) {
        z.next_in = zeros;
        z.avail_in = i < TIMES ? MIB : 0;
        int status = deflate(&z, i < TIMES ? Z_NO_FLUSH : Z_FINISH);
        must(status == (i < TIMES ? Z_OK : Z_STREAM_END) && z.avail_in == 0);
    }
    char *text = xmalloc(z.total_out / 3 * 4 + 8);
    EVP_EncodeBlock((unsigned char *)text, zipped, (int)z.total_out);
    struct err e;
    json_t *tests = decode(text, &e);
    check(!tests);
    check_has(e.msg, "the zlib stream is damaged");
    deflateEnd(&z);
    free(text);
    free(zipped);
    free(zeros);
}

/* One program against one truth record; the verdict's text is kept until the next. */
static char last_why[600];
static bool judged(const struct task *task, json_t *truth, const char *program, double cpu_s)
{
    struct verdict v = {.extracted = xstrdup(program)};
    struct code_job job = {.truth = truth, .v = &v};
    struct code_options o = {.cpu_s = cpu_s, .jobs = 1};
    struct err e;
    bool ran = code_judge(&job, 1, task->tests, &o, &e), correct = v.correct;
    check_msg(ran, "%s", ran ? "" : e.msg);
    snprintf(last_why, sizeof(last_why), "%s", v.why ? v.why : "");
    verdict_free(&v);
    return correct;
}

static json_t *record(const char *prompt, const char *entry, const char *test)
{
    return json_pack("{s:s, s:s, s:s}", "prompt", prompt, "entry_point", entry, "test", test);
}
static json_t *contest(const char *tests, const char *starter, const char *function)
{
    char *metadata = function ? xprintf("{\"func_name\": \"%s\"}", function) : xstrdup("{}");
    json_t *truth = json_pack("{s:s, s:s, s:s, s:s}", "public_test_cases", tests, "private_test_cases", "[]", "starter_code", starter,
                              "metadata", metadata);
    free(metadata);
    return truth;
}

/* Values of every kind go there and back. */
static void values_that_travel(void)
{
    if (!can_run())
        return;
    static const char test[] =
        "from collections import deque\nfrom decimal import Decimal\nfrom fractions import Fraction\n"
        "values = [None, True, 0, -1, 1 << 70, -(1 << 20000), 1.5, float('inf'), 'x', '\\u00e9\\ud800\\0\"', [], [1, [2, [3]]], (), (1,), ((1, 2), (3,)),\n"
        "    [(1, 2), (3, 4)], ([1], [2]), [[1 << 20000]], {}, {'a': 1}, {1: (2,), (3, 4): [5]}, {1, 2}, frozenset([1]), b'\\0\\xff', 2 + 3j, range(3),\n"
        "    deque([1, 2]), Decimal('1.10'), Fraction(1, 3), list(range(25001)), tuple(range(25001)), [('a', 'b')] * 12345, [1, 'a', None, (1.0,)]]\n"
        "def check(same):\n"
        "    for v in values:\n"
        "        got = same(v)\n"
        "        assert got == v and type(got) is type(v), (got, v)\n"
        "        if isinstance(v, (list, tuple)):\n"
        "            assert [type(x) for x in got] == [type(x) for x in v], (got, v)\n"
        "    assert same(x=5) == 5\n"
        "    got = same(float('nan'))\n"
        "    assert got != got\n"
        "    assert same(True) is True and same(None) is None and type(same(1.0)) is float\n";
    json_t *truth = record("def same(x):\n    '''x'''\n", "same", test);
    check_msg(judged(&task_humaneval, truth, "def same(x):\n    return x\n", 0), "%s", last_why);
    check(!judged(&task_humaneval, truth, "def same(x):\n    return x if x != (1,) else [1]\n", 0));
    json_decref(truth);
}

static void what_tests_may_do(void)
{
    if (!can_run())
        return;
    /* Helpers of the prompt, exceptions, truth of objects, arguments that the function changes for itself. */
    json_t *truth =
        record("import re\ndef twice(x):\n    return 2 * x\n\ndef f(x):\n    '''doc'''\n", "f",
               "def check(candidate):\n"
               "    assert candidate(3) == twice(3)\n"
               "    try:\n        candidate(-1)\n        assert False\n    except ValueError as e:\n        assert str(e) == 'negative'\n"
               "    assert candidate('word')\n"
               "    x = [3, 1, 2]\n    assert candidate(x) == [1, 2, 3] and x == [3, 1, 2]\n");
    static const char right[] =
        "def f(x):\n    if isinstance(x, list):\n        x.sort()\n        return x\n    if isinstance(x, str):\n"
        "        return re.match('w', x)\n    if x < 0:\n        raise ValueError('negative')\n    print('noise' * 1000)\n"
        "    return twice(x)\n";
    check_msg(judged(&task_humaneval, truth, right, 0), "%s", last_why);
    check_str(last_why, "passed, 4 calls");
    check(!judged(&task_humaneval, truth, "def f(x):\n    return 6\n", 0));
    /* The rest of the function, as a plain model would go on. */
    json_t *small = record("def f(x):\n    '''doc'''\n", "f", "def check(c):\n    assert c(2) == 4\n");
    check_msg(judged(&task_humaneval, small, "    return 2 * x\n", 0), "%s", last_why);
    check(!judged(&task_humaneval, small, "def f(x):\n    return x\n", 0));
    check_str(last_why, "call 1: an assertion of the test fails");
    check(!judged(&task_humaneval, small, "def f(x):\n    return y\n", 0));
    check_has(last_why, "call 1: NameError: name 'y' is not defined");
    check(!judged(&task_humaneval, small, "def f(x)\n    return y\n", 0));
    check_has(last_why, "SyntaxError");
    check(!judged(&task_humaneval, small, "def f(x):\n    while True: pass\n", 0.3));
    check_has(last_why, "call 1: out of time (0.3 s of CPU time");
    check(!judged(&task_humaneval, small, "import os\ndef f(x):\n    os._exit(7)\n", 0));
    check_has(last_why, "the program ended by itself, with exit code 7");
    /* Asserts as they stand, without check(). */
    json_t *plain = record("", "f", "assert f(1) == 2\nassert f(2) == 3\n");
    check_msg(judged(&task_mbppplus, plain, "def f(x): return x + 1", 0), "%s", last_why);
    check(!judged(&task_mbppplus, plain, "def f(x): return 2", 0));
    json_decref(plain);
    json_decref(small);
    json_decref(truth);
}

static void contests(void)
{
    if (!can_run())
        return;
    json_t *lines = contest("[{\"input\": \"3 4\\n\", \"output\": \"7\\n\", \"testtype\": \"stdin\"},"
                            "{\"input\": \"1 1\", \"output\": \"2.0\", \"testtype\": \"stdin\"}]",
                            "", NULL);
    check_msg(judged(&task_livecodebench, lines, "print(sum(map(int, input().split())))", 0), "%s", last_why);
    check_str(last_why, "passed, 2 tests");
    check_msg(judged(&task_livecodebench, lines,
                     "if __name__ == '__main__':\n    print(reduce(add, map(int, stdin.readline().split())))\n    exit()", 0),
              "%s", last_why);
    check(!judged(&task_livecodebench, lines, "print(7)", 0));
    check_has(last_why, "test 2 of 2: line 1 of the output: expected \"2.0\", got \"7\"");
    check(!judged(&task_livecodebench, lines, "print(7)\nprint(1 / 0)", 0));
    check_has(last_why, "test 1 of 2: exit code 1: ZeroDivisionError");
    json_t *calls =
        contest("[{\"input\": \"[1, 2]\\n3\", \"output\": \"[[1, 2], 3]\", \"testtype\": \"functional\"},"
                "{\"input\": \"[]\\n123456789012345678901234567890\", \"output\": \"[[], 123456789012345678901234567890]\", \"testtype\": "
                "\"functional\"}]",
                "class Solution:\n    def pair(self, a, b):\n        ", "pair");
    check_msg(judged(&task_livecodebench, calls, "class Solution:\n    def pair(self, a: List[int], b: int):\n        return (a, b)", 0),
              "%s", last_why);
    check(!judged(&task_livecodebench, calls, "class Solution:\n    def pair(self, a, b):\n        return [[1, 2], 3]", 0));
    check_has(last_why, "call 2: expected [[], 1234567");
    check(!judged(&task_livecodebench, calls, "def pair(a, b):\n    return [a, b]", 0));
    json_decref(calls);
    /* The limit is per test here: four calls of 0.2 s each are within 0.5 s. */
    json_t *slow = contest(
        "[{\"input\": \"1\", \"output\": \"1\", \"testtype\": \"functional\"}, {\"input\": \"2\", \"output\": \"2\", \"testtype\": "
        "\"functional\"}, {\"input\": \"3\", \"output\": \"3\", \"testtype\": \"functional\"}, {\"input\": \"4\", \"output\": \"4\", "
        "\"testtype\": \"functional\"}]",
        "", "f");
    static const char spin[] =
        "import time\ndef f(x):\n    end = time.process_time() + 0.2\n    while time.process_time() < end: pass\n    return x";
    check_msg(judged(&task_livecodebench, slow, spin, 0.5), "%s", last_why);
    check(!judged(&task_livecodebench, slow, spin, 0.1));
    check_has(last_why, "call 1: out of time");
    json_decref(slow);
    json_decref(lines);
}

/* The attempts of a kind, judged together as answers of one evaluation. */
enum { CALLS, LISTS, STDIN, KINDS, ATTEMPTS_MOST = 128 };
static const char *const kinds[KINDS] = {"calls ", "lists ", "stdin "};
static struct {
    char *name[ATTEMPTS_MOST];
    struct verdict verdict[ATTEMPTS_MOST];
    int n;
} attempts[KINDS];

static void attempt(const char *name, const char *program)
{
    int kind = 0;
    while (kind < KINDS && strncmp(name, kinds[kind], strlen(kinds[kind])) != 0)
        kind++;
    check_msg(kind < KINDS && attempts[kind].n < ATTEMPTS_MOST, "%s: of no kind, or too many", name);
    if (kind == KINDS || attempts[kind].n == ATTEMPTS_MOST)
        return;
    attempts[kind].name[attempts[kind].n] = xstrdup(name);
    attempts[kind].verdict[attempts[kind].n++] = (struct verdict){.extracted = xstrdup(program)};
}

/* Behind every attempt comes an honest program on the same seat, which must not be harmed. */
static void judge_attempts(int kind, const struct task *task, json_t *truth, const char *honest)
{
    struct code_job job[2 * ATTEMPTS_MOST] = {{0}};
    struct verdict right[ATTEMPTS_MOST] = {{0}};
    int n = attempts[kind].n;
    for (int i = 0; i < n; i++) {
        right[i].extracted = xstrdup(honest);
        job[2 * i] = (struct code_job){.truth = truth, .v = &attempts[kind].verdict[i]};
        job[2 * i + 1] = (struct code_job){.truth = truth, .v = &right[i]};
    }
    struct code_options o = {.cpu_s = 0.5, .jobs = 1};
    struct err e;
    bool ran = code_judge(job, 2 * n, task->tests, &o, &e);
    check_msg(ran, "%s", ran ? "" : e.msg);
    for (int i = 0; i < n; i++) {
        struct verdict *v = &attempts[kind].verdict[i];
        check_msg(!v->correct && v->why && v->why[0] && !strstr(v->why, "passed, "), "%s: %s", attempts[kind].name[i],
                  v->why ? v->why : "?");
        check_msg(right[i].correct, "behind %s: %s", attempts[kind].name[i], right[i].why);
        verdict_free(v);
        verdict_free(&right[i]);
        free(attempts[kind].name[i]);
    }
    json_decref(truth);
}

static void nobody_is_fooled(void)
{
    static const char calls[] = "secret_name = 'secret_of_the_test'\nhidden = {}\n"
                                "def check(candidate):\n"
                                "    for a in range(1, 6):\n"
                                "        for b in range(1, 6):\n"
                                "            expected = 31 * a + 17 * b + 5\n"
                                "            assert candidate(a, b) == expected\n"
                                "            assert abs(candidate(a, b) - expected) < 1e-6\n"
                                "            assert not candidate(a, b) != expected\n",
                      lists[] = "def check(candidate):\n"
                                "    for a in range(1, 6):\n"
                                "        x, y = [a] * 2, [a + 1]\n"
                                "        assert candidate(x, y) == 31 * sum(x) + 17 * sum(y) + 5\n",
                      line[] = "[{\"input\": \"3 4\\n\", \"output\": \"166\\n\", \"testtype\": \"stdin\"}]";
    if (!can_run())
        return;
    each_case("tests/sandbox_cases/gaming.py", "", attempt);
    check_msg(attempts[CALLS].n >= 30 && attempts[LISTS].n >= 1 && attempts[STDIN].n >= 10, "%d, %d and %d attempts", attempts[CALLS].n,
              attempts[LISTS].n, attempts[STDIN].n);
    judge_attempts(CALLS, &task_mbppplus, record("", "secret", calls), "def secret(a, b): return 31 * a + 17 * b + 5");
    judge_attempts(LISTS, &task_mbppplus, record("", "secret", lists), "def secret(a, b): return 31 * sum(a) + 17 * sum(b) + 5");
    judge_attempts(STDIN, &task_livecodebench, contest(line, "", NULL), "a, b = map(int, input().split())\nprint(31 * a + 17 * b + 5)");
}

static void prompts(void)
{
    struct err e;
    json_t *truth = json_pack("{s:s, s:s}", "question_content", "Add.", "starter_code", "");
    char *text = task_livecodebench.prompt(truth, &e);
    check_str(
        text,
        "<|im_start|>user\nYou will be given a question (problem specification) and will generate a correct Python program that matches "
        "the specification and passes all tests.\n\nQuestion: Add.\n\nRead the inputs from stdin solve the problem and write the answer "
        "to stdout (do not directly test on the sample inputs). Enclose your code within delimiters as follows. Ensure that when the "
        "python program runs, it reads the inputs, runs the algorithm and writes output to STDOUT.\n```python\n# YOUR CODE "
        "HERE\n```\n\n<|im_end|>\n<|im_start|>assistant\n<think>\n");
    free(text);
    json_decref(truth);
    truth = json_pack("{s:s}", "question_content", "Add.");
    check(!task_livecodebench.prompt(truth, &e));
    check_has(e.msg, "starter_code");
    json_decref(truth);
    truth = record("def f():\n    '''x'''\n", "f", "");
    text = task_humaneval.prompt(truth, &e);
    check_has(text, "```python\ndef f():\n    '''x'''\n\n```\n\n<|im_end|>\n<|im_start|>assistant\n<think>\n");
    free(text);
    json_decref(truth);
}

static const struct test tests[] = {
    {"programs_in_answers", programs_in_answers},
    {"outputs", outputs},
    {"outputs_at_random", outputs_at_random},
    {"private_tests", private_tests},
    {"private_tests_damaged", private_tests_damaged},
    {"private_tests_that_swell", private_tests_that_swell},
    {"prompts", prompts},
    {"values_that_travel", values_that_travel},
    {"what_tests_may_do", what_tests_may_do},
    {"contests", contests},
    {"nobody_is_fooled", nobody_is_fooled},
};
TEST_MAIN("test_code", tests)
