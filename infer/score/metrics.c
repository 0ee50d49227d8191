/* infer/score/metrics.c - see metrics.h: the metrics themselves, and their intervals for these problems. */
#include "infer/score/metrics.h"
#include "core/rng.h"
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* C(n-c, k) / C(n, k): the chance that k of n samples, c of them right, are all wrong. */
static double all_wrong(int64_t n, int64_t c, int64_t k)
{
    if (n - c < k)
        return 0.0;
    double miss = 1.0;
    for (int64_t i = n - c + 1; i <= n; i++)
        miss *= 1.0 - (double)k / (double)i;
    return miss;
}

double metric_pass_at_k(int64_t n, int64_t c, int64_t k)
{
    must(k >= 1 && k <= n && c >= 0 && c <= n);
    return 1.0 - all_wrong(n, c, k);
}

double metric_mean_pass(const int64_t *right, int64_t m, int64_t n, int64_t k)
{
    double sum = 0;
    for (int64_t i = 0; i < m; i++)
        sum += metric_pass_at_k(n, right[i], k);
    return sum / (double)m;
}

/* The answers of a problem's samples as classes: of[i] is the first sample with the same answer, -1 without one. */
static void classes(int64_t *of, const char *const *key, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        of[i] = key[i] ? i : -1;
        for (int64_t j = 0; key[i] && j < i; j++)
            if (of[j] == j && strcmp(key[i], key[j]) == 0) {
                of[i] = j;
                break;
            }
    }
}

/* votes[i] for class i; correct[i]: of the class's first sample. */
static double winner(const int64_t *votes, const unsigned char *correct, int64_t n)
{
    int64_t most = 1, tied = 0, right = 0;
    for (int64_t i = 0; i < n; i++) {
        if (votes[i] < most)
            continue;
        if (votes[i] > most)
            tied = right = 0;
        most = votes[i];
        tied++;
        right += correct[i];
    }
    return tied ? (double)right / (double)tied : 0.0;
}

double metric_majority(const char *const *key, const unsigned char *correct, int64_t n)
{
    int64_t *of = xcalloc(2 * (size_t)n + 1, sizeof(*of)), *votes = of + n;
    classes(of, key, n);
    for (int64_t i = 0; i < n; i++)
        if (of[i] >= 0)
            votes[of[i]]++;
    double share = winner(votes, correct, n);
    free(of);
    return share;
}

/* Bounded random numbers, four to a block: most of a bootstrap's time goes into them. */
struct dice {
    uint64_t seed, stream, blocks;
    uint32_t bits[4];
    int left;
};

static int64_t roll(struct dice *d, int64_t n)
{
    if (d->left == 0) {
        rng_block(d->seed, d->stream, d->blocks++, d->bits);
        d->left = 4;
    }
    return (int64_t)((uint64_t)d->bits[--d->left] * (uint64_t)n >> 32);
}

double metric_majority_variance(const char *const *key, const unsigned char *correct, int64_t n, uint64_t seed, uint64_t stream)
{
    enum { DRAWS = 200 };
    int64_t *of = xcalloc(3 * (size_t)n + 1, sizeof(*of)), *drawn = of + n, *votes = drawn + n;
    struct dice dice = {.seed = seed, .stream = stream};
    classes(of, key, n);
    double sum = 0, squares = 0, again = 0;
    for (int64_t d = 0; d < DRAWS; d++) {
        memset(votes, 0, (size_t)n * sizeof(*votes));
        for (int64_t i = 0; i < n; i++) {
            drawn[i] = of[roll(&dice, n)];
            if (drawn[i] >= 0)
                votes[drawn[i]]++;
        }
        double x = winner(votes, correct, n), twice[2];
        sum += x;
        squares += x * x;
        for (int t = 0; t < 2; t++) { /* draws from the draw: half their squared difference is its variance */
            memset(votes, 0, (size_t)n * sizeof(*votes));
            for (int64_t i = 0; i < n; i++) {
                int64_t c = drawn[roll(&dice, n)];
                if (c >= 0)
                    votes[c]++;
            }
            twice[t] = winner(votes, correct, n);
        }
        again += (twice[0] - twice[1]) * (twice[0] - twice[1]) / 2;
    }
    free(of);
    double once = squares / DRAWS - sum / DRAWS * (sum / DRAWS);
    return 2 * once - again / DRAWS;
}

struct interval metric_wilson(double p, double n)
{
    const double z = 1.959963984540054; /* 97.5% point of the standard normal */
    double middle = (p + z * z / (2 * n)) / (1 + z * z / n);
    double half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
    return (struct interval){fmin(p, fmax(0.0, middle - half)), fmax(p, fmin(1.0, middle + half))};
}

/* added: a variance that is added to that of the samples, in squared values of one of the groups. */
static struct interval sampling(double p, int64_t m, double groups, double variance, double added)
{
    must(m > 0 && groups >= 1 && variance >= 0);
    double trials = (double)m * groups, most = p * (1 - p) * trials, is = variance * groups * groups;
    double share = (is + added) / (fmax(most, is) + added); /* of the variance that independent trials would have */
    return metric_wilson(p, trials / share);
}

struct interval metric_sampling(double p, int64_t m, double groups, double variance)
{
    return sampling(p, m, groups, variance, 1);
}

struct interval metric_sampling_votes(double p, int64_t m, double variance)
{
    return sampling(p, m, 1, fmax(0.0, variance), 0.25);
}

struct interval metric_sampling_pass(const int64_t *right, int64_t m, int64_t n, int64_t k, bool *bound)
{
    double p = metric_mean_pass(right, m, n, k), variance = 0;
    *bound = 2 * k > n;
    if (*bound)
        return metric_wilson(p, (double)m);
    for (int64_t i = 0; i < m; i++) {
        double one = all_wrong(n, right[i], k);
        variance += fmax(0.0, one * one - all_wrong(n, right[i], 2 * k));
    }
    return metric_sampling(p, m, (double)n / (double)k, variance);
}
