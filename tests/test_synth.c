/* Every generated problem is worked out again here, by other code: from its structure, from its prompt's numbers, and line by line. */
#include "data/synth/synth.h"
#include "tests/test.h"
#include <ctype.h>

enum { MANY = 5000 };

/* A side of a relation in a worked line: integers with + - * / from left to right, * and / first. Moves *s behind it. */
static long side(const char **s)
{
    long sum = 0, sign = 1;
    for (;;) {
        char *end;
        long term = strtol(*s, &end, 10);
        check(end > *s);
        *s = end;
        while (**s == '*' || **s == '/') {
            char op = *(*s)++;
            long next = strtol(*s, &end, 10);
            check(end > *s);
            *s = end;
            if (op == '/')
                check(next && term % next == 0);
            term = op == '*' ? term * next : next ? term / next : 0;
        }
        sum += sign * term;
        if (**s != '+' && **s != '-')
            return sum;
        sign = *(*s)++ == '+' ? 1 : -1;
    }
}

/* "3+4=7", "2<3": true when it holds. Moves *s behind it. */
static bool relation(const char **s)
{
    long left = side(s);
    char sign = *(*s)++;
    long right = side(s);
    return sign == '=' ? left == right : sign == '<' ? left < right : sign == '>' ? left > right : false;
}

/* What a line "HEAD: steps -> R" claims to work out: a sum, difference, product, "a mod b", "max a b". */
static long head_value(const char *s)
{
    long a, b;
    if (sscanf(s, "max %ld %ld", &a, &b) == 2)
        return a > b ? a : b;
    if (sscanf(s, "%ld mod %ld", &a, &b) == 2)
        return a % b;
    return side(&s);
}

/* Checks a worked line (without its newline) and returns its result. */
static long check_line(const char *line)
{
    const char *colon = strchr(line, ':'), *arrow = strstr(line, " -> ");
    check_msg(!colon == !arrow, "%s", line);
    const char *s = colon ? colon + 2 : line;
    for (;;) {
        check_msg(relation(&s), "%s", line);
        if (strncmp(s, ", ", 2) != 0)
            break;
        s += 2;
    }
    check_msg(s == (arrow ? arrow : line + strlen(line)), "%s", line);
    if (!arrow)
        return strtol(strrchr(line, '=') + 1, NULL, 10);
    long result = strtol(arrow + 4, NULL, 10);
    check_msg(result == head_value(line), "%s", line);
    return result;
}

/* The problem's own text, "sum4,7,5 -3 x2": its answer; its numbers go to number[]. */
static long work_out(const char *problem, long *number, int *n)
{
    long v = 0, k;
    *n = 0;
    char copy[64];
    snprintf(copy, sizeof(copy), "%s", problem);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " ")) {
        long a, b, c;
        if (sscanf(word, "sum%ld,%ld,%ld", &a, &b, &c) == 3 || sscanf(word, "avg%ld,%ld,%ld", &a, &b, &c) == 3) {
            v = a + b + c;
            if (*word == 'a') {
                check(v % 3 == 0);
                v /= 3;
            }
            number[(*n)++] = a;
            number[(*n)++] = b;
            number[(*n)++] = c;
            continue;
        }
        if (strcmp(word, "x2") == 0) {
            v *= 2;
            continue;
        }
        k = strtol(word + strspn(word, "+-*/abcdefghijklmnopqrstuvwxyz"), NULL, 10);
        number[(*n)++] = k;
        if (isdigit((unsigned char)*word))
            v = k;
        else if (*word == '+')
            v += k;
        else if (*word == '-')
            v -= k;
        else if (*word == '*')
            v *= k;
        else if (*word == '/') {
            check(v % k == 0);
            v /= k;
        } else if (strncmp(word, "mod", 3) == 0)
            v %= k;
        else if (strncmp(word, "max", 3) == 0)
            v = v > k ? v : k;
        else if (strncmp(word, "diff", 4) == 0)
            v = labs(v - k);
        else
            check_msg(false, "unknown step %s", word);
        check_msg(v >= 0 && v <= 99, "%s", problem);
    }
    return v;
}

/* The prompt says exactly the numbers of the problem, in its order. */
static void check_prompt(const struct synth_doc *d, const long *number, int n)
{
    int found = 0;
    for (const char *p = d->prompt; *p;) {
        if (!isdigit((unsigned char)*p)) {
            p++;
            continue;
        }
        char *end;
        long v = strtol(p, &end, 10);
        check_msg(found < n && v == number[found], "%s | %s", d->problem, d->prompt);
        found++;
        p = end;
    }
    check_msg(found == n, "%s | %s", d->problem, d->prompt);
}

static void every_document_is_right(void)
{
    for (int level = 0; level < 2; level++)
        for (int kind = 0; kind < 2; kind++)
            for (uint64_t i = 0; i < MANY && test_failures < 20; i++) {
                struct synth_doc d;
                long number[16], result = -1;
                int n;
                synth_make(&d, (enum synth_level)level, (enum synth_kind)kind, 7, i);
                check_int(work_out(d.problem, number, &n), d.answer);
                check_prompt(&d, number, n);
                size_t bytes = strlen(d.prompt) + strlen(d.completion);
                check_msg(level ? bytes >= 150 && bytes <= 300 : bytes >= 80 && bytes <= 180, "%zu bytes: %s", bytes, d.prompt);
                check(strncmp(d.prompt, "Q: ", 3) == 0 && strlen(d.prompt) > 12);
                check_str(d.prompt + strlen(d.prompt) - 9, "\n<think>\n");
                check_msg(level ? d.n_concepts >= 3 && d.n_concepts <= 4 : d.n_concepts >= 1 && d.n_concepts <= 2, "%s", d.problem);
                for (int a = 0; a < d.n_concepts; a++)
                    for (int b = 0; b < a; b++)
                        check_msg(strcmp(d.concepts[a], d.concepts[b]) != 0, "%s twice: %s", d.concepts[a], d.problem);
                check(strlen(d.rationale) > 40);

                char lines[sizeof(d.completion)], tail[40];
                snprintf(lines, sizeof(lines), "%s", d.completion);
                snprintf(tail, sizeof(tail), "</think>\n\n%d", d.answer);
                char *end = strstr(lines, "</think>");
                check(end);
                check_str(end, tail);
                *end = 0;
                for (char *line = strtok(lines, "\n"); line; line = strtok(NULL, "\n"))
                    result = check_line(line);
                check_msg(result == d.answer, "%s | %s", d.problem, d.completion);
            }
}

/* The checks above do fail on wrong lines. */
static void the_checker_sees_mistakes(void)
{
    const char *s = "7+5=12, ";
    check(relation(&s));
    static const char *const wrong[] = {"7+5=13", "2>3", "4*4-1=16", "3=4"};
    for (int i = 0; i < 4; i++) {
        s = wrong[i];
        check(!relation(&s));
    }
    check_int(head_value("27+15: 7"), 42);
    check_int(head_value("17 mod 5: 5"), 2);
    check_int(head_value("max 27 31: 2"), 31);
    check_int(check_line("27+15: 7+5=12, 2+1+1=4 -> 42"), 42);
    check_int(check_line("24/4=6"), 6);
}

static void the_same_arguments_give_the_same_document(void)
{
    int different = 0;
    for (uint64_t i = 0; i < 200; i++) {
        struct synth_doc a, b, c;
        memset(&a, 0, sizeof(a));
        memset(&b, 0xff, sizeof(b));
        synth_make(&a, SYNTH_HARD, SYNTH_TRAIN, 42, i);
        synth_make(&b, SYNTH_HARD, SYNTH_TRAIN, 42, i);
        synth_make(&c, SYNTH_HARD, SYNTH_TRAIN, 43, i);
        check_str(b.prompt, a.prompt);
        check_str(b.completion, a.completion);
        check_str(b.rationale, a.rationale);
        check_str(b.problem, a.problem);
        different += strcmp(a.prompt, c.prompt) != 0;
    }
    check(different >= 199);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* No training problem of any seed is a held-out problem of any other. The levels share the split too. */
static void training_never_meets_evaluation(void)
{
    char(*seen)[64] = calloc(2 * MANY, sizeof(*seen));
    int held_out = 0;
    for (int i = 0; i < 2 * MANY; i++) {
        struct synth_doc d;
        synth_make(&d, (enum synth_level)(i % 2), SYNTH_EVAL, 100 + (uint64_t)i % 3, (uint64_t)i);
        check_int(synth_side(d.problem), SYNTH_EVAL);
        memcpy(seen[i], d.problem, sizeof(d.problem));
    }
    qsort(seen, 2 * MANY, sizeof(*seen), by_text);
    for (int i = 0; i < 2 * MANY; i++) {
        struct synth_doc d;
        synth_make(&d, (enum synth_level)(i % 2), SYNTH_TRAIN, 100 + (uint64_t)i % 5, (uint64_t)i);
        held_out += bsearch(d.problem, seen, 2 * MANY, sizeof(*seen), by_text) != NULL;
    }
    check_int(held_out, 0);
    free(seen);
}

/* A model that always gives one answer must not look good, and the concepts must all be taught. */
static void answers_and_concepts_are_spread(void)
{
    for (int level = 0; level < 2; level++) {
        int count[100] = {0}, most = 0, distinct = 0, n_names = 0;
        const char *name[16];
        int uses[16] = {0};
        for (uint64_t i = 0; i < MANY; i++) {
            struct synth_doc d;
            synth_make(&d, (enum synth_level)level, SYNTH_TRAIN, 3, i);
            if (count[d.answer]++ == 0)
                distinct++;
            for (int j = 0; j < d.n_concepts; j++) {
                int at = 0;
                while (at < n_names && strcmp(name[at], d.concepts[j]) != 0)
                    at++;
                if (at == n_names)
                    name[n_names++] = d.concepts[j];
                uses[at]++;
            }
        }
        for (int i = 0; i < 100; i++)
            most = count[i] > most ? count[i] : most;
        check_msg(most < MANY * 6 / 100, "level %d: the most frequent answer has %d of %d", level, most, MANY);
        check_int(distinct, 100);
        check_int(n_names, 10);
        for (int i = 0; i < n_names; i++)
            check_msg(uses[i] > MANY * 3 / 100, "%s: %d", name[i], uses[i]);
    }
}

static const struct test all[] = {
    {"every document is right", every_document_is_right},
    {"the checker sees mistakes", the_checker_sees_mistakes},
    {"the same arguments give the same document", the_same_arguments_give_the_same_document},
    {"training never meets evaluation", training_never_meets_evaluation},
    {"answers and concepts are spread", answers_and_concepts_are_spread},
};
TEST_MAIN("test_synth", all)
