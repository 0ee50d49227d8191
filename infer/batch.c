/* infer/batch.c - see batch.h. */
#include "infer/batch.h"
#include "core/log.h"
#include "core/rng.h"
#include "infer/loops.h"
#include "kernels/device.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What runs in a slot. */
struct running {
    int64_t prompt;
    int32_t sample;
    struct ids ids;
    struct loop loop;
};

struct batch {
    struct engine *g;
    struct prompts *p;
    const struct batch_settings *s;
    struct answers *out;
    struct batch_stats *stats;
    struct running *slot; /* [engine_slots] */
    int64_t group;        /* the first prompt of the group that was read last, */
    int32_t in_group;     /* its prompts, */
    int64_t prompt;       /* that of them whose samples are being started, */
    int32_t sample;       /* and the next one of them */
    int32_t live;
    int64_t finished; /* samples */
    double start;
    struct progress progress;
};

int64_t batch_slot_bytes(const struct batch_settings *s)
{
    const int64_t most = 1 << 20; /* tokens; nobody waits for more in many slots */
    int64_t tokens = s->max_new < most ? s->max_new : most;
    return (int64_t)sizeof(struct running) + (tokens + s->loop / LOOP_REPEATS) * (int64_t)sizeof(int32_t);
}

int64_t batch_shared(const struct prompts *p, int32_t chunk, bool logprobs)
{
    const int64_t least = 64;
    int64_t n = p->n < 2 ? 0 : p->at[0].n - 1; /* a prompt's last token is a sequence's first input */
    for (int64_t i = 1; i < p->n; i++) {
        const struct prompt *a = &p->at[0], *b = &p->at[i];
        int64_t same = 0;
        n = b->n - 1 < n ? b->n - 1 : n;
        while (same < n && a->ids[same] == b->ids[same])
            same++;
        n = same;
    }
    n = (logprobs && n > 0 ? n - 1 : n) / chunk * chunk;
    return n >= least ? n : 0;
}

uint64_t batch_stream(const struct prompt *p, int32_t sample)
{
    return rng_u64(p->chain, (uint64_t)sample, 0);
}

static bool not_finite(const struct prompt *p, struct err *e)
{
    char *id = json_dumps(p->id, JSON_ENCODE_ANY);
    err_in(e, "prompt %.80s", id);
    free(id);
    return false;
}

static bool bad_logprobs(const struct prompt *p, struct err *e)
{
    err_set(e, "the model gives NaN or infinite logits inside the prompt: its weights are damaged, or too large for this --dtype");
    return not_finite(p, e);
}

static void count_pass(struct batch_stats *stats, double start, int64_t tokens)
{
    dev_sync(); /* for the clock */
    stats->prefill_seconds += log_now() - start;
    stats->prefill_tokens += tokens;
}

bool batch_base(struct engine *g, struct prompts *p, const struct batch_settings *s, struct batch_stats *stats, struct err *e)
{
    double start = log_now();
    if (s->base == 0)
        return true;
    if (s->logprobs)
        p->common = xmalloc(sizeof(float) * (size_t)s->base);
    if (!engine_extend(g, p->at[0].ids, s->base, p->common))
        return bad_logprobs(&p->at[0], e);
    count_pass(stats, start, s->base);
    return true;
}

/* Prompts that are read together with prompt `first` of the file, itself counted. */
static int32_t group_at(const struct batch *b, int64_t first)
{
    int32_t k = 0;
    int64_t tokens = 0;
    for (; k < engine_prompts(b->g) && first + k < b->p->n; k++) {
        tokens += b->p->at[first + k].n - 1 - b->s->base;
        if (k > 0 && tokens > engine_pass_tokens(b->g))
            break;
    }
    return k;
}

static bool read_group(struct batch *b, struct err *e)
{
    struct engine_prompt in[ENGINE_PROMPTS];
    int64_t base = b->s->base, tokens = 0;
    double start = log_now();
    for (int32_t k = 0; k < b->in_group; k++) {
        struct prompt *p = &b->p->at[b->group + k];
        if (b->s->logprobs)
            p->logprobs = xmalloc(sizeof(float) * (size_t)p->n);
        if (b->s->logprobs && base)
            memcpy(p->logprobs, b->p->common, sizeof(float) * (size_t)base);
        in[k] = (struct engine_prompt){p->ids + base, p->n - base, p->logprobs ? p->logprobs + base : NULL};
        tokens += in[k].n - 1;
    }
    int32_t bad = engine_prefill(b->g, in, b->in_group);
    if (bad >= 0)
        return bad_logprobs(&b->p->at[b->group + bad], e);
    count_pass(b->stats, start, tokens);
    b->stats->passes++;
    return true;
}

/* The next group with a sample that is not there, read; groups that an earlier run has finished are passed over. At the end of the file
 * b->group is its length. */
static bool next_group(struct batch *b, struct err *e)
{
    for (;;) {
        b->group += b->in_group;
        b->prompt = b->group;
        b->sample = 0;
        if (b->group == b->p->n)
            return true;
        b->in_group = group_at(b, b->group);
        for (int32_t k = 0; k < b->in_group; k++)
            if (answers_left(b->out, b->group + k) > 0)
                return read_group(b, e);
    }
}

/* Starts samples until no slot is free or none is left. */
static bool fill(struct batch *b, struct err *e)
{
    while (b->live < engine_slots(b->g)) {
        if (b->prompt == b->group + b->in_group && !next_group(b, e))
            return false;
        if (b->group == b->p->n)
            return true;
        if (b->sample == b->s->samples || answers_left(b->out, b->prompt) == 0) { /* the rest is an earlier run's */
            b->sample = 0;
            b->prompt++;
            continue;
        }
        int32_t sample = b->sample++;
        if (answers_has(b->out, b->prompt, sample))
            continue;
        int32_t slot = engine_fork(b->g, (int32_t)(b->prompt - b->group), batch_stream(&b->p->at[b->prompt], sample));
        must(slot >= 0);
        b->slot[slot].prompt = b->prompt;
        b->slot[slot].sample = sample;
        loop_begin(&b->slot[slot].loop);
        b->live++;
    }
    return true;
}

/* Takes the slot's new token; an answer that is complete is put and its slot released. */
static bool take(struct batch *b, int32_t slot, struct err *e)
{
    struct running *r = &b->slot[slot];
    const struct prompt *p = &b->p->at[r->prompt];
    const struct stops *stops = b->s->stops;
    int32_t token = engine_seq(b->g, slot)->token;
    ids_push(&r->ids, token);
    size_t n_text = 0;
    bool end = token == b->s->eos;
    char *text = end ? NULL : stops_hit(stops, p->begins, r->ids.at, r->ids.n, &n_text);
    bool stop = end || text, loop = !stop && loop_found(&r->loop, r->ids.at, r->ids.n);
    if (!stop && !loop && r->ids.n < b->s->max_new)
        return true;
    enum finish finish = stop ? FINISH_STOP : loop ? FINISH_LOOP : FINISH_LENGTH;
    if (!text && stops->tok)
        text = stops_text(stops, p->begins, r->ids.at, r->ids.n - end, &n_text);
    engine_release(b->g, slot);
    b->live--;
    b->finished++;
    struct answer x = {.ids = r->ids, .text = text, .n_text = n_text, .finish = finish};
    r->ids = (struct ids){0};
    bool ok = answers_put(b->out, r->prompt, r->sample, &x, e);
    ids_free(&x.ids);
    free(text);
    return ok;
}

static void show_progress(struct batch *b)
{
    char extra[96];
    double part = 0; /* of the samples in flight; an answer may end before its limit, so this is careful */
    for (int32_t i = 0; i < engine_slots(b->g); i++)
        part += (double)b->slot[i].ids.n / (double)b->s->max_new;
    double seconds = b->stats->decode_seconds;
    snprintf(extra, sizeof extra, "%.1f tokens/s, %d in flight", seconds > 0 ? (double)b->stats->drawn / seconds : 0, b->live);
    progress_update(&b->progress, (double)b->finished + part, extra);
}

static bool decode(struct batch *b, struct err *e)
{
    for (;;) {
        if (!fill(b, e))
            return false;
        if (b->live == 0)
            return true;
        double start = log_now();
        int32_t bad = engine_step(b->g);
        double now = log_now();
        b->stats->decode_seconds += now - start;
        if (b->stats->drawn == 0)
            b->stats->first_token = now - b->start;
        if (bad >= 0) {
            const struct running *r = &b->slot[bad];
            err_set(
                e,
                "sample %d: the model gives NaN or infinite logits after %lld new tokens: its weights are damaged, or too large for this "
                "--dtype or --state-dtype",
                r->sample, (long long)r->ids.n);
            return not_finite(&b->p->at[r->prompt], e);
        }
        b->stats->drawn += b->live;
        b->stats->most = b->live > b->stats->most ? b->live : b->stats->most;
        for (int32_t i = 0; i < engine_slots(b->g); i++)
            if (engine_seq(b->g, i)->live && !take(b, i, e))
                return false;
        show_progress(b);
    }
}

/* max_new 0: answers without tokens; the prompts are read only for their log-probabilities. */
static bool no_tokens(struct batch *b, struct err *e)
{
    for (int64_t i = 0; i < b->p->n; i++) {
        if (b->s->logprobs && i == b->group + b->in_group && !next_group(b, e))
            return false;
        for (int32_t k = 0; k < b->s->samples; k++) {
            struct answer x = {.text = b->s->stops->tok ? "" : NULL, .finish = FINISH_LENGTH};
            if (answers_has(b->out, i, k))
                continue;
            if (!answers_put(b->out, i, k, &x, e))
                return false;
            b->finished++;
        }
        progress_update(&b->progress, (double)b->finished, NULL);
    }
    return true;
}

bool batch_run(struct engine *g, struct prompts *p, const struct batch_settings *s, struct answers *out, struct batch_stats *stats,
               struct err *e)
{
    struct batch b = {.g = g, .p = p, .s = s, .out = out, .stats = stats, .finished = answers_count(out)};
    b.start = log_now() - stats->prefill_seconds; /* the base's */
    b.slot = xcalloc((size_t)engine_slots(g), sizeof *b.slot);
    for (int32_t i = 0; i < engine_slots(g); i++)
        loop_open(&b.slot[i].loop, s->loop);
    progress_start(&b.progress, "generate", "samples", (double)p->n * s->samples);
    bool ok = s->max_new > 0 ? decode(&b, e) : no_tokens(&b, e);
    if (ok)
        progress_end(&b.progress, (double)b.finished, NULL);
    for (int32_t i = 0; i < engine_slots(g); i++) {
        ids_free(&b.slot[i].ids);
        loop_close(&b.slot[i].loop);
    }
    free(b.slot);
    return ok;
}
