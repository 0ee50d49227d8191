/* infer/metrics.h - the arithmetic of evaluation: pass@k, votes, 95% intervals. */
#ifndef INFER_METRICS_H
#define INFER_METRICS_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

struct estimate {
    double value, low, high; /* high - low: 95% */
};

/* Unbiased chance that one of k samples is right, from n samples of which c are: 1 - C(n-c, k) / C(n, k). n >= k >= 1. */
double metric_pass_at_k(int64_t n, int64_t c, int64_t k);

/* Right answers under majority vote: key[i] is the answer of sample i (NULL: none, no vote), correct[i] its verdict. Ties are split: the
 * expected value when one of the tied answers is drawn. */
double metric_majority(const char *const *key, const unsigned char *correct, int64_t n);

/* Wilson's score interval (1927) for a share p of n independent trials; n may be fractional. */
struct estimate metric_wilson(double p, double n);

/* Mean of one value in [0, 1] per problem, m > 0 problems of `samples` samples each, with an interval for problems like these: Wilson's
 * with the effective number of trials p(1-p)/var(mean), so that samples of one problem do not count as independent. It lies between m
 * and m * samples; with one sample a problem it is Wilson's own. */
struct estimate metric_mean(const double *value, int64_t m, int64_t samples);

#ifdef __cplusplus
}
#endif
#endif
