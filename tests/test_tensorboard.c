/* tests/test_tensorboard.c - event files: the framing's checksums and the scalars, decoded here from the format's definition. */
#include "train/tensorboard.h"
#include "tests/train_run.h"
#include <dirent.h>

/* CRC-32C by its table, and the mask of TFRecord. */
static uint32_t crc32c(const unsigned char *p, size_t n)
{
    uint32_t table[256], crc = 0xffffffffu;
    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int k = 0; k < 8; k++)
            table[i] = table[i] & 1 ? table[i] >> 1 ^ 0x82f63b78u : table[i] >> 1;
    }
    for (size_t i = 0; i < n; i++)
        crc = table[(crc ^ p[i]) & 255] ^ crc >> 8;
    return ~crc;
}
static uint32_t mask(uint32_t crc)
{
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

struct scalar {
    char tag[64];
    float value;
};
struct event {
    double wall;
    int64_t step;
    char version[32];
    int session; /* status of the session log */
    struct scalar scalar[16];
    int n;
};

/* One field of a message: its number and value; p moves behind it. */
struct field {
    uint64_t number, varint;
    const unsigned char *at; /* bytes of a fixed or length-delimited value */
    size_t n;
};
static uint64_t varint(const unsigned char **p)
{
    uint64_t v = 0;
    for (int shift = 0;; shift += 7) {
        unsigned char b = *(*p)++;
        v |= (uint64_t)(b & 127) << shift;
        if (b < 128)
            return v;
    }
}
static struct field next_field(const unsigned char **p)
{
    uint64_t key = varint(p);
    struct field f = {.number = key >> 3};
    switch (key & 7) {
    case 0:
        f.varint = varint(p);
        return f;
    case 1:
        f.n = 8;
        break;
    case 2:
        f.n = varint(p);
        break;
    case 5:
        f.n = 4;
        break;
    default:
        check_msg(false, "wire type %d", (int)(key & 7));
    }
    f.at = *p;
    *p += f.n;
    return f;
}

static struct event decode(const unsigned char *p, size_t n)
{
    struct event e = {.session = -1};
    for (const unsigned char *end = p + n; p < end;) {
        struct field f = next_field(&p);
        if (f.number == 1)
            memcpy(&e.wall, f.at, 8);
        else if (f.number == 2)
            e.step = (int64_t)f.varint;
        else if (f.number == 3)
            snprintf(e.version, sizeof e.version, "%.*s", (int)f.n, (const char *)f.at);
        else if (f.number == 7)
            for (const unsigned char *q = f.at; q < f.at + f.n;)
                e.session = (int)next_field(&q).varint;
        else if (f.number == 5)
            for (const unsigned char *q = f.at; q < f.at + f.n;) {
                struct field v = next_field(&q);
                check_int(v.number, 1);
                struct scalar *s = &e.scalar[e.n++];
                for (const unsigned char *r = v.at; r < v.at + v.n;) {
                    struct field x = next_field(&r);
                    if (x.number == 1)
                        snprintf(s->tag, sizeof s->tag, "%.*s", (int)x.n, (const char *)x.at);
                    else if (x.number == 2)
                        memcpy(&s->value, x.at, 4);
                    else
                        check_msg(false, "field %d of a value", (int)x.number);
                }
            }
        else
            check_msg(false, "field %d of an event", (int)f.number);
    }
    return e;
}

/* The events of a folder's only event file; the caller frees. */
static struct event *read_events(const char *dir, int *n)
{
    DIR *d = opendir(dir);
    char *path = NULL;
    for (struct dirent *f; (f = readdir(d));)
        if (!strncmp(f->d_name, "events.out.tfevents.", 20)) {
            check(!path);
            free(path);
            path = xprintf("%s/%s", dir, f->d_name);
        }
    closedir(d);
    must(path);
    size_t size, at = 0;
    unsigned char *bytes = (unsigned char *)run_read(path, &size);
    struct event *all = NULL;
    *n = 0;
    while (at + 16 <= size) {
        uint64_t len;
        uint32_t len_crc, crc;
        memcpy(&len, bytes + at, 8);
        memcpy(&len_crc, bytes + at + 8, 4);
        check(len_crc == mask(crc32c(bytes + at, 8)) && len <= size - at - 16);
        if (len > size - at - 16)
            break;
        memcpy(&crc, bytes + at + 12 + len, 4);
        check(crc == mask(crc32c(bytes + at + 12, len)));
        all = xrealloc(all, sizeof *all * (size_t)(*n + 1));
        all[(*n)++] = decode(bytes + at + 12, len);
        at += 16 + len;
    }
    check_int(at, size);
    free(bytes);
    free(path);
    return all;
}

static void test_file(void)
{
    static const char *const tags[] = {"train/loss",
                                       "a tag with a name of more than one hundred and twenty-seven bytes, so that its length "
                                       "takes two bytes to write, as lengths from 128 on do in this format"};
    struct err e;
    struct tensorboard *t;
    check_int(crc32c((const unsigned char *)"123456789", 9), 0xe3069283);
    must(file_mkdirs(run_path("board"), &e) && tensorboard_open(&t, run_path("board"), 300, &e));
    for (int64_t step = 300; step < 303; step++) {
        double values[] = {1.0 / (double)step, step == 301 ? NAN : -1e30};
        check(tensorboard_write(t, step, tags, values, 2, &e));
    }
    tensorboard_close(t);
    int n;
    struct event *all = read_events(run_path("board"), &n);
    check_int(n, 5);
    check_str(all[0].version, "brain.Event:2");
    check_int(all[1].session, 1); /* START at the first step: what earlier files say from there on is void */
    check_int(all[1].step, 300);
    for (int i = 2; i < n; i++) {
        check_int(all[i].step, 298 + i);
        check_int(all[i].n, 2);
        check_str(all[i].scalar[0].tag, "train/loss");
        check(all[i].scalar[0].value == (float)(1.0 / (298 + i)));
        check(!strncmp(all[i].scalar[1].tag, tags[1], sizeof all[i].scalar[1].tag - 1));
        check(i == 3 ? isnan(all[i].scalar[1].value) : all[i].scalar[1].value == -1e30f);
        check(fabs(all[i].wall - (double)time(NULL)) < 100);
    }
    free(all);
    check(!tensorboard_open(&t, run_path("nowhere"), 1, &e));
    check_has(e.msg, "nowhere");
}

/* A run's file says what its metrics.jsonl says. */
static void test_run(void)
{
    char *config = run_settings("run", "{\"log\": {\"tensorboard\": true}}");
    check_int(run_train(NULL, config), 0);
    int n;
    struct event *all = read_events(run_path("run"), &n);
    json_t *lines = run_jsonl(run_path("run/metrics.jsonl"));
    check_int(n, 14);
    for (int i = 2; i < n; i++) {
        const json_t *o = json_array_get(lines, (size_t)i - 2);
        check_int(all[i].step, i - 1);
        int seen = 0;
        for (int k = 0; k < all[i].n; k++) {
            const char *name = strchr(all[i].scalar[k].tag, '/') + 1;
            check_msg(all[i].scalar[k].value == (float)run_num(o, name), "%s", name);
            seen += !strcmp(name, "loss") || !strcmp(name, "grad_norm") || !strcmp(name, "lr");
        }
        check_int(seen, 3);
    }
    json_decref(lines);
    free(all);
    free(config);
}

static const struct test tests[] = {{"an event file, decoded", test_file}, {"what a run writes", test_run}};
TEST_MAIN("test_tensorboard", tests)
