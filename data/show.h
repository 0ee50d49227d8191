/* data/show.h - prints documents of a .tok file back, so that one sees what a model will learn. */
#ifndef DATA_SHOW_H
#define DATA_SHOW_H
#include "core/err.h"
#include <stdint.h>
#include <stdio.h>
#ifdef __cplusplus
extern "C" {
#endif

/* The first n documents of path. tokenizer: its path, NULL: ids are printed. Learnt tokens are green with colour, else in these brackets:
 * "\u27e6 \u27e7". */
bool show_documents(FILE *to, const char *path, int64_t n, const char *tokenizer, bool colour, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
