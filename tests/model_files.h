/* tests/model_files.h - small models with random weights, in memory and as folders, made by the tests that need one. */
#ifndef TESTS_MODEL_FILES_H
#define TESTS_MODEL_FILES_H
#include "core/file.h"
#include "core/json.h"
#include "kernels/device.h"
#include "model/weights.h"
#include <stdlib.h>

/* A model of a few thousand weights; others differ from it in what is named. */
static inline struct model_config tiny_config(void)
{
    return (struct model_config){.vocab = 40,
                                 .hidden = 16,
                                 .layers = 2,
                                 .heads = 4,
                                 .headdim = 8,
                                 .groups = 2,
                                 .state = 8,
                                 .conv = 4,
                                 .chunk = 8,
                                 .eps = 1e-5,
                                 .tied = false,
                                 .bos = 1,
                                 .eos = 2,
                                 .pad = 0};
}

/* Larger, with the byte tokenizer's vocabulary, and sizes that are no powers of two. */
static inline struct model_config small_config(int32_t groups, bool tied)
{
    struct model_config c = tiny_config();
    c.vocab = 259;
    c.hidden = 48;
    c.layers = 3;
    c.heads = 8;
    c.headdim = 12;
    c.groups = groups;
    c.state = c.chunk = 16;
    c.tied = tied;
    return c;
}

/* In the device's memory; the caller dev_free()s base. Matrices are scaled up, or the logits of an untrained model would be nearly equal. */
static inline struct tensors random_weights(const struct param_table *t, const struct model_config *c, enum dtype type, float scale,
                                            uint64_t seed)
{
    struct tensors w = {t, type, dev_alloc((size_t)t->bytes[type]), NULL};
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

static inline void save_config(const char *path, const struct model_config *c)
{
    struct err e;
    json_t *config = config_json(c);
    if (!json_write_path(path, config, &e))
        die("%s", e.msg);
    json_decref(config);
}

/* folder/model.safetensors, or shards of at most that many bytes (0: one file), in type. */
static inline void save_weights(const char *folder, struct tensors w, enum dtype type, int64_t shard)
{
    struct err e;
    if (!file_mkdirs(folder, &e) || !weights_save(w.table, weights_read_tensors, &w, folder, type, shard, &e))
        die("%s", e.msg);
}

/* folder/config.json and folder/model.safetensors (f32). */
static inline void save_model(const char *folder, const struct model_config *c, struct tensors w)
{
    char *path = xprintf("%s/config.json", folder);
    save_weights(folder, w, F32, 0);
    save_config(path, c);
    free(path);
}
#endif
