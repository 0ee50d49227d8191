/* data/ordered.h - a stream of items through several threads, in at one end and out at the other in the same order.
 *
 * One thread reads, `threads` threads work, the calling thread writes. What is written is therefore the same for any number of threads.
 * The caller's items are the bounded queue: an item is read into again once it is written, so their number is the memory used.
 */
#ifndef DATA_ORDERED_H
#define DATA_ORDERED_H
#include <stdbool.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

struct ordered {
    void *context;                            /* handed to the three below */
    bool (*read)(void *context, void *item);  /* fills the item; false: there is nothing more */
    void (*work)(void *context, void *item);  /* from several threads at once */
    bool (*write)(void *context, void *item); /* false: stop everything */
    void **items;                             /* at least threads + 2, so that all can be busy */
    int n_items, threads;
};
/* Returns when every item is written, or write() has refused one. */
void ordered_run(const struct ordered *o);
/* How many threads work: as many as are asked for, one for each processor when that is 0. */
int ordered_threads(int64_t asked);

#ifdef __cplusplus
}
#endif
#endif
