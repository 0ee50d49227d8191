/* data/synth/math.c - composing the concepts, see math.h. */
#include "data/synth/math.h"
#include "core/err.h"
#include <stdlib.h>
#include <string.h>

/* ---- for the tables ---- */

int64_t math_gcd(int64_t a, int64_t b)
{
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a < 0 ? -a : a;
}

struct ratio math_ratio(int64_t num, int64_t den)
{
    must(den > 0);
    int64_t g = math_gcd(num, den);
    return (struct ratio){num / g, den / g};
}

int math_factor(int64_t n, int64_t *prime, int *exponent)
{
    must(n > 1);
    int count = 0;
    for (int64_t d = 2; n > 1; d++) {
        if (d * d > n)
            d = n;
        if (n % d)
            continue;
        prime[count] = d;
        exponent[count] = 0;
        for (; n % d == 0; n /= d)
            exponent[count]++;
        count++;
    }
    return count;
}

int math_put_factors(struct text *lines, int64_t n, int64_t *prime, int *exponent)
{
    int count = math_factor(n, prime, exponent);
    put(lines, "%ld = ", n);
    for (int i = 0; i < count; i++) {
        put(lines, "%s%ld", i ? "*" : "", prime[i]);
        if (exponent[i] > 1)
            put(lines, "^%d", exponent[i]);
    }
    put(lines, "\n");
    return count;
}

int64_t math_choose(int64_t n, int64_t k)
{
    int64_t v = 1;
    for (int64_t i = 1; i <= k; i++)
        v = v * (n - k + i) / i;
    return v;
}

int64_t math_raised(int64_t a, int64_t n)
{
    int64_t v = 1;
    for (int64_t i = 0; i < n; i++)
        v *= a;
    return v;
}

/* ---- the library as one list ---- */

static const struct math_concept *const areas[] = {math_number, math_algebra, math_series, math_counting, math_geometry};
enum { AREAS = sizeof(areas) / sizeof(areas[0]) };

const struct math_concept *math_concept_at(int i)
{
    for (int a = 0; a < AREAS; a++)
        for (const struct math_concept *c = areas[a]; c->name; c++)
            if (i-- == 0)
                return c;
    return NULL;
}

/* ---- composition ---- */

/* How many concepts and how large numbers a level has. */
static const struct {
    int fewest, most, size;
} levels[SYNTH_LEVELS] = {{1, 1, 0}, {1, 2, 1}, {2, 2, 1}, {2, 3, 2}, {3, 3, 2}};

/* Parameters for one step; false: this draw does not fit. */
static bool draw_step(struct math_step *s, struct draw *r, int size, const struct math_step *before)
{
    const struct math_concept *c = s->concept;
    for (int i = 0; i < MATH_PARAMETERS && c->range[i].high[0]; i++)
        s->p[i] = draw_between(r, c->range[i].low, c->range[i].high[size]);
    if (before) {
        if (before->value.den != 1 || before->value.num < c->range[0].low || before->value.num > c->most)
            return false;
        s->p[0] = before->value.num;
    }
    return !c->adjust || c->adjust(r, s->p, before != NULL);
}

/* The phrase with its parameters; the first is the letter of the step before, if there is one. */
static void tell(struct text *t, const char *phrase, const struct math_step *s, int letter)
{
    for (const char *p = phrase; *p; p++) {
        if (*p != '$') {
            put(t, "%c", *p);
            continue;
        }
        int i = *++p - 'a';
        must(i >= 0 && i < MATH_PARAMETERS && s->concept->range[i].high[0]);
        if (i == 0 && letter)
            put(t, "%c", letter);
        else
            put(t, "%ld", s->p[i]);
    }
}

static const char *wording(struct draw *r, const struct math_concept *c)
{
    return c->phrase[c->phrase[1] ? draw_below(r, 2) : 0];
}

static const struct math_concept *draw_concept(struct draw *r, const struct synth_choice *choice, const struct math_steps *so_far)
{
    int n = 0;
    const struct math_concept *pick = NULL, *c;
    for (int i = 0; (c = math_concept_at(i)); i++) { /* one of those that may be used, each as likely */
        bool used = !synth_chosen(choice, c->name);
        for (int j = 0; j < so_far->n; j++)
        used = used || so_far->at[j].concept == c;
        if (!used && draw_below(r, ++n) == 0)
            pick = c;
    }
    return pick;
}

static void put_value(struct text *t, struct ratio v)
{
    put(t, v.den == 1 ? "%ld" : "%ld/%ld", v.num, v.den);
}

/* Fewer steps than wanted: the draws left no way to go on. */
static bool draw_steps(struct math_steps *steps, struct draw *r, int wanted, int size, const struct synth_choice *choice)
{
    char scrap[6000] = "";
    for (steps->n = 0; steps->n < wanted;) {
        struct math_step *s = &steps->at[steps->n], *before = steps->n ? s - 1 : NULL;
        *s = (struct math_step){.concept = draw_concept(r, choice, steps)};
        int tries = 0;
        while (s->concept && tries < 20 && !draw_step(s, r, size, before))
            tries++;
        if (!s->concept || tries == 20)
            return false;
        s->value = s->concept->solve(&(struct text){scrap, 0, sizeof(scrap)}, s->p);
        steps->n++;
    }
    return true;
}

static void write_down(struct synth_problem *p, const struct math_steps *steps, struct draw *r)
{
    struct text key = {p->key, 0, sizeof(p->key)}, statement = {p->statement, 0, sizeof(p->statement)},
                why = {p->rationale, 0, sizeof(p->rationale)}, thought = {p->thought, 0, sizeof(p->thought)};
    static const char *const ask[] = {"Find ", "What is ", "Compute "};
    int n = steps->n, question = (int)draw_below(r, 3);
    for (int i = 0; i < n; i++) {
        const struct math_step *s = &steps->at[i];
        put(&key, "%s%s", i ? "; " : "", s->concept->name);
        for (int j = 0; j < MATH_PARAMETERS && s->concept->range[j].high[0]; j++)
            put(&key, i && j == 0 ? " _" : " %ld", s->p[j]);
        if (i + 1 < n)
            put(&statement, "Let %c be ", 'A' + i);
        else
            put(&statement, "%s", ask[question]);
        tell(&statement, wording(r, s->concept), s, i ? 'A' + i - 1 : 0);
        put(&statement, i + 1 < n ? ". " : question == 1 ? "?" : ".");
        put(&why, "%s%s: %s",
            i == 0      ? "Uses "
            : i + 1 < n ? "; its value goes into "
                        : "; and its value into ",
            s->concept->name, s->concept->plan);
        s->concept->solve(&thought, s->p);
        put(&thought, n > 1 && i + 1 < n ? "so %c = " : "so the answer is ", 'A' + i);
        put_value(&thought, s->value);
        put(&thought, "\n");
        p->concepts[p->n_concepts++] = s->concept->name;
    }
    put(&why, ".");
    char value[48];
    struct text t = {value, 0, sizeof(value)};
    put_value(&t, steps->at[n - 1].value);
    snprintf(p->answer, sizeof(p->answer), "The answer is \\boxed{%s}.", value);
    p->truth = json_pack("{s:s}", "answer", value);
    must(p->truth);
}

void synth_math_make(struct synth_problem *p, int level, bool held_out, const struct synth_choice *choice, uint64_t seed, uint64_t index,
                     struct math_steps *how)
{
    must(level >= 1 && level <= SYNTH_LEVELS);
    struct draw r = {seed, index << 4 | (uint64_t)level << 1 | (uint64_t)held_out, 0};
    struct math_steps steps;
    *p = (struct synth_problem){0};
    for (;;) {
        must(r.n < 1u << 24); /* one try in a hundred or better succeeds */
        int wanted = (int)draw_between(&r, levels[level - 1].fewest, levels[level - 1].most);
        if (!draw_steps(&steps, &r, wanted, levels[level - 1].size, choice))
            continue;
        write_down(p, &steps, &r);
        if (synth_held_out(p->key) == held_out)
            break;
        synth_problem_free(p);
        *p = (struct synth_problem){0};
    }
    if (how)
        *how = steps;
}
