/* train/collect.c - see collect.h. */
#include "train/collect.h"
#include "kernels/comm.h"
#include "train/shares.h"
#include <stdlib.h>

/* n values of a parameter of a set, from the first-th on. */
struct request {
    int32_t set, param; /* set END: there is nothing more */
    int64_t first, n;
};
enum { END = -1 };

void collect_read(void *from, const struct param *p, int64_t first, int64_t n, float *out)
{
    struct collected *c = from;
    const struct param_table *table = c->t.table;
    if (!c->t.part) {
        weights_read_tensors(&c->t, p, first, n, out);
        return;
    }
    for (int r = 0; r < table->ranks; r++) {
        int64_t begin = shares_first(table, p->segment, r) - p->first, end = shares_first(table, p->segment, r + 1) - p->first;
        begin = begin > first ? begin : first;
        end = end < first + n ? end : first + n;
        if (begin >= end)
            continue;
        if (r == 0) {
            weights_read_tensors(&c->t, p, begin, end - begin, out + (begin - first));
            continue;
        }
        struct request ask = {c->number, (int32_t)(p - table->param), begin, end - begin};
        comm_send(&ask, sizeof ask, r);
        comm_recv(out + (begin - first), sizeof *out * (size_t)ask.n, r);
    }
}

void collect_end(void)
{
    struct request end = {.set = END};
    for (int r = 1; r < comm_size(); r++)
        comm_send(&end, sizeof end, r);
}

void collect_serve(const struct collected set[])
{
    struct request ask;
    float *piece = NULL;
    for (comm_recv(&ask, sizeof ask, 0); ask.set != END; comm_recv(&ask, sizeof ask, 0)) {
        struct tensors t = set[ask.set].t;
        piece = xrealloc(piece, sizeof *piece * (size_t)ask.n);
        weights_read_tensors(&t, &t.table->param[ask.param], ask.first, ask.n, piece);
        comm_send(piece, sizeof *piece * (size_t)ask.n, 0);
    }
    free(piece);
}
