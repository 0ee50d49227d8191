/* data/ordered.c - see ordered.h. A ring of items, each EMPTY (to be read), FULL (to be worked on), BUSY, or DONE (to be written). */
#include "data/ordered.h"
#include "core/err.h"
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum state { EMPTY, FULL, BUSY, DONE };

struct ring {
    const struct ordered *o;
    enum state *state;
    int64_t n_read, n_claimed; /* item i of the stream is in slot i mod n_items */
    bool end, stop;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

static void set(struct ring *r, int64_t item, enum state s)
{
    r->state[item % r->o->n_items] = s;
    pthread_cond_broadcast(&r->changed);
}

static enum state get(const struct ring *r, int64_t item)
{
    return r->state[item % r->o->n_items];
}

static void *reader(void *arg)
{
    struct ring *r = arg;
    pthread_mutex_lock(&r->lock);
    while (!r->stop && !r->end) {
        if (get(r, r->n_read) != EMPTY) {
            pthread_cond_wait(&r->changed, &r->lock);
            continue;
        }
        pthread_mutex_unlock(&r->lock);
        bool got = r->o->read(r->o->context, r->o->items[r->n_read % r->o->n_items]);
        pthread_mutex_lock(&r->lock);
        if (got)
            set(r, r->n_read++, FULL);
        r->end = !got;
    }
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

static void *worker(void *arg)
{
    struct ring *r = arg;
    pthread_mutex_lock(&r->lock);
    while (!r->stop && !(r->end && r->n_claimed == r->n_read)) {
        if (r->n_claimed == r->n_read) {
            pthread_cond_wait(&r->changed, &r->lock);
            continue;
        }
        int64_t item = r->n_claimed++;
        set(r, item, BUSY);
        pthread_mutex_unlock(&r->lock);
        r->o->work(r->o->context, r->o->items[item % r->o->n_items]);
        pthread_mutex_lock(&r->lock);
        set(r, item, DONE);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

static void write_all(struct ring *r)
{
    pthread_mutex_lock(&r->lock);
    for (int64_t item = 0; !r->stop;) {
        if (item < r->n_read && get(r, item) == DONE) {
            pthread_mutex_unlock(&r->lock);
            bool go_on = r->o->write(r->o->context, r->o->items[item % r->o->n_items]);
            pthread_mutex_lock(&r->lock);
            set(r, item++, EMPTY);
            r->stop = !go_on;
        } else if (r->end && item == r->n_read) {
            break;
        } else {
            pthread_cond_wait(&r->changed, &r->lock);
        }
    }
    pthread_mutex_unlock(&r->lock);
}

void ordered_run(const struct ordered *o)
{
    must(o->threads >= 1 && o->n_items >= o->threads + 2);
    struct ring r = {.o = o, .state = xcalloc((size_t)o->n_items, sizeof *r.state)};
    pthread_t *thread = xcalloc((size_t)o->threads + 1, sizeof *thread);
    must(pthread_mutex_init(&r.lock, NULL) == 0 && pthread_cond_init(&r.changed, NULL) == 0);
    for (int i = 0; i <= o->threads; i++)
        if (pthread_create(&thread[i], NULL, i == 0 ? reader : worker, &r) != 0)
            die("cannot start thread %d of %d; ask for fewer", i + 1, o->threads + 1);
    write_all(&r);
    for (int i = 0; i <= o->threads; i++)
        must(pthread_join(thread[i], NULL) == 0);
    pthread_cond_destroy(&r.changed);
    pthread_mutex_destroy(&r.lock);
    free(thread);
    free(r.state);
}

int ordered_threads(int64_t asked)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    return asked > 0 ? (int)asked : processors > 0 ? (int)processors : 1;
}
