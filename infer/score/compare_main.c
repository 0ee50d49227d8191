/* infer/score/compare_main.c - the program compare: two evaluations, two training runs, or both, side by side. */
#include "core/cli.h"
#include "core/file.h"
#include "infer/score/compare.h"
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

struct settings {
    char *output, *label[2], *title;
};
static const struct conf_field table[] = {
    {.key = "output", .type = CONF_STR, .at = offsetof(struct settings, output), .help = "also a page for people"},
    {.key = "label_a",
     .type = CONF_STR,
     .at = offsetof(struct settings, label[0]),
     .help = "what the first is called; not given: its path"},
    {.key = "label_b", .type = CONF_STR, .at = offsetof(struct settings, label[1]), .help = "the same for the second"},
    {.key = "title", .type = CONF_STR, .at = offsetof(struct settings, title), .str_def = "Comparison", .help = "the page's heading"},
    {0}};

static bool ends_in(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

/* The metrics.jsonl that a path is or holds; NULL: none. The caller frees. */
static char *metrics_in(const char *path)
{
    if (!file_is_dir(path))
        return ends_in(path, ".json") ? NULL : xstrdup(path);
    char *file = xprintf("%s/metrics.jsonl", path);
    if (file_exists(file))
        return file;
    free(file);
    return NULL;
}

/* The scores that a path is or holds: name -> path of score.json. A folder's are its NAME/score.json, its own score.json, its NAME.score.json. */
static json_t *scores_in(const char *path)
{
    json_t *found = json_object();
    if (!file_is_dir(path)) {
        if (ends_in(path, ".json"))
            json_object_set_new(found, "", json_string(path));
        return found;
    }
    DIR *d = opendir(path);
    for (struct dirent *at; d && (at = readdir(d));) {
        char *inside = xprintf("%s/%s/score.json", path, at->d_name), *here = xprintf("%s/%s", path, at->d_name);
        if (strcmp(at->d_name, "..") != 0 && file_exists(inside))
            json_object_set_new(found, at->d_name, json_string(inside));
        else if (ends_in(at->d_name, ".score.json"))
            json_object_set_new(found, at->d_name, json_string(here));
        free(inside);
        free(here);
    }
    if (d)
        closedir(d);
    return found;
}

static bool compare_scores(const char *path_a, const char *path_b, const char *const label[2], struct html *h, struct err *e)
{
    json_t *a = json_load_path(path_a, false, NULL, e), *b = a ? json_load_path(path_b, false, NULL, e) : NULL;
    struct comparison c = {0};
    bool ok = a && b && comparison_make(&c, a, label[0], b, label[1], e);
    if (ok) {
        comparison_text(stdout, &c);
        comparison_html(h, &c);
    }
    comparison_free(&c);
    json_decref(a);
    json_decref(b);
    return ok;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Every score that both have, by name; two single files are a pair whatever their names. */
static bool all_scores(const char *const path[2], const char *const label[2], struct html *h, int *done, struct err *e)
{
    json_t *a = scores_in(path[0]), *b = scores_in(path[1]), *value;
    const char *name, **names = xcalloc(json_object_size(a) + 1, sizeof(*names));
    int n = 0;
    bool ok = true;
    json_object_foreach(a, name, value)
    {
        if (json_object_get(b, name))
            names[n++] = name;
    }
    qsort(names, (size_t)n, sizeof(*names), by_name);
    for (int i = 0; ok && i < n; i++) {
        if ((*done)++)
            putchar('\n');
        ok = compare_scores(json_string_value(json_object_get(a, names[i])), json_string_value(json_object_get(b, names[i])), label, h, e);
    }
    free(names);
    json_decref(a);
    json_decref(b);
    return ok;
}

static bool both_runs(const char *const path[2], const char *const label[2], struct html *h, int *done, struct err *e)
{
    char *file[2] = {metrics_in(path[0]), metrics_in(path[1])};
    struct curves run[2] = {0};
    bool ok = true;
    if (file[0] && file[1]) {
        ok = curves_read(&run[0], file[0], e) && curves_read(&run[1], file[1], e);
        if (ok) {
            if ((*done)++)
                putchar('\n');
            runs_text(stdout, run, label);
            runs_html(h, run, label);
        }
        curves_free(&run[0]);
        curves_free(&run[1]);
    }
    free(file[0]);
    free(file[1]);
    return ok;
}

static bool compare(const struct settings *s, const char *const path[2], struct err *e)
{
    const char *const label[2] = {s->label[0] ? s->label[0] : path[0], s->label[1] ? s->label[1] : path[1]};
    struct html h;
    int done = 0;
    bool ok = true;
    html_begin(&h, s->title);
    for (int i = 0; ok && i < 2; i++)
        ok = file_exists(path[i]) || err_set(e, "%s: no such file or folder", path[i]);
    ok = ok && all_scores(path, label, &h, &done, e) && both_runs(path, label, &h, &done, e);
    if (ok && done == 0)
        ok = err_set(e, "%s and %s have nothing in common to compare: give two score.json, two metrics.jsonl, or two folders with them",
                     path[0], path[1]);
    if (ok && s->output)
        return html_finish(&h, s->output, e);
    html_abort(&h);
    return ok;
}

int main(int argc, char **argv)
{
    struct settings s = {0};
    const char **words = xcalloc((size_t)argc, sizeof(*words));
    int n = 0;
    struct err e;
    cli_options_words(
        &s, table, argc, argv,
        "compare A B [--output COMPARISON.html] [--label-a NAME] [--label-b NAME]\n"
        "A and B are two SCORE.json, two metrics.jsonl, or two folders that hold them (of scripts/evaluate.sh, of training runs).\n"
        "Prints a table of what both have; the page adds pictures and the problems that changed. Differences are B - A.",
        words, &n);
    if (n != 2) {
        err_set(&e, "two files or folders are needed, got %d", n);
        cli_usage(argv[0], &e);
    }
    bool ok = compare(&s, words, &e);
    int code = ok ? EXIT_OK : cli_fail(argv[0], &e);
    free(words);
    conf_free(&s, table);
    return code;
}
