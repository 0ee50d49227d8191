/* tests/test_metrics.c - the arithmetic of evaluation: metrics and tests against enumeration of every possibility. */
#include "core/rng.h"
#include "infer/score/metrics.h"
#include "tests/test.h"
#include <stdint.h>

static void near(double got, double want)
{
    check_msg(fabs(got - want) < 1e-12, "got %.15g, want %.15g", got, want);
}

static void pass_at_k(void)
{
    near(metric_pass_at_k(4, 1, 2), 0.5);      /* 1 - C(3,2)/C(4,2) = 1 - 3/6 */
    near(metric_pass_at_k(10, 3, 4), 5.0 / 6); /* 1 - C(7,4)/C(10,4) = 1 - 35/210 */
    near(metric_pass_at_k(200, 0, 100), 0);
    /* All subsets of k of n samples, for every c; and the expectation over c, which is that of k fresh samples. */
    for (int n = 1; n <= 8; n++)
        for (int k = 1; k <= n; k++) {
            double mean = 0, p = 0.3;
            for (int c = 0; c <= n; c++) {
                int hit = 0, total = 0;
                for (int set = 0; set < 1 << n; set++)
                    if (__builtin_popcount((unsigned)set) == k) {
                        total++;
                        hit += (set & ((1 << c) - 1)) != 0;
                    }
                near(metric_pass_at_k(n, c, k), (double)hit / total);
                mean += metric_pass_at_k(n, c, k) * exp(lgamma(n + 1) - lgamma(c + 1) - lgamma(n - c + 1)) * pow(p, c) * pow(1 - p, n - c);
            }
            near(mean, 1 - pow(1 - p, k));
        }
    near(metric_mean_pass((int64_t[]){0, 1, 4}, 3, 4, 2), (0 + 0.5 + 1) / 3);
}

static void majority(void)
{
    static const char *const key[] = {"a", "b", "a", NULL, "b", "c"};
    static const unsigned char a_right[] = {1, 0, 1, 0, 0, 0}, c_right[] = {0, 0, 0, 0, 0, 1};
    near(metric_majority(key, a_right, 3), 1);
    near(metric_majority(key, a_right, 2), 0.5); /* a tie */
    near(metric_majority(key, a_right, 6), 0.5); /* a and b have two each */
    near(metric_majority(key, c_right, 6), 0);
    near(metric_majority(key + 3, c_right + 3, 1), 0); /* no answer, no vote */
    near(metric_majority(key + 3, c_right + 3, 3), 0.5);
    /* Every list of up to 5 of "a" (right), "b", "c" and none: the one who counts ballots by letter agrees. */
    static const char *const names[] = {"a", "b", "c", NULL};
    for (int n = 1; n <= 5; n++)
        for (int code = 0; code < 1 << 2 * n; code++) {
            const char *k[5];
            unsigned char right[5];
            int votes[4] = {0}, most = 1, tied = 0;
            for (int i = 0; i < n; i++) {
                int a = code >> 2 * i & 3;
                k[i] = names[a];
                right[i] = a == 0;
                votes[a]++;
            }
            for (int a = 0; a < 3; a++)
                most = votes[a] > most ? votes[a] : most;
            for (int a = 0; a < 3; a++)
                tied += votes[a] == most;
            near(metric_majority(k, right, n), votes[0] == most ? 1.0 / tied : 0);
        }
}

/* The variance over all n^n ways to draw n of these samples again; *again: its mean over samples drawn so. */
static double drawn_again(const char *const *key, const unsigned char *right, int n, double *again)
{
    double sum = 0, squares = 0, within = 0, all = pow(n, n);
    for (int code = 0; code < (int)all; code++) {
        const char *k[4];
        unsigned char r[4];
        for (int i = 0, left = code; i < n; i++, left /= n) {
            k[i] = key[left % n];
            r[i] = right[left % n];
        }
        double x = metric_majority(k, r, n);
        sum += x / all;
        squares += x * x / all;
        within += again ? drawn_again(k, r, n, NULL) / all : 0;
    }
    if (again)
        *again = within;
    return squares - sum * sum;
}

/* The bootstrap, and what the second gives back, against all ways to draw. */
static void majority_variance(void)
{
    static const char *const key[] = {"a", "b", "a", NULL};
    static const unsigned char right[] = {1, 0, 1, 0};
    for (int n = 1; n <= 4; n++) {
        double again, once = drawn_again(key, right, n, &again), got = 0;
        for (int i = 0; i < 400; i++)
            got += metric_majority_variance(key, right, n, 7, (uint64_t)i) / 400;
        check_msg(fabs(got - (2 * once - again)) < 0.003, "%d samples: %g, want %g", n, got, 2 * once - again);
    }
    /* Half a vote's variance is added, where there is none: Wilson's interval of 4/10 with 10 / (0.25 / (2.4 + 0.25)) trials. */
    struct interval x = metric_sampling_votes(0.4, 10, -0.1), want = metric_wilson(0.4, 10 * 2.65 / 0.25);
    near(x.low, want.low);
    near(x.high, want.high);
}

/* Unbiased: its mean over all outcomes is the variance over all outcomes. Seen through metric_sampling_pass() of one problem. */
static void sampling_variance(void)
{
    for (int n = 2; n <= 8; n++)
        for (int k = 1; 2 * k <= n; k++)
            for (double p = 0.1; p < 1; p += 0.2) {
                double mean = 0, squares = 0, variance = 0;
                for (int c = 0; c <= n; c++) {
                    double chance = exp(lgamma(n + 1) - lgamma(c + 1) - lgamma(n - c + 1)) * pow(p, c) * pow(1 - p, n - c);
                    double f = metric_pass_at_k(n, c, k), u = 1 - f, both = 2 * k <= n - c ? 1 : 0;
                    for (int i = 0; both > 0 && i < 2 * k; i++)
                        both *= (double)(n - c - i) / (n - i);
                    mean += chance * f;
                    squares += chance * f * f;
                    variance += chance * (u * u - both);
                    bool bound;
                    int64_t right = c;
                    struct interval got = metric_sampling_pass(&right, 1, n, k, &bound),
                                    want = metric_sampling(f, 1, (double)n / k, fmax(0, u * u - both));
                    check(!bound);
                    near(got.low, want.low);
                    near(got.high, want.high);
                }
                near(variance, squares - mean * mean);
            }
}

static void wilson(void)
{
    /* z^2 = 3.841458820694124; n = 10, p = 1/2: middle 1/2, half = sqrt(z^2 / (4 (10 + z^2))) */
    struct interval x = metric_wilson(0.5, 10);
    near(x.high - x.low, 2 * sqrt(3.841458820694124 / (4 * 13.841458820694124)));
    near(x.low + x.high, 1);
    /* p = 0: from 0 to z^2 / (n + z^2) */
    x = metric_wilson(0, 20);
    near(x.low, 0);
    near(x.high, 3.841458820694124 / 23.841458820694124);
    /* 81 of 263 (Newcombe 1998, method 3): 0.2553 to 0.3662 */
    x = metric_wilson(81.0 / 263, 263);
    check_msg(fabs(x.low - 0.2553) < 5e-5 && fabs(x.high - 0.3662) < 5e-5, "%g %g", x.low, x.high);
}

static double choose(int n, int k)
{
    double c = 1;
    for (int i = 0; i < k; i++)
        c = c * (n - i) / (i + 1);
    return c;
}

/* Both tests against all arrangements: signs of differences; ways to deal each problem's samples to the two runs. */
static void paired_tests(void)
{
    for (int t = 0; t < 60; t++) {
        enum { M = 5 };
        int64_t a[M], b[M], n_a = 1 + (int64_t)rng_below(1, 0, (uint64_t)t, 4),
                            n_b = t % 3 ? n_a : 1 + (int64_t)rng_below(1, 1, (uint64_t)t, 4);
        double d[M], seen = 0;
        for (int i = 0; i < M; i++) {
            a[i] = (int64_t)rng_below(2, (uint64_t)t, (uint64_t)i, (uint64_t)n_a + 1);
            b[i] = (int64_t)rng_below(3, (uint64_t)t, (uint64_t)i, (uint64_t)n_b + 1);
            d[i] = (double)a[i] / (double)n_a - (double)b[i] / (double)n_b;
            seen += d[i];
        }
        double signs = 0, deals = 0, x[M], centre = 0;
        for (int code = 0; code < 1 << M; code++) {
            double sum = 0;
            for (int i = 0; i < M; i++)
                sum += code >> i & 1 ? d[i] : -d[i];
            signs += fabs(sum) > fabs(seen) - 1e-9 ? 1.0 / (1 << M) : 0;
        }
        /* The mean over deals of x/n_a - (t-x)/n_b is 0: x has the mean t n_a / (n_a + n_b). */
        for (int code = 0; code < 3125; code++) {
            double sum = 0, chance = 1;
            for (int i = 0, left = code; i < M; i++, left /= 5) {
                int in_a = left % 5, total = (int)(a[i] + b[i]), in_b = total - in_a;
                x[i] = in_a;
                if (in_a > n_a || in_b < 0 || in_b > n_b)
                    chance = 0;
                else
                    chance *= choose((int)n_a, in_a) * choose((int)n_b, in_b) / choose((int)(n_a + n_b), total);
                sum += x[i] / (double)n_a - in_b / (double)n_b;
            }
            centre += chance * sum;
            deals += fabs(sum) > fabs(seen) - 1e-9 ? chance : 0;
        }
        near(centre, 0);
        struct paired p;
        struct err e;
        check_msg(metric_paired(&p, a, n_a, b, n_b, M, &e), "%s", e.msg);
        near(p.difference, seen / M);
        check_msg(fabs(p.p_like - signs) < 1e-9, "%d: %g, want %g", t, p.p_like, signs);
        check_msg(fabs(p.p_these - deals) < 1e-9, "%d: %g, want %g", t, p.p_these, deals);
        check_int(p.a_better + p.b_better + p.equal, M);
        check(p.these.low <= p.difference && p.difference <= p.these.high && p.like.low <= p.difference && p.difference <= p.like.high);
    }
    /* McNemar's exact test: 8 problems only a solves, 1 only b: 2 (C(9,0) + C(9,1)) / 2^9. */
    int64_t a[40] = {0}, b[40] = {0};
    for (int i = 0; i < 40; i++) {
        a[i] = i < 8 || i >= 20;
        b[i] = i == 8 || i >= 20;
    }
    struct paired p;
    struct err e;
    check(metric_paired(&p, a, 1, b, 1, 40, &e));
    near(p.p_like, 20.0 / 512);
    near(p.p_these, 20.0 / 512);
    check_int(p.a_better, 8);
    check_int(p.b_better, 1);
    int64_t big = 1;
    check(!metric_paired(&p, &big, 99999989, &big, 99999971, 1, &e));
    check_has(e.msg, "common multiple");
}

/* P(Beta(a, b) < x) for whole a and b: at least a of a + b - 1 uniform numbers lie below x. */
static double beta_below(int a, int b, double x)
{
    double sum = 0;
    int n = a + b - 1;
    for (int j = a; j <= n; j++)
        sum += exp(lgamma(n + 1) - lgamma(j + 1) - lgamma(n - j + 1) + j * log(x) + (n - j) * log1p(-x));
    return sum;
}

static void weighted_means(void)
{
    /* Of 0 and 1, the mean has a beta distribution, whatever the scale; repeated values are one. */
    static const int ab[][2] = {{1, 1}, {1, 5}, {4, 2}, {30, 1}, {17, 16}, {700, 619}, {3, 1316}};
    for (size_t i = 0; i < sizeof ab / sizeof ab[0]; i++)
        for (double x = 0.001; x < 1; x += 0.037) {
            int a = ab[i][0], b = ab[i][1];
            double want = beta_below(a, b, x), got = metric_weighted_below((double[]){0, 1}, (double[]){b, a}, 2, x),
                   far = metric_weighted_below((double[]){-3, 97, -3}, (double[]){b - 0.25, a, 0.25}, 3, 100 * x - 3);
            check_msg(fabs(got - want) < 5e-6 && fabs(far - want) < 5e-6, "%d, %d, %g: %.9g and %.9g, want %.9g", a, b, x, got, far, want);
        }
    /* Of 0, 1/2 and 1 with uniform weights it has a triangle for its density. */
    for (double x = 0.05; x < 0.5; x += 0.05) {
        double got = metric_weighted_below((double[]){0, 0.5, 1}, (double[]){1, 1, 1}, 3, x);
        check_msg(fabs(got - 2 * x * x) < 1e-6, "%g: %g", x, got);
    }
    check(metric_weighted_below((double[]){2, 2}, (double[]){1, 3}, 2, 1) < 1e-6);
    check(metric_weighted_below((double[]){2, 2}, (double[]){1, 3}, 2, 3) > 1 - 1e-6);
}

/* 30 problems with one sample, of which b only one run solves and c only the other: by Jeffreys' prior, 0 is left out when
 * P(Beta(b + 1/2, c + 1/2) < 1/2) < 2.5%. */
static void paired_intervals(void)
{
    static const struct {
        int b, c;
        bool decides;
    } cases[] = {{0, 0, 0}, {3, 0, 0}, {4, 0, 1}, {5, 0, 1}, {6, 1, 0}, {7, 1, 1}, {8, 2, 0}, {9, 2, 1}, {9, 3, 0}, {10, 3, 1}};
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        int64_t a[30] = {0}, b[30] = {0};
        for (int i = 0; i < 30; i++) {
            a[i] = i < cases[k].b || i >= 20;
            b[i] = (i >= 10 && i < 10 + cases[k].c) || i >= 20;
        }
        struct paired p, swapped;
        struct err e;
        check(metric_paired(&p, a, 1, b, 1, 30, &e) && metric_paired(&swapped, b, 1, a, 1, 30, &e));
        check_msg((p.like.low > 0) == cases[k].decides, "%d, %d: from %g", cases[k].b, cases[k].c, p.like.low);
        check(p.like.high > 0.01 && p.like.high < 1 && p.like.low > -1);
        check_msg(fabs(p.like.low + swapped.like.high) < 1e-8 && fabs(p.like.high + swapped.like.low) < 1e-8, "%g to %g, swapped %g to %g",
                  p.like.low, p.like.high, swapped.like.low, swapped.like.high);
    }
    /* The ends are where the weights say: four problems, all better by a half; the imagined ones stand at 1/2 and -1/2, and lean. */
    struct paired p;
    struct err e;
    int64_t a[4] = {2, 2, 2, 2}, b[4] = {1, 1, 1, 1};
    check(metric_paired(&p, a, 2, b, 2, 4, &e));
    double lean = 0.5 * 2.0 / (2 + 10 * 0.5), weight[] = {4 + 0.5 * (1 + lean), 0.5 * (1 - lean)};
    check_msg(fabs(metric_weighted_below((double[]){0.5, -0.5}, weight, 2, p.like.low) - 0.025) < 1e-6, "%g", p.like.low);
    check(p.like.high > 0.4999 && p.like.high <= 0.5);
    /* One problem tells nothing about others. */
    check(metric_paired(&p, a, 2, b, 2, 1, &e));
    near(p.like.low, -1);
    near(p.like.high, 1);
}

static const struct test all[] = {
    {"pass@k is every subset's mean", pass_at_k},
    {"majority votes, by hand and all small ones", majority},
    {"the variance of votes", majority_variance},
    {"the variance of pass@k is unbiased", sampling_variance},
    {"Wilson's interval", wilson},
    {"paired tests are exact", paired_tests},
    {"weighted means", weighted_means},
    {"intervals of differences", paired_intervals},
};
TEST_MAIN("test_metrics", all)
