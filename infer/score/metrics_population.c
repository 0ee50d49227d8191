/* infer/score/metrics_population.c - intervals for problems like these, see metrics.h.
 *
 * The posterior lives on a grid over (theta, q): the mean is mu = sin(theta)^2, which spaces the grid by standard errors, and
 * rho = 1 - (1 - sin(q)^2.5)^2 with uniform q, but the lowest rho counts twice, for problems that do not differ at all. A beta distribution
 * of mean mu and rho = 1 / (a + b + 1) has a = mu s, b = (1 - mu) s, s = 1/rho - 1. The prior of rho was chosen by coverage: less weight near 0
 * covers 97% and more where problems do not differ, less near 1 comes below 93.5% where few are solved and those nearly always.
 */
#include "infer/score/metrics.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { RHOS = 24 };

/* A cell in the order of pass@k, which depends on k alone: one sorting serves all that is fitted. */
struct ranked {
    double angle; /* asin(sqrt(pass@k)) */
    int64_t cell;
};
struct metric_population {
    int64_t m, n, mus, cells; /* cells = mus * RHOS */
    double *a, *b;            /* [cells] of the beta distribution */
    double *prior;            /* [cells] log */
    double **row;             /* [n + 1] log-likelihood of one problem with c right samples [cells]; NULL: not needed so far */
    double *weight;           /* [cells] the posterior */
    int64_t *right;           /* [m] what is fitted */
    struct ranked *ranked;    /* [cells] by rising angle */
    int64_t ranked_k;         /* for this k; 0: for none so far */
};

static double *cells_take(const struct metric_population *p)
{
    return xmalloc((size_t)p->cells * sizeof(double));
}

struct metric_population *metric_population_open(int64_t m, int64_t n)
{
    must(m > 0 && n > 0);
    struct metric_population *p = xcalloc(1, sizeof(*p));
    p->m = m;
    p->n = n;
    p->mus = 32 * (int64_t)ceil(sqrt((double)m)); /* some 20 points in the narrowest interval for its m and few samples */
    if (p->mus > 2048)
        p->mus = 2048;
    p->cells = p->mus * RHOS;
    p->a = cells_take(p);
    p->b = cells_take(p);
    p->prior = cells_take(p);
    p->weight = cells_take(p);
    p->row = xcalloc((size_t)n + 1, sizeof(*p->row));
    p->right = xcalloc((size_t)m, sizeof(*p->right));
    p->ranked = xmalloc((size_t)p->cells * sizeof(*p->ranked));
    for (int64_t i = 0; i < p->mus; i++)
        for (int64_t j = 0; j < RHOS; j++) {
            double theta = ((double)i + 0.5) / (double)p->mus * M_PI_2, q = ((double)j + 0.5) / RHOS * M_PI_2;
            double mu = sin(theta) * sin(theta), rho = 1 - pow(1 - pow(sin(q), 2.5), 2), s = 1 / rho - 1;
            int64_t at = i * RHOS + j;
            p->a[at] = mu * s;
            p->b[at] = (1 - mu) * s;
            p->prior[at] = log(sin(theta) * cos(theta) * (j == 0 ? 2 : 1)); /* uniform in mu: d mu = 2 sin cos d theta */
        }
    return p;
}

/* log of the beta-binomial chance of c right samples, without C(n, c), which all cells share. */
static const double *likelihood(struct metric_population *p, int64_t c)
{
    if (p->row[c])
        return p->row[c];
    double *to = p->row[c] = cells_take(p);
    double n = (double)p->n, x = (double)c;
    for (int64_t i = 0; i < p->cells; i++) {
        double a = p->a[i], b = p->b[i];
        to[i] = lgamma(a + x) - lgamma(a) + lgamma(b + n - x) - lgamma(b) - lgamma(a + b + n) + lgamma(a + b);
    }
    return to;
}

void metric_population_fit(struct metric_population *p, const int64_t *right)
{
    int64_t *count = xcalloc((size_t)p->n + 1, sizeof(*count));
    memcpy(p->right, right, (size_t)p->m * sizeof(*right));
    for (int64_t i = 0; i < p->m; i++)
        count[right[i]]++;
    double *w = p->weight, most = -INFINITY;
    memcpy(w, p->prior, (size_t)p->cells * sizeof(*w));
    for (int64_t c = 0; c <= p->n; c++) {
        if (count[c] == 0)
            continue;
        const double *row = likelihood(p, c);
        double times = (double)count[c];
        for (int64_t i = 0; i < p->cells; i++)
            w[i] += times * row[i];
    }
    for (int64_t i = 0; i < p->cells; i++)
        most = fmax(most, w[i]);
    for (int64_t i = 0; i < p->cells; i++)
        w[i] = exp(w[i] - most);
    free(count);
}

/* Chance of a wrong answer in each of k samples: the k-th moment of 1 - p. */
static double moment(double a, double b, int64_t k)
{
    if (k > 64) /* the product's logarithm, where it is long */
        return exp(lgamma(b + (double)k) - lgamma(b) - lgamma(a + b + (double)k) + lgamma(a + b));
    double miss = 1;
    for (int64_t j = 0; j < k; j++)
        miss *= (b + (double)j) / (a + b + (double)j);
    return miss;
}

static int by_angle(const void *x, const void *y)
{
    const struct ranked *a = x, *b = y;
    return a->angle != b->angle ? (a->angle > b->angle) - (a->angle < b->angle) : (a->cell > b->cell) - (a->cell < b->cell);
}

static void rank_cells(struct metric_population *p, int64_t k)
{
    if (p->ranked_k == k)
        return;
    for (int64_t i = 0; i < p->cells; i++)
        p->ranked[i] = (struct ranked){asin(sqrt(fmin(1.0, fmax(0.0, 1 - moment(p->a[i], p->b[i], k))))), i};
    qsort(p->ranked, (size_t)p->cells, sizeof(*p->ranked), by_angle);
    p->ranked_k = k;
}

struct place {
    double angle, weight;
};

/* Where the distribution of n places, sorted, has the share below it; a place's weight lies half on either side of it. */
static double quantile(const struct place *at, int64_t n, double share)
{
    double all = 0, sum = 0, before = 0, last = 0;
    for (int64_t i = 0; i < n; i++)
        all += at[i].weight;
    for (int64_t i = 0, j; i < n; i = j) {
        double w = 0; /* places so close together are one */
        for (j = i; j < n && at[j].angle <= at[i].angle + 1e-9; j++)
            w += at[j].weight;
        double here = sum + w / 2;
        if (here >= share * all)
            return i == 0 || here == before ? at[i].angle : last + (at[i].angle - last) * (share * all - before) / (here - before);
        sum += w;
        before = here;
        last = at[i].angle;
    }
    return last;
}

struct interval metric_population_pass(struct metric_population *p, int64_t k)
{
    must(k >= 1);
    rank_cells(p, k);
    struct place *at = xmalloc((size_t)p->cells * sizeof(*at));
    int64_t n = 0;
    for (int64_t i = 0; i < p->cells; i++)
        if (p->weight[p->ranked[i].cell] > 1e-12)
            at[n++] = (struct place){p->ranked[i].angle, p->weight[p->ranked[i].cell]};
    double low = sin(quantile(at, n, 0.025)), high = sin(quantile(at, n, 0.975));
    free(at);
    struct interval x = {low * low, high * high};
    if (k <= p->n) {
        double mean = metric_mean_pass(p->right, p->m, p->n, k);
        x = (struct interval){fmin(x.low, mean), fmax(x.high, mean)};
    }
    return x;
}

void metric_population_close(struct metric_population *p)
{
    for (int64_t c = 0; c <= p->n; c++)
        free(p->row[c]);
    free(p->row);
    free(p->a);
    free(p->b);
    free(p->prior);
    free(p->weight);
    free(p->right);
    free(p->ranked);
    free(p);
}
