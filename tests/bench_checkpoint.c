/* bench_checkpoint [--model NAME|CONFIG] [--folder DIR] [--json FILE] - how long a save holds training up, how fast a checkpoint is written, checked
 * and read from the disk (not from its cache); of one rank, or under mpirun of several. */
#include "core/cli.h"
#include "core/file.h"
#include "core/json.h"
#include "core/log.h"
#include "kernels/comm.h"
#include "kernels/device.h"
#include "train/saver.h"
#include "train/shares.h"
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct settings {
    char *model, *folder, *json;
};
static const struct conf_field table[] = {
    {.key = "model",
     .type = CONF_STR,
     .at = offsetof(struct settings, model),
     .str_def = "demo",
     .help = "a name in configs/models, or a config.json"},
    {.key = "folder",
     .type = CONF_STR,
     .at = offsetof(struct settings, folder),
     .str_def = "/tmp/bench_checkpoint",
     .help = "of the checkpoints, on the disk to be measured; its old content goes"},
    {.key = "json", .type = CONF_STR, .at = offsetof(struct settings, json), .help = "also write the rows there"},
    {0}};

static void must_be(bool ok, const struct err *e)
{
    if (!ok)
        die("%s", e->msg);
}

/* The files of a folder, which are synced, leave the system's cache. */
static void forget(const char *dir)
{
    DIR *d = opendir(dir);
    must(d);
    for (struct dirent *f; (f = readdir(d));) {
        char *path = xprintf("%s/%s", dir, f->d_name);
        int fd = open(path, O_RDONLY);
        if (fd >= 0) {
            must(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
            close(fd);
        }
        free(path);
    }
    closedir(d);
}

static json_t *rows;
static void row(const char *what, double seconds, double bytes)
{
    comm_barrier();
    if (comm_rank() > 0)
        return;
    printf("%-44s %8.3f s", what, seconds);
    if (bytes > 0)
        printf("  %8.0f MB/s", bytes / seconds / 1e6);
    putchar('\n');
    json_array_append_new(rows, json_pack("{s:s, s:f, s:f}", "what", what, "seconds", seconds, "bytes", bytes));
}

int main(int argc, char **argv)
{
    struct settings o = {0};
    struct err e;
    struct model_config c;
    char note[256];
    cli_options(&o, table, argc, argv, "usage: bench_checkpoint [--model NAME|CONFIG] [--folder DIR] [--json FILE]\nOptions:");
    must_be(comm_open(&e) && dev_open(comm_local_rank(), &e), &e);
    char *named = xprintf("configs/models/%s.json", o.model);
    must_be(config_load(&c, file_exists(named) ? named : o.model, note, sizeof note, &e), &e);
    rows = json_array();
    log_mute();

    struct param_table t;
    struct shares shares = {0};
    const struct tensors_part *own = NULL;
    params_plan_ranks(&t, &c, comm_size());
    if (comm_size() > 1) {
        shares_plan(&shares, &t, comm_rank());
        own = &shares.own[F32];
    }
    struct checkpoint_parts parts = {.config = &c};
    for (int i = 0; i < CHECKPOINT_SETS; i++) {
        parts.set[i] = (struct tensors){&t, F32, NULL, own};
        parts.set[i].base = dev_alloc((size_t)tensors_bytes(parts.set[i]));
    }
    double bytes = (double)t.weights * 4 * CHECKPOINT_SETS, stall, begin;
    if (comm_rank() == 0)
        printf("%s, %d ranks, %.2f GB\n", o.model, comm_size(), bytes / 1e9);
    for (int beside = 1; beside >= 0; beside--) {
        struct progress_state at = {.step = 1 + beside};
        if (comm_rank() == 0)
            must_be(file_remove_tree(o.folder, &e), &e);
        comm_barrier();
        struct saver *s = saver_open(o.folder, 1, &parts, own, beside ? saver_bytes(&t, own, false) : 0);
        begin = log_now();
        must_be(saver_begin(s, &at, &stall, &e), &e);
        row(beside ? "save, beside: training stands still" : "save, off: training stands still", stall, 0);
        double copied = log_now();
        saver_copied(s);
        copied = log_now() - copied;
        must_be(saver_wait(s, &e), &e);
        if (beside)
            row("save, beside: waiting for the copy, if at once", copied, 0);
        row(beside ? "save, beside: written and synced" : "save, off: written and synced", log_now() - begin, bytes);
        saver_close(s);
    }
    char *dir = NULL;
    if (comm_rank() == 0) {
        must_be(checkpoint_newest(o.folder, &dir, &e), &e);
        forget(dir);
        begin = log_now();
        must_be(checkpoint_verify(dir, &e), &e);
    }
    row("checked", log_now() - begin, bytes);
    if (comm_rank() == 0)
        forget(dir);
    free(dir);
    dir = xprintf("%s/step_000001", o.folder);
    comm_barrier();
    struct progress_state at;
    begin = log_now();
    must_be(checkpoint_load(dir, parts.set[0], parts.set, &at, &e), &e);
    comm_barrier();
    row("read", log_now() - begin, bytes);
    if (comm_rank() == 0) {
        must_be(file_remove_tree(o.folder, &e), &e);
        must_be(!o.json || json_write_path(o.json, rows, &e), &e);
    }
    json_decref(rows);
    for (int i = 0; i < CHECKPOINT_SETS; i++)
        dev_free(parts.set[i].base);
    shares_free(&shares);
    params_free(&t);
    free(dir);
    free(named);
    conf_free(&o, table);
    comm_close();
    return EXIT_OK;
}
