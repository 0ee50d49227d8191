/* data/synth/synth.c - see synth.h. The table of concepts is below: a concept is an entry there and the two or three small functions it names. */
#include "data/synth/synth.h"
#include "core/err.h" /* must, die */
#include "data/synth/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const synth_kind_names[] = {"train", "eval", NULL};

const size_t synth_shortest[] = {80, 150}, synth_longest[] = {180, 300};

enum { LARGEST = 99 }; /* every count on the way is in 0..99: at most two digits to work on */

static int below(struct draw *r, int n)
{
    return (int)draw_below(r, n);
}
static int between(struct draw *r, int low, int high) /* both included */
{
    return (int)draw_between(r, low, high);
}

/* ---- worked lines: what the model is to write while it thinks ---- */

static int work_add(struct text *w, int a, int b)
{
    int units = a % 10 + b % 10, carry = units / 10;
    if (a < 10 && b < 10) {
        put(w, "%d+%d=%d\n", a, b, a + b);
        return a + b;
    }
    put(w, "%d+%d: %d+%d=%d, %d+%d%s=%d -> %d\n", a, b, a % 10, b % 10, units, a / 10, b / 10, carry ? "+1" : "", a / 10 + b / 10 + carry,
        a + b);
    return a + b;
}

static int work_sub(struct text *w, int a, int b)
{
    int borrow = a % 10 < b % 10, units = a % 10 + 10 * borrow;
    if (a < 10)
        put(w, "%d-%d=%d\n", a, b, a - b);
    else
        put(w, "%d-%d: %d-%d=%d, %d-%d%s=%d -> %d\n", a, b, units, b % 10, units - b % 10, a / 10, b / 10, borrow ? "-1" : "",
            a / 10 - b / 10 - borrow, a - b);
    return a - b;
}

static int work_double(struct text *w, int v, int k)
{
    (void)k;
    return work_add(w, v, v);
}

static int work_times(struct text *w, int v, int k)
{
    int units = v % 10 * k, carry = units / 10;
    if (v < 10) {
        put(w, "%d*%d=%d\n", v, k, v * k);
        return v * k;
    }
    put(w, "%d*%d: %d*%d=%d, %d*%d", v, k, v % 10, k, units, v / 10, k);
    if (carry)
        put(w, "+%d", carry);
    put(w, "=%d -> %d\n", v / 10 * k + carry, v * k);
    return v * k;
}

static int work_share(struct text *w, int v, int k)
{
    put(w, "%d/%d=%d\n", v, k, v / k);
    return v / k;
}

static int work_remainder(struct text *w, int v, int k)
{
    int full = v / k * k;
    put(w, "%d mod %d: %d*%d=%d, %d-%d=%d -> %d\n", v, k, k, v / k, full, v, full, v % k, v % k);
    return v % k;
}

/* The two have as many digits: compare the first, and the second where the first is equal. */
static int work_larger(struct text *w, int v, int k)
{
    int larger = v > k ? v : k;
    put(w, "max %d %d: ", v, k);
    if (v >= 10 && v / 10 == k / 10)
        put(w, "%d=%d, ", v / 10, k / 10);
    int a = v >= 10 && v / 10 != k / 10 ? v / 10 : v % 10, b = v >= 10 && v / 10 != k / 10 ? k / 10 : k % 10;
    put(w, "%d%c%d -> %d\n", a, a < b ? '<' : '>', b, larger);
    return larger;
}

static int work_apart(struct text *w, int v, int k)
{
    int larger = work_larger(w, v, k);
    return work_sub(w, larger, v + k - larger);
}

/* ---- operands: one that suits the count, -1 when there is none ---- */

static int pick_add(struct draw *r, int v)
{
    return v < LARGEST - 1 ? between(r, 2, LARGEST - v < 49 ? LARGEST - v : 49) : -1;
}
static int pick_sub(struct draw *r, int v)
{
    return v > 2 ? between(r, 2, v - 1) : -1;
}
static int pick_double(struct draw *r, int v)
{
    (void)r;
    return v >= 2 && 2 * v <= LARGEST ? 0 : -1;
}
static int pick_times(struct draw *r, int v)
{
    int most = v >= 2 ? LARGEST / v : 0;
    return most >= 3 ? between(r, 3, most < 9 ? most : 9) : -1;
}
static int pick_share(struct draw *r, int v)
{
    int fits[8] = {0}, n = 0;
    for (int k = 2; k <= 9; k++)
        if (v % k == 0 && v / k >= 2 && v / k <= 9) /* in the table of one-digit products */
            fits[n++] = k;
    return n ? fits[below(r, n)] : -1;
}
static int pick_remainder(struct draw *r, int v)
{
    int fits[7] = {0}, n = 0;
    for (int k = 3; k <= 9; k++)
        if (v > k && v / k <= 9)
            fits[n++] = k;
    return n ? fits[below(r, n)] : -1;
}
static int pick_other(struct draw *r, int v)
{
    if (v < 1)
        return -1;
    int low = v < 10 ? 1 : 10, high = v < 10 ? 9 : LARGEST, k = between(r, low, high - 1);
    return k < v ? k : k + 1; /* never v itself */
}

/* ---- the concepts ----
 * In the texts: $N the person, $H/$h she or he, $M another person, $r her or him, $o the things counted, $k the operand. */
struct concept {
    const char *name, *plan;
    const char *sign;      /* in synth_doc.problem, before the operand */
    int weight;            /* how often it is chosen */
    bool last;             /* only as the last step: its question is its own */
    const char *clause[3]; /* the sentence of the problem, three wordings */
    const char *question;  /* of a last step; NULL: how many there are now */
    int (*pick)(struct draw *, int v);
    int (*work)(struct text *, int v, int k); /* writes the worked line, returns the new count */
};
static const struct concept concepts[] = {
    {"addition", "some are added", "+", 24, false, {"$H gets $k more.", "$H finds $k more.", "$M gives $r $k."}, NULL, pick_add, work_add},
    {"subtraction", "some are taken away", "-", 24, false, {"$H loses $k.", "$H sells $k.", "$H gives $M $k."}, NULL, pick_sub, work_sub},
    {"doubling",
     "the count doubles",
     "x2",
     12,
     false,
     {"$H doubles them.", "The number doubles.", "Then $h has twice as many."},
     NULL,
     pick_double,
     work_double},
    {"multiplication by a digit",
     "the count is multiplied by a digit",
     "*",
     18,
     false,
     {"Then $h has $k times as many.", "The number grows to $k times.", "Each one becomes $k."},
     NULL,
     pick_times,
     work_times},
    {"equal sharing",
     "equal parts are made and one is kept",
     "/",
     10,
     false,
     {"$H keeps one of $k equal parts.", "$H makes $k equal piles and keeps one.", "$H splits them by $k and keeps a part."},
     NULL,
     pick_share,
     work_share},
    {"remainder",
     "groups are filled and what is left over counts",
     "mod",
     6,
     false,
     {"$H fills bags of $k and keeps the rest.", "$H fills rows of $k and keeps the rest.", "$H packs boxes of $k and keeps the rest."},
     NULL,
     pick_remainder,
     work_remainder},
    {"comparison",
     "another count is compared and the larger one goes on",
     "max",
     10,
     false,
     {"$H swaps for $M's $k if that is more.", "$H takes $M's $k instead if more.", "$M has $k. $H gets the larger lot."},
     NULL,
     pick_other,
     work_larger},
    {"difference",
     "the distance to another count is asked for",
     "diff",
     10,
     true,
     {"$M has $k.", "$M gets $k.", "$M owns $k."},
     "How far apart are they?",
     pick_other,
     work_apart},
};
enum { CONCEPTS = sizeof(concepts) / sizeof(concepts[0]) };

static const struct {
    const char *name;
    bool she;
} people[] = {{"Ana", true}, {"Ben", false}, {"Eva", true}, {"Tom", false}, {"Mia", true}, {"Leo", false}, {"Zoe", true}, {"Jan", false}};
static const char *const things[] = {"pens", "coins", "cards", "books", "shells", "apples", "stamps", "beads"};
enum { PEOPLE = sizeof(people) / sizeof(people[0]), THINGS = sizeof(things) / sizeof(things[0]) };

struct scene {
    const char *name, *other, *things;
    bool she;
};

static void tell(struct text *t, const char *template, const struct scene *s, int k)
{
    for (const char *p = template; *p; p++) {
        if (*p != '$') {
            put(t, "%c", *p);
            continue;
        }
        switch (*++p) {
        case 'N':
            put(t, "%s", s->name);
            break;
        case 'M':
            put(t, "%s", s->other);
            break;
        case 'o':
            put(t, "%s", s->things);
            break;
        case 'H':
            put(t, "%s", s->she ? "She" : "He");
            break;
        case 'h':
            put(t, "%s", s->she ? "she" : "he");
            break;
        case 'r':
            put(t, "%s", s->she ? "her" : "him");
            break;
        case 'k':
            put(t, "%d", k);
            break;
        default:
            die("the template \"%s\" has an unknown mark $%c", template, *p);
        }
    }
}

/* What is being built: the document's texts and the count so far. */
struct work {
    struct text problem, prompt, lines, rationale;
    struct scene scene;
    int count;
};

/* Where the count comes from: given, or the sum or the average of three. The last two are concepts of their own. */
enum start { START_COUNT, START_LIST, START_AVERAGE };

static void begin(struct work *w, struct draw *r, enum start start, struct synth_doc *d)
{
    struct scene *s = &w->scene;
    put(&w->prompt, "Q: ");
    if (start == START_COUNT) {
        static const char *const has[] = {"$N has $k $o.", "$N counts $k $o.", "$N buys $k $o."};
        w->count = between(r, 2, 49);
        put(&w->problem, "%d", w->count);
        put(&w->rationale, "Start from a count of %s", s->things);
        tell(&w->prompt, has[below(r, 3)], s, w->count);
        return;
    }
    int a = between(r, 1, 9), b = between(r, 1, 9), c = between(r, 1, 9);
    if (start == START_AVERAGE) { /* c makes the sum divisible by 3: c or one of the two beside it */
        int miss = (a + b + c) % 3;
        c = miss == 0 ? c : c - miss >= 1 ? c - miss : c + 3 - miss;
    }
    put(&w->problem, "%s%d,%d,%d", start == START_LIST ? "sum" : "avg", a, b, c);
    if (start == START_LIST) {
        tell(&w->prompt, below(r, 2) ? "$N has " : "$N buys ", s, 0);
        put(&w->prompt, "%d red, %d blue and %d old %s.", a, b, c, s->things);
    } else {
        put(&w->prompt, "%s hold %d, %d and %d %s. ", below(r, 2) ? "Bags" : "Boxes", a, b, c, s->things);
        tell(&w->prompt, "$N gets the average.", s, 0);
    }
    put(&w->lines, "%d+%d+%d: %d+%d=%d, %d+%d=%d -> %d\n", a, b, c, a, b, a + b, a + b, c, a + b + c, a + b + c);
    w->count = a + b + c;
    if (start == START_AVERAGE) {
        put(&w->lines, "%d/3=%d\n", w->count, w->count / 3);
        w->count /= 3;
    }
    d->concepts[d->n_concepts++] = start == START_LIST ? "sum of a list" : "average";
    put(&w->rationale, "Start from the %s of three counts of %s", start == START_LIST ? "sum" : "average", s->things);
}

/* Appends a concept that is not used yet and suits the count; false when there is none. */
static const struct concept *extend(struct work *w, struct draw *r, bool last, struct synth_doc *d)
{
    int operand[CONCEPTS], total = 0;
    for (int i = 0; i < CONCEPTS; i++) {
        operand[i] = concepts[i].last && !last ? -1 : concepts[i].pick(r, w->count);
        for (int j = 0; j < d->n_concepts; j++)
            if (d->concepts[j] == concepts[i].name)
                operand[i] = -1;
        total += operand[i] < 0 ? 0 : concepts[i].weight;
    }
    if (total == 0)
        return NULL;
    int at = below(r, total), i = 0;
    for (; operand[i] < 0 || at >= concepts[i].weight; i++)
        at -= operand[i] < 0 ? 0 : concepts[i].weight;
    const struct concept *c = &concepts[i];
    put(&w->problem, " %s", c->sign);
    if (operand[i])
        put(&w->problem, "%d", operand[i]);
    put(&w->rationale, "; then %s", c->plan);
    put(&w->prompt, " ");
    tell(&w->prompt, c->clause[below(r, 3)], &w->scene, operand[i]);
    w->count = c->work(&w->lines, w->count, operand[i]);
    d->concepts[d->n_concepts++] = c->name;
    return c;
}

/* One try; false when the drawn numbers leave no way to go on. */
static bool try_make(struct synth_doc *d, enum synth_level level, struct draw *r)
{
    char lines[sizeof(d->completion) - 20];
    struct work w = {{d->problem, 0, sizeof(d->problem)},     {d->prompt, 0, sizeof(d->prompt)}, {lines, 0, sizeof(lines)},
                     {d->rationale, 0, sizeof(d->rationale)}, {NULL, NULL, NULL, false},         0};
    d->n_concepts = 0;
    int who = below(r, PEOPLE), other = (who + 1 + below(r, PEOPLE - 1)) % PEOPLE;
    w.scene = (struct scene){people[who].name, people[other].name, things[below(r, THINGS)], people[who].she};

    int dice = below(r, 100), wanted = level == SYNTH_EASY ? (below(r, 10) < 7 ? 1 : 2) : (below(r, 10) < 7 ? 3 : 4);
    begin(&w, r, dice < 76 ? START_COUNT : dice < 90 ? START_LIST : START_AVERAGE, d);
    const struct concept *c = NULL;
    while (d->n_concepts < wanted)
        if (!(c = extend(&w, r, d->n_concepts + 1 == wanted, d)))
            return false;

    static const char *const ask[] = {"How many $o now?", "How many does $h have now?", "How many $o does $h have?"};
    put(&w.prompt, " ");
    tell(&w.prompt, c && c->question ? c->question : ask[below(r, 3)], &w.scene, 0);
    put(&w.prompt, "\n<think>\n");
    put(&w.rationale, ". Every step uses the number that the step before it gave%s.",
        wanted > 2 ? ", so all of them are needed, in order" : "");
    snprintf(d->completion, sizeof(d->completion), "%s</think>\n\n%d", lines, w.count);
    d->answer = w.count;
    size_t n = w.prompt.n + strlen(d->completion);
    return n >= synth_shortest[level] && n <= synth_longest[level];
}

enum synth_kind synth_side(const char *problem)
{
    return synth_held_out(problem) ? SYNTH_EVAL : SYNTH_TRAIN;
}

void synth_make(struct synth_doc *d, enum synth_level level, enum synth_kind kind, uint64_t seed, uint64_t index)
{
    struct draw r = {seed, index << 2 | (uint64_t)level << 1 | (uint64_t)kind, 0};
    do
        must(r.n < 1u << 20); /* one try in ten or better succeeds */
    while (!try_make(d, level, &r) || synth_side(d->problem) != kind);
}
