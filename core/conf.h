/* core/conf.h - one table drives a program's settings: default, JSON file, command line, range check, --help, resolved dump.
 *
 * A program describes its settings struct with an array of conf_field, ended by
 * a field with key NULL. A setting is then added in one place. The struct must
 * be zeroed before conf_defaults() and is freed by conf_free().
 */
#ifndef CORE_CONF_H
#define CORE_CONF_H
#include "core/json.h"
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#ifdef __cplusplus
extern "C" {
#endif

enum conf_type {
    CONF_INT,    /* int64_t; a default of NAN means "not given", kept as INT64_MIN */
    CONF_FLOAT,  /* double; a default of NAN means "not given" (dumped only when set) */
    CONF_BOOL,   /* bool; on a command line --key, --key=true, --key=false */
    CONF_STR,    /* char *, owned by the struct; NULL when not given and the default is NULL */
    CONF_CHOICE, /* int: index into choices, a NULL-ended list of words; default str_def, or index def; NAN: "not given", kept as -1 */
    CONF_PAIR,   /* double[2], JSON [a, b], command line a,b; def and def2; NAN: "not given" */
    CONF_STRS,   /* struct conf_strs: a list of strings; a command-line option that may be repeated */
    CONF_LIST,   /* struct conf_list: a list of objects described by sub */
};
struct conf_strs {
    char **at;
    int64_t n;
};
struct conf_list {
    void *at; /* n elements of sub_size bytes */
    int64_t n;
};
struct conf_field {
    const char *key; /* "optim.lr"; dots are nested objects in JSON */
    enum conf_type type;
    size_t at;                  /* offsetof in the program's struct */
    double def, min, max, def2; /* min == max: no bounds; max < min: at least min; INFINITY is no bound */
    const char *str_def;
    const char *const *choices;
    const struct conf_field *sub; /* CONF_LIST */
    size_t sub_size;
    bool required; /* no default: an error when not given */
    const char *help;
};

/* Sets every default. */
void conf_defaults(void *into, const struct conf_field *table);
/* Settings from a JSON object; keys that start with "_" are skipped. path names the file, text is its text for line:column (both may be
 * NULL). An unknown key (the nearest known one is named), a wrong type, a value out of range: false. */
bool conf_from_json(void *into, const struct conf_field *table, const json_t *o, const char *path, const char *text, struct err *e);
/* The file, as above. Required keys are not checked here: conf_check() does, after the command line. */
bool conf_from_file(void *into, const struct conf_field *table, const char *path, struct err *e);
/* One "optim.lr" (list elements by index: "phases.0.seq_len"; the element must be there) and its value as text. A CONF_STRS is added to,
 * a CONF_LIST is replaced by a JSON array. */
bool conf_set(void *into, const struct conf_field *table, const char *key, const char *value, struct err *e);
/* GNU long options: --key value, --key=value; for keys with '_' the option may also be spelt with '-'. Words without "--" go to
 * words (caller's array of argc entries), *n_words of them. argv[0] is skipped. Usage errors: false. */
bool conf_from_args(void *into, const struct conf_field *table, int argc, char **argv, const char **words, int *n_words, struct err *e);
/* Every required setting was given? (A required BOOL makes no sense: it always has a value.) */
bool conf_check(const void *of, const struct conf_field *table, struct err *e);
/* The settings as JSON, nested, every value resolved. The caller json_decref()s. */
json_t *conf_to_json(const void *of, const struct conf_field *table);
/* Writes that to a file, whole or not at all. */
bool conf_write(const char *path, const void *of, const struct conf_field *table, struct err *e);
/* Prints the table: --key TYPE  help (default, range). */
void conf_help(FILE *to, const struct conf_field *table);
void conf_free(void *of, const struct conf_field *table);

#ifdef __cplusplus
}
#endif
#endif
