/* kernels/cuda/linear.cuh - what linear.cu does for linear_step.cu. */
#ifndef KERNELS_CUDA_LINEAR_CUH
#define KERNELS_CUDA_LINEAR_CUH
#include "kernels/mat.h"

/* linear_step() of any number of rows by cublasLt: all of them while dev_is_exact(). */
void linear_step_lt(mat y, mat x, mat w, mat add);
#endif
