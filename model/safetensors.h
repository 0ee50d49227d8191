/* model/safetensors.h - the safetensors format: named arrays in one file, or in shards with an index (huggingface/safetensors). */
#ifndef MODEL_SAFETENSORS_H
#define MODEL_SAFETENSORS_H
#include "core/err.h"
#include <stdint.h>

struct st_tensor {
    char *name;
    char dtype[8]; /* "F32", "BF16", "F16", ... */
    int ndim;
    int64_t shape[8];
    int64_t n;                 /* numbers */
    const unsigned char *data; /* bytes of the mapped file */
    int64_t bytes;
};
struct st_blob; /* a mapped file, or one decompressed into memory */
/* An open file, or folder of shards. */
struct safetensors {
    struct st_tensor *at; /* [n], sorted by name */
    int32_t n;
    struct st_blob *blob; /* [n_blob] the files' bytes */
    int32_t n_blob;
};
/* path: a .safetensors file (.zst: read into memory), or a folder with model.safetensors, model.safetensors.index.json, or consolidated.safetensors. Headers that
 * are oversized, broken, overlap, leave holes or go past the file are refused, by file and tensor. */
bool safetensors_open(struct safetensors *s, const char *path, struct err *e);
void safetensors_close(struct safetensors *s);
/* The bytes of the file (the first, of a folder of shards); the tensors' data lie in them. */
const unsigned char *safetensors_bytes(const struct safetensors *s, size_t *n);
const struct st_tensor *safetensors_find(const struct safetensors *s, const char *name);
/* n numbers from the from-th on, as float32. F32, BF16 and F16 only: others are refused by st_check_dtype(). */
bool st_check_dtype(const struct st_tensor *t, struct err *e);
void st_read_f32(const struct st_tensor *t, int64_t from, int64_t n, float *out);
/* What st_read_f32() read last is not wanted again soon: its pages of the mapped file leave this process's memory. */
void safetensors_forget(const struct safetensors *s, const struct st_tensor *t, int64_t from, int64_t n);

/* Writing one file: the tensors are named first, then their bytes follow in that order. */
struct st_spec {
    const char *name, *dtype; /* "F32" or "BF16" */
    int ndim;
    int64_t shape[3];
};
/* What the file begins with, *bytes long, before the first tensor's data; the caller frees. *data: bytes of the data. */
char *st_head(const struct st_spec *spec, int32_t n, size_t *bytes, int64_t *data);
struct st_out;
bool st_out_open(struct st_out **o, const char *path, const struct st_spec *spec, int32_t n, bool compress, struct err *e);
/* The next bytes of the data, any number at a time. */
bool st_out_write(struct st_out *o, const void *p, size_t bytes, struct err *e);
/* Dies when the bytes written are not those named. */
bool st_out_commit(struct st_out *o, struct err *e);
void st_out_abort(struct st_out *o);
#endif
