/* data/show.h - prints documents of a .tok file back, so that one sees what a model will learn. */
#ifndef DATA_SHOW_H
#define DATA_SHOW_H
#include "core/err.h"
#include "data/tokenizer.h"
#include "data/tokfile.h"
#include <stdint.h>
#include <stdio.h>
#ifdef __cplusplus
extern "C" {
#endif

/* The first n documents of path. tokenizer: its path, NULL: ids are printed. Learnt tokens are green with colour, else in these brackets:
 * "\u27e6 \u27e7". */
bool show_documents(FILE *to, const char *path, int64_t n, const char *tokenizer, bool colour, struct err *e);

/* The text of ids, control tokens by their names; the ids themselves without a tokenizer. The caller frees. */
char *show_text(const struct tokenizer *tok, const int32_t *ids, int64_t n);
/* Was the file at path made with this tokenizer (or can be read with it)? tokenizer: its path. tok NULL: true. */
bool show_fits(const struct tokfile *f, const char *path, const struct tokenizer *tok, const char *tokenizer, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
