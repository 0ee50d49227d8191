/* tests/ref_ops.h - the ops of kernels/ as their headers define them, in double precision, without gaps, one plain loop each.
 *
 * Matrices are [rows, cols] row-major without gaps. Gradients come from central differences of these forwards (ref_gradient), so no
 * backward formula is written twice.
 */
#ifndef TESTS_REF_OPS_H
#define TESTS_REF_OPS_H
#include <stdbool.h>
#include <stdint.h>

/* y [t, out] = x [t, in] w^T + add (NULL: 0). */
void ref_linear(double *y, const double *x, const double *w, const double *add, int64_t t, int64_t in, int64_t out);
/* c [m, n] = op(a) op(b): a is [m, k] or, transposed, [k, m]; b likewise. */
void ref_matmul(double *c, const double *a, bool ta, const double *b, bool tb, int64_t m, int64_t n, int64_t k);

double ref_silu(double x);
void ref_rmsnorm(double *y, const double *x, const double *w, double eps, int64_t t, int64_t d);
void ref_gatenorm(double *o, const double *y, const double *z, const double *w, double eps, int groups, int64_t t, int64_t d);
/* Documents of len[0..n) rows. state [n][k-1, c] in and out, or NULL: starts from zeros. */
void ref_conv(double *y, const double *x, const double *w, const double *b, int k, const int32_t *len, int32_t n, int64_t c, double *state);
/* loss[i] as kernels/xent.h; weight NULL: 1. */
void ref_xent(double *loss, const double *logits, const int32_t *target, const double *weight, int64_t rows, int64_t v);
/* One AdamW update of n weights; g already scaled. */
void ref_adamw(double *w, double *m, double *v, const double *g, int64_t n, double lr, double beta1, double beta2, double eps, double decay,
               int64_t t);
/* p [v]: the probabilities with which kernels/sample.h chooses; order [v]: the tokens by falling logit. Returns how many are kept: the
 * fewest of the top_k most probable whose mass reaches top_p. logits are overwritten; seen [v] or NULL; temperature > 0. */
int64_t ref_sample_probs(double *p, int32_t *order, double *logits, const bool *seen, double temperature, double top_p, int32_t top_k,
                         double penalty, int64_t v);

/* grad[i] = d f / d x[i] for i < n: central differences with step h, Richardson-extrapolated (error O(h^4)). f(arg) sees x. */
void ref_gradient(double *grad, double *x, int64_t n, double h, double (*f)(void *arg), void *arg);

#endif
