/* infer/score/compare.h - two evaluations of the same task, and two training runs, side by side: as plain text and as a part of a page. */
#ifndef INFER_SCORE_COMPARE_H
#define INFER_SCORE_COMPARE_H
#include "core/html.h"
#include "infer/score/curves.h"
#include "infer/score/metrics.h"
#include <jansson.h>
#ifdef __cplusplus
extern "C" {
#endif

/* What is compared: index 0 is a, 1 is b. The difference is b - a: what b gains. */
struct side {
    const char *label;
    const json_t *score; /* a SCORE document */
    int64_t samples;     /* of a problem */
    int64_t only;        /* problems that the other side lacks; they are left out */
    int64_t *right;      /* [m] */
};
struct comparison {
    struct side side[2];
    int64_t m;
    char **id; /* [m] in a's order */
    struct paired paired;
};
/* Borrows the scores and labels. False: not SCORE documents, of different tasks, without a problem in common,
 * or with a problem whose expected answer is not the same. Free in either case. */
bool comparison_make(struct comparison *c, const json_t *a, const char *label_a, const json_t *b, const char *label_b, struct err *e);
void comparison_text(FILE *to, const struct comparison *c);
void comparison_html(struct html *h, const struct comparison *c);
void comparison_free(struct comparison *c);

void runs_text(FILE *to, const struct curves run[2], const char *const label[2]);
void runs_html(struct html *h, const struct curves run[2], const char *const label[2]);

#ifdef __cplusplus
}
#endif
#endif
