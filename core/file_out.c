/* core/file_out.c - writing: PATH.part, synced and renamed when whole; zstd on the way. See file.h. */
#include "core/file_in.h" /* file_fail */
#include <zstd.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER = 1 << 20, ZSTD_LEVEL = 3 };

struct file_out {
    int fd;
    char *path;
    char *part;   /* NULL: written in place (file_replaceable) */
    char *buffer; /* bytes for the disk (compressed ones, if z) */
    size_t used;
    uint64_t written; /* before compression */
    ZSTD_CCtx *z;
    struct err failed; /* the first failure: nothing is committed after it */
};

static bool open_out(struct file_out **out, const char *path, bool zstd, struct err *e)
{
    *out = NULL;
    if (file_is_dir(path))
        return file_fail(e, "write", path, EISDIR);
    char *part = file_replaceable(path) ? xprintf("%s.part", path) : NULL;
    int own = file_own_descriptor(path), fd;
    if (own >= 0)
        fd = fcntl(own, F_DUPFD_CLOEXEC, 0);
    else
        fd = open(part ? part : path, O_WRONLY | O_CLOEXEC | (part ? O_CREAT | O_TRUNC : 0), 0666);
    if (fd < 0) {
        file_fail(e, part ? "create" : "open", part ? part : path, errno);
        free(part);
        return false;
    }
    struct file_out *o = xcalloc(1, sizeof *o);
    o->fd = fd;
    o->path = xstrdup(path);
    o->part = part;
    o->buffer = xmalloc(BUFFER);
    if (zstd) {
        o->z = ZSTD_createCCtx();
        must(o->z && !ZSTD_isError(ZSTD_CCtx_setParameter(o->z, ZSTD_c_compressionLevel, ZSTD_LEVEL)));
        must(!ZSTD_isError(ZSTD_CCtx_setParameter(o->z, ZSTD_c_checksumFlag, 1)));
    }
    *out = o;
    return true;
}

bool file_out_open(struct file_out **o, const char *path, bool compress, struct err *e)
{
    size_t n = strlen(path);
    return open_out(o, path, compress || (n > 4 && strcmp(path + n - 4, ".zst") == 0), e);
}

static bool fail(struct file_out *o, const char *what, int errnum, struct err *e)
{
    file_fail(e, what, o->path, errnum);
    o->failed = *e;
    return false;
}

static bool to_disk(struct file_out *o, const char *p, size_t n, struct err *e)
{
    while (n > 0) {
        ssize_t done = write(o->fd, p, n); /* may be short, near a full disk for one: the next call then says why */
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return fail(o, "write", done < 0 ? errno : EIO, e);
        p += done;
        n -= (size_t)done;
    }
    return true;
}

static bool flush(struct file_out *o, struct err *e)
{
    size_t n = o->used;
    o->used = 0;
    return to_disk(o, o->buffer, n, e);
}

static bool write_zstd(struct file_out *o, const void *p, size_t n, ZSTD_EndDirective how, struct err *e)
{
    ZSTD_inBuffer in = {p, n, 0};
    for (;;) {
        ZSTD_outBuffer out = {o->buffer, BUFFER, o->used};
        size_t left = ZSTD_compressStream2(o->z, &out, &in, how);
        if (ZSTD_isError(left))
            die("zstd cannot compress %s: %s", o->path, ZSTD_getErrorName(left));
        o->used = out.pos;
        if (how == ZSTD_e_end ? left == 0 : in.pos == in.size)
            return true;
        if (!flush(o, e))
            return false;
    }
}

static bool still_good(const struct file_out *o, struct err *e)
{
    if (o->failed.msg[0] == '\0')
        return true;
    *e = o->failed;
    return false;
}

bool file_out_write(struct file_out *o, const void *p, size_t n, struct err *e)
{
    if (!still_good(o, e))
        return false;
    if (n == 0)
        return true;
    o->written += n;
    if (o->z)
        return write_zstd(o, p, n, ZSTD_e_continue, e);
    if (n > BUFFER - o->used && !flush(o, e))
        return false;
    if (n >= BUFFER)
        return to_disk(o, p, n, e);
    memcpy(o->buffer + o->used, p, n);
    o->used += n;
    return true;
}

uint64_t file_out_tell(const struct file_out *o)
{
    return o->written;
}

bool file_write_at(int fd, const void *p, size_t n, int64_t at)
{
    for (const char *from = p; n > 0;) {
        ssize_t done = pwrite(fd, from, n, (off_t)at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0) {
            errno = done < 0 ? errno : EIO;
            return false;
        }
        from += done;
        at += done;
        n -= (size_t)done;
    }
    return true;
}

bool file_out_patch(struct file_out *o, uint64_t at, const void *p, size_t n, struct err *e)
{
    must(!o->z && at <= o->written && n <= o->written - at);
    if (!still_good(o, e) || !flush(o, e))
        return false;
    if (!o->part) /* a pipe has no place to go back to, and a descriptor may have begun anywhere */
        return fail(o, "go back in", ESPIPE, e);
    return file_write_at(o->fd, p, n, (int64_t)at) || fail(o, "write", errno, e);
}

/* Frees o; the file is closed already or closed here. */
static void drop(struct file_out *o, bool remove_part)
{
    if (o->fd >= 0)
        close(o->fd);
    if (remove_part && o->part)
        unlink(o->part);
    ZSTD_freeCCtx(o->z);
    free(o->buffer);
    free(o->part);
    free(o->path);
    free(o);
}

static bool sync_folder_of(const char *path, struct err *e)
{
    const char *slash = strrchr(path, '/');
    char *folder = !slash ? xstrdup(".") : slash == path ? xstrdup("/") : xprintf("%.*s", (int)(slash - path), path);
    bool ok = file_sync_dir(folder, e);
    free(folder);
    return ok;
}

/* Everything before the rename. Devices and pipes refuse fsync with EINVAL. */
static bool settle(struct file_out *o, struct err *e)
{
    if (!still_good(o, e) || (o->z && !write_zstd(o, NULL, 0, ZSTD_e_end, e)) || !flush(o, e))
        return false;
    if (fsync(o->fd) != 0 && (o->part || (errno != EINVAL && errno != EROFS)))
        return fail(o, "sync", errno, e);
    int fd = o->fd;
    o->fd = -1; /* close() ends the descriptor even when it reports an error */
    if (close(fd) != 0)
        return fail(o, "close", errno, e);
    return true;
}

bool file_out_commit(struct file_out *o, struct err *e)
{
    bool ok = settle(o, e);
    if (ok && o->part && rename(o->part, o->path) != 0)
        ok = fail(o, "rename the finished .part to", errno, e);
    bool renamed = ok;
    if (ok && o->part)
        ok = sync_folder_of(o->path, e);
    drop(o, !renamed);
    return ok;
}

void file_out_abort(struct file_out *o)
{
    if (o)
        drop(o, true);
}

bool file_copy(const char *from, const char *to, struct err *e)
{
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return file_fail(e, "open", from, errno);
    struct file_out *o;
    if (!open_out(&o, to, false, e)) {
        close(fd);
        return false;
    }
    char *piece = xmalloc(BUFFER);
    ssize_t n;
    bool ok = true;
    while (ok && (n = read(fd, piece, BUFFER)) != 0) {
        if (n > 0)
            ok = file_out_write(o, piece, (size_t)n, e);
        else if (errno != EINTR)
            ok = file_fail(e, "read", from, errno);
    }
    free(piece);
    close(fd);
    if (ok)
        return file_out_commit(o, e);
    file_out_abort(o);
    return false;
}
