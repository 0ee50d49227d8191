/* core/file_in.h - inside core: bytes of a file in order, decompressed when it is a zstd or gzip file. file_read() and lines_*() stand on it. */
#ifndef CORE_FILE_IN_H
#define CORE_FILE_IN_H
#include "core/file.h"
#ifdef __cplusplus
extern "C" {
#endif

struct file_in;

/* Says what failed on which file, why (errno's text) and, where it is known, what to do. Returns false. */
bool file_fail(struct err *e, const char *what, const char *path, int errnum);

/* A zstd or gzip file is known by its first bytes, so that compressed files of any name can be read back; a name in .zst or .gz must be
 * one. */
bool file_in_open(struct file_in **in, const char *path, struct err *e);
/* Up to n bytes to p, *got of them; 0 only at the end. */
bool file_in_read(struct file_in *in, void *p, size_t n, size_t *got, struct err *e);
/* Bytes on disk, and how many of them were read so far. */
int64_t file_in_size(const struct file_in *in);
int64_t file_in_tell(const struct file_in *in);
void file_in_close(struct file_in *in);

#ifdef __cplusplus
}
#endif
#endif
