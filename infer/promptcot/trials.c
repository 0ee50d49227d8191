/* infer/promptcot/trials.c - see trials.h. */
#include "infer/promptcot/trials.h"
#include "core/log.h"
#include "data/ordered.h" /* ordered_threads */
#include "infer/code/sandbox.h"
#include "infer/code/seat.h" /* code_wall */
#include "infer/promptcot/replies.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const int64_t MOST_OUTPUT = 1 << 20;

struct trial {
    char *program, *input;
    char key[HASH_XXH3_HEX];
};
struct trials {
    struct replies *replies;
    struct sandbox *sandbox; /* opened when something is to be run */
    double cpu_s;
    struct trial *at;
    int64_t n, room;
    /* while they run */
    pthread_mutex_t lock;
    int64_t next, done;
    struct progress progress;
    bool failed;
    struct err err;
};

bool trials_open(struct trials **out, const char *path, double cpu_s, struct err *e)
{
    struct trials *t = xcalloc(1, sizeof *t);
    t->cpu_s = cpu_s;
    must(pthread_mutex_init(&t->lock, NULL) == 0);
    if (replies_open(&t->replies, path, e)) {
        *out = t;
        return true;
    }
    trials_close(t);
    return false;
}

static void forget(struct trials *t)
{
    for (int64_t i = 0; i < t->n; i++) {
        free(t->at[i].program);
        free(t->at[i].input);
    }
    t->n = 0;
}

void trials_close(struct trials *t)
{
    if (!t)
        return;
    forget(t);
    if (t->sandbox)
        sandbox_close(t->sandbox);
    replies_close(t->replies);
    pthread_mutex_destroy(&t->lock);
    free(t->at);
    free(t);
}

static void key_of(const struct trials *t, const char *program, const char *input, char key[HASH_XXH3_HEX])
{
    struct hash_stream *h = hash_open();
    hash_add(h, &t->cpu_s, sizeof t->cpu_s);
    hash_add(h, program, strlen(program) + 1);
    hash_add(h, input, strlen(input) + 1);
    hash_hex(h, key);
    hash_close(h);
}

void trials_add(struct trials *t, const char *program, const char *input)
{
    struct trial one;
    key_of(t, program, input, one.key);
    if (replies_has(t->replies, one.key))
        return;
    if (t->n == t->room)
        t->at = xrealloc(t->at, (size_t)(t->room = 2 * t->room + 64) * sizeof *t->at);
    one.program = xstrdup(program);
    one.input = xstrdup(input);
    t->at[t->n++] = one;
}

/* {"output"} or {"failed"}. */
static json_t *run_one(const struct trials *t, const struct trial *one)
{
    struct run_spec spec = {.program = sandbox_file(one->program, strlen(one->program)),
                            .input = sandbox_file(one->input, strlen(one->input)),
                            .server = -1,
                            .cpu_s = t->cpu_s,
                            .output = MOST_OUTPUT};
    struct run_result r;
    sandbox_run(&r, t->sandbox, &spec, code_wall(t->cpu_s));
    close(spec.program);
    close(spec.input);
    bool ended = r.limit == RUN_ENDED && r.end.code == 0;
    json_t *output = ended && !memchr(r.out, '\0', r.n) ? json_stringn(r.out, r.n) : NULL;
    json_t *v = output                  ? json_pack("{s:o}", "output", output)
                : r.limit == RUN_OUTPUT ? json_pack("{s:s}", "failed", "too much output")
                : r.limit != RUN_ENDED  ? json_pack("{s:s}", "failed", "out of time")
                : ended                 ? json_pack("{s:s}", "failed", "its output is no text")
                                        : json_pack("{s:s, s:i}", "failed", "it ended with an error", "code", r.end.code);
    must(v);
    free(r.out);
    return v;
}

static void *work(void *arg)
{
    struct trials *t = arg;
    pthread_mutex_lock(&t->lock);
    while (!t->failed && t->next < t->n) {
        const struct trial *one = &t->at[t->next++];
        pthread_mutex_unlock(&t->lock);
        json_t *v = run_one(t, one);
        pthread_mutex_lock(&t->lock);
        t->failed = t->failed || !replies_put(t->replies, one->key, v, &t->err);
        progress_update(&t->progress, (double)++t->done, NULL);
        json_decref(v);
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

bool trials_run(struct trials *t, struct err *e)
{
    if (t->n == 0)
        return true;
    if (!t->sandbox && !(t->sandbox = sandbox_open(false, e)))
        return false;
    int threads = ordered_threads(0);
    pthread_t *thread = xcalloc((size_t)threads, sizeof *thread);
    t->next = t->done = 0;
    progress_start(&t->progress, "promptcot: answer: programs", "runs", (double)t->n);
    for (int i = 0; i < threads; i++)
        if (pthread_create(&thread[i], NULL, work, t) != 0)
            die("cannot start thread %d of %d", i + 1, threads);
    for (int i = 0; i < threads; i++)
        must(pthread_join(thread[i], NULL) == 0);
    free(thread);
    forget(t);
    if (t->failed)
        *e = t->err;
    return !t->failed;
}

char *trials_output(const struct trials *t, const char *program, const char *input, bool *broken, struct err *e)
{
    char key[HASH_XXH3_HEX];
    key_of(t, program, input, key);
    json_t *v = replies_get(t->replies, key, e);
    const char *output = json_string_value(json_object_get(v, "output"));
    char *copy = output ? xstrdup(output) : NULL;
    *broken = v == NULL;
    json_decref(v);
    return copy;
}
