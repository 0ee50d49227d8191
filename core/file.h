/* core/file.h - files, read and written so that a crash at any moment leaves the old file or the new one.
 *
 * Everything a program of this project writes goes through struct file_out: the
 * bytes go to PATH.part, which is synced and renamed when whole. Names ending
 * in .zst are compressed (level 3) on the way out and decompressed on the way in;
 * gzip files are read as well.
 */
#ifndef CORE_FILE_H
#define CORE_FILE_H
#include "core/err.h"
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

bool file_exists(const char *path);
bool file_is_dir(const char *path);
/* The number of the process's own descriptor that this is a name of (/dev/stdout, /dev/fd/3), else -1. */
int file_own_descriptor(const char *path);
/* May it be written aside and renamed? Not a folder, device or pipe, nor a descriptor's name, whatever file that leads to. */
bool file_replaceable(const char *path);
/* Bytes of the file, -1 when there is none. */
int64_t file_size(const char *path);
/* mkdir -p. */
bool file_mkdirs(const char *path, struct err *e);
/* rm -r; a missing path is fine. */
bool file_remove_tree(const char *path, struct err *e);
/* Atomic copy of one file (through struct file_out, never compressed). */
bool file_copy(const char *from, const char *to, struct err *e);
/* fsync of a folder, so that renames inside it survive a power cut. */
bool file_sync_dir(const char *path, struct err *e);

/* The whole file, with a NUL after its n bytes; refuses more than max bytes. The caller frees. NULL on error. */
char *file_read(const char *path, size_t max, size_t *n, struct err *e);

/* n bytes of an open file at offset at, all of them whatever interrupts it. False: errno says why (EIO: it ends before). */
bool file_read_at(int fd, void *p, size_t n, int64_t at);
bool file_write_at(int fd, const void *p, size_t n, int64_t at);

/* A read-only memory mapping. An empty file is an error. */
struct file_map {
    const unsigned char *data;
    size_t size;
};
bool file_map_open(struct file_map *m, const char *path, struct err *e);
void file_map_close(struct file_map *m);

/* A file being written: PATH.part until file_out_commit(); what is not file_replaceable() is written in place, a descriptor from where it is. */
struct file_out;
/* compress: also when the name does not end in .zst. */
bool file_out_open(struct file_out **o, const char *path, bool compress, struct err *e);
bool file_out_write(struct file_out *o, const void *p, size_t n, struct err *e);
/* Bytes written so far, before compression. */
uint64_t file_out_tell(const struct file_out *o);
/* Overwrites n bytes at offset at (headers patched at the end). Not for compressed files; one written in place is refused. */
bool file_out_patch(struct file_out *o, uint64_t at, const void *p, size_t n, struct err *e);
/* Flush, fsync, close, rename, sync the folder. Frees o whether it works or not; on failure the .part is removed. */
bool file_out_commit(struct file_out *o, struct err *e);
/* Closes and removes the .part. NULL is fine. */
void file_out_abort(struct file_out *o);

/* The lines of a text file (.zst, .gz or neither), any length, without their newline; "\r\n" counts as "\n". */
struct lines;
bool lines_open(struct lines **l, const char *path, struct err *e);
/* 1: *line (NUL-terminated, valid until the next call) and *n; 0: the end; -1: error. */
int lines_next(struct lines *l, char **line, size_t *n, struct err *e);
/* Number of the line last returned, from 1. */
int64_t lines_number(const struct lines *l);
/* How far through the file on disk, 0..1, for progress lines. */
double lines_progress(const struct lines *l);
void lines_close(struct lines *l);

#ifdef __cplusplus
}
#endif
#endif
