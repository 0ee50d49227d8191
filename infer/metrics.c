/* infer/metrics.c - see metrics.h. */
#include "infer/metrics.h"
#include "core/err.h"
#include <math.h>
#include <stdbool.h>
#include <string.h>

double metric_pass_at_k(int64_t n, int64_t c, int64_t k)
{
    must(k >= 1 && k <= n && c >= 0 && c <= n);
    if (n - c < k)
        return 1.0;
    double miss = 1.0;
    for (int64_t i = n - c + 1; i <= n; i++)
        miss *= 1.0 - (double)k / (double)i;
    return 1.0 - miss;
}

double metric_majority(const char *const *key, const unsigned char *correct, int64_t n)
{
    int64_t most = 0, tied = 0, right = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t votes = 0;
        bool first = key[i];
        for (int64_t j = 0; key[i] && j < n; j++)
            if (key[j] && strcmp(key[i], key[j]) == 0) {
                votes++;
                first = first && j >= i; /* an answer is counted where it stands first */
            }
        if (!first || votes < most)
            continue;
        if (votes > most)
            tied = right = 0;
        most = votes;
        tied++;
        right += correct[i];
    }
    return tied ? (double)right / (double)tied : 0.0;
}

struct estimate metric_wilson(double p, double n)
{
    const double z = 1.959963984540054; /* 97.5% point of the standard normal */
    double middle = (p + z * z / (2 * n)) / (1 + z * z / n);
    double half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
    return (struct estimate){p, fmax(0.0, middle - half), fmin(1.0, middle + half)};
}

struct estimate metric_mean(const double *value, int64_t m, int64_t samples)
{
    must(m > 0 && samples > 0);
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < m; i++)
        sum += value[i];
    double p = sum / (double)m;
    for (int64_t i = 0; i < m; i++)
        squares += (value[i] - p) * (value[i] - p);
    double variance = squares / (double)m / (double)m, most = (double)m * (double)samples;
    double n = variance > 0 ? p * (1 - p) / variance : p > 0 && p < 1 && m > 1 ? most : (double)m;
    return metric_wilson(p, fmin(fmax(n, (double)m), most));
}
