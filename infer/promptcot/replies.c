/* infer/promptcot/replies.c - see replies.h. */
#include "infer/promptcot/replies.h"
#include "core/file.h"
#include "core/log.h"
#include "data/select/table.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

struct line {
    int64_t at, n; /* bytes in the file, without the newline */
};
struct replies {
    char *path;
    int fd;
    int64_t size;
    struct line *line;
    int32_t n, room;
    struct table by_key;
};

static uint64_t number_of(const char *key)
{
    char half[17];
    memcpy(half, key, 16);
    half[16] = '\0';
    return strtoull(half, NULL, 16);
}

static bool fail(const struct replies *r, const char *what, struct err *e)
{
    return err_set(e, "cannot %s %s: %s", what, r->path, strerror(errno));
}

static void add(struct replies *r, const char *key, int64_t at, int64_t n)
{
    if (r->n == r->room)
        r->line = xrealloc(r->line, (size_t)(r->room = 2 * r->room + 64) * sizeof *r->line);
    if (*table_put(&r->by_key, number_of(key), r->n) == r->n)
        r->line[r->n++] = (struct line){at, n};
}

/* The key of a line that this file's writer wrote; NULL: it is none. */
static const char *key_of(const char *line, size_t n)
{
    static const char BEGIN[] = "{\"key\":\"";
    size_t b = sizeof BEGIN - 1;
    bool is = n > b + HASH_XXH3_HEX && memcmp(line, BEGIN, b) == 0 && line[n - 1] == '}' &&
              strspn(line + b, "0123456789abcdef") == HASH_XXH3_HEX - 1;
    return is ? line + b : NULL;
}

/* Finds the lines; what follows the last whole one goes. A whole line of another kind is no trace of a kill: nothing is touched then. */
static bool scan(struct replies *r, struct err *e)
{
    FILE *f = fdopen(dup(r->fd), "r");
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    int64_t number = 1;
    bool ok = true;
    if (!f)
        return fail(r, "read", e);
    for (; ok && (n = getline(&line, &room, f)) > 0 && line[n - 1] == '\n'; number++) {
        line[n - 1] = '\0';
        const char *key = key_of(line, (size_t)n - 1);
        ok = key ||
             err_set(e, "%s:%lld is no reply that this program wrote; put the file right, or move it away and all of it is asked again",
                     r->path, (long long)number);
        if (ok)
            add(r, key, r->size, n - 1);
        r->size += n;
    }
    if (ok && n > 0)
        log_line("%s: its last line was cut off; it goes, and what it answered is asked again", r->path);
    free(line);
    fclose(f);
    if (!ok)
        return false;
    return ftruncate(r->fd, r->size) == 0 || fail(r, "shorten", e);
}

bool replies_open(struct replies **out, const char *path, struct err *e)
{
    struct replies *r = xcalloc(1, sizeof *r);
    r->path = xstrdup(path);
    r->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    bool ok = r->fd >= 0 || fail(r, "open", e);
    if (ok && flock(r->fd, LOCK_EX | LOCK_NB) != 0)
        ok = err_set(e, "%s is in use: another process works in this folder; wait for it, or use another", path);
    ok = ok && scan(r, e);
    if (ok)
        *out = r;
    else
        replies_close(r);
    return ok;
}

void replies_close(struct replies *r)
{
    if (!r)
        return;
    if (r->fd >= 0)
        close(r->fd);
    table_free(&r->by_key);
    free(r->line);
    free(r->path);
    free(r);
}

bool replies_has(const struct replies *r, const char key[HASH_XXH3_HEX])
{
    return table_get(&r->by_key, number_of(key)) >= 0;
}

json_t *replies_get(const struct replies *r, const char key[HASH_XXH3_HEX], struct err *e)
{
    int32_t i = table_get(&r->by_key, number_of(key));
    if (i < 0) {
        err_set(e, "%s holds no reply to this request", r->path);
        return NULL;
    }
    size_t n = (size_t)r->line[i].n;
    char *text = xmalloc(n);
    bool ok = file_read_at(r->fd, text, n, r->line[i].at) || fail(r, "read", e);
    json_t *v = ok ? json_parse(text, n, r->path, e) : NULL, *reply = json_incref(json_object_get(v, "reply"));
    if (v && !reply)
        err_set(e, "%s: the line of this request holds no \"reply\"", r->path);
    json_decref(v);
    free(text);
    return reply;
}

bool replies_put(struct replies *r, const char key[HASH_XXH3_HEX], json_t *reply, struct err *e)
{
    if (replies_has(r, key))
        return true;
    json_t *v = json_pack("{s:s, s:O}", "key", key, "reply", reply);
    must(v);
    char *text = json_line(v);
    must(text);
    size_t n = strlen(text);
    text[n] = '\n'; /* in place of the NUL */
    bool ok = file_write_at(r->fd, text, n + 1, r->size) || fail(r, "write", e);
    free(text);
    json_decref(v);
    if (!ok)
        return false;
    add(r, key, r->size, (int64_t)n);
    r->size += (int64_t)n + 1;
    return true;
}
