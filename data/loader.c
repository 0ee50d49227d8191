/* data/loader.c - see loader.h.
 *
 * The usable documents of all sources stand in one table (16 bytes each). An epoch is a list of indices into it, sorted by row: built in
 * about a second for a million documents, from (settings, seed, epoch) alone, and kept in a cache of two, since a step may touch two.
 * How many rows each epoch gives is found once, at opening, so that a step's rows are found by number.
 */
#include "data/loader.h"
#include "core/hash.h"
#include "core/rng.h"
#include "data/pack.h"
#include "data/tokfile.h"
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EPOCHS_KEPT = 2 };
enum { STREAM_DOCS = 0x64, STREAM_ROWS, STREAM_PART }; /* what a random number is for */

struct source {
    char *path;
    struct tokfile *f;
    int64_t first, n;    /* its usable documents in the table */
    int64_t whole, part; /* an epoch holds each of them `whole` times, and `part` of them once more */
};

struct doc {
    int64_t at; /* in its file */
    int32_t len, learnt;
};

/* Row r holds documents doc[start[r]] .. doc[start[r + 1] - 1] (indices into the table), in the epoch's order. */
struct epoch {
    int64_t number; /* -1: an empty place of the cache */
    int64_t rows, last_use;
    uint32_t *start, *doc;
    int32_t *learnt; /* [rows] */
};

struct cache {
    pthread_mutex_t lock;
    struct epoch epoch[EPOCHS_KEPT];
    int64_t uses;
};

struct loader {
    struct loader_settings s;
    struct source *source;
    struct doc *doc;
    int64_t n_doc;
    int64_t epoch_docs; /* documents of one epoch, weights counted in */
    int64_t *epoch_row; /* [n_epoch + 1] the phase's row that is an epoch's first */
    int64_t n_epoch, steps, total_rows;
    int32_t max_docs;
    struct loader_stats stats;
    char digest[HASH_XXH3_HEX];
    struct cache *cache; /* behind a pointer: it changes while the loader is const */
};

static uint64_t stream(int what, int64_t index)
{
    return (uint64_t)what << 56 | (uint64_t)index;
}

/* ------------------------------------------------------------------- epochs */

/* The epoch's documents in its order. */
static uint32_t *epoch_order(const struct loader *l, int64_t number)
{
    uint32_t *order = xmalloc((size_t)l->epoch_docs * sizeof *order);
    uint64_t seed = l->s.seed, n = (uint64_t)l->epoch_docs, i = 0;
    for (int k = 0; k < l->s.n_source; k++) {
        const struct source *src = &l->source[k];
        for (int64_t pass = 0; pass < src->whole + (src->part > 0); pass++) {
            /* The part is a window of `part` places on a permutation of the source, further on in every epoch. */
            bool partly = pass == src->whole;
            int64_t from = partly ? number * src->part % src->n : 0;
            for (int64_t d = 0; d < src->n; d++) {
                if (partly) {
                    int64_t place = (int64_t)rng_permute(seed, stream(STREAM_PART, k), (uint64_t)src->n, (uint64_t)d);
                    if ((place - from + src->n) % src->n >= src->part)
                        continue;
                }
                uint64_t to = l->s.shuffle ? rng_permute(seed, stream(STREAM_DOCS, number), n, i) : i;
                order[to] = (uint32_t)(src->first + d);
                i++;
            }
        }
    }
    must(i == n);
    return order;
}

/* Packs the documents: row_of[i] is the row of order[i], already in the permuted order of the rows. Returns the number of rows. */
static int64_t epoch_rows(const struct loader *l, int64_t number, const uint32_t *order, uint32_t *row_of)
{
    int64_t n = l->epoch_docs;
    if (!l->s.pack) {
        for (int64_t i = 0; i < n; i++)
            row_of[i] = (uint32_t)i;
        return n;
    }
    int32_t *len = xmalloc((size_t)n * sizeof *len);
    for (int64_t i = 0; i < n; i++)
        len[i] = l->doc[order[i]].len;
    int64_t rows = pack_best_fit(len, n, (int32_t)l->s.seq_len, row_of);
    free(len);
    if (l->s.shuffle) {
        uint32_t *to = xmalloc((size_t)rows * sizeof *to);
        for (int64_t r = 0; r < rows; r++)
            to[r] = (uint32_t)rng_permute(l->s.seed, stream(STREAM_ROWS, number), (uint64_t)rows, (uint64_t)r);
        for (int64_t i = 0; i < n; i++)
            row_of[i] = to[row_of[i]];
        free(to);
    }
    return rows;
}

static void epoch_free(struct epoch *p)
{
    free(p->start);
    free(p->doc);
    free(p->learnt);
}

static void epoch_build(const struct loader *l, int64_t number, struct epoch *p)
{
    int64_t n = l->epoch_docs;
    uint32_t *order = epoch_order(l, number);
    uint32_t *row_of = xmalloc((size_t)n * sizeof *row_of);
    p->number = number;
    p->rows = epoch_rows(l, number, order, row_of);
    /* A counting sort by row keeps the epoch's order within each row. While it runs, start[r + 1] is where row r's next document goes. */
    p->start = xcalloc((size_t)p->rows + 2, sizeof *p->start);
    p->doc = xmalloc((size_t)n * sizeof *p->doc);
    p->learnt = xcalloc((size_t)p->rows, sizeof *p->learnt);
    for (int64_t i = 0; i < n; i++) {
        p->start[row_of[i] + 2]++;
        p->learnt[row_of[i]] += l->doc[order[i]].learnt;
    }
    for (int64_t r = 0; r < p->rows; r++)
        p->start[r + 2] += p->start[r + 1];
    for (int64_t i = 0; i < n; i++)
        p->doc[p->start[row_of[i] + 1]++] = order[i];
    free(order);
    free(row_of);
}

/* With the cache's lock held; valid until it is given up. */
static const struct epoch *epoch_get(const struct loader *l, int64_t number)
{
    struct cache *c = l->cache;
    struct epoch *p = &c->epoch[0];
    for (int i = 0; i < EPOCHS_KEPT && p->number != number; i++)
        if (c->epoch[i].number == number || c->epoch[i].last_use < p->last_use)
            p = &c->epoch[i];
    if (p->number != number) {
        epoch_free(p);
        epoch_build(l, number, p);
    }
    p->last_use = ++c->uses;
    return p;
}

/* -------------------------------------------------------------------- steps */

/* The rows of one step, copied out of their epochs. */
struct rows {
    int64_t n, learnt;
    int64_t *start; /* [n + 1] into doc */
    uint32_t *doc;
    int32_t *row_learnt; /* [n] */
};

static int64_t step_first(const struct loader *l, int64_t step)
{
    must(step >= 0 && step < l->steps);
    return step * l->s.rows;
}

static int64_t step_rows(const struct loader *l, int64_t step)
{
    int64_t left = l->total_rows - step_first(l, step);
    return left < l->s.rows ? left : l->s.rows;
}

/* The epoch that holds a row of the phase. */
static int64_t epoch_of(const struct loader *l, int64_t row)
{
    int64_t lo = 0, hi = l->n_epoch;
    while (hi - lo > 1) {
        int64_t mid = (lo + hi) / 2;
        if (l->epoch_row[mid] <= row)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

static struct rows rows_get(const struct loader *l, int64_t step)
{
    struct rows r = {.n = step_rows(l, step)};
    r.start = xmalloc((size_t)(r.n + 1) * sizeof *r.start);
    r.doc = xmalloc((size_t)(r.n * l->max_docs) * sizeof *r.doc);
    r.row_learnt = xmalloc((size_t)r.n * sizeof *r.row_learnt);
    r.start[0] = 0;
    pthread_mutex_lock(&l->cache->lock);
    int64_t first = step_first(l, step), at = epoch_of(l, first);
    const struct epoch *p = epoch_get(l, at);
    for (int64_t i = 0; i < r.n; i++) {
        if (first + i == l->epoch_row[at + 1])
            p = epoch_get(l, ++at);
        int64_t row = first + i - l->epoch_row[at];
        uint32_t from = p->start[row], n = p->start[row + 1] - from;
        memcpy(r.doc + r.start[i], p->doc + from, n * sizeof *r.doc);
        r.start[i + 1] = r.start[i] + n;
        r.row_learnt[i] = p->learnt[row];
        r.learnt += p->learnt[row];
    }
    pthread_mutex_unlock(&l->cache->lock);
    return r;
}

static void rows_free(struct rows *r)
{
    free(r->start);
    free(r->doc);
    free(r->row_learnt);
}

static const struct source *source_of(const struct loader *l, uint32_t doc)
{
    const struct source *src = l->source;
    while (doc >= src->first + src->n)
        src++;
    return src;
}

int64_t loader_steps(const struct loader *l)
{
    return l->steps;
}

int32_t loader_max_docs(const struct loader *l)
{
    return l->max_docs;
}

struct loader_stats loader_stats(const struct loader *l)
{
    return l->stats;
}

const char *loader_digest(const struct loader *l)
{
    return l->digest;
}

void loader_step(const struct loader *l, int64_t step, int64_t *rows, int64_t *tokens, int64_t *learnt)
{
    struct rows r = rows_get(l, step);
    *rows = r.n;
    *learnt = r.learnt;
    *tokens = 0;
    for (int64_t i = 0; i < r.start[r.n]; i++)
        *tokens += l->doc[r.doc[i]].len;
    rows_free(&r);
}

int64_t loader_passes(const struct loader *l, int64_t step, int rank, int size, int64_t micro)
{
    must(rank >= 0 && rank < size && micro >= 1);
    int64_t n = step_rows(l, step), mine = n > rank ? (n - rank + size - 1) / size : 0;
    return (mine + micro - 1) / micro;
}

/* Appends a document; each of its targets has weight w. */
static void batch_add(struct batch *b, const struct loader *l, uint32_t index, float w, uint8_t *learnt)
{
    const struct doc *d = &l->doc[index];
    int32_t *ids = b->ids + b->tokens, *target = b->target + b->tokens;
    float *weight = b->weight + b->tokens;
    tokfile_read(source_of(l, index)->f, d->at, 0, d->len, ids, learnt);
    for (int32_t t = 0; t < d->len; t++) {
        bool is_target = t + 1 < d->len && learnt[t + 1];
        target[t] = is_target ? ids[t + 1] : -1;
        weight[t] = is_target ? w : 0.0f;
    }
    b->doc_len[b->docs++] = d->len;
    b->tokens += d->len;
    b->learnt += d->learnt;
}

void loader_pass(const struct loader *l, int64_t step, int64_t p, int rank, int size, int64_t micro, struct batch *b)
{
    must(p >= 0 && rank >= 0 && rank < size && micro >= 1);
    struct rows r = rows_get(l, step);
    uint8_t *learnt = xmalloc((size_t)l->s.seq_len);
    b->tokens = b->learnt = b->docs = 0;
    for (int64_t k = 0; k < micro; k++) {
        int64_t i = rank + size * (p * micro + k);
        if (i >= r.n)
            break;
        /* Every row has a target, as every document has: documents without one were left out. */
        double share = l->s.row_mean ? (double)r.n * r.row_learnt[i] : (double)r.learnt;
        for (int64_t j = r.start[i]; j < r.start[i + 1]; j++)
            batch_add(b, l, r.doc[j], (float)(1.0 / share), learnt);
    }
    free(learnt);
    rows_free(&r);
}

void loader_describe(const struct loader *l, int64_t step, char *buf, size_t n)
{
    static const char more[] = " ...";
    struct rows r = rows_get(l, step);
    size_t used = 0;
    must(n > sizeof more);
    buf[0] = '\0';
    for (int64_t i = 0; i < r.start[r.n]; i++) {
        char *word = xprintf("%s%s:%lld", i ? ", " : "", source_of(l, r.doc[i])->path, (long long)l->doc[r.doc[i]].at);
        size_t len = strlen(word);
        bool fits = used + len + sizeof more <= n;
        strcpy(buf + used, fits ? word : more);
        free(word);
        if (!fits)
            break;
        used += len;
    }
    rows_free(&r);
}

/* ------------------------------------------------------------------ opening */

static bool check_source(const struct loader *l, int k, struct err *e)
{
    const struct source *src = &l->source[k];
    const char *has = tokfile_tokenizer(src->f), *want = l->s.tokenizer, *of = "the run's";
    for (int i = 0; i < k && !*want; i++)
        if (*tokfile_tokenizer(l->source[i].f)) {
            want = tokfile_tokenizer(l->source[i].f);
            of = l->source[i].path;
        }
    if (*has && *want && strcmp(has, want) != 0)
        return err_set(e, "%s: made with tokenizer %s, expected %s (%s): prepare it with that tokenizer, or change the run's", src->path,
                       has, want, of);
    if (tokfile_max_id(src->f) >= l->s.vocab)
        return err_set(e, "%s: holds token id %d, but the model's vocabulary has %d (ids 0..%d): prepare it with the model's tokenizer",
                       src->path, tokfile_max_id(src->f), l->s.vocab, l->s.vocab - 1);
    return true;
}

/* Adds the source's usable documents to the table and counts how often an epoch goes through them. */
static bool add_docs(struct loader *l, struct source *src, double weight, struct err *e)
{
    int64_t docs = tokfile_docs(src->f);
    src->first = l->n_doc;
    l->doc = xrealloc(l->doc, (size_t)(l->n_doc + docs) * sizeof *l->doc + 1);
    for (int64_t i = 0; i < docs; i++) {
        int64_t len = tokfile_doc_len(src->f, i), learnt = tokfile_doc_learnt(src->f, i);
        if (len > l->s.seq_len) {
            l->stats.cut++;
            len = l->s.seq_len;
            learnt = tokfile_learnt_in(src->f, i, len);
        }
        if (learnt > 0)
            l->doc[l->n_doc++] = (struct doc){i, (int32_t)len, (int32_t)learnt};
        else
            l->stats.unlearnt++;
    }
    src->n = l->n_doc - src->first;
    double share = weight * (double)src->n;
    if ((double)l->n_doc + (double)l->epoch_docs + share >= UINT32_MAX)
        return err_set(e, "%s: with weight %g an epoch has more than %u documents: lower the weight", src->path, weight, UINT32_MAX);
    src->whole = (int64_t)floor(weight);
    src->part = llround((weight - floor(weight)) * (double)src->n);
    l->epoch_docs += src->whole * src->n + src->part;
    return true;
}

static bool open_sources(struct loader *l, const struct loader_source *from, struct err *e)
{
    for (int k = 0; k < l->s.n_source; k++) {
        struct source *src = &l->source[k];
        if (!(from[k].weight > 0) || isinf(from[k].weight))
            return err_set(e, "%s: its weight must be above 0, got %g: give one, or leave the data set out", from[k].path, from[k].weight);
        src->path = xstrdup(from[k].path);
        if (!tokfile_open(&src->f, src->path, true, e) || !check_source(l, k, e) || !add_docs(l, src, from[k].weight, e))
            return false;
    }
    if (l->n_doc == 0)
        return err_set(
            e,
            "%s%s: nothing to train on: none of %lld documents has a learnt token (after its first) within seq_len %lld: add data or raise seq_len",
            l->s.n_source ? l->source[0].path : "data", l->s.n_source > 1 ? " and others" : "", (long long)l->stats.unlearnt,
            (long long)l->s.seq_len);
    if (l->epoch_docs == 0)
        return err_set(e, "%s: nothing to train on: its weight is less than half a document of %lld: raise the weight", l->source[0].path,
                       (long long)l->n_doc);
    return true;
}

static void count_first_epoch(struct loader *l)
{
    struct loader_stats *s = &l->stats;
    const struct epoch *p = epoch_get(l, 0);
    s->docs = l->epoch_docs;
    s->rows = p->rows;
    for (int64_t i = 0; i < s->docs; i++) {
        s->tokens += l->doc[p->doc[i]].len;
        s->learnt += l->doc[p->doc[i]].learnt;
    }
    s->fill = (double)s->tokens / ((double)s->rows * (double)l->s.seq_len);
}

/* Lays the phase's epochs end to end. Packed epochs differ in their rows, so each is built once; unpacked ones need not be. */
static void lay_out_phase(struct loader *l)
{
    int64_t room = 16, want = l->s.steps * l->s.rows;
    l->epoch_row = xmalloc((size_t)room * sizeof *l->epoch_row);
    l->epoch_row[0] = 0;
    l->max_docs = 1;
    while (l->s.steps ? l->total_rows < want : (double)l->n_epoch < l->s.epochs) {
        int64_t rows = l->epoch_docs;
        if (l->s.pack) {
            const struct epoch *p = epoch_get(l, l->n_epoch);
            rows = p->rows;
            for (int64_t r = 0; r < rows; r++) {
                int32_t docs = (int32_t)(p->start[r + 1] - p->start[r]);
                l->max_docs = docs > l->max_docs ? docs : l->max_docs;
            }
        }
        if (l->s.steps && rows > want - l->total_rows)
            rows = want - l->total_rows;
        if (!l->s.steps && l->s.epochs - (double)l->n_epoch < 1.0)
            rows = llround((l->s.epochs - (double)l->n_epoch) * (double)rows);
        if (l->n_epoch + 1 == room)
            l->epoch_row = xrealloc(l->epoch_row, (size_t)(room *= 2) * sizeof *l->epoch_row);
        l->total_rows += rows;
        l->epoch_row[++l->n_epoch] = l->total_rows;
    }
    if (l->total_rows == 0)
        l->total_rows = l->epoch_row[l->n_epoch] = 1; /* so small a part of an epoch: one row */
    l->steps = (l->total_rows + l->s.rows - 1) / l->s.rows;
}

static void make_digest(struct loader *l, const struct loader_source *from)
{
    const struct loader_settings *s = &l->s;
    struct hash_stream *h = hash_open();
    char *text = xprintf("rows 1: seq_len %lld rows %lld pack %d shuffle %d row_mean %d seed %llu\n", (long long)s->seq_len,
                         (long long)s->rows, s->pack, s->shuffle, s->row_mean, (unsigned long long)s->seed);
    hash_add(h, text, strlen(text));
    free(text);
    for (int k = 0; k < s->n_source; k++) {
        text = xprintf("%s %s %.17g\n", tokfile_digest(l->source[k].f), tokfile_tokenizer(l->source[k].f), from[k].weight);
        hash_add(h, text, strlen(text));
        free(text);
    }
    hash_hex(h, l->digest);
    hash_close(h);
}

bool loader_open(struct loader **out, const struct loader_settings *s, struct err *e)
{
    must(s->n_source >= 0 && s->seq_len >= 1 && s->seq_len <= INT32_MAX && s->rows >= 1 && s->rows <= INT32_MAX);
    must(s->steps >= 0 && s->steps <= INT64_MAX / s->rows && s->epochs >= 0 && (s->steps > 0) != (s->epochs > 0));
    struct loader *l = xcalloc(1, sizeof *l);
    l->s = *s;
    l->s.source = NULL; /* the caller's; what is needed of it is in l->source */
    l->s.tokenizer = s->tokenizer ? s->tokenizer : "";
    l->source = xcalloc((size_t)s->n_source + 1, sizeof *l->source);
    l->cache = xcalloc(1, sizeof *l->cache);
    must(pthread_mutex_init(&l->cache->lock, NULL) == 0);
    for (int i = 0; i < EPOCHS_KEPT; i++)
        l->cache->epoch[i].number = -1;
    if (!open_sources(l, s->source, e)) {
        loader_close(l);
        return false;
    }
    l->s.tokenizer = NULL;
    lay_out_phase(l);
    count_first_epoch(l);
    make_digest(l, s->source);
    *out = l;
    return true;
}

void loader_close(struct loader *l)
{
    if (!l)
        return;
    for (int k = 0; k < l->s.n_source; k++) {
        tokfile_close(l->source[k].f);
        free(l->source[k].path);
    }
    for (int i = 0; i < EPOCHS_KEPT; i++)
        epoch_free(&l->cache->epoch[i]);
    pthread_mutex_destroy(&l->cache->lock);
    free(l->cache);
    free(l->source);
    free(l->doc);
    free(l->epoch_row);
    free(l);
}
