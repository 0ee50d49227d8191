/* infer/score/curves.c - see curves.h. */
#include "infer/score/curves.h"
#include "core/json.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const keys[CURVE_VALUES] = {"step", "tokens", "loss", "grad_norm", "lr", "tokens_per_s"};

static bool read_step(void *ctx, json_t *record, int64_t line, struct err *e)
{
    struct curves *c = ctx;
    (void)line;
    const char *name;
    if (!json_object_get(record, "loss"))
        return true; /* an event, not a step */
    if (!json_get_str(record, "phase", &name, e))
        return false;
    struct phase *p = c->n ? &c->phase[c->n - 1] : NULL;
    if (!p || strcmp(p->name, name) != 0) {
        if (c->n == CURVES_MOST_PHASES)
            return err_set(e, "more than %d phases", CURVES_MOST_PHASES);
        p = &c->phase[c->n++];
        p->name = xstrdup(name);
    }
    for (int i = 0; i < CURVE_VALUES; i++) {
        if ((p->n & (p->n - 1)) == 0)
            p->v[i] = xrealloc(p->v[i], (size_t)(p->n ? 2 * p->n : 1) * sizeof(double));
        json_t *v = json_object_get(record, keys[i]);
        p->v[i][p->n] = json_is_number(v) ? json_number_value(v) : NAN;
    }
    p->n++;
    return true;
}

bool curves_read(struct curves *c, const char *path, struct err *e)
{
    *c = (struct curves){0};
    return json_each_line(path, read_step, c, e) && (c->n > 0 || err_set(e, "%s: holds no step", path));
}

void curves_free(struct curves *c)
{
    for (int i = 0; i < c->n; i++) {
        free(c->phase[i].name);
        for (int j = 0; j < CURVE_VALUES; j++)
            free(c->phase[i].v[j]);
    }
    c->n = 0;
}

double curves_last_loss(const struct phase *p)
{
    int64_t from = p->n - (p->n + 9) / 10;
    double sum = 0;
    for (int64_t i = from; i < p->n; i++)
        sum += p->v[LOSS][i];
    return sum / (double)(p->n - from);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double curves_median(const struct phase *p, enum curve_value value)
{
    double *sorted = xmalloc((size_t)p->n * sizeof(*sorted));
    memcpy(sorted, p->v[value], (size_t)p->n * sizeof(*sorted));
    qsort(sorted, (size_t)p->n, sizeof(*sorted), by_value);
    double median = sorted[p->n / 2];
    free(sorted);
    return median;
}
