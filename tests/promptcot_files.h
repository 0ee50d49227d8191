/* tests/promptcot_files.h - what the tests of promptcot read and make in their folder: whole files, records, a small model. */
#ifndef TESTS_PROMPTCOT_FILES_H
#define TESTS_PROMPTCOT_FILES_H
#include "core/json.h"
#include "data/tokenizer.h"
#include "tests/folder.h"
#include "tests/model_files.h"
#include "tests/ref_model.h"

/* NULL: there is no such file. The caller frees. */
static inline char *read_all(const char *name)
{
    struct err e;
    char *path = path_of(name), *text = file_exists(path) ? file_read(path, (size_t)1 << 28, NULL, &e) : NULL;
    free(path);
    return text;
}

/* The records of a file, new. */
static inline json_t *load_lines(const char *name)
{
    struct err e;
    char *path = path_of(name);
    json_t *v = json_load_lines(path, &e);
    check_msg(v, "%s", e.msg);
    free(path);
    return v;
}

/* A folder with the byte tokenizer and the weights of a reference model; ref_model_close() and params_free() are the caller's. */
static inline void make_model(const char *name, struct ref_model *m, struct param_table *t, uint64_t stream)
{
    struct err e;
    struct model_config c = small_config(2, false);
    struct tokenizer *tok;
    char *path = path_of(name);
    params_plan(t, &c);
    ref_model_open(m, &c, t, stream);
    struct tensors w = {t, F32, dev_alloc((size_t)t->bytes[F32]), NULL};
    for (int32_t k = 0; k < t->n; k++) {
        float *host = xmalloc(sizeof *host * (size_t)t->param[k].n);
        for (int64_t i = 0; i < t->param[k].n; i++)
            host[i] = (float)m->w[k][i];
        dev_put(tensors_at(w, &t->param[k]), host, sizeof *host * (size_t)t->param[k].n);
        free(host);
    }
    save_model(path, &c, w);
    check_msg(tokenizer_open(&tok, "byte", &e) && tokenizer_save(tok, path, &e), "%s", e.msg);
    tokenizer_close(tok);
    dev_free(w.base);
    free(path);
}
#endif
