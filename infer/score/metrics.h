/* infer/score/metrics.h - the arithmetic of evaluation: pass@k, votes, 95% intervals, two runs compared.
 *
 * Two questions have two intervals:
 *   "these problems"       the problems stand fixed, the samples are drawn anew: what would the same model score here again?
 *   "problems like these"  the problems are drawn anew as well: what does the model score on such problems?
 * m problems with n samples each; right[i] of them (0 .. n) are right.
 *
 * tests/test_metrics_coverage.c measures how often each interval holds the truth: at 30 problems, accuracies of 5% to 95%, 1, 4 and 16 samples,
 * and spreads between problems from none to nearly all or nothing, between 93.5% and 97% save where that cannot be:
 *   one sample, "these problems": nothing tells noise from spread. Problems that are always or never solved leave the same counts as problems
 *       that are all alike; in the former every interval holds the truth, so one that is wide enough for the latter covers up to 100%.
 *   pass@k near 1, "these problems": a few hard problems that no sample has shown could be there or not. An interval from the beta population
 *       below comes within the range where that is the population, and to 47% where half of the problems are hard; so it stays wide. The
 *       other covers up to 97.4% there: the estimate is 1, and an interval that holds it errs on one side only.
 *   a difference where few problems differ, "problems like these": 0 is left out from so many one-sided problems on, and no number of them
 *       gives between 91.3% and 97.1% (the sums are in the test).
 *   majority votes, "these problems": how sure a problem's one vote was is known from its own samples alone; 92% to 98.5%. "Problems like
 *       these" up to 98% where nearly every vote is right, and one problem more is a jump.
 */
#ifndef INFER_SCORE_METRICS_H
#define INFER_SCORE_METRICS_H
#include "core/err.h"
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

struct interval {
    double low, high; /* 95% */
};

/* Unbiased chance that one of k samples is right, from n samples of which c are: 1 - C(n-c, k) / C(n, k). n >= k >= 1. (Chen et al. 2021,
 * "Evaluating large language models trained on code".) */
double metric_pass_at_k(int64_t n, int64_t c, int64_t k);
/* Its mean over problems. */
double metric_mean_pass(const int64_t *right, int64_t m, int64_t n, int64_t k);

/* Right answers under majority vote: key[i] is the answer of sample i (NULL: none, no vote), correct[i] its verdict. Ties are split: the
 * expected value when one of the tied answers is drawn. */
double metric_majority(const char *const *key, const unsigned char *correct, int64_t n);
/* The variance of that when the n samples are drawn anew, by the bootstrap. Votes among samples are more one-sided than among new ones, so
 * what a second bootstrap of the first's draws loses once more is given back; the sum over problems is what counts, one may be below 0.
 * seed and stream choose its random numbers. */
double metric_majority_variance(const char *const *key, const unsigned char *correct, int64_t n, uint64_t seed, uint64_t stream);

/* Wilson's score interval (1927) for a share p of n independent trials; n may be fractional. */
struct interval metric_wilson(double p, double n);

/* "These problems" for a mean p of m problems' values in [0, 1]: Wilson's interval with as many trials as give the variance that sampling
 * has. variance: the sum of the problems' sampling variances; groups: how many independent values a problem's value is the mean of (n / k
 * for pass@k). One trial is added, so that problems whose samples all agree do not claim certainty. */
struct interval metric_sampling(double p, int64_t m, double groups, double variance);
/* The same for majority votes, with the sum of metric_majority_variance(). What is added is the variance of half a vote: most votes are all
 * but certain. */
struct interval metric_sampling_votes(double p, int64_t m, double variance);
/* The same for the mean of pass@k. The variance is the unbiased estimate C(n-c, k)^2 / C(n, k)^2 - C(n-c, 2k) / C(n, 2k). From 2k > n
 * there is none, and the interval is the widest, that of m trials: then *bound is true. */
struct interval metric_sampling_pass(const int64_t *right, int64_t m, int64_t n, int64_t k, bool *bound);

/* "Problems like these": the chances of problems follow a beta distribution, so that the counts of right samples are beta-binomial
 * (Skellam 1948). Its mean has a uniform prior, the correlation of a problem's samples, rho, one that is dense near 0 and 1. The interval
 * holds the middle 95% of the posterior. Unlike intervals from the spread of the problems' means, it keeps its coverage where few problems
 * are solved at all. One object serves many runs of the same m and n, one after the other, each fitted before it is asked for. */
struct metric_population;
struct metric_population *metric_population_open(int64_t m, int64_t n);
void metric_population_fit(struct metric_population *p, const int64_t *right);
/* Of the fitted population's pass@k, k >= 1 (k may be above n); of its accuracy with k = 1. It always includes the unbiased estimate. */
struct interval metric_population_pass(struct metric_population *p, int64_t k);
void metric_population_close(struct metric_population *p);
/* The accuracy's interval in one call; with one sample a problem it is Wilson's. */
struct interval metric_like_these(const int64_t *right, int64_t m, int64_t n);

/* The chance that a weighted mean of n values lies below x, its weights Dirichlet distributed with these parameters, all above 0. To 1e-5. */
double metric_weighted_below(const double *value, const double *weight, int64_t n, double x);

/* Two runs, a and b, on the same m problems; the difference is that of their mean accuracies, a - b. */
struct paired {
    double difference;
    struct interval these, like;
    double p_these; /* exact test of "every problem has the same chance in both runs": all ways to deal a problem's samples to the runs */
    double p_like;  /* exact test of "neither run is better on problems like these": all signs of the problems' differences */
    int64_t a_better, b_better, equal; /* problems, by their means */
};
/* Tests: two-sided, the share of arrangements whose difference is at least as large. With one sample each both are McNemar's exact test.
 * Intervals: for these problems, each run's own, put together as for a difference of independent estimates (MOVER: Zou and Donner 2008).
 * For problems like these, the differences seen with random weights (the Bayesian bootstrap, Rubin 1981) and, since what was not seen may
 * exist, two imagined ones: the largest that was seen, upwards and downwards, each with the weight of 0.55 problems, but with more on the
 * side to which the sum leans (not with one sample each, where this is nearly Jeffreys' prior, whose weights are 1/2).
 * False: n_a and n_b have so large a common multiple that the exact tests would take too much memory. */
bool metric_paired(struct paired *out, const int64_t *right_a, int64_t n_a, const int64_t *right_b, int64_t n_b, int64_t m, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
