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
    bool begins;     /* the answer begins a text of its own (infer/stops.h) */
    float *logprobs; /* [n-1], NULL: not computed; freed when the last sample is written */
};
struct prompts {
    struct prompt *at;
    int64_t n, longest, tokens;
};
/* Ids must differ and be strings or integers. Text needs stops->tok; ids must be below vocab. */
bool prompts_read(struct prompts *p, const char *path, const struct stops *stops, enum chat_template chat, int32_t vocab, struct err *e);
void prompts_free(struct prompts *p);

enum finish { FINISH_STOP, FINISH_LENGTH };
struct answers;
/* Nothing of path is touched before answers_commit(). samples: of each prompt. */
bool answers_open(struct answers **a, const char *path, struct prompts *p, int32_t samples, struct err *e);
/* A finished sample. Takes ids and text (NULL: none), which the writer frees. */
bool answers_put(struct answers *a, int64_t prompt, int32_t sample, struct ids ids, char *text, size_t n_text, enum finish finish,
                 struct err *e);
/* After every sample was put. Frees a; on failure nothing is left behind. */
bool answers_commit(struct answers *a, struct err *e);
void answers_abort(struct answers *a);
#endif
