/* tests/ref_ssd.h - the state-space scan of kernels/ssd.h in double precision, token by token as its formula says, and the exact
 * gradient of that loop. No chunks, no products of matrices: slow and plain. */
#ifndef TESTS_REF_SSD_H
#define TESTS_REF_SSD_H
#include "kernels/ssd.h"

/* Row-major without gaps. */
struct ref_ssd {
    struct ssd_dims d;
    const int32_t *len; /* [n] documents */
    int32_t n;
    const double *x, *B, *C, *dt;      /* [T, H*P], [T, G*N], [T, G*N], [T, H] before bias and softplus */
    const double *dt_bias, *A_log, *D; /* [H] */
    const double *state;               /* [n, H, P, N] initial states; NULL: zeros */
};
struct ref_ssd_grad {
    double *dx, *dB, *dC, *ddt;     /* written; as the inputs */
    double *ddt_bias, *dA_log, *dD; /* [H] written */
    double
        *size; /* [3] the norm, over heads and tokens, of what those three add up: what their errors are measured by where terms cancel */
};

/* y [T, H*P]; final [n, H, P, N] or NULL. */
void ref_ssd_fwd(double *y, double *final, const struct ref_ssd *in);
/* dy [T, H*P]; the initial states count as constants and the final ones are not used. */
void ref_ssd_bwd(struct ref_ssd_grad g, const double *dy, const struct ref_ssd *in);

#endif
