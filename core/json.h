/* core/json.h - what jansson does not do: errors that say file:line:column, and HF's bare Infinity.
 *
 * Parsing, building and printing JSON is jansson's work (jansson.h); this header
 * adds loading with this project's errors and typed look-ups that report what
 * was expected and what was found.
 */
#ifndef CORE_JSON_H
#define CORE_JSON_H
#include "core/err.h"
#include <jansson.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

/* Parses n bytes. where names the source in errors ("a.jsonl:12"). Duplicate keys, invalid UTF-8 and trailing text are errors. */
json_t *json_parse(const char *text, size_t n, const char *where, struct err *e);
/* A whole file, at most 256 MiB. infinity: read bare Infinity, -Infinity and NaN outside strings as 1e308, -1e308 and 0 (Hugging Face
 * config.json). *text (may be NULL) receives the file's text, for json_locate(); the caller frees it and json_decref()s the result. */
json_t *json_load_path(const char *path, bool infinity, char **text, struct err *e);

/* The records of a .jsonl(.zst), one object a line; blank lines are skipped. fn gets each one, borrowed, and its line number, and returns
 * false with e set to stop; the line is named in front of what it says. */
bool json_each_line(const char *path, bool (*fn)(void *ctx, json_t *record, int64_t line, struct err *e), void *ctx, struct err *e);
/* All of them as an array; NULL: an error. The caller json_decref()s. */
json_t *json_load_lines(const char *path, struct err *e);

/* Line and column (from 1) of the key at a dotted path such as "phases.1.optim.lr" in text that parses; false when it is not there. */
bool json_locate(const char *text, const char *path, int *line, int *column);

/* Fields of an object. Missing or of another type: false, e says which key, what was expected, what was there. */
bool json_get_int(const json_t *o, const char *key, int64_t min, int64_t max, int64_t *v, struct err *e);
bool json_get_num(const json_t *o, const char *key, double *v, struct err *e);
bool json_get_bool(const json_t *o, const char *key, bool *v, struct err *e);
/* Borrowed from o. */
bool json_get_str(const json_t *o, const char *key, const char **v, struct err *e);
const char *json_type_name(const json_t *v);

struct file_out;
/* How every number of v can be printed so that it reads back the same: flags for jansson's dumps. 15 digits if they suffice, which shows
 * 3e-4 as 0.0003, else 17. */
size_t json_exact(const json_t *v);
/* v on one line, without a newline; the caller frees. NULL: a text in it is not UTF-8. */
char *json_line(const json_t *v);
/* One compact line and a newline / an indented document. */
bool json_write_line(struct file_out *o, const json_t *v, struct err *e);
bool json_write_path(const char *path, const json_t *v, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
