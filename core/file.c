/* core/file.c - files and folders as a whole: look, make, remove, sync. Reading is file_in.c, writing file_out.c. See file.h. */
#include "core/file_in.h" /* file_fail */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

bool file_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int file_own_descriptor(const char *path)
{
    static const char *const folders[] = {"/dev/fd/", "/proc/self/fd/"};
    if (strcmp(path, "/dev/stdout") == 0)
        return STDOUT_FILENO;
    if (strcmp(path, "/dev/stderr") == 0)
        return STDERR_FILENO;
    for (int i = 0; i < 2; i++) {
        size_t n = strlen(folders[i]);
        if (strncmp(path, folders[i], n) == 0 && path[n] >= '0' && path[n] <= '9')
            return atoi(path + n);
    }
    return -1;
}

bool file_replaceable(const char *path)
{
    struct stat st;
    return file_own_descriptor(path) < 0 && (stat(path, &st) != 0 || S_ISREG(st.st_mode));
}

int64_t file_size(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (int64_t)st.st_size : -1;
}

bool file_mkdirs(const char *path, struct err *e)
{
    char *p = xstrdup(path);
    bool ok = true;
    for (char *at = p; ok && *at;) {
        at += strspn(at, "/");
        at += strcspn(at, "/");
        char kept = *at;
        *at = '\0';
        int why = mkdir(p, 0777) == 0 ? 0 : errno; /* kept, as looking overwrites errno */
        if (why != 0 && !file_is_dir(p))
            ok = file_fail(e, "make the folder", p, why);
        *at = kept;
    }
    free(p);
    return ok;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st, (void)kind, (void)where;
    return remove(path);
}

bool file_remove_tree(const char *path, struct err *e)
{
    struct stat st;
    if (lstat(path, &st) != 0 && errno == ENOENT)
        return true;
    if (nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0)
        return file_fail(e, "remove", path, errno);
    return true;
}

bool file_sync_dir(const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return file_fail(e, "open the folder", path, errno);
    bool ok = fsync(fd) == 0 || errno == EINVAL || errno == EROFS; /* some network file systems cannot sync a folder */
    if (!ok)
        file_fail(e, "sync the folder", path, errno);
    close(fd);
    return ok;
}
