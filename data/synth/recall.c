/* data/synth/recall.c - see recall.h. */
#include "data/synth/recall.h"
#include "core/err.h"
#include "core/rng.h"
#include "data/synth/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const recall_ask_names[] = {"key", "word", "both", NULL};

static const char *const filler[] = {"lamp",  "river", "stone", "cloud", "paper", "glass", "horse", "bread", "chair", "field", "green",
                                     "house", "light", "money", "night", "ocean", "plant", "queen", "round", "sugar", "table", "under",
                                     "voice", "water", "young", "apple", "beach", "dance", "earth", "flame", "grass", "heart"};
enum { FILLERS = sizeof(filler) / sizeof(filler[0]), LONGEST = 6 /* bytes of a word and its space */ };

/* Streams of a document's random numbers: which word stands where, and everything else. */
static uint64_t stream_of(uint64_t index, int what)
{
    return index * 2 + (uint64_t)what;
}

/* A document of n words, w[i] a filler's number or FILLERS + a fact's; ends in a newline. The caller frees. */
static char *write_out(const int32_t *w, int64_t n, const int32_t *key, const char *value, size_t *bytes)
{
    struct text t = {.room = (size_t)n * LONGEST + 2};
    t.at = xmalloc(t.room);
    t.at[0] = 0;
    for (int64_t i = 0; i < n; i++) {
        const char *between = i + 1 < n ? " " : "\n";
        int32_t fact = w[i] - FILLERS;
        if (fact < 0)
            put(&t, "%s%s", filler[w[i]], between);
        else
            put(&t, "%c%c=%c%s", 'a' + key[fact] / 26, 'a' + key[fact] % 26, value[fact], between);
    }
    *bytes = t.n;
    return t.at;
}

static int64_t count_tokens(const struct tokenizer *tok, const char *text, size_t bytes)
{
    struct ids ids = {0};
    tokenizer_encode(tok, text, bytes, &ids);
    int64_t n = ids.n;
    ids_free(&ids);
    return n;
}

/* What a document is made of, before it is asked about. */
struct plan {
    int32_t *word; /* [n] */
    int64_t n;
    int64_t *at;  /* [facts] where the facts stand */
    int32_t *key; /* [facts] */
    char *value;
};

/* n words: facts in n different places, a seeded permutation's first. */
static void lay_out(struct plan *p, int64_t n, int64_t facts, uint64_t seed, uint64_t index)
{
    p->n = n;
    for (int64_t i = 0; i < n; i++)
        p->word[i] = (int32_t)rng_below(seed, stream_of(index, 0), (uint64_t)i, FILLERS);
    uint64_t mix = rng_u64(seed, stream_of(index, 1), 0);
    for (int64_t i = 0; i < facts; i++) {
        p->at[i] = (int64_t)rng_permute(mix, 0, (uint64_t)n, (uint64_t)i);
        p->key[i] = (int32_t)rng_permute(mix, 1, RECALL_KEYS, (uint64_t)i);
        p->value[i] = (char)('a' + rng_below(mix, 2, (uint64_t)i, 26));
        p->word[p->at[i]] = (int32_t)(FILLERS + i);
    }
}

static int64_t facts_of(const struct recall_settings *s, int64_t n)
{
    int64_t most = n / 2 > 1 ? n / 2 : 1;
    return s->facts < most ? s->facts : most;
}

/* The largest number of words whose text has at most s->tokens tokens. */
static char *fit(struct plan *p, const struct recall_settings *s, const struct tokenizer *tok, struct recall_doc *d, uint64_t seed,
                 uint64_t index)
{
    int64_t low = 1, high = s->tokens; /* low fits: a word has at most LONGEST tokens */
    char *best = NULL;
    while (low <= high) {
        int64_t n = low + (high - low) / 2, facts = facts_of(s, n);
        lay_out(p, n, facts, seed, index);
        size_t bytes;
        char *text = write_out(p->word, n, p->key, p->value, &bytes);
        int64_t tokens = count_tokens(tok, text, bytes);
        if (tokens <= s->tokens) {
            low = n + 1;
            free(best);
            best = text;
            d->tokens = tokens;
            d->facts = facts;
        } else {
            high = n - 1;
            free(text);
        }
    }
    must(best);
    lay_out(p, high, d->facts, seed, index); /* as it was for the best */
    return best;
}

/* Questions in a seeded order, of either kind by turns when both are asked. */
static void ask(struct recall_doc *d, const struct plan *p, const struct recall_settings *s, uint64_t mix)
{
    int64_t reach = p->n < s->farthest ? p->n : s->farthest;
    int64_t keys = s->ask == RECALL_WORD ? 0 : d->facts, words = s->ask == RECALL_KEY ? 0 : reach, k = 0, w = 0;
    d->question = xcalloc((size_t)s->questions, sizeof(*d->question));
    for (d->n = 0; d->n < s->questions && (k < keys || w < words);) {
        struct recall_question *q = &d->question[d->n];
        bool key = k < keys && (w >= words || d->n % 2 == 0);
        if (key) {
            int64_t i = (int64_t)rng_permute(mix, 3, (uint64_t)keys, (uint64_t)k++);
            snprintf(q->ask, sizeof(q->ask), "?%c%c=", 'a' + p->key[i] / 26, 'a' + p->key[i] % 26);
            snprintf(q->answer, sizeof(q->answer), "%c", p->value[i]);
            q->position = p->n > 1 ? (double)p->at[i] / (double)(p->n - 1) : 0;
        } else {
            int64_t i = (int64_t)rng_permute(mix, 4, (uint64_t)words, (uint64_t)w++);
            if (p->word[i] >= FILLERS)
                continue;
            snprintf(q->ask, sizeof(q->ask), "?%lld.", (long long)i + 1);
            snprintf(q->answer, sizeof(q->answer), "%s", filler[p->word[i]]);
            q->position = p->n > 1 ? (double)i / (double)(p->n - 1) : 0;
        }
        q->key = key;
        d->n++;
    }
}

void recall_make(struct recall_doc *d, const struct recall_settings *s, const struct tokenizer *tok, uint64_t seed, uint64_t index)
{
    must(s->tokens >= RECALL_FEWEST && s->facts >= 1 && s->facts <= RECALL_KEYS && s->questions >= 1 && s->farthest >= 1);
    struct plan p = {.word = xcalloc((size_t)s->tokens, sizeof(*p.word)),
                     .at = xcalloc(RECALL_KEYS, sizeof(*p.at)),
                     .key = xcalloc(RECALL_KEYS, sizeof(*p.key)),
                     .value = xcalloc(RECALL_KEYS, 1)};
    *d = (struct recall_doc){0};
    d->text = fit(&p, s, tok, d, seed, index);
    ask(d, &p, s, rng_u64(seed, stream_of(index, 1), 1));
    free(p.word);
    free(p.at);
    free(p.key);
    free(p.value);
}

void recall_free(struct recall_doc *d)
{
    free(d->text);
    free(d->question);
    *d = (struct recall_doc){0};
}
