/* train/plan.c - train --plan: the memory of a run, to the byte, before any of it is taken. */
#include "core/log.h"
#include "kernels/device.h"
#include "train/setup.h"
#include "train/trainer.h"
#include <stdio.h>
#include <stdlib.h>

static void row(const char *name, int64_t bytes)
{
    printf("  %-44s %15lld  %9.3f GiB\n", name, (long long)bytes, (double)bytes / (1024.0 * 1024 * 1024));
}

bool trainer_plan(const struct settings *s, struct err *e)
{
    struct setup u;
    bool ok = setup_open(&u, s, true, e);
    if (ok) {
        const struct model_shape *sh = &u.shape.model;
        struct block_acts *layer = xcalloc((size_t)u.config.layers, sizeof *layer);
        struct arena measure = {0};
        struct memory m;
        memory_layout(&m, &measure, &u.table, &u.shape, layer);
        free(layer);
        printf("memory of a pass of %lld tokens (%lld rows), %lld weights, %d of %d layers keep their activations\n",
               (long long)sh->max_tokens, (long long)s->micro_rows, (long long)u.table.weights, sh->kept_layers, u.config.layers);
        row(sh->type == F32 ? "weights (f32)" : "weights (bf16, vectors f32)", m.weights);
        row(u.shape.gradients == F32 ? "gradients (f32)" : "gradients (bf16, vectors f32)", m.gradients);
        row(sh->type == F32 ? "optimizer: two moments" : "optimizer: master weights, two moments", m.optimizer);
        row("activations kept for the backward", m.kept);
        row("scratch: logits, gradients of activations", m.scratch);
        row("batches", m.batches);
        row("program and libraries", u.libraries);
        row("in all", m.total + u.libraries);
        row("free on the device", (int64_t)u.free_bytes);
        printf("what other settings would need\n");
        for (int keep = 0; keep < 2; keep++) {
            struct memory_shape other = u.shape;
            other.model.kept_layers = keep ? u.config.layers : 0;
            row(keep ? "recompute none" : "recompute full", memory_total(&u.table, &other) + u.libraries);
        }
        for (int64_t rows = s->micro_rows * 2; rows <= s->rows && rows <= s->micro_rows * 8; rows *= 2) {
            struct memory_shape other = u.shape;
            char name[64];
            other.model.kept_layers = 0;
            other.model.max_tokens = sh->max_tokens / s->micro_rows * rows;
            other.model.max_docs = sh->max_docs / (int32_t)s->micro_rows * (int32_t)rows;
            snprintf(name, sizeof name, "recompute full, batch.micro_rows %lld", (long long)rows);
            row(name, memory_total(&u.table, &other) + u.libraries);
        }
        fflush(stdout);
    }
    setup_close(&u);
    return ok;
}
