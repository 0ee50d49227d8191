/* infer/score/scoring.c - see scoring.h. */
#include "infer/score/scoring.h"
#include "core/hash.h"
#include "infer/score/metrics.h"
#include "infer/record.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct sample {
    int64_t number, line; /* "sample", where it stands */
    int64_t tokens;       /* of the answer; -1: the record does not say */
    bool cut;             /* it ended at the token limit */
    struct verdict v;
};
struct problem {
    json_t *record, *id;
    char *key;
    int64_t line;
    struct sample *sample;
    int64_t n, correct;
};
struct scoring {
    const struct task *task;
    const char *truth_path, *answers_path;
    struct problem *problem;
    int64_t n;
    json_t *index;                                                   /* id -> position in problem */
    int64_t samples, truncated, no_answer, timed_out, correct, most; /* most: the samples that the best-served problem has */
};

static bool read_truth(void *ctx, json_t *record, int64_t line, struct err *e)
{
    struct scoring *s = ctx;
    json_t *id = json_object_get(record, "id");
    char *name = id ? record_id(record, e) : xprintf("%lld", (long long)line);
    struct problem p = {.line = line};
    if (!name || !s->task->gold(record, &p.key, e)) {
        free(name);
        return false;
    }
    json_t *known = json_object_get(s->index, name);
    bool ok = !known;
    if (known)
        err_set(e, "the id \"%.80s\" is in line %lld already; every problem needs its own", name,
                (long long)s->problem[json_integer_value(known)].line);
    if (ok) {
        p.record = json_incref(record);
        p.id = id ? json_incref(id) : json_integer(line);
        json_object_set_new(s->index, name, json_integer(s->n));
        if ((s->n & (s->n - 1)) == 0)
            s->problem = xrealloc(s->problem, (size_t)(s->n ? 2 * s->n : 1) * sizeof(*s->problem));
        s->problem[s->n++] = p;
    } else {
        free(p.key);
    }
    free(name);
    return ok;
}

/* The place of sample number in p, which is kept sorted; answers mostly come in order, so the search is from the end. */
static bool insert_sample(struct problem *p, int64_t number, int64_t line, struct sample **at, struct err *e)
{
    if ((p->n & (p->n - 1)) == 0)
        p->sample = xrealloc(p->sample, (size_t)(p->n ? 2 * p->n : 1) * sizeof(*p->sample));
    int64_t i = p->n;
    while (i > 0 && p->sample[i - 1].number > number)
        i--;
    if (i > 0 && p->sample[i - 1].number == number)
        return err_set(e, "sample %lld of this id is in line %lld already", (long long)number, (long long)p->sample[i - 1].line);
    memmove(p->sample + i + 1, p->sample + i, (size_t)(p->n - i) * sizeof(*p->sample));
    p->n++;
    *at = &p->sample[i];
    **at = (struct sample){.number = number, .line = line};
    return true;
}

static bool read_answer(void *ctx, json_t *record, int64_t line, struct err *e)
{
    struct scoring *s = ctx;
    char *name = record_id(record, e);
    if (!name)
        return false;
    json_t *at = json_object_get(s->index, name);
    if (!at)
        err_set(e, "the id \"%.80s\" is not in %s; are these answers to other problems?", name, s->truth_path);
    free(name);
    const char *text, *finish = "stop";
    int64_t number;
    if (!at || !json_get_int(record, "sample", 0, INT32_MAX, &number, e))
        return false;
    if (!json_object_get(record, "text"))
        return err_set(e, "the record has no \"text\": generate leaves it out for a model folder without a tokenizer; add one to it");
    if (!json_get_str(record, "text", &text, e) ||
        (json_object_get(record, "finish_reason") && !json_get_str(record, "finish_reason", &finish, e)))
        return false;
    bool cut = strcmp(finish, "length") == 0 || strcmp(finish, "loop") == 0;
    if (!cut && strcmp(finish, "stop") != 0)
        return err_set(e, "\"finish_reason\" must be \"stop\", \"length\" or \"loop\", got \"%.40s\"", finish);
    struct problem *p = &s->problem[json_integer_value(at)];
    struct sample *sample = NULL;
    if (!insert_sample(p, number, line, &sample, e))
        return false;
    const json_t *ids = json_object_get(record, "output_ids");
    sample->tokens = json_is_array(ids) ? (int64_t)json_array_size(ids) : -1;
    sample->cut = cut;
    s->task->judge(&sample->v, p->record, p->key, text, cut);
    s->truncated += cut;
    s->samples++;
    s->most = p->n > s->most ? p->n : s->most;
    return true;
}

static json_t *interval_json(struct interval x)
{
    return json_pack("{s:f, s:f}", "low", x.low, "high", x.high);
}

/* "low" and "high" are those of problems like these. bound: too few samples tell noise from spread. */
static json_t *metric_json(double value, struct interval like, struct interval these, bool bound)
{
    json_t *o = json_pack("{s:f, s:f, s:f, s:o, s:o}", "value", value, "low", like.low, "high", like.high, "problems_like_these",
                          interval_json(like), "these_problems", interval_json(these));
    must(o);
    if (bound)
        json_object_set_new(json_object_get(o, "these_problems"), "bound", json_true());
    return o;
}

static void majority_metric(const struct scoring *s, json_t *metrics, const char *name)
{
    const char **key = xcalloc((size_t)s->most, sizeof(*key));
    unsigned char *correct = xcalloc((size_t)s->most, 1);
    double sum = 0, squares = 0, variance = 0, m = (double)s->n;
    for (int64_t i = 0; i < s->n; i++) {
        const struct problem *p = &s->problem[i];
        for (int64_t j = 0; j < s->most; j++) { /* a missing sample has no vote */
            key[j] = j < p->n ? p->sample[j].v.key : NULL;
            correct[j] = j < p->n && p->sample[j].v.correct;
        }
        double value = metric_majority(key, correct, s->most);
        sum += value;
        squares += value * value;
        variance += metric_majority_variance(key, correct, s->most, 0, (uint64_t)i);
    }
    free(key);
    free(correct);
    /* The values of problems are nearly all 0 or 1; ties between answers make them vary less. */
    double spread = s->n > 1 ? fmax(0.0, (squares - sum * sum / m) * m / (m - 1)) : 0;
    struct interval like = metric_sampling(sum / m, s->n, 1, spread);
    bool bound = s->most == 1;
    json_object_set_new(metrics, name, metric_json(sum / m, like, bound ? like : metric_sampling_votes(sum / m, s->n, variance), bound));
}

static void pass_metrics(const struct scoring *s, json_t *metrics)
{
    int64_t *right = xcalloc((size_t)s->n, sizeof(*right));
    for (int64_t i = 0; i < s->n; i++)
        right[i] = s->problem[i].correct;
    struct metric_population *population = metric_population_open(s->n, s->most);
    metric_population_fit(population, right);
    for (int64_t k = 1; k <= s->most; k *= 2) {
        bool bound;
        struct interval these = metric_sampling_pass(right, s->n, s->most, k, &bound);
        double value = metric_mean_pass(right, s->n, s->most, k);
        struct interval like = s->most > 1 ? metric_population_pass(population, k) : these;
        if (k == 1) {
            char *name = xprintf("avg@%lld", (long long)s->most);
            json_object_set_new(metrics, "accuracy", metric_json(value, like, these, bound));
            json_object_set_new(metrics, name, metric_json(value, like, these, bound));
            free(name);
        }
        char *name = xprintf("pass@%lld", (long long)k);
        json_object_set_new(metrics, name, metric_json(value, like, these, bound));
        free(name);
    }
    metric_population_close(population);
    free(right);
}

/* What always giving the most frequent right answer would get. */
static json_t *most_frequent(const struct scoring *s)
{
    json_t *count = json_object();
    int64_t most = 0;
    const char *answer = NULL;
    for (int64_t i = 0; i < s->n; i++) {
        const char *key = s->problem[i].key;
        if (!key)
            continue;
        int64_t n = json_integer_value(json_object_get(count, key)) + 1;
        json_object_set_new(count, key, json_integer(n));
        if (n > most) {
            most = n;
            answer = key;
        }
    }
    json_decref(count);
    return answer ? json_pack("{s:f, s:s}", "value", (double)most / (double)s->n, "answer", answer) : NULL;
}

static json_t *metrics_of(const struct scoring *s)
{
    json_t *metrics = json_object(), *frequent = most_frequent(s);
    pass_metrics(s, metrics);
    if (frequent) {
        char *name = xprintf("maj@%lld", (long long)s->most);
        majority_metric(s, metrics, name);
        free(name);
        json_object_set_new(metrics, "most_frequent_answer", frequent);
    }
    return metrics;
}

/* Shares of the samples that there are. */
static json_t *rates_of(const struct scoring *s)
{
    double n = (double)s->samples;
    return json_pack("{s:f, s:f, s:f}", "truncated", (double)s->truncated / n, "no_answer", (double)s->no_answer / n, "timed_out",
                     (double)s->timed_out / n);
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Lengths of the answers; NULL: no record has "output_ids". */
static json_t *tokens_of(const struct scoring *s)
{
    int64_t *tokens = xcalloc((size_t)s->samples, sizeof(*tokens)), n = 0, sum = 0;
    for (int64_t i = 0; i < s->n; i++)
        for (int64_t j = 0; j < s->problem[i].n; j++)
            if (s->problem[i].sample[j].tokens >= 0) {
                tokens[n] = s->problem[i].sample[j].tokens;
                sum += tokens[n++];
            }
    qsort(tokens, (size_t)n, sizeof(*tokens), by_size);
    json_t *o =
        n ? json_pack("{s:f, s:I, s:I, s:I, s:I}", "mean", (double)sum / (double)n, "median", (json_int_t)tokens[(n - 1) / 2], "p95",
                      (json_int_t)tokens[(n * 95 + 99) / 100 - 1], "longest", (json_int_t)tokens[n - 1], "all", (json_int_t)sum)
          : NULL;
    free(tokens);
    return o;
}

static json_t *verdict_json(const struct task *task, const struct problem *p, const struct sample *x)
{
    json_t *o = json_pack("{s:O, s:I, s:b, s:s?, s:s, s:s?}", "id", p->id, "sample", (json_int_t)x->number, "correct", x->v.correct,
                          "extracted", x->v.extracted, "why", x->v.why, "gold", p->key);
    must(o);
    for (const char *const *key = task->kept; key && *key; key++)
        if (json_object_get(p->record, *key))
            json_object_set(o, *key, json_object_get(p->record, *key));
    if (x->tokens >= 0)
        json_object_set_new(o, "tokens", json_integer(x->tokens));
    if (x->cut)
        json_object_set_new(o, "truncated", json_true());
    if (x->v.timed_out)
        json_object_set_new(o, "timed_out", json_true());
    return o;
}

static json_t *verdicts_of(const struct scoring *s)
{
    json_t *list = json_array();
    static char missing[] = "missing from the answers";
    struct sample absent = {.tokens = -1, .v.why = missing};
    for (int64_t i = 0; i < s->n; i++) {
        const struct problem *p = &s->problem[i];
        int64_t next = 0; /* the smallest sample number not yet listed: what is missing takes the free numbers */
        for (int64_t j = 0, left = s->most - p->n; j < p->n || left > 0;)
            if (j < p->n && (p->sample[j].number == next || left == 0)) {
                json_array_append_new(list, verdict_json(s->task, p, &p->sample[j]));
                next = p->sample[j++].number + 1;
            } else {
                absent.number = next++;
                json_array_append_new(list, verdict_json(s->task, p, &absent));
                left--;
            }
    }
    return list;
}

/* Programs are found when the answers are read, and run here, all together. */
static bool run_programs(struct scoring *s, const struct scoring_options *o, struct err *e)
{
    struct code_job *job = xcalloc((size_t)s->samples + 1, sizeof(*job));
    int64_t n = 0;
    for (int64_t i = 0; i < s->n; i++)
        for (int64_t j = 0; j < s->problem[i].n; j++)
            if (s->problem[i].sample[j].v.extracted)
                job[n++] = (struct code_job){.truth = s->problem[i].record, .v = &s->problem[i].sample[j].v};
    bool ok = n == 0 || code_judge(job, n, s->task->tests, &o->code, e);
    free(job);
    return ok;
}

static void count(struct scoring *s)
{
    for (int64_t i = 0; i < s->n; i++) {
        struct problem *p = &s->problem[i];
        for (int64_t j = 0; j < p->n; j++) {
            p->correct += p->sample[j].v.correct;
            s->no_answer += !p->sample[j].v.extracted;
            s->timed_out += p->sample[j].v.timed_out;
        }
        s->correct += p->correct;
    }
}

static json_t *score_json(const struct scoring *s, struct err *e)
{
    char hex[HASH_XXH3_HEX];
    if (s->samples == 0) {
        err_set(e, "%s: holds no answer", s->answers_path);
        return NULL;
    }
    if (!hash_xxh3_file(s->answers_path, hex, e))
        return NULL;
    json_t *counts = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "problems", (json_int_t)s->n, "samples", (json_int_t)s->samples,
                               "samples_per_problem", (json_int_t)s->most, "missing", (json_int_t)(s->n * s->most - s->samples),
                               "truncated", (json_int_t)s->truncated, "no_answer", (json_int_t)s->no_answer, "timed_out",
                               (json_int_t)s->timed_out, "correct", (json_int_t)s->correct);
    json_t *score = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o*, s:o, s:o}", "task", s->task->name, "truth", s->truth_path, "answers",
                              s->answers_path, "answers_xxh3", hex, "counts", counts, "rates", rates_of(s), "tokens", tokens_of(s),
                              "metrics", metrics_of(s), "verdicts", verdicts_of(s));
    must(score);
    return score;
}

json_t *scoring_run(const struct task *task, const char *truth, const char *answers, const struct scoring_options *o, struct err *e)
{
    struct scoring s = {.task = task, .truth_path = truth, .answers_path = answers, .index = json_object()};
    json_t *score = NULL;
    if (json_each_line(truth, read_truth, &s, e) && (s.n || err_set(e, "%s: holds no problem", truth)) &&
        json_each_line(answers, read_answer, &s, e) && (!task->tests || run_programs(&s, o, e))) {
        count(&s);
        score = score_json(&s, e);
    }
    for (int64_t i = 0; i < s.n; i++) {
        struct problem *p = &s.problem[i];
        for (int64_t j = 0; j < p->n; j++)
            verdict_free(&p->sample[j].v);
        free(p->sample);
        free(p->key);
        json_decref(p->record);
        json_decref(p->id);
    }
    free(s.problem);
    json_decref(s.index);
    return score;
}
