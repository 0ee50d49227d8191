/* infer/journal.c - see journal.h.
 *
 * The file: "generate-journal-1 SETTINGS\n", then "NUMBER BYTES XXH3-128 LINE\n" for each line. Every line is one write(); they are
 * synced once a second, which bounds what a power cut costs. Bytes after the last whole line are cut off on opening.
 */
#include "infer/journal.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/log.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[] = "generate-journal-1 ";

struct place {
    int64_t at, bytes; /* at 0: not there */
};
struct journal {
    char *output, *path; /* path NULL: without a name */
    int fd;
    int64_t n, count, end; /* end: bytes of whole lines */
    struct place *line;    /* [n] */
    double synced;
};

static bool fail(const struct journal *j, const char *what, int why, struct err *e)
{
    return err_set(e, "cannot %s %s: %s", what, j->path ? j->path : "a temporary file", strerror(why));
}

static bool write_all(struct journal *j, const char *p, size_t n, struct err *e)
{
    if (!file_write_at(j->fd, p, n, j->end)) /* what was written is cut off by the next opening */
        return fail(j, "write", errno, e);
    j->end += (int64_t)n;
    return true;
}

/* One line at text[at]; its end, or 0 where no whole line stands. */
static int64_t read_line(struct journal *j, const char *text, int64_t at, int64_t size)
{
    long long number, bytes;
    char digest[HASH_XXH3_HEX], found[HASH_XXH3_HEX], head[100];
    int used = 0, room = (int)(size - at < (int64_t)sizeof head - 1 ? size - at : (int64_t)sizeof head - 1);
    memcpy(head, text + at, (size_t)room);
    head[room] = '\0';
    if (sscanf(head, "%lld %lld %32[0-9a-f] %n", &number, &bytes, digest, &used) != 3 || used == 0 || number < 0 || bytes < 0 ||
        bytes > size - at - used - 1 || text[at + used + bytes] != '\n')
        return 0;
    hash_xxh3(text + at + used, (size_t)bytes, found);
    if (strcmp(digest, found) != 0)
        return 0;
    if (number < j->n) { /* all are, in a journal of this run's settings */
        j->count += j->line[number].at == 0;
        j->line[number] = (struct place){at + used, bytes};
    }
    return at + used + bytes + 1;
}

/* Takes over what an earlier run left. */
static bool replay(struct journal *j, const char *header, struct err *e)
{
    struct file_map m;
    int64_t head = (int64_t)strlen(header);
    if (file_size(j->path) < head) { /* new, or torn in its first line */
        if (ftruncate(j->fd, 0) != 0)
            return fail(j, "cut", errno, e);
        return write_all(j, header, (size_t)head, e);
    }
    if (!file_map_open(&m, j->path, e))
        return false;
    const char *text = (const char *)m.data;
    bool ok = memcmp(text, magic, sizeof magic - 1) == 0, same = ok && memcmp(text, header, (size_t)head) == 0;
    if (!ok)
        err_set(e, "%s is in the way: generate keeps its finished answers under this name; move it away", j->path);
    int64_t at = head;
    for (int64_t next; ok && (next = at < (int64_t)m.size ? read_line(j, text, at, (int64_t)m.size) : 0);)
        at = next;
    file_map_close(&m);
    if (ok && !same && at > head)
        ok = err_set(
            e,
            "%s holds finished answers of a run with another model, other prompts or other settings: finish that run, or remove the file",
            j->path);
    if (ok && !same)
        at = 0;
    if (ok && ftruncate(j->fd, at) != 0)
        ok = fail(j, "cut", errno, e);
    j->end = at;
    return ok && (same || write_all(j, header, (size_t)head, e));
}

/* Opens and locks the file that has the path at that moment: one that is removed while we wait is not it. */
static bool lock(struct journal *j, struct err *e)
{
    for (;;) {
        struct stat ours, there;
        j->fd = open(j->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (j->fd < 0)
            return fail(j, "create", errno, e);
        if (flock(j->fd, LOCK_EX | LOCK_NB) != 0)
            return errno == EWOULDBLOCK ? err_set(e, "another generate is writing %s; wait for it, or end it", j->output)
                                        : fail(j, "lock", errno, e);
        if (fstat(j->fd, &ours) == 0 && stat(j->path, &there) == 0 && ours.st_ino == there.st_ino)
            return true;
        close(j->fd);
    }
}

static void drop(struct journal *j)
{
    if (j->fd >= 0)
        close(j->fd);
    free(j->output);
    free(j->path);
    free(j->line);
    free(j);
}

bool journal_open(struct journal **out, const char *output, int64_t n, const char *settings, struct err *e)
{
    bool named = file_replaceable(output);
    if (file_is_dir(output))
        return err_set(e, "%s is a folder; give the name of a file", output);
    struct journal *j = xcalloc(1, sizeof *j);
    *j = (struct journal){.fd = -1, .n = n, .output = xstrdup(output)};
    j->line = xcalloc((size_t)n + 1, sizeof *j->line);
    j->path = named ? xprintf("%s.journal", output) : NULL;
    char *header = xprintf("%s%s\n", magic, settings);
    bool ok;
    if (named) {
        ok = lock(j, e) && replay(j, header, e);
    } else {
        FILE *f = tmpfile();
        j->fd = f ? fcntl(fileno(f), F_DUPFD_CLOEXEC, 0) : -1;
        if (f)
            fclose(f);
        ok = (j->fd >= 0 || fail(j, "create", errno, e)) && write_all(j, header, strlen(header), e);
    }
    free(header);
    if (!ok) {
        drop(j);
        return false;
    }
    *out = j;
    return true;
}

int64_t journal_count(const struct journal *j)
{
    return j->count;
}

bool journal_has(const struct journal *j, int64_t i)
{
    return j->line[i].at > 0;
}

bool journal_add(struct journal *j, int64_t i, const char *text, size_t bytes, struct err *e)
{
    must(i >= 0 && i < j->n && !journal_has(j, i) && !memchr(text, '\n', bytes));
    char digest[HASH_XXH3_HEX];
    hash_xxh3(text, bytes, digest);
    char *line = xprintf("%lld %zu %s %.*s\n", (long long)i, bytes, digest, (int)bytes, text);
    size_t all = strlen(line);
    int64_t at = j->end + (int64_t)(all - bytes) - 1;
    bool ok = write_all(j, line, all, e);
    free(line);
    if (!ok)
        return false;
    j->line[i] = (struct place){at, (int64_t)bytes};
    j->count++;
    if (log_now() - j->synced >= 1) {
        j->synced = log_now();
        if (fdatasync(j->fd) != 0 && errno != EINVAL && errno != EROFS)
            return fail(j, "sync", errno, e);
    }
    return true;
}

/* Line i and a newline. */
static bool copy_line(const struct journal *j, int64_t i, struct file_out *out, struct err *e)
{
    const struct place *p = &j->line[i];
    size_t bytes = (size_t)p->bytes + 1;
    char *text = xmalloc(bytes);
    bool ok = (file_read_at(j->fd, text, bytes, p->at) || fail(j, "read", errno, e)) && file_out_write(out, text, bytes, e);
    free(text);
    return ok;
}

bool journal_commit(struct journal *j, struct err *e)
{
    must(j->count == j->n);
    struct file_out *out;
    bool ok = file_out_open(&out, j->output, false, e);
    if (ok) {
        for (int64_t i = 0; ok && i < j->n; i++)
            ok = copy_line(j, i, out, e);
        if (ok)
            ok = file_out_commit(out, e);
        else
            file_out_abort(out);
    }
    if (ok && j->path && unlink(j->path) != 0)
        ok = fail(j, "remove", errno, e);
    drop(j);
    return ok;
}

void journal_close(struct journal *j)
{
    if (!j)
        return;
    if (j->path && j->count == 0)
        unlink(j->path);
    drop(j);
}
