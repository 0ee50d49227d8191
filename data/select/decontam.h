/* data/select/decontam.h - is a training record a copy of a problem that models are evaluated on, or nearly one?
 *
 * Texts are compared as words (data/select/words.h), without the frames that prompts put around a problem: ChatML's tags, the usual instructions.
 *   ngram  n words in a row (13, as the field has it) of the problem stand in the record. n-grams that more than four problems share are
 *          wording of the set ("the input is given from standard input in the following format") and do not count. With `coverage` that share
 *          of the problem has to be in the record, too: stock phrases are then no copies.
 *   whole  a problem of fewer than n words stands in the question as it is: all its words in a row; of a problem of fewer than six words, as a line.
 *   near   the question is alike: of the runs of three words that question or problem have, `similarity` are in both (Jaccard). Numbers, also
 *          spelt ones, count as one and the same word here, so that new numbers in old wording are found. Candidates come by MinHash; problems
 *          of fewer than ten such runs are not compared in this way.
 * The problems are in memory (about 2 kB each), training records one at a time.
 */
#ifndef DATA_SELECT_DECONTAM_H
#define DATA_SELECT_DECONTAM_H
#include "core/conf.h"
#include "data/select/near.h"
#ifdef __cplusplus
extern "C" {
#endif

enum decontam_part { DECONTAM_QUESTION, DECONTAM_ALL };
extern const char *const decontam_part_names[]; /* "question", "all", NULL */
struct decontam_settings {
    struct conf_strs against, frames;
    int64_t ngram;
    double coverage, similarity;
    int part;
};
/* The settings as lines of a program's table; prefix: "" or "decontaminate."; base: offset of the struct decontam_settings. */
#define DECONTAM_FIELDS(prefix, base)                                                                                                      \
    {.key = prefix "against",                                                                                                              \
     .type = CONF_STRS,                                                                                                                    \
     .at = (base) + offsetof(struct decontam_settings, against),                                                                           \
     .help = "evaluation sets (files or folders) whose problems must not be in the output"},                                               \
        {.key = prefix "ngram",                                                                                                            \
         .type = CONF_INT,                                                                                                                 \
         .at = (base) + offsetof(struct decontam_settings, ngram),                                                                         \
         .def = 13,                                                                                                                        \
         .min = 6,                                                                                                                         \
         .max = 1000,                                                                                                                      \
         .help = "words in a row that make a copy"},                                                                                       \
        {.key = prefix "coverage",                                                                                                         \
         .type = CONF_FLOAT,                                                                                                               \
         .at = (base) + offsetof(struct decontam_settings, coverage),                                                                      \
         .def = 0,                                                                                                                         \
         .max = 1,                                                                                                                         \
         .help = "how much of the problem, of its three-word runs, has to be in the record as well; 0: the n-gram is enough"},             \
        {.key = prefix "similarity",                                                                                                       \
         .type = CONF_FLOAT,                                                                                                               \
         .at = (base) + offsetof(struct decontam_settings, similarity),                                                                    \
         .def = 0.6,                                                                                                                       \
         .min = 0.3,                                                                                                                       \
         .max = 1,                                                                                                                         \
         .help = "share of common three-word runs that makes a near copy"},                                                                \
        {.key = prefix "part",                                                                                                             \
         .type = CONF_CHOICE,                                                                                                              \
         .at = (base) + offsetof(struct decontam_settings, part),                                                                          \
         .choices = decontam_part_names,                                                                                                   \
         .str_def = "all",                                                                                                                 \
         .help = "where n-grams are looked for: in the question, or in the answer as well"},                                               \
    {                                                                                                                                      \
        .key = prefix "frames", .type = CONF_STRS, .at = (base) + offsetof(struct decontam_settings, frames),                              \
        .help = "further wording around problems that is to be left out, of two words at least"                                            \
    }

struct decontam;
/* Reads the evaluation sets: of each record "problem", "question", "question_content", "text", "prompt", "input" or the user's "messages", whichever is
 * there first. A record without any is an error. */
bool decontam_open(struct decontam **d, const struct decontam_settings *s, struct err *e);
void decontam_close(struct decontam *d);
/* [{"path", "xxh3", "problems"}, ...] of the evaluation files; new. */
json_t *decontam_sets(const struct decontam *d);
int64_t decontam_problems(const struct decontam *d); /* different ones */

/* A thread's own memory for decontam_find(). Zero it before the first use. */
struct decontam_room {
    struct words words;
    struct runs runs; /* of those words */
    bool runs_known;
};
void decontam_room_free(struct decontam_room *r);
/* record: in a form of prepare's (data/chat.h). NULL: it is clean; else what it is a copy of, new: {"how": "ngram" | "whole" | "near", "set": the
 * evaluation file, "problem": its id, "share": how much of the problem
 * is in the record, "match": the words in it}, near ones with "similarity" instead of the last two. A record without any text is clean. */
json_t *decontam_find(const struct decontam *d, const json_t *record, struct decontam_room *r);
/* A line for the list of what went: the record's id, where it stands, the finding. The caller frees. */
char *decontam_line(const json_t *raw, const char *where, const json_t *hit);
/* The "how" of such a finding, static. */
const char *decontam_how(const json_t *hit);

#ifdef __cplusplus
}
#endif
#endif
