/* train/tensor_file.c - see tensor_file.h. */
#include "train/tensor_file.h"
#include "core/file.h"
#include "model/weights.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WRITTEN_AT_ONCE = 1 << 21 }; /* values; a multiple of PARAM_ALIGN */
/* Values a thread sums before it lets go of the file's pages: each thread's count in what the process takes. */
enum { SUMMED_AT_ONCE = 1 << 18 };

static bool write_at(int fd, const char *path, const void *p, size_t n, int64_t at, struct err *e)
{
    return file_write_at(fd, p, n, at) || err_set(e, "cannot write %s: %s", path, strerror(errno));
}

/* To the disk, and closed, whatever was before. */
static bool settle(int fd, const char *path, bool ok, struct err *e)
{
    if (ok && fsync(fd) != 0)
        ok = err_set(e, "cannot sync %s: %s", path, strerror(errno));
    if (close(fd) != 0 && ok)
        ok = err_set(e, "cannot close %s: %s", path, strerror(errno));
    return ok;
}

static void sum_values(struct hash_sum *sum, int64_t at, const void *values, int64_t n)
{
    enum { PIECE = 4 * PARAM_ALIGN };
    for (int64_t i = 0; i < 4 * n; i += PIECE)
        hash_sum_add(sum, (uint64_t)(at + i), (const char *)values + i, (size_t)(4 * n - i < PIECE ? 4 * n - i : PIECE));
}

bool tensor_file_create(const char *path, const struct param_table *t, struct hash_sum *sum, struct err *e)
{
    size_t n;
    int64_t data;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return err_set(e, "cannot create %s: %s", path, strerror(errno));
    char *head = weights_head(t, F32, &n, &data);
    bool ok = write_at(fd, path, head, n, 0, e);
    /* Its whole length from the start: past the end a network file system's clients may write zeros around what they write. */
    if (ok && ftruncate(fd, (off_t)n + data) != 0)
        ok = err_set(e, "cannot write %s: no %lld bytes: %s", path, (long long)n + (long long)data, strerror(errno));
    if (close(fd) != 0 && ok) /* synced by the same rank's tensor_file_write() */
        ok = err_set(e, "cannot close %s: %s", path, strerror(errno));
    hash_sum_add(sum, 0, head, n);
    free(head);
    return ok;
}

bool tensor_file_write(const char *path, struct tensors t, bool host, struct hash_sum *sum, struct err *e)
{
    size_t head;
    int64_t data;
    free(weights_head(t.table, F32, &head, &data));
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(e, "cannot open %s: %s; do all ranks see the same run_dir?", path, strerror(errno));
    float *piece = host ? NULL : xmalloc(sizeof *piece * WRITTEN_AT_ONCE);
    int64_t begin = (int64_t)head; /* of a parameter in the file */
    bool ok = true;
    for (int32_t k = 0; ok && k < t.table->n; begin += 4 * t.table->param[k++].n) {
        const struct param *p = &t.table->param[k];
        int64_t first = 0, held = tensors_clip(t, p, &first, p->n);
        for (int64_t i = first; ok && i < first + held; i += WRITTEN_AT_ONCE) {
            int64_t n = first + held - i < WRITTEN_AT_ONCE ? first + held - i : WRITTEN_AT_ONCE;
            const void *values = piece;
            if (host)
                values = tensors_value(t, p, i);
            else
                weights_read_tensors(&t, p, i, n, piece);
            sum_values(sum, begin + 4 * i, values, n);
            ok = write_at(fd, path, values, (size_t)(4 * n), begin + 4 * i, e);
        }
    }
    free(piece);
    return settle(fd, path, ok, e);
}

bool tensor_file_digest(const char *path, char hex[HASH_XXH3_HEX], struct err *e)
{
    struct safetensors s;
    struct hash_sum sum = {0};
    size_t n;
    if (!safetensors_open(&s, path, e))
        return false;
    const unsigned char *bytes = safetensors_bytes(&s, &n);
    size_t head = n;
    bool ok = true;
    for (int32_t k = 0; ok && k < s.n; k++) {
        const struct st_tensor *t = &s.at[k];
        int64_t at = t->data - bytes;
        head = (size_t)at < head ? (size_t)at : head;
        ok = t->bytes == 4 * t->n ||
             err_set(e, "%s: tensor \"%s\" is %s, expected F32: damaged; use another checkpoint", path, t->name, t->dtype);
        if (!ok)
            break;
#pragma omp parallel for schedule(dynamic) if (t->n > SUMMED_AT_ONCE) /* sums of integers: the same in any order */
        for (int64_t i = 0; i < t->n; i += SUMMED_AT_ONCE) {
            int64_t values = t->n - i < SUMMED_AT_ONCE ? t->n - i : SUMMED_AT_ONCE;
            struct hash_sum part = {0};
            sum_values(&part, at + 4 * i, t->data + 4 * i, values);
            safetensors_forget(&s, t, i, values);
#pragma omp critical
            hash_sum_join(&sum, part);
        }
    }
    hash_sum_add(&sum, 0, bytes, head);
    hash_sum_hex(sum, hex);
    safetensors_close(&s);
    return ok;
}
