/* model/safetensors.c - safetensors files, read by mapping and written in one stream. */
#include "model/safetensors.h"
#include "core/file.h"
#include "core/json.h"
#include "kernels/mat.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h> /* madvise */
#include <unistd.h>   /* sysconf */

enum { MAX_HEADER = 100 << 20 }; /* bytes; the format's own limit */

static int dtype_bytes(const char *dtype)
{
    static const struct {
        const char *name;
        int bytes;
    } known[] = {{"F64", 8}, {"I64", 8}, {"U64", 8}, {"F32", 4}, {"I32", 4},  {"U32", 4},     {"F16", 2},    {"BF16", 2},
                 {"I16", 2}, {"U16", 2}, {"I8", 1},  {"U8", 1},  {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (!strcmp(dtype, known[i].name))
            return known[i].bytes;
    return 0;
}

/* One entry of a header. data_n: bytes behind the header. */
static bool read_entry(struct st_tensor *t, const char *name, const json_t *v, const unsigned char *data, int64_t data_n, struct err *e)
{
    const char *dtype;
    json_t *shape = json_object_get(v, "shape"), *offsets = json_object_get(v, "data_offsets");
    if (!json_is_object(v))
        return err_set(e, "tensor \"%s\": expected an object, got %s", name, json_type_name(v));
    if (!json_get_str(v, "dtype", &dtype, e))
        return err_in(e, "tensor \"%s\"", name);
    int size = dtype_bytes(dtype);
    if (!size || strlen(dtype) >= sizeof t->dtype)
        return err_set(e, "tensor \"%s\": unknown dtype \"%s\"", name, dtype);
    if (!json_is_array(shape) || json_array_size(shape) > 8)
        return err_set(e, "tensor \"%s\": \"shape\" must be a list of at most 8 numbers", name);
    strcpy(t->dtype, dtype);
    t->ndim = (int)json_array_size(shape);
    t->n = 1;
    for (int i = 0; i < t->ndim; i++) {
        json_t *d = json_array_get(shape, (size_t)i);
        int64_t n = json_integer_value(d);
        if (!json_is_integer(d) || n < 0 || (n > 0 && t->n > INT64_MAX / 16 / n))
            return err_set(e, "tensor \"%s\": \"shape\" must be a list of whole numbers that fit in memory", name);
        t->shape[i] = n;
        t->n *= n;
    }
    if (!json_is_array(offsets) || json_array_size(offsets) != 2 || !json_is_integer(json_array_get(offsets, 0)) ||
        !json_is_integer(json_array_get(offsets, 1)))
        return err_set(e, "tensor \"%s\": \"data_offsets\" must be [begin, end]", name);
    int64_t begin = json_integer_value(json_array_get(offsets, 0)), end = json_integer_value(json_array_get(offsets, 1));
    if (begin < 0 || end < begin || end > data_n)
        return err_set(e, "tensor \"%s\": data_offsets [%lld, %lld] go past the %lld bytes of data: the file is cut short or damaged", name,
                       (long long)begin, (long long)end, (long long)data_n);
    t->bytes = end - begin;
    if (t->bytes != t->n * size)
        return err_set(e, "tensor \"%s\": %lld bytes of data for %lld numbers of %s", name, (long long)t->bytes, (long long)t->n, dtype);
    t->data = data + begin;
    t->name = xstrdup(name);
    return true;
}

static int by_data(const void *a, const void *b)
{
    const struct st_tensor *x = a, *y = b;
    if (x->data != y->data)
        return x->data < y->data ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct st_tensor *)a)->name, ((const struct st_tensor *)b)->name);
}

/* The tensors cover the data without overlap and without holes. */
static bool check_cover(struct st_tensor *t, int32_t n, const unsigned char *data, int64_t data_n, struct err *e)
{
    const unsigned char *at = data;
    qsort(t, (size_t)n, sizeof *t, by_data);
    for (int32_t i = 0; i < n; at = t[i].data + t[i].bytes, i++) {
        if (t[i].data < at)
            return err_set(e, "tensors \"%s\" and \"%s\" overlap", t[i - 1].name, t[i].name);
        if (t[i].data > at)
            return err_set(e, "a hole of %lld bytes before tensor \"%s\"", (long long)(t[i].data - at), t[i].name);
    }
    if (at != data + data_n)
        return err_set(e, "%lld bytes behind the last tensor belong to none", (long long)(data + data_n - at));
    return true;
}

struct st_blob {
    struct file_map map;
    char *heap; /* NULL: mapped */
};

static bool open_blob(struct st_blob *b, const char *path, struct err *e)
{
    size_t len = strlen(path), n;
    *b = (struct st_blob){0};
    if (len < 4 || strcmp(path + len - 4, ".zst"))
        return file_map_open(&b->map, path, e);
    b->heap = file_read(path, SIZE_MAX / 2, &n, e);
    b->map = (struct file_map){(const unsigned char *)b->heap, n};
    return b->heap != NULL;
}

static bool read_file(struct safetensors *s, const char *path, struct err *e)
{
    struct st_blob blob;
    if (!open_blob(&blob, path, e))
        return false;
    s->blob = xrealloc(s->blob, sizeof *s->blob * ((size_t)s->n_blob + 1));
    s->blob[s->n_blob++] = blob;
    struct file_map m = blob.map;
    if (m.size < 8)
        return err_set(e, "%s: %zu bytes are no safetensors file", path, m.size);
    uint64_t header = 0;
    for (int i = 0; i < 8; i++)
        header |= (uint64_t)m.data[i] << (8 * i);
    if (header > MAX_HEADER || header > m.size - 8)
        return err_set(e, "%s: a header of %llu bytes in a file of %zu: cut short, damaged, or no safetensors file", path,
                       (unsigned long long)header, m.size);
    char *where = xprintf("%s: header", path);
    json_t *o = json_parse((const char *)m.data + 8, header, where, e);
    free(where);
    if (!o)
        return false;
    bool ok = json_is_object(o) || err_set(e, "%s: the header must be an object, got %s", path, json_type_name(o));
    const unsigned char *data = m.data + 8 + header;
    int64_t data_n = (int64_t)(m.size - 8 - header);
    int32_t first = s->n;
    const char *name;
    json_t *v;
    s->at = xrealloc(s->at, sizeof *s->at * ((size_t)s->n + json_object_size(o) + 1));
    json_object_foreach(o, name, v)
    {
        if (!ok || !strcmp(name, "__metadata__"))
            continue;
        s->at[s->n] = (struct st_tensor){0};
        ok = read_entry(&s->at[s->n], name, v, data, data_n, e) || err_in(e, "%s", path);
        s->n += ok;
    }
    ok = ok && (check_cover(s->at + first, s->n - first, data, data_n, e) || err_in(e, "%s", path));
    json_decref(o);
    return ok;
}

static int by_string(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Every shard that the index names, and every tensor in the shard the index says. */
static bool read_index(struct safetensors *s, const char *dir, const char *path, struct err *e)
{
    json_t *o = json_load_path(path, false, NULL, e), *map = json_object_get(o, "weight_map"), *v;
    const char *name;
    if (!o)
        return false;
    bool ok = json_is_object(map) || err_set(e, "%s: \"weight_map\" must be an object, got %s", path, json_type_name(map));
    const char **file = xcalloc(json_object_size(map) + 1, sizeof *file);
    size_t n = 0;
    json_object_foreach(map, name, v)
    {
        const char *f = json_string_value(v);
        if (ok && (!f || strchr(f, '/')))
            ok = err_set(e, "%s: the shard of \"%s\" must be a file name", path, name);
        file[n++] = f ? f : "";
    }
    qsort(file, n, sizeof *file, by_string);
    for (size_t i = 0; ok && i < n; i++) {
        if (i && !strcmp(file[i], file[i - 1]))
            continue;
        char *full = xprintf("%s/%s", dir, file[i]);
        int32_t first = s->n;
        ok = read_file(s, full, e);
        if (ok)
            qsort(s->at + first, (size_t)(s->n - first), sizeof *s->at, by_name);
        json_object_foreach(map, name, v)
        {
            struct st_tensor key = {.name = (char *)name};
            if (ok && !strcmp(json_string_value(v), file[i]) && !bsearch(&key, s->at + first, (size_t)(s->n - first), sizeof key, by_name))
                ok = err_set(e, "%s: tensor \"%s\" is missing, which %s says is there", full, name, path);
        }
        free(full);
    }
    free(file);
    json_decref(o);
    return ok;
}

bool safetensors_open(struct safetensors *s, const char *path, struct err *e)
{
    static const char *const single[] = {"model.safetensors", "consolidated.safetensors"};
    bool ok = false, found = false;
    *s = (struct safetensors){0};
    if (!file_is_dir(path)) {
        found = true;
        ok = read_file(s, path, e);
    }
    char *index = xprintf("%s/model.safetensors.index.json", path);
    if (!found && file_exists(index)) {
        found = true;
        ok = read_index(s, path, index, e);
    }
    free(index);
    for (size_t i = 0; !found && i < sizeof single / sizeof single[0]; i++) {
        char *full = xprintf("%s/%s", path, single[i]);
        if (file_exists(full)) {
            found = true;
            ok = read_file(s, full, e);
        }
        free(full);
    }
    if (!found)
        ok = err_set(e, "%s: no weights here: expected model.safetensors, model.safetensors.index.json or consolidated.safetensors", path);
    if (ok) {
        qsort(s->at, (size_t)s->n, sizeof *s->at, by_name);
        for (int32_t i = 1; ok && i < s->n; i++)
            if (!strcmp(s->at[i].name, s->at[i - 1].name))
                ok = err_set(e, "%s: tensor \"%s\" is there twice", path, s->at[i].name);
    }
    if (!ok)
        safetensors_close(s);
    return ok;
}

void safetensors_close(struct safetensors *s)
{
    for (int32_t i = 0; i < s->n; i++)
        free(s->at[i].name);
    for (int32_t i = 0; i < s->n_blob; i++) {
        if (s->blob[i].heap)
            free(s->blob[i].heap);
        else
            file_map_close(&s->blob[i].map);
    }
    free(s->at);
    free(s->blob);
    *s = (struct safetensors){0};
}

const unsigned char *safetensors_bytes(const struct safetensors *s, size_t *n)
{
    *n = s->blob[0].map.size;
    return s->blob[0].map.data;
}

const struct st_tensor *safetensors_find(const struct safetensors *s, const char *name)
{
    struct st_tensor key = {.name = (char *)name};
    return s->n ? bsearch(&key, s->at, (size_t)s->n, sizeof key, by_name) : NULL;
}

bool st_check_dtype(const struct st_tensor *t, struct err *e)
{
    if (!strcmp(t->dtype, "F32") || !strcmp(t->dtype, "BF16") || !strcmp(t->dtype, "F16"))
        return true;
    return err_set(e, "tensor \"%s\": dtype must be F32, BF16 or F16, got %s", t->name, t->dtype);
}

static float f16_to_f32(uint16_t h)
{
    union {
        uint32_t u;
        float f;
    } v;
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = h >> 10 & 31u, fraction = h & 1023u;
    if (exponent == 0) {
        v.f = (float)fraction * 0x1p-24f;
        v.u |= sign;
    } else {
        v.u = sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | fraction << 13;
    }
    return v.f;
}

void st_read_f32(const struct st_tensor *t, int64_t from, int64_t n, float *out)
{
    must(from >= 0 && n >= 0 && from + n <= t->n);
    if (!strcmp(t->dtype, "F32")) {
        memcpy(out, t->data + 4 * from, sizeof(float) * (size_t)n);
        return;
    }
    bool bf16 = !strcmp(t->dtype, "BF16");
    for (int64_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, t->data + 2 * (from + i), 2);
        out[i] = bf16 ? bf16_to_f32(h) : f16_to_f32(h);
    }
}

void safetensors_forget(const struct safetensors *s, const struct st_tensor *t, int64_t from, int64_t n)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), size = (uintptr_t)(t->bytes / t->n);
    uintptr_t first = (uintptr_t)t->data + (uintptr_t)from * size, end = first + (uintptr_t)n * size;
    for (int32_t i = 0; i < s->n_blob; i++) {
        uintptr_t blob = (uintptr_t)s->blob[i].map.data;
        if (s->blob[i].heap || first < blob || first >= blob + s->blob[i].map.size)
            continue;
        first = first / page * page; /* a mapping begins on a page, so this is still inside */
        madvise((void *)first, end / page * page > first ? end / page * page - first : 0, MADV_DONTNEED);
        return;
    }
}

struct st_out {
    struct file_out *file;
    uint64_t end; /* bytes of the whole file */
};

char *st_head(const struct st_spec *spec, int32_t n, size_t *bytes, int64_t *data)
{
    json_t *o = json_pack("{s:{s:s}}", "__metadata__", "format", "pt");
    int64_t at = 0;
    must(o);
    for (int32_t i = 0; i < n; i++) {
        json_t *shape = json_array();
        int64_t size = dtype_bytes(spec[i].dtype);
        for (int d = 0; d < spec[i].ndim; d++) {
            json_array_append_new(shape, json_integer(spec[i].shape[d]));
            size *= spec[i].shape[d];
        }
        json_object_set_new(o, spec[i].name,
                            json_pack("{s:s, s:o, s:[I, I]}", "dtype", spec[i].dtype, "shape", shape, "data_offsets", (json_int_t)at,
                                      (json_int_t)(at + size)));
        at += size;
    }
    char *text = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    must(text);
    size_t header = strlen(text), padded = (header + 7) / 8 * 8; /* the data begin at a multiple of 8 */
    text = xrealloc(text, 8 + padded);
    memmove(text + 8, text, header);
    memset(text + 8 + header, ' ', padded - header);
    for (int i = 0; i < 8; i++)
        text[i] = (char)(unsigned char)((uint64_t)padded >> (8 * i));
    *bytes = 8 + padded;
    *data = at;
    return text;
}

bool st_out_open(struct st_out **out, const char *path, const struct st_spec *spec, int32_t n, bool compress, struct err *e)
{
    size_t bytes;
    int64_t data;
    char *head = st_head(spec, n, &bytes, &data);
    struct file_out *f = NULL;
    bool ok = file_out_open(&f, path, compress, e) && file_out_write(f, head, bytes, e);
    free(head);
    if (!ok) {
        file_out_abort(f);
        return false;
    }
    *out = xmalloc(sizeof **out);
    **out = (struct st_out){f, bytes + (uint64_t)data};
    return true;
}

bool st_out_write(struct st_out *o, const void *p, size_t bytes, struct err *e)
{
    return file_out_write(o->file, p, bytes, e);
}

bool st_out_commit(struct st_out *o, struct err *e)
{
    must(file_out_tell(o->file) == o->end);
    bool ok = file_out_commit(o->file, e);
    free(o);
    return ok;
}

void st_out_abort(struct st_out *o)
{
    if (o)
        file_out_abort(o->file);
    free(o);
}
