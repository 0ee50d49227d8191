/* data/data_report.c - see data_report.h. */
#include "data/data_report.h"
#include "core/html.h"
#include "core/rng.h"
#include "data/lengths.h"
#include "data/pack.h"
#include "data/show.h"
#include "data/tokfile.h"
#include "data/tokenizer.h"
#include <stdlib.h>
#include <string.h>

enum { EXAMPLES = 3, SHOWN_FIRST = 500, SHOWN_LAST = 200, LENGTH_BINS = 48, SHARE_BINS = 20, COLOURS = 6 };
static const int32_t row_lengths[] = {2048, 4096, 8192, 16384, 20480, 32768};
enum { ROW_LENGTHS = sizeof row_lengths / sizeof *row_lengths };

struct source {
    const char *name; /* a path, or the end of one */
    struct tokfile *f;
    int64_t docs;
    int64_t *len; /* [docs] */
    struct lengths lengths;
    int64_t share[SHARE_BINS]; /* documents by the share of their tokens that is learnt */
};
struct report {
    struct html h;
    struct source *s;
    int n;
    int64_t tokens; /* of all */
    const struct tokenizer *tok;
};

struct packing packing_of(const int64_t *len, int64_t n, int32_t seq_len)
{
    struct packing p = {0};
    int32_t *cut = xmalloc((size_t)n * sizeof *cut + 1);
    uint32_t *row = xmalloc((size_t)n * sizeof *row + 1);
    for (int64_t i = 0; i < n; i++) {
        cut[i] = len[i] < seq_len ? (int32_t)len[i] : seq_len;
        p.tokens += cut[i];
        p.cut += len[i] > seq_len;
    }
    p.rows = pack_best_fit(cut, n, seq_len, row);
    free(cut);
    free(row);
    return p;
}

/* ------------------------------------------------------------------- reading */

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* What a file is called in the page: its name, or its path where another one has the same name. */
static const char *name_of(const char *const *paths, int n, int i)
{
    const char *name = last_part(paths[i]);
    for (int k = 0; k < n; k++)
        if (k != i && strcmp(last_part(paths[k]), name) == 0)
            return paths[i];
    return name;
}

static bool open_source(struct source *s, const char *name, const char *path, const struct tokenizer *tok, const char *tokenizer,
                        struct err *e)
{
    if (!tokfile_open(&s->f, path, true, e) || !show_fits(s->f, path, tok, tokenizer, e))
        return false;
    s->name = name;
    s->docs = tokfile_docs(s->f);
    s->len = xmalloc((size_t)s->docs * sizeof *s->len + 1);
    for (int64_t i = 0; i < s->docs; i++) {
        s->len[i] = tokfile_doc_len(s->f, i);
        lengths_add(&s->lengths, s->len[i]);
        int64_t bin = tokfile_doc_learnt(s->f, i) * SHARE_BINS / s->len[i]; /* learnt < len: never the last bin's end */
        s->share[bin]++;
    }
    return true;
}

static void close_source(struct source *s)
{
    tokfile_close(s->f);
    lengths_free(&s->lengths);
    free(s->len);
}

/* ------------------------------------------------------------------- the page */

/* "1,234,567", in one of a few places in turn: as many as one call of printf shows. */
static const char *grouped(int64_t v)
{
    static char places[4][32];
    static int next;
    char digits[24], *to = places[next++ % 4];
    const char *all = to;
    int n = snprintf(digits, sizeof digits, "%lld", (long long)v);
    for (int i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0)
            *to++ = ',';
        *to++ = digits[i];
    }
    *to = '\0';
    return all;
}

static void summary(struct report *r)
{
    static const char *const headings[] = {"source", "documents", "tokens", "of all", "learnt tokens", "learnt", NULL};
    struct html *h = &r->h;
    html_table_begin(h, headings);
    for (struct source *s = r->s; s < r->s + r->n; s++) {
        int64_t learnt = tokfile_learnt(s->f);
        html_row(h);
        html_cell(h, NULL, "%s", s->name);
        html_cell(h, "num", "%s", grouped(s->docs));
        html_cell(h, "num", "%s", grouped(s->lengths.tokens));
        html_cell(h, "num", "%.1f%%", 100.0 * (double)s->lengths.tokens / (double)r->tokens);
        html_cell(h, "num", "%s", grouped(learnt));
        html_cell(h, "num", "%.1f%%", 100.0 * (double)learnt / (double)(s->lengths.tokens > 0 ? s->lengths.tokens : 1));
    }
    html_table_end(h);
}

static void length_table(struct report *r)
{
    static const char *const headings[] = {"source", "mean", "shortest", "half", "90%", "99%", "longest", NULL};
    static const double shares[] = {0, 0.5, 0.9, 0.99, 1};
    struct html *h = &r->h;
    html_element(h, "h2", NULL, "Lengths");
    html_table_begin(h, headings);
    for (struct source *s = r->s; s < r->s + r->n; s++) {
        html_row(h);
        html_cell(h, NULL, "%s", s->name);
        html_cell(h, "num", "%s", grouped((s->lengths.tokens + s->docs / 2) / (s->docs > 0 ? s->docs : 1)));
        for (size_t q = 0; q < sizeof shares / sizeof *shares; q++)
            html_cell(h, "num", "%s", grouped(lengths_at(&s->lengths, shares[q])));
    }
    html_table_end(h);
    html_element(
        h, "p", "dim",
        "Tokens of a document: the mean, the shortest, the length that half, 90% and 99% of the documents do not exceed, the longest.");
}

static void token_shares(struct report *r)
{
    struct html_bar *bar = xcalloc((size_t)r->n, sizeof *bar);
    for (int i = 0; i < r->n; i++) {
        double share = (double)r->s[i].lengths.tokens / (double)r->tokens;
        double learnt = (double)tokfile_learnt(r->s[i].f) / (double)r->tokens;
        bar[i] = (struct html_bar){r->s[i].name, share, share, share, learnt};
    }
    html_bars(&r->h, "Share of all tokens", "of which learnt", bar, r->n);
    free(bar);
}

/* A chart with a line a source over the same bins. value: [r->n][bins]. */
static void lines_chart(struct report *r, const char *title, const char *x_label, const double *x, const double *value, int bins)
{
    struct html_line *line = xcalloc((size_t)r->n, sizeof *line);
    for (int i = 0; i < r->n; i++)
        line[i] = (struct html_line){r->s[i].name, x, value + (int64_t)i * bins, bins, i % COLOURS};
    html_chart(&r->h, &(struct html_chart){
                          .title = title, .x_label = x_label, .y_label = "% of documents", .zero = true, .line = line, .n_line = r->n});
    free(line);
}

/* Bins of equal width up to what 99% of every source's documents do not exceed; longer ones are counted in the last. */
static void length_chart(struct report *r)
{
    int64_t most = LENGTH_BINS;
    for (int i = 0; i < r->n; i++)
        most = lengths_at(&r->s[i].lengths, 0.99) > most ? lengths_at(&r->s[i].lengths, 0.99) : most;
    int64_t width = (most + LENGTH_BINS - 1) / LENGTH_BINS;
    double x[LENGTH_BINS], *value = xcalloc((size_t)r->n * LENGTH_BINS, sizeof *value);
    for (int b = 0; b < LENGTH_BINS; b++)
        x[b] = ((double)b + 0.5) * (double)width;
    for (int i = 0; i < r->n; i++)
        for (int64_t d = 0; d < r->s[i].docs; d++) {
            int64_t b = r->s[i].len[d] / width;
            value[i * LENGTH_BINS + (b < LENGTH_BINS ? b : LENGTH_BINS - 1)] += 100.0 / (double)r->s[i].docs;
        }
    lines_chart(r, "Lengths of documents", "tokens (the longest one in a hundred are in the last place)", x, value, LENGTH_BINS);
    free(value);
}

static void learnt_chart(struct report *r)
{
    double x[SHARE_BINS], *value = xcalloc((size_t)r->n * SHARE_BINS, sizeof *value);
    for (int b = 0; b < SHARE_BINS; b++)
        x[b] = (b + 0.5) * 100 / SHARE_BINS;
    for (int i = 0; i < r->n; i++)
        for (int b = 0; b < SHARE_BINS && r->s[i].docs > 0; b++)
            value[i * SHARE_BINS + b] = 100.0 * (double)r->s[i].share[b] / (double)r->s[i].docs;
    lines_chart(r, "Learnt share of a document", "% of its tokens that are learnt", x, value, SHARE_BINS);
    free(value);
}

/* All sources together, as a phase packs them. */
static void packing_table(struct report *r)
{
    static const char *const headings[] = {"tokens of a row", "rows",          "filled",         "rows without packing",
                                           "filled without",  "documents cut", "tokens cut off", NULL};
    int64_t docs = 0, at = 0;
    for (int i = 0; i < r->n; i++)
        docs += r->s[i].docs;
    int64_t *len = xmalloc((size_t)docs * sizeof *len + 1);
    for (int i = 0; i < r->n; at += r->s[i++].docs)
        memcpy(len + at, r->s[i].len, (size_t)r->s[i].docs * sizeof *len);
    html_element(&r->h, "h2", NULL, "Rows");
    html_table_begin(&r->h, headings);
    for (int k = 0; k < ROW_LENGTHS; k++) {
        struct packing p = packing_of(len, docs, row_lengths[k]);
        html_row(&r->h);
        html_cell(&r->h, "num", "%s", grouped(row_lengths[k]));
        html_cell(&r->h, "num", "%s", grouped(p.rows));
        html_cell(&r->h, "num", "%.2f%%", 100.0 * (double)p.tokens / ((double)p.rows * row_lengths[k]));
        html_cell(&r->h, "num", "%s", grouped(docs));
        html_cell(&r->h, "num", "%.2f%%", 100.0 * (double)p.tokens / ((double)docs * row_lengths[k]));
        html_cell(&r->h, "num", "%s (%.1f%%)", grouped(p.cut), 100.0 * (double)p.cut / (double)docs);
        html_cell(&r->h, "num", "%.2f%%", 100.0 * (double)(r->tokens - p.tokens) / (double)r->tokens);
    }
    html_table_end(&r->h);
    html_element(
        &r->h, "p", "dim",
        "All sources together, best fit first; a document longer than a row is cut. Without packing a row holds one document and is padded.");
    free(len);
}

static void marked_tokens(struct report *r, const int32_t *ids, const uint8_t *learnt, int64_t from, int64_t to)
{
    for (int64_t i = from, end; i < to; i = end) {
        for (end = i + 1; end < to && learnt[end] == learnt[i]; end++)
            ;
        char *text = show_text(r->tok, ids + i, end - i);
        fputs(learnt[i] ? "<span class=\"good\">" : "", r->h.f);
        html_text(&r->h, text);
        fputs(learnt[i] ? "</span>" : "", r->h.f);
        fputs(r->tok ? "" : " ", r->h.f);
        free(text);
    }
}

static void example(struct report *r, const struct source *s, int64_t doc, bool open)
{
    int64_t n = s->len[doc], skip = n > SHOWN_FIRST + SHOWN_LAST ? n - SHOWN_FIRST - SHOWN_LAST : 0;
    int32_t *ids = xmalloc((size_t)n * sizeof *ids);
    uint8_t *learnt = xmalloc((size_t)n);
    tokfile_read(s->f, doc, 0, n, ids, learnt);
    fprintf(r->h.f, "<details%s><summary>document %s of %s: %s tokens, %s learnt</summary><pre>", open ? " open" : "", grouped(doc + 1),
            grouped(s->docs), grouped(n), grouped(tokfile_doc_learnt(s->f, doc)));
    marked_tokens(r, ids, learnt, 0, skip ? SHOWN_FIRST : n);
    if (skip) {
        fprintf(r->h.f, "\n<b>… %s tokens …</b>\n", grouped(skip));
        marked_tokens(r, ids, learnt, n - SHOWN_LAST, n);
    }
    fputs("</pre></details>\n", r->h.f);
    free(ids);
    free(learnt);
}

static void examples(struct report *r)
{
    html_element(&r->h, "h2", NULL, "Examples");
    fputs("<p class=\"dim\">Drawn at random; <span class=\"good\">learnt tokens</span> are green.</p>\n", r->h.f);
    for (int i = 0; i < r->n; i++) {
        const struct source *s = &r->s[i];
        html_element(&r->h, "p", NULL, s->name);
        for (int64_t k = 0; k < EXAMPLES && k < s->docs; k++)
            example(r, s, (int64_t)rng_permute(1, (uint64_t)i, (uint64_t)s->docs, (uint64_t)k), k == 0);
    }
}

static void write_page(struct report *r)
{
    char line[160];
    int64_t docs = 0;
    for (int i = 0; i < r->n; i++)
        docs += r->s[i].docs;
    html_begin(&r->h, "Training data");
    snprintf(line, sizeof line, "%s documents, %s tokens in %d file%s.", grouped(docs), grouped(r->tokens), r->n, r->n == 1 ? "" : "s");
    html_element(&r->h, "p", NULL, line);
    summary(r);
    token_shares(r);
    length_table(r);
    length_chart(r);
    learnt_chart(r);
    packing_table(r);
    examples(r);
}

bool data_report(const char *path, const char *const *paths, int n, const char *tokenizer, struct err *e)
{
    struct tokenizer *tok = NULL;
    if (tokenizer && !tokenizer_open(&tok, tokenizer, e))
        return false;
    struct report r = {.s = xcalloc((size_t)n, sizeof *r.s), .n = n, .tok = tok};
    bool ok = true;
    for (int i = 0; ok && i < n; i++) {
        ok = open_source(&r.s[i], name_of(paths, n, i), paths[i], tok, tokenizer, e);
        r.tokens += r.s[i].lengths.tokens;
    }
    if (ok && r.tokens == 0)
        ok = err_set(e, "%s: there are no documents to report about", paths[0]);
    if (ok) {
        write_page(&r);
        ok = html_finish(&r.h, path, e);
    }
    for (int i = 0; i < n; i++)
        close_source(&r.s[i]);
    free(r.s);
    tokenizer_close(tok);
    return ok;
}
