/* train/tensorboard.c - the few fields of tensorflow.Event that scalars need, encoded by hand.
 *
 * Event: 1 wall_time double, 2 step int64, 3 file_version string, 5 summary, 7 session_log. Summary: 1 value { 1 tag string,
 * 2 simple_value float }. SessionLog: 1 status (1: START), which makes TensorBoard drop what earlier files hold from that step on.
 * TFRecord: length u64, masked crc32c of it, data, masked crc32c of them.
 */
#include "train/tensorboard.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct tensorboard {
    FILE *file;
    char *path;
};

/* A message being built. */
struct message {
    unsigned char at[4096];
    size_t n;
};

static void bytes(struct message *m, const void *p, size_t n)
{
    must(m->n + n <= sizeof m->at);
    memcpy(m->at + m->n, p, n);
    m->n += n;
}

static void varint(struct message *m, uint64_t v)
{
    unsigned char b[10];
    size_t n = 0;
    do {
        b[n++] = (unsigned char)((v & 127) | (v > 127 ? 128 : 0));
        v >>= 7;
    } while (v);
    bytes(m, b, n);
}

enum wire { VARINT = 0, FIXED64 = 1, LENGTH = 2, FIXED32 = 5 };

static void key(struct message *m, int field, enum wire type)
{
    varint(m, (uint64_t)field << 3 | (uint64_t)type);
}

static void length_delimited(struct message *m, int field, const void *p, size_t n)
{
    key(m, field, LENGTH);
    varint(m, n);
    bytes(m, p, n);
}

/* CRC-32C (Castagnoli), reflected, as TFRecord masks it. */
static uint32_t masked_crc(const unsigned char *p, size_t n)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
    }
    crc = ~crc;
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static struct message event(int64_t step)
{
    struct message m = {.n = 0};
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    double wall = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    key(&m, 1, FIXED64);
    bytes(&m, &wall, 8);
    key(&m, 2, VARINT);
    varint(&m, (uint64_t)step);
    return m;
}

static bool record(struct tensorboard *t, const struct message *m, struct err *e)
{
    uint64_t n = m->n;
    uint32_t n_crc = masked_crc((const unsigned char *)&n, 8), crc = masked_crc(m->at, m->n);
    if (fwrite(&n, 8, 1, t->file) != 1 || fwrite(&n_crc, 4, 1, t->file) != 1 || fwrite(m->at, m->n, 1, t->file) != 1 ||
        fwrite(&crc, 4, 1, t->file) != 1 || fflush(t->file) != 0)
        return err_set(e, "%s: cannot write: %s; free some space or set log.tensorboard to false", t->path, strerror(errno));
    return true;
}

bool tensorboard_open(struct tensorboard **out, const char *dir, int64_t first_step, struct err *e)
{
    char host[64] = "host";
    gethostname(host, sizeof host - 1);
    struct tensorboard t = {NULL, xprintf("%s/events.out.tfevents.%lld.%s.%d", dir, (long long)time(NULL), host, (int)getpid())};
    t.file = fopen(t.path, "wb");
    if (!t.file) {
        err_set(e, "%s: cannot create: %s", t.path, strerror(errno));
        free(t.path);
        return false;
    }
    *out = xmalloc(sizeof t);
    **out = t;
    struct message version = event(0), start = event(first_step);
    length_delimited(&version, 3, "brain.Event:2", 13);
    length_delimited(&start, 7, "\x08\x01", 2);
    return record(*out, &version, e) && record(*out, &start, e);
}

bool tensorboard_write(struct tensorboard *t, int64_t step, const char *const *tag, const double *value, int n, struct err *e)
{
    struct message m = event(step), summary = {.n = 0};
    for (int i = 0; i < n; i++) {
        struct message v = {.n = 0};
        float f = (float)value[i];
        length_delimited(&v, 1, tag[i], strlen(tag[i]));
        key(&v, 2, FIXED32);
        bytes(&v, &f, 4);
        length_delimited(&summary, 1, v.at, v.n);
    }
    length_delimited(&m, 5, summary.at, summary.n);
    return record(t, &m, e);
}

void tensorboard_close(struct tensorboard *t)
{
    if (!t)
        return;
    fclose(t->file);
    free(t->path);
    free(t);
}
