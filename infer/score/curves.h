/* infer/score/curves.h - the steps of a training run as its metrics.jsonl has them. */
#ifndef INFER_SCORE_CURVES_H
#define INFER_SCORE_CURVES_H
#include "core/err.h"
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

enum { CURVES_MOST_PHASES = 64 };
enum curve_value { STEP, TOKENS, LOSS, GRAD_NORM, LR, SPEED, CURVE_VALUES };

/* Step and tokens go on from phase to phase. */
struct phase {
    char *name;
    double *v[CURVE_VALUES]; /* one array a key; a value that a line lacks, or null, is NAN */
    int64_t n;               /* at least 1 */
};
struct curves {
    struct phase phase[CURVES_MOST_PHASES];
    int n;
};
/* A file without a step is an error. The caller curves_free()s, also after one. */
bool curves_read(struct curves *c, const char *path, struct err *e);
void curves_free(struct curves *c);
/* Mean loss of the last tenth of a phase. */
double curves_last_loss(const struct phase *p);
double curves_median(const struct phase *p, enum curve_value value);

#ifdef __cplusplus
}
#endif
#endif
