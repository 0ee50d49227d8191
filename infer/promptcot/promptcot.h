/* infer/promptcot/promptcot.h - the pipeline that makes problems: PromptCoT (arXiv 2503.02324) and the rationale step of PromptCoT 2.0 (2509.19894).
 *
 * Three jobs, each a table of steps (promptcot.c). A step reads the file of the one before it, asks models, and writes its own file in the folder
 * `work`, a record a line:
 *   synthesis    combine    concepts.jsonl -> combinations: concepts that go together, and a level
 *                rationale  -> rationales: several for a combination
 *                problem    -> problems, without repeats, near repeats and copies of evaluation problems; problem.removed.jsonl lists these
 *                judge      -> judged: those that every judge calls perfect
 *                reward     -> rewarded: log-probabilities, and of several rationales of a combination the best
 *                answer     -> records: the teacher's answers that agree (programs: in what they print for inputs that the teacher makes, too), as records of
 *                prepare with where everything came from
 *   expectation  posterior  pairs.jsonl (concepts, level, problem) -> posteriors: several rationales for a problem that is there
 *                lesson     -> lessons: the best by reward; generator.jsonl and rationale_model.jsonl, what the two models are to learn
 *   triples      triple     pairs.jsonl that have a rationale -> triples, and the same two files: what the two models begin with
 * Records keep the keys of those that they came from. A step's files are a function of its settings, its input and the replies (NAME.replies.jsonl),
 * so all steps are gone through again on every run; what was answered is not asked again, and a run that was ended goes on to the same bytes.
 * report.json: what went in and out of each step and why, tokens, cost. settings.json: what the run was asked for.
 */
#ifndef INFER_PROMPTCOT_PROMPTCOT_H
#define INFER_PROMPTCOT_PROMPTCOT_H
#include "data/select/decontam.h"
#include "infer/promptcot/ask.h"
#ifdef __cplusplus
extern "C" {
#endif

enum promptcot_job { JOB_SYNTHESIS, JOB_EXPECTATION, JOB_TRIPLES };
enum promptcot_domain { DOMAIN_MATH, DOMAIN_CODE };
struct promptcot {
    char *work, *concepts, *pairs, *until;
    int job, domain;
    int64_t seed, problems, together, least_level, most_level, keep, inputs;
    double closeness, similarity, agree, cpu_s;
    bool thought;
    struct conf_strs levels, judges;
    struct conf_list models;
    char *embed_model, *rationale_model, *problem_model, *reward_model, *answer_model, *posterior_model;
    struct ask_sampling rationale, problem, judge, answer, posterior;
    struct decontam_settings decontaminate;
};
extern const struct conf_field promptcot_table[];
extern const char *const promptcot_job_names[]; /* "synthesis", "expectation", "triples", NULL */
/* What the table cannot know of a job: models that are named and lacking, files that it needs. */
bool promptcot_check(const struct promptcot *p, struct err *e);

/* All steps of the job, up to `until`. */
bool promptcot_run(const struct promptcot *p, struct err *e);

/* A step at work. The records that it reads and those that it makes are in memory, some kB each; the teacher's answers are not. */
struct step {
    const struct promptcot *p;
    const char *name;
    json_t *in;            /* [records]; NULL for the first step */
    json_t *out;           /* [records], those that are not written yet */
    struct file_out *file; /* where they go; NULL: not opened yet */
    const char *path;
    int64_t written;
    json_t *dropped; /* reason -> records */
    struct asks asks;
    json_t *models; /* name -> {"requests", "failed", "tokens_in", "tokens_out", "cost"} */
};
void step_drop(struct step *s, const char *reason);
/* Puts what s->asks holds to the model of that name; kind, sampling and stop are the caller's. suffix: of the step's name, for a second list of requests in
 * one step; "" for the only one. asks_free() is the caller's. */
bool step_ask(struct step *s, const char *model, const char *suffix, struct err *e);
/* The text of reply i, borrowed from *reply (which the caller json_decref()s); *stopped: it ended by itself. NULL with e untouched: the request failed
 * and counts as dropped; NULL with *broken: e. */
const char *step_text(struct step *s, int64_t i, json_t **reply, bool *stopped, bool *broken, struct err *e);

/* Writes s->out and empties it: for a step whose records need not all be in memory, as no other step reads them. */
bool step_flush(struct step *s, struct err *e);

bool step_combine(struct step *s, struct err *e);
bool step_rationale(struct step *s, struct err *e);
bool step_problem(struct step *s, struct err *e);
bool step_judge(struct step *s, struct err *e);
bool step_reward(struct step *s, struct err *e);
bool step_answer(struct step *s, struct err *e);
bool step_posterior(struct step *s, struct err *e);
bool step_lesson(struct step *s, struct err *e);
bool step_triple(struct step *s, struct err *e);
/* Inside: a file of records, one a line; of s->out those problems that repeat others or copy evaluation problems go, listed in NAME.removed.jsonl. */
bool step_write(const json_t *records, const char *path, struct err *e);
bool step_take_out(struct step *s, struct err *e);
/* Inside: the pairs as records with their prompts, in s->in; generator.jsonl and rationale_model.jsonl of s->out. */
bool step_read_pairs(struct step *s, struct err *e);
bool step_write_lessons(struct step *s, struct err *e);

/* Concepts that go together: rows of n vectors of equal width; the mean is taken off first, as language models' hidden states all point one way. */
struct likeness {
    float *cosine; /* [n * n] */
    int64_t n;
};
void likeness_of(struct likeness *l, const double *vectors, int64_t n, int64_t width);
/* Draws k of them for draw number `index`: the first evenly, each further one with probability ~ exp(mean cosine to those drawn / closeness). The
 * mean cosine of the pairs is returned. */
double likeness_draw(const struct likeness *l, uint64_t seed, uint64_t index, double closeness, int64_t k, int64_t *drawn);

#ifdef __cplusplus
}
#endif
#endif
