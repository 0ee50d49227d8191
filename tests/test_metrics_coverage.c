/* tests/test_metrics_coverage.c - how often the intervals of infer/score/metrics.h hold what they should, by simulation: 30 problems, accuracies of
 * 5% to 95%, 1, 4 and 16 samples, five spreads between problems. PCM_LONG=1: 10,000 simulations of each case, which then must lie in the
 * promised range; else some hundred, within four of their standard errors. */
#include "core/rng.h"
#include "infer/score/metrics.h"
#include "tests/test.h"
#include <stdint.h>

enum { M = 30, MOST = 16 };

static double uniform(uint64_t t, uint64_t *i)
{
    return rng_uniform(11, t, (*i)++);
}

/* Gamma variates (Marsaglia and Tsang 2000), and from two a beta variate. */
static double gamma_of(double a, uint64_t t, uint64_t *i)
{
    if (a < 1) {
        double u = uniform(t, i);
        return gamma_of(a + 1, t, i) * pow(u + 1e-300, 1 / a);
    }
    double d = a - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = rng_normal(12, t, (*i)++), v = 1 + c * x;
        if (v <= 0)
            continue;
        v = v * v * v;
        if (log(uniform(t, i) + 1e-300) < 0.5 * x * x + d - d * v + d * log(v))
            return d * v;
    }
}

/* A problem's chance from the population: beta of this mean and a + b = size (0: all problems alike). */
static double chance_of(double mean, double size, uint64_t t, uint64_t *i)
{
    if (size == 0)
        return mean;
    double x = gamma_of(mean * size, t, i), y = gamma_of((1 - mean) * size, t, i);
    return x + y > 0 ? x / (x + y) : uniform(t, i) < mean;
}

static int64_t binomial(int64_t n, double p, uint64_t t, uint64_t *i)
{
    int64_t c = 0;
    for (int64_t j = 0; j < n; j++)
        c += uniform(t, i) < p;
    return c;
}

struct held {
    int64_t like, these, runs;
};

/* Accuracies vary by a tenth from one simulation to the next: the coverage of whole numbers of right answers jumps from one accuracy to the
 * next, and no accuracy is known. */
static struct held simulate(int64_t n, double accuracy, double size, int64_t k, int64_t runs, uint64_t seed)
{
    struct held h = {.runs = runs};
    struct metric_population *p = metric_population_open(M, n);
    for (int64_t r = 0; r < runs; r++) {
        uint64_t t = seed << 32 | (uint64_t)r, i = 0;
        double mean = accuracy * (0.9 + 0.2 * uniform(t, &i)), target = 0, fixed = 0;
        if (accuracy > 0.5)
            mean = 1 - (1 - accuracy) * (0.9 + 0.2 * uniform(t, &i));
        int64_t right[M];
        for (int64_t j = 0; j < M; j++) {
            double q = chance_of(mean, size, t, &i);
            fixed += (1 - pow(1 - q, (double)k)) / M;
            right[j] = binomial(n, q, t, &i);
        }
        target = 1;
        for (int64_t j = 0; j < k; j++)
            target *= size == 0 ? 1 - mean : ((1 - mean) * size + (double)j) / (size + (double)j);
        target = 1 - target;
        bool bound;
        metric_population_fit(p, right);
        struct interval these = metric_sampling_pass(right, M, n, k, &bound), like = n > 1 ? metric_population_pass(p, k) : these;
        h.like += like.low <= target && target <= like.high;
        h.these += these.low <= fixed && fixed <= these.high;
    }
    metric_population_close(p);
    return h;
}

static int64_t simulations(void)
{
    const char *s = getenv("PCM_LONG");
    return s && *s == '1' ? 10000 : 200;
}

/* 93.5% to 97%, and four standard errors of the simulation. */
static void covers(int64_t held, int64_t runs, bool may_be_wide, const char *what, double *low, double *high)
{
    double share = (double)held / (double)runs, slack = runs >= 10000 ? 0 : 4 * sqrt(0.05 * 0.95 / (double)runs);
    *low = fmin(*low, share);
    *high = fmax(*high, share);
    check_msg(share >= 0.935 - slack && (may_be_wide || share <= 0.97 + slack), "%s: %.2f%% of %lld", what, 100 * share, (long long)runs);
}

static const double accuracies[] = {0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95}, sizes[] = {0, 9, 2, 1, 0.5};
static const char *const spreads[] = {"no spread", "little spread", "even spread", "wide spread", "mostly all or nothing"};

static void coverage_of(int64_t n, int64_t k, const double *of, int n_of)
{
    double low = 1, high = 0, low_these = 1, high_these = 0;
    struct held held[5][9];
#pragma omp parallel for collapse(2) schedule(dynamic)
    for (int s = 0; s < 5; s++)
        for (int a = 0; a < n_of; a++)
            held[s][a] = simulate(n, of[a], sizes[s], k, simulations(), (uint64_t)(s * 100 + a));
    for (int s = 0; s < 5; s++)
        for (int a = 0; a < n_of; a++) {
            struct held h = held[s][a];
            char what[160];
            snprintf(what, sizeof what, "pass@%d of %d samples, accuracy %g, %s, problems like these", (int)k, (int)n, of[a], spreads[s]);
            covers(h.like, h.runs, k > 1, what, &low, &high);
            snprintf(what, sizeof what, "pass@%d of %d samples, accuracy %g, %s, these problems", (int)k, (int)n, of[a], spreads[s]);
            /* pass@k near 1 is all but certain, and one trial more makes its intervals wide */
            covers(h.these, h.runs, 2 * k > n || k > 1, what, &low_these, &high_these);
        }
    fprintf(stderr, "  pass@%d of %d: problems like these %.1f to %.1f%%, these problems %.1f to %.1f%%\n", (int)k, (int)n, 100 * low,
            100 * high, 100 * low_these, 100 * high_these);
}

static void coverage_1(void)
{
    coverage_of(1, 1, accuracies, 9);
}
static void coverage_4(void)
{
    coverage_of(4, 1, accuracies, 9);
}
static void coverage_16(void)
{
    coverage_of(16, 1, accuracies, 9);
}
static void coverage_pass(void)
{
    coverage_of(4, 2, accuracies, 7);
    coverage_of(16, 4, accuracies, 7);
    coverage_of(16, 8, accuracies, 7);
}

/* Two runs: seven problems of ten have the same chance in both, the others' chances are drawn from each run's own population. */
static struct held simulate_pair(int64_t n, double accuracy, double gain, double size, int64_t runs, uint64_t seed)
{
    struct held h = {.runs = runs};
    for (int64_t r = 0; r < runs; r++) {
        uint64_t t = seed << 32 | (uint64_t)r, i = 0;
        double mean = accuracy * (0.9 + 0.2 * uniform(t, &i)), other = mean + gain, fixed = 0;
        int64_t a[M], b[M];
        for (int64_t j = 0; j < M; j++) {
            double p = chance_of(mean, size, t, &i), q = uniform(t, &i) < 0.7 ? p : chance_of(other, size, t, &i);
            fixed += (q - p) / M;
            a[j] = binomial(n, p, t, &i);
            b[j] = binomial(n, q, t, &i);
        }
        struct paired p;
        struct err e;
        must(metric_paired(&p, b, n, a, n, M, &e));
        h.like += p.like.low <= 0.3 * gain && 0.3 * gain <= p.like.high;
        h.these += p.these.low <= fixed && fixed <= p.these.high;
    }
    return h;
}

/* Where few problems differ and neither run is better, no interval lies within the range. One sample each, accuracies of 9% to 11%, beta
 * populations of a + b = 1/2: 0 is the truth, and what leaves it out is a number of problems of which all differ in one direction. From four of
 * them on that covers 97.1%, from three on 91.3% (sums over the binomial distribution); there is nothing between. */
static bool few_differ(double size, double accuracy, double gain)
{
    return size <= 0.5 && accuracy <= 0.1 && gain == 0;
}

static void coverage_of_differences(void)
{
    static const double gains[] = {0, 0.3};
    for (int64_t n = 1; n <= 16; n *= 4) {
        double low = 1, high = 0, low_these = 1, high_these = 0;
        struct held held[5][7][2];
#pragma omp parallel for collapse(3) schedule(dynamic)
        for (int s = 1; s < 5; s++)
            for (int a = 1; a < 7; a++)
                for (int g = 0; g < 2; g++)
                    held[s][a][g] = simulate_pair(n, accuracies[a], accuracies[a] < 0.6 ? gains[g] : -gains[g], sizes[s], simulations(),
                                                  (uint64_t)(1000 + s * 100 + a * 10 + g));
        for (int s = 1; s < 5; s++)
            for (int a = 1; a < 7; a++)
                for (int g = 0; g < 2; g++) {
                    struct held h = held[s][a][g];
                    char what[160];
                    snprintf(what, sizeof what, "difference, %d samples, accuracy %g, gain %g, %s", (int)n, accuracies[a], gains[g],
                             spreads[s]);
                    covers(h.like, h.runs, few_differ(sizes[s], accuracies[a], gains[g]), what, &low, &high);
                    strcat(what, ", these problems");
                    covers(h.these, h.runs, n == 1, what, &low_these, &high_these);
                }
        fprintf(stderr, "  differences, %d samples: problems like these %.1f to %.1f%%, these problems %.1f to %.1f%%\n", (int)n, 100 * low,
                100 * high, 100 * low_these, 100 * high_these);
    }
}

/* A problem with the chance p of the right answer, one wrong answer that a share of the wrong ones agree on, and others never given twice:
 * the expected majority vote of n samples. */
static double expected_vote(int n, double p, double share)
{
    double sum = 0, wrong = (1 - p) * share, other = (1 - p) * (1 - share);
    for (int r = 1; r <= n; r++)
        for (int d = 0; r + d <= n; d++) {
            int u = n - r - d;
            double chance = exp(lgamma(n + 1) - lgamma(r + 1) - lgamma(d + 1) - lgamma(u + 1)) * pow(p, r) * pow(wrong, d) * pow(other, u);
            double vote = r < d ? 0 : r > 1 ? (r == d ? 0.5 : 1) : 1.0 / (1 + d + u);
            sum += chance * vote;
        }
    return sum;
}

/* Chances lie on a grid, whose votes are known. */
enum { GRID = 128 };
static struct held simulate_votes(int n, double accuracy, double size, double share, int64_t runs, uint64_t seed)
{
    static const char *const names[] = {"right", "wrong", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r"};
    enum { MEANS = 9 };
    struct held h = {.runs = runs};
    double vote[GRID + 1], population[MEANS], mean[MEANS];
    for (int g = 0; g <= GRID; g++)
        vote[g] = expected_vote(n, (double)g / GRID, share);
    for (int z = 0; z < MEANS; z++) {
        uint64_t i = 0, t = seed << 32 | (uint64_t)(1000000 + z);
        mean[z] = accuracy * (0.9 + 0.025 * z);
        population[z] = 0;
        for (int d = 0; d < 20000; d++)
            population[z] += vote[(int)(chance_of(mean[z], size, t, &i) * GRID + uniform(t, &i))] / 20000;
    }
    for (int64_t r = 0; r < runs; r++) {
        uint64_t t = seed << 32 | (uint64_t)r, i = 0;
        double fixed = 0, sum = 0, squares = 0, variance = 0;
        for (int j = 0; j < M; j++) {
            int g = (int)(chance_of(mean[r % MEANS], size, t, &i) * GRID + uniform(t, &i));
            const char *key[MOST];
            unsigned char right[MOST];
            for (int s = 0; s < n; s++) {
                right[s] = uniform(t, &i) < (double)g / GRID;
                key[s] = names[right[s] ? 0 : uniform(t, &i) < share ? 1 : 2 + s];
            }
            double x = metric_majority(key, right, n);
            fixed += vote[g] / M;
            sum += x;
            squares += x * x;
            variance += metric_majority_variance(key, right, n, 0, (uint64_t)j);
        }
        struct interval these = metric_sampling_votes(sum / M, M, variance),
                        like = metric_sampling(sum / M, M, 1, fmax(0, squares - sum * sum / M) * M / (M - 1));
        h.these += these.low <= fixed && fixed <= these.high;
        h.like += like.low <= population[r % MEANS] && population[r % MEANS] <= like.high;
    }
    return h;
}

static void coverage_of_votes(void)
{
    static const double spread[] = {0, 2, 0.5}, accuracy[] = {0.2, 0.5, 0.7};
    for (int n = 4; n <= 16; n *= 4) {
        double low = 1, high = 0, low_these = 1, high_these = 0;
        struct held held[3][3][2];
        int64_t runs = simulations() >= 10000 ? 10000 : 100;
#pragma omp parallel for collapse(3) schedule(dynamic)
        for (int s = 0; s < 3; s++)
            for (int a = 0; a < 3; a++)
                for (int w = 0; w < 2; w++)
                    held[s][a][w] =
                        simulate_votes(n, accuracy[a], spread[s], w ? 0.8 : 0.25, runs, (uint64_t)(3000 + s * 100 + a * 10 + w));
        for (int s = 0; s < 3; s++)
            for (int a = 0; a < 3; a++)
                for (int w = 0; w < 2; w++) {
                    struct held h = held[s][a][w];
                    char what[160];
                    snprintf(what, sizeof what, "maj@%d, accuracy %g, size %g, %d%% of the wrong agree", n, accuracy[a], spread[s],
                             w ? 80 : 25);
                    covers(h.like, h.runs, spread[s] == 0, what, &low, &high); /* where nearly all votes are right, one more is a jump */
                    /* How sure a problem's one vote was is known from its own samples alone: the variance is only nearly right. */
                    double share = (double)h.these / (double)h.runs, slack = runs >= 10000 ? 0 : 4 * sqrt(0.08 * 0.92 / (double)h.runs);
                    check_msg(share >= 0.915 - slack && share <= 0.99 + slack, "%s, these problems: %.2f%%", what, 100 * share);
                    low_these = fmin(low_these, share);
                    high_these = fmax(high_these, share);
                }
        fprintf(stderr, "  maj@%d: problems like these %.1f to %.1f%%, these problems %.1f to %.1f%%\n", n, 100 * low, 100 * high,
                100 * low_these, 100 * high_these);
    }
}

static const struct test all[] = {
    {"1 sample a problem", coverage_1}, {"4 samples a problem", coverage_4},      {"16 samples a problem", coverage_16},
    {"pass@k", coverage_pass},          {"differences", coverage_of_differences}, {"majority votes", coverage_of_votes},
};
TEST_MAIN("test_metrics_coverage", all)
