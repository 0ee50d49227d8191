/* train/train.c - the program: train CONFIG.json [--section.key=value ...] [--resume auto|never|must] [--plan] [--print-config]
 * [--ranks N] [--max-restarts N] [--hosts FILE] */
#include "core/cli.h"
#include "core/log.h"
#include "kernels/comm.h"
#include "train/supervise.h"
#include "train/trainer.h"
#include <stdlib.h>
#include <string.h>

static const char about[] = "usage: train CONFIG.json [--section.key=value ...] [--resume auto|never|must] [--plan] [--print-config]\n"
                            "             [--ranks N] [--max-restarts N] [--hosts FILE]\n"
                            "Trains a Mamba-2 model through the phases of CONFIG.json.\n"
                            "  --resume auto|never|must  go on from run_dir's newest checkpoint if there is one (default auto)\n"
                            "  --plan                    print the memory the run will take, and stop\n"
                            "  --print-config            print every setting as resolved, and stop\n"
                            "  --ranks N                 start N ranks with mpirun, one a GPU; with --plan: plan for one of N\n"
                            "  --max-restarts N          start again, from the newest good checkpoint, a run that failed; N times at most\n"
                            "  --hosts FILE              mpirun's host file: the ranks stand on these hosts\n"
                            "Settings, in the file or as options:";

struct options {
    enum resume resume;
    bool plan, print_config;
    const char *config;
    struct launch launch;
    bool launches;  /* this process starts others, which do the work */
    char **pass_on; /* the words that those get */
    int n_pass_on;
};

/* The value of option name at argv[*i], in the same word or the next; NULL: another option. */
static const char *option_value(const char *name, int argc, char **argv, int *i)
{
    size_t n = strlen(name);
    const char *a = argv[*i];
    if (strncmp(a, name, n) || (a[n] && a[n] != '='))
        return NULL;
    return a[n] ? a + n + 1 : *i + 1 < argc ? argv[++*i] : "";
}

static bool whole_number(const char *name, const char *value, int64_t min, int64_t max, int64_t *to, struct err *e)
{
    char *end;
    *to = strtoll(value, &end, 10);
    return (*value && !*end && *to >= min && *to <= max) ||
           err_set(e, "%s must be a whole number from %lld to %lld, got \"%s\"", name, (long long)min, (long long)max, value);
}

/* Takes the program's own options out of argv, so that what is left are settings. */
static bool take_options(struct options *o, int *argc, char **argv, struct err *e)
{
    static const char *const resume[] = {"auto", "never", "must"};
    int left = 1;
    *o = (struct options){.resume = RESUME_AUTO, .pass_on = xcalloc((size_t)*argc, sizeof(char *))};
    for (int i = 1; i < *argc; i++) {
        const char *value;
        int first = i;
        bool ok = true, launches = true;
        if ((value = option_value("--ranks", *argc, argv, &i))) {
            ok = whole_number("--ranks", value, 1, 4096, &o->launch.ranks, e);
        } else if ((value = option_value("--max-restarts", *argc, argv, &i))) {
            ok = whole_number("--max-restarts", value, 0, 1000000, &o->launch.max_restarts, e);
        } else if ((value = option_value("--hosts", *argc, argv, &i))) {
            o->launch.hosts = value;
        } else {
            launches = false;
            if (!strcmp(argv[i], "--plan")) {
                o->plan = true;
            } else if (!strcmp(argv[i], "--print-config")) {
                o->print_config = true;
            } else if ((value = option_value("--resume", *argc, argv, &i))) {
                int k = 0;
                while (k < 3 && strcmp(value, resume[k]))
                    k++;
                ok = k < 3 || err_set(e, "--resume must be auto, never or must, got \"%s\"", value);
                o->resume = (enum resume)k;
            } else if (strncmp(argv[i], "--", 2) && !o->config) {
                o->config = argv[i];
            } else {
                argv[left++] = argv[i];
            }
        }
        if (!ok)
            return false;
        o->launches = o->launches || launches;
        for (; !launches && first <= i; first++)
            o->pass_on[o->n_pass_on++] = argv[first];
    }
    *argc = left;
    if (!o->config)
        return err_set(e, "no settings file given");
    if (o->launch.hosts && !o->launch.ranks)
        return err_set(e, "--hosts needs --ranks N: how many ranks there are over all hosts");
    if (o->launches && getenv("PMIX_RANK"))
        return err_set(e, "--ranks, --max-restarts and --hosts start mpirun, which has started this process already: leave one out");
    return true;
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
    if (o.launches && !o.plan && !o.print_config)
        return supervise(&o.launch, o.n_pass_on, o.pass_on);
    free(o.pass_on);
    if (!o.plan && !o.print_config)
        trainer_hold_signals();
    if (!comm_open(&e))
        return cli_fail("train", &e);
    if (comm_rank() > 0)
        log_mute();
    bool usage, ok = comm_agree(settings_load(&s, o.config, argc, argv, &usage, &e), &e);
    if (usage)
        cli_usage("train", &e);
    if (ok && o.print_config) {
        json_t *v = conf_to_json(&s, settings_table);
        json_dumpf(v, stdout, JSON_INDENT(2) | json_exact(v));
        putchar('\n');
        json_decref(v);
    } else if (ok) {
        ok = o.plan ? trainer_plan(&s, o.launch.ranks ? (int)o.launch.ranks : comm_size(), &e) : trainer_run(&s, o.resume, &e);
    }
    int code = ok ? EXIT_OK : cli_fail("train", &e);
    settings_free(&s); /* nothing is in them when they were refused */
    comm_close();
    return code;
}
