/* kernels/cpu/sample.c - kernels/sample.h, one row a thread. The kept tokens are sorted only as far down as the draw has to go. */
#include "kernels/sample.h"
#include "core/rng.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vmath.h"
#include <math.h>
#include <string.h>

static int64_t seen_words(int64_t vocab)
{
    return (vocab + 31) / 32;
}

static void penalise(float *l, const uint32_t *seen, float penalty, int64_t n)
{
    for (int64_t word = 0; word < seen_words(n); word++)
        for (uint32_t left = seen[word]; left; left &= left - 1) {
            int64_t i = word * 32 + __builtin_ctz(left);
            l[i] = l[i] > 0 ? l[i] / penalty : l[i] * penalty;
        }
}

/* The largest logit's first place; a NaN is never the largest. */
static int32_t argmax(const float *l, int64_t n)
{
    float top = -INFINITY;
#pragma omp simd reduction(max : top)
    for (int64_t j = 0; j < n; j++)
        top = l[j] > top ? l[j] : top;
    for (int64_t j = 0; j < n; j++)
        if (l[j] == top)
            return (int32_t)j;
    return 0;
}

/* Token ids by falling p (at most 1), ties by rising id, found in two portions: those within a factor of 4096 of the most probable, which
 * are nearly always enough, and the rest. */
struct ranking {
    const float *p;
    int64_t n, sorted;   /* tokens; ids[0 .. sorted) are in place */
    int32_t *ids, *room; /* [n] each */
};

static uint32_t key(float p)
{
    return ~(uint32_t)vmath_int(p); /* bits of floats >= 0 rise with them; falling p is rising key */
}

/* Three passes of 11 bits, each stable: equal keys stay in the order of their ids. */
static void radix_sort(int32_t *ids, int32_t *room, const float *p, int64_t n)
{
    enum { BITS = 11, BINS = 1 << BITS };
    for (int shift = 0; shift < 33; shift += BITS) {
        int32_t at[BINS] = {0}, sum = 0;
        for (int64_t i = 0; i < n; i++)
            at[key(p[ids[i]]) >> shift & (BINS - 1)]++;
        for (int bin = 0; bin < BINS; bin++) {
            int32_t count = at[bin];
            at[bin] = sum;
            sum += count;
        }
        for (int64_t i = 0; i < n; i++)
            room[at[key(p[ids[i]]) >> shift & (BINS - 1)]++] = ids[i];
        int32_t *swap = ids;
        ids = room;
        room = swap;
    }
    memcpy(room, ids, (size_t)n * sizeof *ids); /* after three passes the result is in the other array */
}

static int32_t ranked(struct ranking *r, int64_t place)
{
    const float bound = 1.0f / 4096;
    while (place >= r->sorted) {
        bool first = r->sorted == 0;
        int64_t count = 0;
        for (int64_t i = 0; i < r->n; i++)
            if ((r->p[i] >= bound) == first)
                r->ids[r->sorted + count++] = (int32_t)i;
        radix_sort(r->ids + r->sorted, r->room, r->p, count);
        r->sorted += count;
    }
    return r->ids[place];
}

/* l becomes exp((l - max) / temperature), 0 for NaN; the sum of all. */
static double exponentials(float *l, float max, float temperature, int64_t n)
{
    double sum = 0;
    enum { PIECE = 1024 };
    for (int64_t at = 0; at < n; at += PIECE) {
        float part = 0;
#pragma omp simd reduction(+ : part)
        for (int64_t j = at; j < cpu_min(at + PIECE, n); j++) {
            float p = vexpf((l[j] - max) / temperature);
            p = p >= 0 ? p : 0;
            l[j] = p;
            part += p;
        }
        sum += part;
    }
    return sum;
}

/* ids: 2 n. */
static int32_t draw(float *l, int64_t n, struct sampling s, double uniform, int32_t *ids)
{
    int32_t best = argmax(l, n);
    if (s.temperature == 0 || !isfinite(l[best]))
        return best;
    double mass = exponentials(l, l[best], s.temperature, n);
    struct ranking r = {.p = l, .n = n, .ids = ids, .room = ids + n};
    int64_t kept = n;
    if (s.top_k > 0 && s.top_k < n) {
        kept = s.top_k;
        mass = 0;
        for (int64_t i = 0; i < kept; i++)
            mass += l[ranked(&r, i)];
    }
    if (s.top_p < 1) { /* the fewest tokens whose mass reaches top_p of that */
        double bound = s.top_p * mass;
        int64_t nucleus = 0;
        for (mass = 0; nucleus < kept && (nucleus == 0 || mass < bound); nucleus++)
            mass += l[ranked(&r, nucleus)];
        kept = nucleus;
    }
    double target = uniform * mass, sum = 0;
    int32_t token = best;
    for (int64_t i = 0; i < kept && sum <= target; i++) {
        int32_t id = ranked(&r, i);
        if (l[id] == 0)
            break; /* rounding left the target above the last token with a probability */
        sum += l[id];
        token = id;
    }
    return token;
}

size_t sample_scratch(int64_t batch, int64_t vocab)
{
    return (size_t)(batch * vocab) * 2 * sizeof(int32_t);
}

void sample_step(int32_t *token, mat logits, struct sampling s, struct sample_rows r, void *scratch)
{
    must(logits.dtype == F32);
    int64_t n = logits.cols;
#pragma omp parallel for schedule(dynamic) if (logits.rows > 1 && logits.rows * n > CPU_SERIAL)
    for (int64_t i = 0; i < logits.rows; i++) {
        float *l = cpu_row(logits, i);
        uint32_t *seen = r.seen + r.slot[i] * seen_words(n);
        if (s.repetition_penalty != 1)
            penalise(l, seen, s.repetition_penalty, n);
        token[i] = draw(l, n, s, rng_uniform(s.seed, r.stream[i], (uint64_t)r.index[i]), (int32_t *)scratch + 2 * i * n);
        r.index[i]++;
        seen[token[i] / 32] |= 1u << token[i] % 32;
    }
}
