/* core/file_in.c - reading: plain, zstd and gzip bytes, whole files, lines, mappings. See file.h and file_in.h. */
#include "core/file_in.h"
#include <zstd.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { DISK_PIECE = 256 << 10, TEXT_PIECE = 256 << 10, WINDOW_LOG_MAX = 31, GZIP_FORMAT = 16 /* zlib: a gzip header, not its own */ };

struct file_in {
    int fd;
    char *path;
    int64_t size, pos; /* on disk */
    ZSTD_DCtx *z;      /* NULL: not zstd */
    size_t frame_left; /* what zstd hinted last; 0 between frames */
    z_stream *gz;      /* NULL: not gzip */
    bool in_member;    /* of a gzip file, which may hold several */
    char *disk;        /* read ahead: from .. to */
    size_t from, to;
};

bool file_fail(struct err *e, const char *what, const char *path, int errnum)
{
    const char *next = "";
    if (errnum == ENOSPC || errnum == EDQUOT || errnum == EFBIG)
        next = "; free some space or raise the limit, then run again";
    else if (errnum == EACCES || errnum == EPERM || errnum == EROFS)
        next = "; check who may read and write there";
    else if (errnum == EMFILE || errnum == ENFILE)
        next = "; raise `ulimit -n`";
    return err_set(e, "cannot %s %s: %s%s", what, path, strerror(errnum), next);
}

static bool fill(struct file_in *in, struct err *e)
{
    ssize_t n;
    do
        n = read(in->fd, in->disk, DISK_PIECE);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return file_fail(e, "read", in->path, errno);
    in->from = 0;
    in->to = (size_t)n;
    in->pos += n;
    return true;
}

static bool ends_in(const char *path, const char *ending)
{
    size_t n = strlen(path), m = strlen(ending);
    return n > m && strcmp(path + n - m, ending) == 0;
}

bool file_in_open(struct file_in **out, const char *path, struct err *e)
{
    *out = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return file_fail(e, "open", path, errno);
    struct stat st;
    if (fstat(fd, &st) != 0 || S_ISDIR(st.st_mode)) {
        file_fail(e, "read", path, S_ISDIR(st.st_mode) ? EISDIR : errno);
        close(fd);
        return false;
    }
    struct file_in *in = xcalloc(1, sizeof *in);
    in->fd = fd;
    in->path = xstrdup(path);
    in->size = st.st_size;
    in->disk = xmalloc(DISK_PIECE);
    if (!fill(in, e)) {
        file_in_close(in);
        return false;
    }
    static const unsigned char magic[4] = {0x28, 0xb5, 0x2f, 0xfd};
    if (in->to >= sizeof magic && memcmp(in->disk, magic, sizeof magic) == 0) {
        in->z = ZSTD_createDCtx();
        must(in->z && !ZSTD_isError(ZSTD_DCtx_setParameter(in->z, ZSTD_d_windowLogMax, WINDOW_LOG_MAX)));
    } else if (in->to >= 2 && memcmp(in->disk, "\x1f\x8b", 2) == 0) {
        in->gz = xcalloc(1, sizeof *in->gz);
        must(inflateInit2(in->gz, MAX_WBITS + GZIP_FORMAT) == Z_OK);
    } else if (ends_in(path, ".zst") || ends_in(path, ".gz")) {
        bool gz = ends_in(path, ".gz");
        const char *format = gz ? "gzip" : "zstd"; /* and the program that makes it */
        err_set(e, "%s is named .%s, but is not a %s file; rename or compress it (%s FILE)", path, gz ? "gz" : "zst", format, format);
        file_in_close(in);
        return false;
    }
    *out = in;
    return true;
}

static bool read_plain(struct file_in *in, void *p, size_t n, size_t *got, struct err *e)
{
    if (in->from == in->to && !fill(in, e))
        return false;
    *got = in->to - in->from < n ? in->to - in->from : n;
    memcpy(p, in->disk + in->from, *got);
    in->from += *got;
    return true;
}

static bool read_zstd(struct file_in *in, void *p, size_t n, size_t *got, struct err *e)
{
    ZSTD_outBuffer out = {p, n, 0};
    while (out.pos == 0) {
        if (in->from == in->to && !fill(in, e))
            return false;
        bool end = in->from == in->to;
        ZSTD_inBuffer from = {in->disk, in->to, in->from};
        size_t hint = end && in->frame_left == 0 ? 0 : ZSTD_decompressStream(in->z, &out, &from);
        if (ZSTD_isError(hint))
            return err_set(e, "%s is damaged (zstd: %s); fetch or write it again", in->path, ZSTD_getErrorName(hint));
        in->from = from.pos;
        in->frame_left = hint;
        if (end && out.pos == 0) {
            if (hint != 0)
                return err_set(e, "%s is cut short: its zstd data ends in the middle; fetch or write it again", in->path);
            break;
        }
    }
    *got = out.pos;
    return true;
}

/* Members may follow each other, as `cat a.gz b.gz` makes them. */
static bool read_gzip(struct file_in *in, void *p, size_t n, size_t *got, struct err *e)
{
    uInt room = n < (1u << 30) ? (uInt)n : 1u << 30;
    in->gz->next_out = p;
    in->gz->avail_out = room;
    while (in->gz->avail_out == room) {
        if (in->from == in->to && !fill(in, e))
            return false;
        if (in->from == in->to) {
            if (in->in_member)
                return err_set(e, "%s is cut short: its gzip data ends in the middle; fetch or write it again", in->path);
            break;
        }
        in->gz->next_in = (unsigned char *)in->disk + in->from;
        in->gz->avail_in = (uInt)(in->to - in->from);
        int status = inflate(in->gz, Z_NO_FLUSH);
        if (status != Z_OK && status != Z_STREAM_END)
            return err_set(e, "%s is damaged (gzip: %s); fetch or write it again", in->path, in->gz->msg ? in->gz->msg : "no gzip data");
        in->from = in->to - in->gz->avail_in;
        in->in_member = status == Z_OK;
        if (status == Z_STREAM_END)
            must(inflateReset(in->gz) == Z_OK);
    }
    *got = room - in->gz->avail_out;
    return true;
}

bool file_in_read(struct file_in *in, void *p, size_t n, size_t *got, struct err *e)
{
    *got = 0;
    if (n == 0)
        return true;
    if (in->gz)
        return read_gzip(in, p, n, got, e);
    return in->z ? read_zstd(in, p, n, got, e) : read_plain(in, p, n, got, e);
}

int64_t file_in_size(const struct file_in *in)
{
    return in->size;
}

int64_t file_in_tell(const struct file_in *in)
{
    return in->pos - (int64_t)(in->to - in->from);
}

void file_in_close(struct file_in *in)
{
    if (!in)
        return;
    close(in->fd);
    ZSTD_freeDCtx(in->z);
    if (in->gz)
        inflateEnd(in->gz);
    free(in->gz);
    free(in->disk);
    free(in->path);
    free(in);
}

char *file_read(const char *path, size_t max, size_t *n, struct err *e)
{
    struct file_in *in;
    if (!file_in_open(&in, path, e))
        return NULL;
    size_t room = (in->size > 0 && (uint64_t)in->size < max ? (size_t)in->size : TEXT_PIECE) + 2, have = 0, got;
    char *text = xmalloc(room);
    bool ok;
    while ((ok = file_in_read(in, text + have, room - have - 1, &got, e)) && got > 0) {
        have += got;
        if (have > max) {
            ok = err_set(e, "%s is too large: more than %zu bytes", path, max);
            break;
        }
        if (have + 1 == room)
            text = xrealloc(text, room *= 2);
    }
    file_in_close(in);
    if (!ok) {
        free(text);
        return NULL;
    }
    text[have] = '\0';
    if (n)
        *n = have;
    return text;
}

bool file_read_at(int fd, void *p, size_t n, int64_t at)
{
    for (char *to = p; n > 0;) {
        ssize_t done = pread(fd, to, n, (off_t)at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0) {
            errno = done < 0 ? errno : EIO;
            return false;
        }
        to += done;
        at += done;
        n -= (size_t)done;
    }
    return true;
}

bool file_map_open(struct file_map *m, const char *path, struct err *e)
{
    *m = (struct file_map){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return file_fail(e, "open", path, errno);
    struct stat st;
    void *p = MAP_FAILED;
    bool ok = false;
    if (fstat(fd, &st) != 0)
        file_fail(e, "read", path, errno);
    else if (!S_ISREG(st.st_mode))
        err_set(e, "cannot map %s: it is not a regular file", path);
    else if (st.st_size == 0)
        err_set(e, "%s is empty; fetch or write it again", path);
    else if ((p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0)) == MAP_FAILED)
        file_fail(e, "map", path, errno);
    else
        ok = true;
    close(fd);
    if (ok)
        *m = (struct file_map){p, (size_t)st.st_size};
    return ok;
}

void file_map_close(struct file_map *m)
{
    if (m->data)
        munmap((void *)m->data, m->size);
    *m = (struct file_map){0};
}

struct lines {
    struct file_in *in;
    char *text;            /* read ahead: the bytes from .. to are not handed out yet */
    size_t from, to, room; /* the end is found by a read that had room for more: so there is room for the NUL */
    int64_t number;
    bool end;
};

bool lines_open(struct lines **out, const char *path, struct err *e)
{
    *out = NULL;
    struct file_in *in;
    if (!file_in_open(&in, path, e))
        return false;
    struct lines *l = xcalloc(1, sizeof *l);
    l->in = in;
    l->room = TEXT_PIECE;
    l->text = xmalloc(l->room);
    *out = l;
    return true;
}

int lines_next(struct lines *l, char **line, size_t *n, struct err *e)
{
    size_t looked = 0; /* bytes after from that hold no newline */
    char *newline;
    while (!(newline = memchr(l->text + l->from + looked, '\n', l->to - l->from - looked)) && !l->end) {
        looked = l->to - l->from;
        if (l->from > 0) {
            memmove(l->text, l->text + l->from, looked);
            l->from = 0;
            l->to = looked;
        }
        if (l->to == l->room)
            l->text = xrealloc(l->text, l->room *= 2);
        size_t got;
        if (!file_in_read(l->in, l->text + l->to, l->room - l->to, &got, e))
            return -1;
        l->to += got;
        l->end = got == 0;
    }
    if (!newline && l->from == l->to)
        return 0;
    char *start = l->text + l->from, *stop = newline ? newline : l->text + l->to;
    l->from += (size_t)(stop - start) + (newline != NULL);
    if (stop > start && stop[-1] == '\r')
        stop--;
    *stop = '\0';
    *line = start;
    if (n)
        *n = (size_t)(stop - start);
    l->number++;
    return 1;
}

int64_t lines_number(const struct lines *l)
{
    return l->number;
}

double lines_progress(const struct lines *l)
{
    int64_t size = file_in_size(l->in);
    return size > 0 ? (double)file_in_tell(l->in) / (double)size : 0.0;
}

void lines_close(struct lines *l)
{
    if (!l)
        return;
    file_in_close(l->in);
    free(l->text);
    free(l);
}
