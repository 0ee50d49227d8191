/* infer/requests.h - the input and output files of generate.
 *
 * PROMPTS: {"id", "prompt" | "messages" | "input_ids"} a line, all read and checked before anything is computed.
 * ANSWERS: {"id", "sample", "text", "output_ids", "finish_reason", "prompt_logprobs"} a sample, in the order of the prompts and of their
 * samples, whatever order they are finished in.
 */
#ifndef INFER_REQUESTS_H
#define INFER_REQUESTS_H
#include "core/err.h"
#include "data/chat.h"
#include "infer/stops.h"
#include <jansson.h>

struct prompt {
    json_t *id; /* as in the file */
    int32_t *ids;
    int64_t n;       /* at least 1 */
    int64_t before;  /* of them, the first ones, that are not of the file: what a saved state has still to read */
    uint64_t chain;  /* of all tokens of its text, those of a saved state too: chain_next() from 0 on */
    bool begins;     /* the answer begins a text of its own (infer/stops.h) */
    float *logprobs; /* [n-1], NULL: not computed; freed when the last sample is put */
};
struct prompts {
    struct prompt *at;
    int64_t n, longest; /* tokens of the longest */
    float *common;      /* log-probabilities of the tokens that all begin with, as in a prompt's; NULL: not computed */
};
/* One word for a text's tokens, token by token. */
uint64_t chain_next(uint64_t chain, int32_t id);
/* A text that every prompt of the file continues; its prompts get no begin token. */
struct text_before {
    const int32_t *ids; /* its last n tokens, at least 1, which stand in front of every prompt's own */
    int64_t n;
    uint64_t chain; /* of the tokens in front of those */
};
/* Ids must differ and be strings or integers. Text needs stops->tok; ids must be below vocab. before NULL: prompts stand alone. */
bool prompts_read(struct prompts *p, const char *path, const struct stops *stops, enum chat_template chat, int32_t vocab,
                  const struct text_before *before, struct err *e);
void prompts_free(struct prompts *p);

enum finish { FINISH_STOP, FINISH_LENGTH, FINISH_LOOP }; /* an end token or stop string; max_new tokens; infer/loops.h */
struct answer {
    struct ids ids;
    char *text; /* NULL: none */
    size_t n_text;
    enum finish finish;
};
struct answers;
/* Nothing of path is touched before answers_commit(); finished samples are kept in path.journal until then (infer/journal.h), and those of
 * an earlier run with the same settings are taken over: model says everything that answers depend on beside prompts and samples, of which
 * each prompt has so many. */
bool answers_open(struct answers **a, const char *path, struct prompts *p, int32_t samples, const char *model, struct err *e);
/* How many are finished; whether one is; how many of a prompt's are not. */
int64_t answers_count(const struct answers *a);
bool answers_has(const struct answers *a, int64_t prompt, int32_t sample);
int32_t answers_left(const struct answers *a, int64_t prompt);
/* A finished sample; x stays the caller's. */
bool answers_put(struct answers *a, int64_t prompt, int32_t sample, const struct answer *x, struct err *e);
/* After every sample was put. Frees a. On failure the finished samples stay in the journal. */
bool answers_commit(struct answers *a, struct err *e);
/* Frees a; what is finished stays in the journal. */
void answers_abort(struct answers *a);
#endif
