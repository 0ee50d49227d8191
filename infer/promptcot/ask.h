/* infer/promptcot/ask.h - asks a model many things at once: our own engine on a model folder, or an OpenAI-compatible endpoint.
 *
 * Whoever asks has a list of requests of one kind; those whose reply is known already (infer/promptcot/replies.h) are not asked again. Replies:
 *   ASK_TEXT     {"text", "finish": "stop" | "length", "in", "out"}    tokens read and written, as far as the model says
 *   ASK_LOGPROB  {"logprob", "tokens", "in", "out"}                    natural log of p(more | prompt), summed over its tokens
 *   ASK_VECTOR   {"vector": [...], "in", "out"}                        the text's embedding: the mean of the last hidden states, in our engine
 *   any          {"failed": why}                                       after the last retry, where failures are to be skipped
 * Folders are asked through the program `generate` beside this one (embeddings apart), so there a reply is a function of the weights, the seed, the
 * prompt and the sample's number. Endpoints: POST URL/completions, URL/chat/completions or URL/embeddings; ASK_LOGPROB needs an endpoint that
 * echoes prompts with log-probabilities (completions, as vLLM does).
 */
#ifndef INFER_PROMPTCOT_ASK_H
#define INFER_PROMPTCOT_ASK_H
#include "core/conf.h"
#include "infer/promptcot/replies.h"
#ifdef __cplusplus
extern "C" {
#endif

enum ask_kind { ASK_TEXT, ASK_LOGPROB, ASK_VECTOR };
enum ask_api { ASK_COMPLETIONS, ASK_CHAT };
enum ask_on_failure { ASK_ERROR, ASK_SKIP };
/* A model, as a settings file describes it. */
struct ask_model {
    char *name, *folder, *url, *model, *key_env;
    int api, on_failure;
    int64_t parallel, retries, requests_per_minute, tokens_per_minute;
    double timeout_s, backoff_s, price_in, price_out;
    char digest[HASH_XXH3_HEX]; /* of a folder's weights, when it is first asked */
};
extern const struct conf_field ask_model_table[];
/* Exactly one of folder and url, and so on. */
bool ask_model_check(const struct ask_model *m, struct err *e);
/* The model of that name in a list of them; NULL: e says which there are. */
struct ask_model *ask_model_find(const struct conf_list *models, const char *name, struct err *e);
/* That model is a chat endpoint: it is told what to write, where others go on from a text. */
bool ask_model_chats(const struct conf_list *models, const char *name);

struct ask_sampling {
    double temperature, top_p;
    int64_t max_new_tokens, samples;
};
/* Its settings as lines of a program's table; base: offset of the struct. */
#define ASK_SAMPLING_FIELDS(prefix, base, most, heat, times)                                                                               \
    {.key = prefix "temperature",                                                                                                          \
     .type = CONF_FLOAT,                                                                                                                   \
     .at = (base) + offsetof(struct ask_sampling, temperature),                                                                            \
     .def = heat,                                                                                                                          \
     .max = 100,                                                                                                                           \
     .help = "0: the most probable token"},                                                                                                \
        {.key = prefix "top_p",                                                                                                            \
         .type = CONF_FLOAT,                                                                                                               \
         .at = (base) + offsetof(struct ask_sampling, top_p),                                                                              \
         .def = 1,                                                                                                                         \
         .min = 1e-6,                                                                                                                      \
         .max = 1,                                                                                                                         \
         .help = "draw among the tokens of this mass"},                                                                                    \
        {.key = prefix "max_new_tokens",                                                                                                   \
         .type = CONF_INT,                                                                                                                 \
         .at = (base) + offsetof(struct ask_sampling, max_new_tokens),                                                                     \
         .def = most,                                                                                                                      \
         .min = 1,                                                                                                                         \
         .max = 1e9,                                                                                                                       \
         .help = "tokens of a reply at most"},                                                                                             \
    {                                                                                                                                      \
        .key = prefix "samples", .type = CONF_INT, .at = (base) + offsetof(struct ask_sampling, samples), .def = times, .min = 1,          \
        .max = 1024, .help = "replies to each request"                                                                                     \
    }

struct ask {
    char *prompt, *more; /* more: ASK_LOGPROB; the list's owner frees them with asks_free() */
    int64_t sample;      /* which of several replies to the same prompt */
    char key[HASH_XXH3_HEX];
};
/* What a run of requests came to. */
struct ask_totals {
    int64_t asked, known, retries, failed; /* known: from earlier; failed: of all */
    double in, out;                        /* tokens, of all replies */
};
struct asks {
    const char *step, *work; /* names files in the folder `work` */
    enum ask_kind kind;
    struct ask_model *model;
    struct ask_sampling sampling;
    const char *stop; /* ends a text, and is not part of it; NULL: none */
    int64_t seed;
    struct ask *at;
    int64_t n, room;
    struct replies *replies;
    struct ask_totals totals; /* after asks_run() */
};
/* Takes prompt and more. */
void asks_add(struct asks *a, char *prompt, char *more, int64_t sample);
/* Asks what is not yet known. False: a reply could not be had; those that came are kept. Says on standard error what it cost. */
bool asks_run(struct asks *a, struct err *e);
/* The reply to request i, a new reference; NULL: e. After asks_run(). */
json_t *asks_reply(const struct asks *a, int64_t i, struct err *e);
void asks_free(struct asks *a);

double ask_cost(const struct ask_model *m, const struct ask_totals *t);

/* Inside: the two ways to ask. todo: indices of the requests without a reply, n of them. */
bool ask_folder(struct asks *a, const int64_t *todo, int64_t n, struct ask_totals *t, struct err *e);
bool ask_endpoint(struct asks *a, const int64_t *todo, int64_t n, struct ask_totals *t, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
