/* train/plan.c - train --plan: the memory of a run, to the byte, before any of it is taken; what its ranks send each other. */
#include "kernels/comm.h"
#include "train/setup.h"
#include "train/trainer.h"
#include <stdio.h>
#include <stdlib.h>

static void row(const char *name, int64_t bytes)
{
    printf("  %-44s %15lld  %9.3f GiB\n", name, (long long)bytes, (double)bytes / (1024.0 * 1024 * 1024));
}

/* Passes of a step of most rows. */
static int64_t most_passes(const struct setup *u)
{
    const struct settings *s = u->settings;
    int64_t rows = (s->rows + u->ranks - 1) / u->ranks;
    return (rows + s->micro_rows - 1) / s->micro_rows;
}

/* What a rank sends, and receives as much: all shares but its own, once a pass of gradients, once a step of weights. */
static void print_exchange(const struct setup *u)
{
    int64_t passes = most_passes(u), others = u->ranks - 1;
    int64_t gradients = u->table.bytes[u->shape.gradients] / u->ranks * others,
            weights = u->table.bytes[u->shape.model.type] / u->ranks * others;
    char name[64];
    printf("each of %d ranks sends in a step\n", u->ranks);
    snprintf(name, sizeof name, "gradients, reduce-scatter of %lld passes", (long long)passes);
    row(name, gradients * passes);
    row("weights, all-gather", weights);
}

/* What the parts of memory would be with other settings. */
static void print_others(const struct setup *u)
{
    const struct settings *s = u->settings;
    const struct model_shape *sh = &u->shape.model;
    printf("what other settings would need\n");
    for (int keep = 0; keep < 2; keep++) {
        struct memory_shape other = u->shape;
        other.model.kept_layers = keep ? u->config.layers : 0;
        row(keep ? "recompute none" : "recompute full", memory_total(&u->table, &other) + u->libraries);
    }
    for (int64_t rows = s->micro_rows * 2; rows <= s->rows && rows <= s->micro_rows * 8; rows *= 2) {
        struct memory_shape other = u->shape;
        char name[64];
        other.model.kept_layers = 0;
        other.model.max_tokens = sh->max_tokens / s->micro_rows * rows;
        other.model.max_docs = sh->max_docs / (int32_t)s->micro_rows * (int32_t)rows;
        snprintf(name, sizeof name, "recompute full, batch.micro_rows %lld", (long long)rows);
        row(name, memory_total(&u->table, &other) + u->libraries);
    }
}

static void print_plan(const struct setup *u)
{
    const struct model_shape *sh = &u->shape.model;
    struct block_acts *layer = xcalloc((size_t)u->config.layers, sizeof *layer);
    struct arena measure = {0};
    struct memory m;
    memory_layout(&m, &measure, &u->table, &u->shape, layer);
    free(layer);
    printf("memory of a pass of %lld tokens (%lld rows), %lld weights, %d of %d layers keep their activations\n", (long long)sh->max_tokens,
           (long long)u->settings->micro_rows, (long long)u->table.weights, sh->kept_layers, u->config.layers);
    if (u->ranks > 1)
        printf("on each of %d ranks, which own equal shares of gradients and optimizer\n", u->ranks);
    row(sh->type == F32 ? "weights (f32)" : "weights (bf16, vectors f32)", m.weights);
    row(u->shape.gradients == F32 ? "gradients (f32)" : "gradients (bf16, vectors f32)", m.gradients);
    if (u->ranks > 1)
        row("gradients on their way to other ranks", m.flight);
    row(sh->type != F32 ? "optimizer: master weights, two moments" : "optimizer: two moments", m.optimizer);
    row("activations kept for the backward", m.kept);
    row("scratch: logits, gradients of activations", m.scratch);
    row("batches", m.batches);
    row("program and libraries", u->libraries);
    if (!u->copy_on_host && u->copy > 0)
        row("copy of what is being saved", u->copy);
    row("in all", m.total + u->libraries + (u->copy_on_host ? 0 : u->copy));
    if (u->copy_on_host && u->copy > 0)
        row("host memory: copy of what is being saved", u->copy);
    if (u->free_bytes > 0)
        row("free on the device", (int64_t)u->free_bytes);
    print_others(u);
    if (u->ranks > 1)
        print_exchange(u);
    printf("on disk\n");
    row("a checkpoint: weights and two moments (f32)", 3 * 4 * u->table.weights);
    fflush(stdout);
}

bool trainer_plan(const struct settings *s, int ranks, struct err *e)
{
    struct setup u;
    bool ok = setup_open(&u, s, ranks, e);
    if (ok && comm_rank() == 0)
        print_plan(&u);
    setup_close(&u);
    return ok;
}
