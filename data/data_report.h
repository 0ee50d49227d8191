/* data/data_report.h - one self-contained page about .tok files, the sources of a training run: how much each holds, how long its documents
 * are, how much of them is learnt, how well they fill rows, and some of them with what is learnt marked. */
#ifndef DATA_DATA_REPORT_H
#define DATA_DATA_REPORT_H
#include "core/err.h"
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

/* Writes the page about the files paths[0..n-1] to path. tokenizer: its path, for texts; NULL: ids are shown. */
bool data_report(const char *path, const char *const *paths, int n, const char *tokenizer, struct err *e);

/* How documents fill rows of seq_len tokens, those that are longer cut to it: the tokens that stay, the rows that best-fit packing takes (data/pack.h),
 * and how many documents are cut. One document a row takes n rows. */
struct packing {
    int64_t tokens, rows, cut;
};
struct packing packing_of(const int64_t *len, int64_t n, int32_t seq_len);

#ifdef __cplusplus
}
#endif
#endif
