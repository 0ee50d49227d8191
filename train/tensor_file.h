/* train/tensor_file.h - a safetensors file (f32) that all ranks write at once, each the values that it holds, at their places. The file is the
 * same whoever wrote which part of it, and so is its digest: a struct hash_sum over the head and, of every tensor, PARAM_ALIGN values at a
 * time. Shares begin and end at multiples of these, so every piece is one rank's, and the ranks' sums add up. */
#ifndef TRAIN_TENSOR_FILE_H
#define TRAIN_TENSOR_FILE_H
#include "core/hash.h"
#include "model/params.h"

/* By one rank, before the others write: the file at its full length, with its head, which counts in *sum. */
bool tensor_file_create(const char *path, const struct param_table *t, struct hash_sum *sum, struct err *e);
/* Writes what t (of type F32) holds, syncs it to the disk, and adds it to *sum. host: t lies in host memory, and any thread may call. */
bool tensor_file_write(const char *path, struct tensors t, bool host, struct hash_sum *sum, struct err *e);
/* The digest of a file as it is on the disk. */
bool tensor_file_digest(const char *path, char hex[HASH_XXH3_HEX], struct err *e);
#endif
