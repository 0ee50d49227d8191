/* tests/model_files.h - small models with random weights, in memory and as folders, made by the tests that need one. */
#ifndef TESTS_MODEL_FILES_H
#define TESTS_MODEL_FILES_H
#include "core/file.h"
#include "core/json.h"
#include "kernels/device.h"
#include "model/weights.h"
#include <stdlib.h>

static inline struct model_config small_config(int32_t groups, bool tied)
{
    return (struct model_config){.vocab = 259,
                                 .hidden = 48,
                                 .layers = 3,
                                 .heads = 8,
                                 .headdim = 12,
                                 .groups = groups,
                                 .state = 16,
                                 .conv = 4,
                                 .chunk = 16,
                                 .eps = 1e-5,
                                 .tied = tied,
                                 .bos = 1,
                                 .eos = 2,
                                 .pad = 0};
}

/* In the device's memory; the caller dev_free()s base. Matrices are scaled up, or the logits of an untrained model would be nearly equal. */
static inline struct tensors random_weights(const struct param_table *t, const struct model_config *c, enum dtype type, float scale,
                                            uint64_t seed)
{
    struct tensors w = {t, type, dev_alloc((size_t)t->bytes[type])};
    weights_random(w, NULL, c, seed);
    for (int32_t k = 0; k < t->n; k++) {
        const struct param *p = &t->param[k];
        if (!p->matrix)
            continue;
        size_t bytes = (size_t)(p->n * dtype_size(type));
        void *host = xmalloc(bytes);
        dev_get(host, tensors_at(w, p), bytes);
        for (int64_t i = 0; i < p->n; i++)
            if (type == F32)
                ((float *)host)[i] *= scale;
            else
                ((uint16_t *)host)[i] = f32_to_bf16(scale * bf16_to_f32(((uint16_t *)host)[i]));
        dev_put(tensors_at(w, p), host, bytes);
        free(host);
    }
    return w;
}

/* Writes dir/config.json and dir/model.safetensors (f32). */
static inline void save_model(const char *dir, const struct model_config *c, struct tensors w)
{
    struct err e;
    char *path = xprintf("%s/config.json", dir);
    json_t *config = config_json(c);
    if (!file_mkdirs(dir, &e) || !json_write_path(path, config, &e) || !weights_save(w.table, weights_read_tensors, &w, dir, F32, 0, &e))
        die("%s", e.msg);
    json_decref(config);
    free(path);
}
#endif
