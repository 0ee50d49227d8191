/* train/watch_net.h - the TCP links of the watch: one between every two ranks, on the loopback when all are on one host. */
#ifndef TRAIN_WATCH_NET_H
#define TRAIN_WATCH_NET_H
#include "core/err.h"

struct watch_peer {
    char host[64];
    int fd; /* not blocking; -1 for the rank itself */
};
/* All ranks together, from the main thread. *peers is an array of comm_size() entries; the caller frees it and closes the sockets. False on
 * all ranks when two cannot reach each other. */
bool watch_connect(struct watch_peer **peers, struct err *e);
/* Name of this host, cut to n bytes. */
void watch_hostname(char *name, size_t n);
#endif
