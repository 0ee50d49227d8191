/* train/shares.c - places of shares and of buckets in flight. */
#include "train/shares.h"
#include <stdlib.h>

/* Bytes of a value. */
static int64_t width(int32_t segment, enum dtype t)
{
    return segment % 2 ? dtype_size(t) : 4;
}

int shares_buffer(const struct param_table *t, int32_t bucket)
{
    bool tied = t->index[P_HEAD] < 0;
    if (bucket == 0)
        return tied ? 1 : 0;
    return bucket == t->n_bucket - 1 ? 0 : 2 + bucket % 2;
}

/* The buffers end to end, each as large as the largest bucket it ever holds. */
static int64_t place_flight(const struct param_table *t, int type, int64_t *shift)
{
    int64_t size[FLIGHT_BUFFERS] = {0}, at[FLIGHT_BUFFERS + 1] = {0};
    const int64_t *bucket_at = t->bucket_at[type];
    for (int32_t b = 0; b < t->n_bucket; b++) {
        int64_t bytes = bucket_at[b + 1] - bucket_at[b], *most = &size[shares_buffer(t, b)];
        *most = bytes > *most ? bytes : *most;
    }
    for (int i = 0; i < FLIGHT_BUFFERS; i++)
        at[i + 1] = at[i] + size[i];
    for (int32_t i = 0; i < 2 * t->n_bucket; i++)
        shift[i] = at[shares_buffer(t, i / 2)] - bucket_at[i / 2];
    return at[FLIGHT_BUFFERS];
}

void shares_plan(struct shares *s, const struct param_table *t, int32_t rank)
{
    int64_t n = 2 * t->n_bucket, *next;
    must(t->ranks > 1 && rank >= 0 && rank < t->ranks);
    *s = (struct shares){.table = t, .rank = rank, .ranks = t->ranks};
    next = s->numbers = xcalloc((size_t)n * 9, sizeof *s->numbers);
    int64_t *zero = next, *whole = next + n, *first = next + 2 * n, *end = next + 3 * n, *none = next + 4 * n;
    next += 5 * n;
    for (int32_t i = 0; i < n; i++) {
        whole[i] = t->segment[i].n;
        first[i] = shares_first(t, i, rank);
        end[i] = shares_first(t, i, rank + 1);
    }
    s->own_place = (struct tensors_part){t->bytes[F32], first, end, none};
    for (int type = F32; type <= BF16; type++, next += 2 * n) {
        int64_t *own = next, *flight = next + n, at = 0;
        for (int32_t i = 0; i < n; i++) {
            own[i] = at - (t->segment[i].at[type] + first[i] * width(i, (enum dtype)type));
            at += (end[i] - first[i]) * width(i, (enum dtype)type);
        }
        s->own[type] = (struct tensors_part){at, first, end, own};
        s->flight[type] = (struct tensors_part){place_flight(t, type, flight), zero, whole, flight};
    }
}

void shares_free(struct shares *s)
{
    free(s->numbers);
    *s = (struct shares){0};
}

static void *value(struct tensors t, int32_t segment, int64_t i)
{
    return t.base + (t.table->segment[segment].at[t.dtype] + i * width(segment, t.dtype) + (t.part ? t.part->shift[segment] : 0));
}

void *shares_segment(struct tensors t, int32_t segment)
{
    return value(t, segment, 0);
}

struct share shares_own(const struct shares *s, struct tensors t, int32_t segment)
{
    int64_t first = shares_first(s->table, segment, s->rank), n = s->table->segment[segment].n / s->ranks;
    return (struct share){value(t, segment, first), n, segment % 2 ? t.dtype : F32};
}
