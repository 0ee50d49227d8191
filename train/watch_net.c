/* train/watch_net.c - see watch_net.h.
 *
 * Each rank listens at a port the system chooses; addresses and ports go round once through comm's gathering of host memory. A rank then
 * calls those below it and is called by those above it. A number drawn by rank 0 tells the run's own calls from strangers'.
 */
#include "train/watch_net.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/log.h"
#include "kernels/comm.h"
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_ADDRESSES = 8, CALL_MS = 5000, ACCEPT_S = 60 };

/* What a rank tells of itself before any link stands. */
struct endpoint {
    char host[64];
    char machine[HASH_XXH3_HEX]; /* of the running kernel and the network namespace: equal where the loopback is shared */
    uint64_t token;              /* rank 0's counts */
    uint16_t port;               /* network order */
    int32_t addresses;
    struct sockaddr_storage address[MOST_ADDRESSES];
};
/* The first words on a link, from the one who calls. */
struct hello {
    uint64_t token;
    int64_t rank;
};

void watch_hostname(char *name, size_t n)
{
    if (gethostname(name, n) != 0)
        snprintf(name, n, "unknown-host");
    name[n - 1] = '\0';
}

static void describe_machine(char hex[HASH_XXH3_HEX])
{
    struct err ignored;
    struct stat net = {0};
    char *boot = file_read("/proc/sys/kernel/random/boot_id", 4096, NULL, &ignored), host[256];
    watch_hostname(host, sizeof host);
    stat("/proc/self/ns/net", &net);
    char *text = xprintf("%s %s %lld", boot ? boot : "", host, (long long)net.st_ino);
    hash_xxh3(text, strlen(text), hex);
    free(text);
    free(boot);
}

/* This host's addresses that others can call. */
static void list_addresses(struct endpoint *p)
{
    struct ifaddrs *all = NULL;
    if (getifaddrs(&all) != 0)
        return;
    for (const struct ifaddrs *a = all; a && p->addresses < MOST_ADDRESSES; a = a->ifa_next) {
        if (!a->ifa_addr || !(a->ifa_flags & IFF_UP) || (a->ifa_flags & IFF_LOOPBACK))
            continue;
        bool v4 = a->ifa_addr->sa_family == AF_INET, v6 = a->ifa_addr->sa_family == AF_INET6;
        if (v6 && IN6_IS_ADDR_LINKLOCAL(&((const struct sockaddr_in6 *)(const void *)a->ifa_addr)->sin6_addr))
            continue; /* means nothing on another host */
        if (v4 || v6)
            memcpy(&p->address[p->addresses++], a->ifa_addr, v4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
    }
    freeifaddrs(all);
}

/* Every family on one socket; on the loopback alone when local. */
static int listen_at(struct endpoint *p, bool local, struct err *e)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_addr = in6addr_any};
    struct sockaddr_in loop = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(local ? INADDR_LOOPBACK : INADDR_ANY)};
    int fd = local ? -1 : socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool six = fd >= 0 && bind(fd, (struct sockaddr *)&any, sizeof any) == 0;
    if (!six) { /* a host without IPv6 */
        if (fd >= 0)
            close(fd);
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    }
    struct sockaddr_storage at;
    socklen_t n = sizeof at;
    if (fd < 0 || (!six && bind(fd, (struct sockaddr *)&loop, sizeof loop) != 0) || listen(fd, 1024) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &n) != 0) {
        err_set(e, "the watch cannot listen for the other ranks: %s", strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    p->port = six ? ((struct sockaddr_in6 *)&at)->sin6_port : ((struct sockaddr_in *)&at)->sin_port;
    return fd;
}

/* A connection, or -1 with errno. */
static int call(const struct sockaddr *to, socklen_t n)
{
    int fd = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), why = 0;
    if (fd < 0)
        return -1;
    if (connect(fd, to, n) != 0) {
        struct pollfd p = {fd, POLLOUT, 0};
        socklen_t size = sizeof why;
        if (errno != EINPROGRESS)
            why = errno;
        else if (poll(&p, 1, CALL_MS) != 1)
            why = ETIMEDOUT;
        else
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &size);
    }
    if (why == 0)
        return fd;
    close(fd);
    errno = why;
    return -1;
}

static int call_peer(const struct endpoint *me, const struct endpoint *to, int rank, const struct hello *hello, struct err *e)
{
    int fd = -1;
    if (!strcmp(me->machine, to->machine)) {
        struct sockaddr_in loop = {.sin_family = AF_INET, .sin_port = to->port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        fd = call((struct sockaddr *)&loop, sizeof loop);
    } else {
        for (int32_t i = 0; i < to->addresses && fd < 0; i++) {
            struct sockaddr_storage a = to->address[i];
            bool v4 = a.ss_family == AF_INET;
            *(v4 ? &((struct sockaddr_in *)&a)->sin_port : &((struct sockaddr_in6 *)&a)->sin6_port) = to->port;
            fd = call((struct sockaddr *)&a, v4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
        }
    }
    if (fd >= 0 && send(fd, hello, sizeof *hello, MSG_NOSIGNAL) == (ssize_t)sizeof *hello)
        return fd;
    err_set(e, "the watch cannot reach rank %d on host %s, port %d: %s; let the hosts of a run connect to one another", rank, to->host,
            ntohs(to->port), to->addresses || fd >= 0 ? strerror(errno) : "it has no address that others can call");
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Takes calls until every rank above has called. */
static bool take_calls(int listening, struct watch_peer *peers, int rank, int size, uint64_t token, struct err *e)
{
    double end = log_now() + ACCEPT_S;
    int missing = size - 1 - rank;
    while (missing > 0) {
        struct pollfd p = {listening, POLLIN, 0};
        double left = end - log_now();
        if (left <= 0 || poll(&p, 1, (int)(1000 * left) + 1) != 1) {
            int r = rank + 1;
            while (r < size - 1 && peers[r].fd >= 0)
                r++;
            return err_set(e, "the watch had no call from rank %d on host %s within %d s; let the hosts of a run connect to one another", r,
                           peers[r].host, ACCEPT_S);
        }
        int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            continue;
        struct pollfd first = {fd, POLLIN, 0};
        struct hello h;
        if (poll(&first, 1, CALL_MS) == 1 && recv(fd, &h, sizeof h, 0) == (ssize_t)sizeof h && h.token == token && h.rank > rank &&
            h.rank < size && peers[h.rank].fd < 0) {
            peers[h.rank].fd = fd;
            missing--;
        } else {
            close(fd);
        }
    }
    return true;
}

bool watch_connect(struct watch_peer **out, struct err *e)
{
    int rank = comm_rank(), size = comm_size();
    struct endpoint me = {0}, *all = xcalloc((size_t)size, sizeof *all);
    struct watch_peer *peers = xcalloc((size_t)size, sizeof *peers);
    watch_hostname(me.host, sizeof me.host);
    describe_machine(me.machine);
    list_addresses(&me);
    if (getrandom(&me.token, sizeof me.token, 0) != (ssize_t)sizeof me.token)
        me.token = (uint64_t)getpid();
    comm_gather(all, &me, sizeof me);
    bool local = true;
    for (int r = 0; r < size; r++)
        local = local && !strcmp(all[r].machine, me.machine);
    int listening = listen_at(&me, local, e);
    bool ok = comm_agree(listening >= 0, e);
    comm_gather(all, &me, sizeof me);
    struct hello hello = {all[0].token, rank};
    for (int r = 0; r < size; r++) {
        memcpy(peers[r].host, all[r].host, sizeof peers[r].host);
        peers[r].fd = -1;
    }
    bool reached = ok;
    for (int r = 0; r < rank && reached; r++)
        reached = (peers[r].fd = call_peer(&me, &all[r], r, &hello, e)) >= 0;
    reached = reached && take_calls(listening, peers, rank, size, hello.token, e);
    if (listening >= 0)
        close(listening);
    for (int r = 0; r < size; r++)
        if (peers[r].fd >= 0)
            setsockopt(peers[r].fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    free(all);
    *out = peers;
    return ok ? comm_agree(reached, e) : false;
}
