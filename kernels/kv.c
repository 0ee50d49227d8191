/* kernels/kv.c - see kv.h. */
#include "kernels/kv.h"
#include <math.h>

void kv_turns(double *turns, int32_t dim, double theta)
{
    for (int32_t i = 0; i < dim / 2; i++)
        turns[i] = pow(theta, -2.0 * i / dim) / (2 * M_PI);
}
