/* infer/promptcot/combine.c - the first step: which concepts make a problem together, by how close their embeddings are. See promptcot.h. */
#include "core/rng.h"
#include "data/select/table.h"
#include "infer/promptcot/promptcot.h"
#include "infer/promptcot/text.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CONCEPTS = 30000, TRIES = 1000, STREAM = 0xc0b, LEVEL_STREAM = 0xc0c };

/* ------------------------------------------------------------------- likeness */

void likeness_of(struct likeness *l, const double *vectors, int64_t n, int64_t width)
{
    double *mean = xcalloc((size_t)width, sizeof *mean), *v = xmalloc((size_t)(n * width) * sizeof *v);
    for (int64_t i = 0; i < n * width; i++)
        mean[i % width] += vectors[i] / (double)n;
    for (int64_t i = 0; i < n; i++) {
        double length = 0;
        for (int64_t k = 0; k < width; k++) {
            v[i * width + k] = vectors[i * width + k] - mean[k];
            length += v[i * width + k] * v[i * width + k];
        }
        for (int64_t k = 0; k < width && length > 0; k++)
            v[i * width + k] /= sqrt(length);
    }
    *l = (struct likeness){xmalloc((size_t)(n * n) * sizeof(float)), n};
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j <= i; j++) {
            double dot = 0;
            for (int64_t k = 0; k < width; k++)
                dot += v[i * width + k] * v[j * width + k];
            l->cosine[i * n + j] = l->cosine[j * n + i] = (float)dot;
        }
    free(mean);
    free(v);
}

double likeness_draw(const struct likeness *l, uint64_t seed, uint64_t index, double closeness, int64_t k, int64_t *drawn)
{
    double *sum = xcalloc((size_t)l->n, sizeof *sum), *weight = xmalloc((size_t)l->n * sizeof *weight), pairs = 0;
    must(k >= 1 && k <= l->n);
    for (int64_t d = 0; d < k; d++) {
        double all = 0, most = -INFINITY, dice = rng_uniform(seed, STREAM, index * 64 + (uint64_t)d);
        for (int64_t i = 0; i < l->n; i++) {
            bool taken = false;
            for (int64_t t = 0; t < d; t++)
                taken = taken || drawn[t] == i;
            weight[i] = taken ? -INFINITY : d == 0 ? 0 : sum[i] / (double)d / closeness;
            most = weight[i] > most ? weight[i] : most;
        }
        for (int64_t i = 0; i < l->n; i++) /* the closest has weight 1, however far it is */
            all += weight[i] = exp(weight[i] - most);
        int64_t pick = -1;
        for (int64_t i = 0; i < l->n && (pick < 0 || dice >= 0); i++)
            if (weight[i] > 0) { /* the last one takes what rounding leaves */
                pick = i;
                dice -= weight[i] / all;
            }
        drawn[d] = pick;
        pairs += sum[pick];
        for (int64_t i = 0; i < l->n; i++)
            sum[i] += (double)l->cosine[pick * l->n + i];
    }
    free(sum);
    free(weight);
    return k > 1 ? pairs / ((double)k * (double)(k - 1) / 2) : 1;
}

/* ------------------------------------------------------------------- the step */

static const char *const math_levels[] = {"AMC12", "HMMT-Nov", "HMMT-Feb", "AIME", "USAJMO", "USAMO", "USOJMO", "USOMO"};
static const char *const code_levels[] = {"easy", "medium", "hard"};

struct library {
    const struct promptcot *p;
    json_t *names; /* of the concepts that may be used */
    json_t *seen;
};

static bool read_concept(void *ctx, json_t *record, int64_t line, struct err *e)
{
    static const char *const domains[] = {"math", "code"};
    struct library *l = ctx;
    const char *name, *domain;
    int64_t level;
    if (!json_get_str(record, "concept", &name, e) || !json_get_str(record, "domain", &domain, e) ||
        !json_get_int(record, "level", 1, 5, &level, e))
        return false;
    if (strcmp(domain, domains[0]) != 0 && strcmp(domain, domains[1]) != 0)
        return err_set(e, "\"domain\" must be \"math\" or \"code\", got \"%.40s\"", domain);
    if (json_object_get(l->seen, name))
        return err_set(e, "the concept \"%.80s\" is in line %lld already", name,
                       (long long)json_integer_value(json_object_get(l->seen, name)));
    json_object_set_new(l->seen, name, json_integer(line));
    if (strcmp(domain, domains[l->p->domain]) == 0 && level >= l->p->least_level && level <= l->p->most_level)
        json_array_append_new(l->names, json_string(name));
    return true;
}

/* The concepts' embeddings as rows; the caller frees. Concepts whose request failed (and may, on_failure) are taken out of names. NULL: e. */
static double *embed(struct step *s, json_t *names, int64_t *width, struct err *e)
{
    int64_t n = (int64_t)json_array_size(names), known = 0;
    double *rows = NULL;
    s->asks.kind = ASK_VECTOR;
    for (int64_t i = 0; i < n; i++)
        asks_add(&s->asks, xstrdup(json_string_value(json_array_get(names, (size_t)i))), NULL, 0);
    bool ok = step_ask(s, s->p->embed_model, "", e);
    for (int64_t i = 0; ok && i < n; i++) {
        json_t *reply = asks_reply(&s->asks, i, e), *list = json_object_get(reply, "vector");
        int64_t got = (int64_t)json_array_size(list);
        ok = reply != NULL;
        if (list && !rows)
            rows = xmalloc((size_t)(n * (*width = got)) * sizeof *rows);
        if (list && got != *width)
            ok = err_set(e, "combine: the embedding of \"%.60s\" has %lld numbers, others have %lld", s->asks.at[i].prompt, (long long)got,
                         (long long)*width);
        for (int64_t k = 0; ok && k < got; k++)
            rows[known * *width + k] = json_number_value(json_array_get(list, (size_t)k));
        if (ok && list)
            json_array_set(names, (size_t)known++, json_array_get(names, (size_t)i));
        else if (ok)
            step_drop(s, "failed");
        json_decref(reply);
    }
    asks_free(&s->asks);
    while ((int64_t)json_array_size(names) > known)
        json_array_remove(names, json_array_size(names) - 1);
    if (ok && known < s->p->together)
        ok = err_set(e, "combine: of %lld concepts %lld have an embedding, fewer than a problem has; \"failed\" are the others",
                     (long long)n, (long long)known);
    if (ok)
        return rows;
    free(rows);
    return NULL;
}

static int by_number(const void *p, const void *q)
{
    int64_t a = *(const int64_t *)p, b = *(const int64_t *)q;
    return (a > b) - (a < b);
}

/* A combination as one number, whatever its order. */
static uint64_t digest_of(const int64_t *drawn, int64_t k, uint64_t level)
{
    int64_t sorted[16];
    uint64_t h = level + 1;
    memcpy(sorted, drawn, (size_t)k * sizeof *sorted);
    qsort(sorted, (size_t)k, sizeof *sorted, by_number);
    for (int64_t i = 0; i < k; i++)
        h = rng_u64(h, 1, (uint64_t)sorted[i]);
    return h;
}

static bool draw_all(struct step *s, const struct likeness *l, const json_t *names, struct err *e)
{
    const struct promptcot *p = s->p;
    const char *const *levels = p->levels.n > 0 ? (const char *const *)p->levels.at : p->domain == DOMAIN_CODE ? code_levels : math_levels;
    int64_t n_levels = p->levels.n > 0 ? p->levels.n : p->domain == DOMAIN_CODE ? 3 : 8, drawn[16];
    struct table seen = {0};
    uint64_t index = 0, seed = (uint64_t)p->seed;
    bool ok = true;
    for (int64_t i = 0; ok && i < p->problems; i++) {
        double close = 0;
        uint64_t level = 0;
        int tries = 0;
        for (bool fresh = false; !fresh && tries < TRIES; tries++, index++) {
            close = likeness_draw(l, seed, index, p->closeness, p->together, drawn);
            level = rng_below(seed, LEVEL_STREAM, index, (uint64_t)n_levels);
            int32_t *first = table_put(&seen, digest_of(drawn, p->together, level), (int32_t)i);
            fresh = *first == i;
        }
        ok = tries < TRIES ||
             err_set(
                 e, "combine: after %lld combinations there is hardly another one; ask for fewer problems, or set combine.closeness higher",
                 (long long)i);
        json_t *concepts = json_array();
        for (int64_t k = 0; k < p->together; k++)
            json_array_append(concepts, json_array_get(names, (size_t)drawn[k]));
        char *id = xprintf("s%lld-c%lld", (long long)p->seed, (long long)i), *prompt = text_prompt(concepts, levels[level]);
        json_array_append_new(s->out,
                              json_pack("{s:s, s:o, s:s, s:s, s:f}", "id", id, "foundational_concepts", concepts, "level", levels[level],
                                        "prompt", prompt, "closeness", (double)(int64_t)(close * 1e4 + (close < 0 ? -0.5 : 0.5)) / 1e4));
        free(id);
        free(prompt);
    }
    table_free(&seen);
    return ok;
}

bool step_combine(struct step *s, struct err *e)
{
    struct library lib = {s->p, json_array(), json_object()};
    struct likeness l = {0};
    int64_t width = 0;
    double *rows = NULL;
    bool ok = json_each_line(s->p->concepts, read_concept, &lib, e);
    int64_t n = (int64_t)json_array_size(lib.names);
    if (ok && (n < s->p->together || n > MOST_CONCEPTS))
        ok = err_set(e, "%s: %lld concepts of the domain and the levels asked for; expected %lld to %d", s->p->concepts, (long long)n,
                     (long long)s->p->together, MOST_CONCEPTS);
    ok = ok && (rows = embed(s, lib.names, &width, e)) != NULL;
    if (ok) {
        likeness_of(&l, rows, (int64_t)json_array_size(lib.names), width);
        ok = draw_all(s, &l, lib.names, e);
    }
    free(l.cosine);
    free(rows);
    json_decref(lib.names);
    json_decref(lib.seen);
    return ok;
}
