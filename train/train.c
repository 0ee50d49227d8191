/* train/train.c - the program: train CONFIG.json [--section.key=value ...] [--resume auto|never|must] [--plan] [--print-config] */
#include "core/cli.h"
#include "core/log.h"
#include "train/trainer.h"
#include <stdlib.h>
#include <string.h>

static const char about[] = "usage: train CONFIG.json [--section.key=value ...] [--resume auto|never|must] [--plan] [--print-config]\n"
                            "Trains a Mamba-2 model through the phases of CONFIG.json.\n"
                            "  --resume auto|never|must  go on from run_dir's newest checkpoint if there is one (default auto)\n"
                            "  --plan                    print the memory the run will take, and stop\n"
                            "  --print-config            print every setting as resolved, and stop\n"
                            "Settings, in the file or as options:";

struct options {
    enum resume resume;
    bool plan, print_config;
    const char *config;
};

/* Takes the program's own options out of argv, so that what is left are settings. */
static bool take_options(struct options *o, int *argc, char **argv, struct err *e)
{
    static const char *const resume[] = {"auto", "never", "must"};
    int left = 1;
    *o = (struct options){RESUME_AUTO, false, false, NULL};
    for (int i = 1; i < *argc; i++) {
        const char *a = argv[i];
        if (!strcmp(a, "--plan")) {
            o->plan = true;
        } else if (!strcmp(a, "--print-config")) {
            o->print_config = true;
        } else if (!strncmp(a, "--resume", 8) && (a[8] == '=' || !a[8])) {
            const char *value = a[8] ? a + 9 : i + 1 < *argc ? argv[++i] : "";
            int k = 0;
            while (k < 3 && strcmp(value, resume[k]))
                k++;
            if (k == 3)
                return err_set(e, "--resume must be auto, never or must, got \"%s\"", value);
            o->resume = (enum resume)k;
        } else if (strncmp(a, "--", 2) && !o->config) {
            o->config = a;
        } else {
            argv[left++] = argv[i];
        }
    }
    *argc = left;
    return o->config || err_set(e, "no settings file given");
}

int main(int argc, char **argv)
{
    struct options o;
    struct settings s;
    struct err e;
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--help")) {
            puts(about);
            conf_help(stdout, settings_table);
            return EXIT_OK;
        }
    if (!take_options(&o, &argc, argv, &e))
        cli_usage("train", &e);
    bool usage, ok = settings_load(&s, o.config, argc, argv, &usage, &e);
    if (usage)
        cli_usage("train", &e);
    if (!ok)
        return cli_fail("train", &e);
    if (o.print_config) {
        json_t *v = conf_to_json(&s, settings_table);
        json_dumpf(v, stdout, JSON_INDENT(2) | json_exact(v));
        putchar('\n');
        json_decref(v);
    } else {
        ok = o.plan ? trainer_plan(&s, &e) : trainer_run(&s, o.resume, &e);
    }
    settings_free(&s);
    return ok ? EXIT_OK : cli_fail("train", &e);
}
