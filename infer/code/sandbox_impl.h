/* infer/code/sandbox_impl.h - what the sandbox*.c files share. */
#ifndef INFER_CODE_SANDBOX_IMPL_H
#define INFER_CODE_SANDBOX_IMPL_H
#include "infer/code/sandbox.h"
#ifdef __cplusplus
extern "C" {
#endif

struct sandbox {
    bool unsafe;
    int filter, filter_fork; /* sandbox_file()s: without and with new processes */
};
extern const char bwrap[], prlimit_path[], python[];

/* The compiled list of allowed system calls as a descriptor. -1: e says why. */
int sandbox_filter(bool may_fork, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
