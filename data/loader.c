/* data/loader.c - see loader.h.
 *
 * How many rows each epoch gives is found once, at opening, so that a step's rows are found by number.
 */
#include "data/loader.h"
#include "core/hash.h"
#include "data/epoch.h"
#include "data/tokfile.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct source {
    char *path;
    struct tokfile *f;
};

struct loader {
    struct loader_settings s;
    struct source *source;
    struct epoch_recipe recipe; /* sources in the same order */
    int64_t *epoch_row;         /* [n_epoch + 1] the phase's row that is an epoch's first */
    int64_t n_epoch, steps, total_rows;
    int32_t max_docs;
    struct loader_stats stats;
    char digest[HASH_XXH3_HEX];
    struct epoch_cache *cache; /* it changes while the loader is const */
};

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
    epoch_cache_lock(l->cache);
    int64_t first = step_first(l, step), at = epoch_of(l, first);
    const struct epoch *p = epoch_get(l->cache, &l->recipe, at);
    for (int64_t i = 0; i < r.n; i++) {
        if (first + i == l->epoch_row[at + 1])
            p = epoch_get(l->cache, &l->recipe, ++at);
        int64_t row = first + i - l->epoch_row[at];
        uint32_t from = p->start[row], n = p->start[row + 1] - from;
        memcpy(r.doc + r.start[i], p->doc + from, n * sizeof *r.doc);
        r.start[i + 1] = r.start[i] + n;
        r.row_learnt[i] = p->learnt[row];
        r.learnt += p->learnt[row];
    }
    epoch_cache_unlock(l->cache);
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
    const struct epoch_source *src = l->recipe.source;
    while (doc >= src->first + src->n)
        src++;
    return &l->source[src - l->recipe.source];
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
        *tokens += l->recipe.doc[r.doc[i]].len;
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
    const struct epoch_doc *d = &l->recipe.doc[index];
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
        char *word = xprintf("%s%s:%lld", i ? ", " : "", source_of(l, r.doc[i])->path, (long long)l->recipe.doc[r.doc[i]].at);
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
static bool add_docs(struct loader *l, int k, double weight, struct err *e)
{
    struct tokfile *f = l->source[k].f;
    struct epoch_source *src = &l->recipe.source[k];
    int64_t docs = tokfile_docs(f);
    src->first = l->recipe.n_doc;
    l->recipe.doc = xrealloc(l->recipe.doc, (size_t)(l->recipe.n_doc + docs) * sizeof *l->recipe.doc + 1);
    for (int64_t i = 0; i < docs; i++) {
        int64_t len = tokfile_doc_len(f, i), learnt = tokfile_doc_learnt(f, i);
        if (len > l->s.seq_len) {
            l->stats.cut++;
            len = l->s.seq_len;
            learnt = tokfile_learnt_in(f, i, len);
        }
        if (learnt > 0)
            l->recipe.doc[l->recipe.n_doc++] = (struct epoch_doc){i, (int32_t)len, (int32_t)learnt};
        else
            l->stats.unlearnt++;
    }
    src->n = l->recipe.n_doc - src->first;
    double share = weight * (double)src->n;
    if ((double)l->recipe.n_doc + (double)l->recipe.docs + share >= UINT32_MAX)
        return err_set(e, "%s: with weight %g an epoch has more than %u documents: lower the weight", l->source[k].path, weight,
                       UINT32_MAX);
    src->whole = (int64_t)floor(weight);
    src->part = llround((weight - floor(weight)) * (double)src->n);
    l->recipe.docs += src->whole * src->n + src->part;
    return true;
}

static bool open_sources(struct loader *l, const struct loader_source *from, struct err *e)
{
    for (int k = 0; k < l->s.n_source; k++) {
        struct source *src = &l->source[k];
        if (!(from[k].weight > 0) || isinf(from[k].weight))
            return err_set(e, "%s: its weight must be above 0, got %g: give one, or leave the data set out", from[k].path, from[k].weight);
        src->path = xstrdup(from[k].path);
        if (!tokfile_open(&src->f, src->path, true, e) || !check_source(l, k, e) || !add_docs(l, k, from[k].weight, e))
            return false;
    }
    if (l->recipe.n_doc == 0)
        return err_set(
            e,
            "%s%s: nothing to train on: none of %lld documents has a learnt token (after its first) within seq_len %lld: add data or raise seq_len",
            l->s.n_source ? l->source[0].path : "data", l->s.n_source > 1 ? " and others" : "", (long long)l->stats.unlearnt,
            (long long)l->s.seq_len);
    if (l->recipe.docs == 0)
        return err_set(e, "%s: nothing to train on: its weight is less than half a document of %lld: raise the weight", l->source[0].path,
                       (long long)l->recipe.n_doc);
    return true;
}

static void count_first_epoch(struct loader *l)
{
    struct loader_stats *s = &l->stats;
    const struct epoch *p = epoch_get(l->cache, &l->recipe, 0);
    s->docs = l->recipe.docs;
    s->rows = p->rows;
    for (int64_t i = 0; i < s->docs; i++) {
        s->tokens += l->recipe.doc[p->doc[i]].len;
        s->learnt += l->recipe.doc[p->doc[i]].learnt;
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
        int64_t rows = l->recipe.docs;
        if (l->s.pack) {
            const struct epoch *p = epoch_get(l->cache, &l->recipe, l->n_epoch);
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
    l->recipe =
        (struct epoch_recipe){.n_source = s->n_source, .seq_len = s->seq_len, .pack = s->pack, .shuffle = s->shuffle, .seed = s->seed};
    l->recipe.source = xcalloc((size_t)s->n_source + 1, sizeof *l->recipe.source);
    l->cache = epoch_cache_new();
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
    epoch_cache_free(l->cache);
    free(l->source);
    free(l->recipe.source);
    free(l->recipe.doc);
    free(l->epoch_row);
    free(l);
}
