/* data/select/mixture.h - the settings of select: which sets a mixture is made of, what of each is good enough, and how much of that is taken. */
#ifndef DATA_SELECT_MIXTURE_H
#define DATA_SELECT_MIXTURE_H
#include "core/conf.h"
#include "data/select/decontam.h"
#ifdef __cplusplus
extern "C" {
#endif

enum mixture_answer { ANSWER_ANY, ANSWER_BOXED, ANSWER_EXPECTED, ANSWER_PYTHON };
enum mixture_language { LANGUAGE_ANY, LANGUAGE_ENGLISH };
enum mixture_unique { UNIQUE_NONE, UNIQUE_RECORD, UNIQUE_PROMPT, UNIQUE_ID };

/* What a column of the set has to hold: one of some texts, or a number of a range. */
struct mixture_where {
    char *column;
    struct conf_strs in;
    double min, max; /* NAN: no bound */
    bool or_missing; /* absent, null and "n/a" pass */
};
/* Where the statements are that OpenCodeReasoning names and does not hold. */
struct mixture_statements {
    char *dataset, *split, *path, *match, *column;
};
struct mixture_source {
    char *name, *path, *match, *question;
    int set, answer, language, unique;
    bool thought;
    int64_t records, min_tokens, max_tokens;
    struct conf_list where, statements;
    struct conf_strs keep;
};
struct mixture {
    char *root, *tokenizer, *output;
    int chat, on_bad_line;
    int64_t seed, threads;
    struct decontam_settings decontaminate;
    struct conf_list sources;
};
extern const struct conf_field mixture_table[];

/* From the file, then the options in argv. *usage: an option is wrong, not the file. m is to be freed by conf_free() either way. */
bool mixture_load(struct mixture *m, const char *path, int argc, char **argv, bool *usage, struct err *e);
/* The path of a source, below root; the caller frees. */
char *mixture_path(const struct mixture *m, const char *path);

#ifdef __cplusplus
}
#endif
#endif
