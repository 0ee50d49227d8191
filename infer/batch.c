/* infer/batch.c - see batch.h. */
#include "infer/batch.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/rng.h"
#include "kernels/device.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What runs in a slot. */
struct running {
    int64_t prompt;
    int32_t sample;
    struct ids ids;
};

struct batch {
    struct engine *g;
    struct prompts *p;
    const struct batch_settings *s;
    struct answers *out;
    struct batch_stats *stats;
    struct running *slot; /* [engine_slots] */
    int64_t prompt;       /* the prompt read last */
    int32_t sample;       /* its next sample */
    int32_t live;
    int64_t finished; /* samples */
    struct progress progress;
};

uint64_t batch_stream(const struct prompt *p, int32_t sample)
{
    char hex[HASH_XXH3_HEX];
    hash_xxh3(p->ids, (size_t)p->n * sizeof *p->ids, hex);
    hex[16] = '\0'; /* 64 of the 128 bits */
    return rng_u64(strtoull(hex, NULL, 16), (uint64_t)sample, 0);
}

static bool not_finite(const struct batch *b, int64_t prompt, struct err *e)
{
    char *id = json_dumps(b->p->at[prompt].id, JSON_ENCODE_ANY);
    err_in(e, "prompt %.80s", id);
    free(id);
    return false;
}

static bool prefill(struct batch *b, struct err *e)
{
    struct prompt *p = &b->p->at[b->prompt];
    double start = log_now();
    if (b->s->logprobs)
        p->logprobs = xmalloc(sizeof(float) * (size_t)p->n);
    if (!engine_prefill(b->g, p->ids, p->n, p->logprobs)) {
        err_set(e, "the model gives NaN or infinite logits inside the prompt: its weights are damaged, or too large for this --dtype");
        return not_finite(b, b->prompt, e);
    }
    dev_sync(); /* for the clock */
    b->stats->prefill_seconds += log_now() - start;
    b->stats->prefill_tokens += p->n - 1;
    return true;
}

/* Starts samples until no slot is free or none is left. */
static bool fill(struct batch *b, struct err *e)
{
    while (b->live < engine_slots(b->g) && b->prompt < b->p->n) {
        if (b->sample == b->s->samples || answers_left(b->out, b->prompt) == 0) { /* the rest is an earlier run's */
            b->sample = 0;
            b->prompt++;
            continue;
        }
        if (b->sample == 0 && !prefill(b, e))
            return false;
        int32_t sample = b->sample++;
        if (answers_has(b->out, b->prompt, sample))
            continue;
        int32_t slot = engine_fork(b->g, batch_stream(&b->p->at[b->prompt], sample));
        must(slot >= 0);
        b->slot[slot] = (struct running){.prompt = b->prompt, .sample = sample};
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
    if (!end && !text && r->ids.n < b->s->max_new)
        return true;
    enum finish finish = end || text ? FINISH_STOP : FINISH_LENGTH;
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
        b->stats->decode_seconds += log_now() - start;
        if (bad >= 0) {
            const struct running *r = &b->slot[bad];
            err_set(
                e,
                "sample %d: the model gives NaN or infinite logits after %lld new tokens: its weights are damaged, or too large for this "
                "--dtype or --state-dtype",
                r->sample, (long long)r->ids.n);
            return not_finite(b, r->prompt, e);
        }
        b->stats->drawn += b->live;
        for (int32_t i = 0; i < engine_slots(b->g); i++)
            if (engine_seq(b->g, i)->live && !take(b, i, e))
                return false;
        show_progress(b);
    }
}

/* max_new 0: answers without tokens; the prompts are read only for their log-probabilities. */
static bool no_tokens(struct batch *b, struct err *e)
{
    for (; b->prompt < b->p->n; b->prompt++) {
        if (answers_left(b->out, b->prompt) && b->s->logprobs && !prefill(b, e))
            return false;
        for (int32_t k = 0; k < b->s->samples; k++) {
            struct answer x = {.text = b->s->stops->tok ? "" : NULL, .finish = FINISH_LENGTH};
            if (answers_has(b->out, b->prompt, k))
                continue;
            if (!answers_put(b->out, b->prompt, k, &x, e))
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
    *stats = (struct batch_stats){0};
    b.slot = xcalloc((size_t)engine_slots(g), sizeof *b.slot);
    progress_start(&b.progress, "generate", "samples", (double)p->n * s->samples);
    bool ok = s->max_new > 0 ? decode(&b, e) : no_tokens(&b, e);
    if (ok)
        progress_end(&b.progress, (double)b.finished, NULL);
    for (int32_t i = 0; i < engine_slots(g); i++)
        ids_free(&b.slot[i].ids);
    free(b.slot);
    return ok;
}
