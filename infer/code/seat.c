/* infer/code/seat.c - see seat.h. */
#include "infer/code/seat.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

double code_wall(double cpu_s)
{
    return 10 + 4 * cpu_s;
}

/* The last line of a traceback says what went wrong. */
static const char *last_line(char *text)
{
    size_t n = strlen(text);
    while (n && (text[n - 1] == '\n' || text[n - 1] == ' '))
        text[--n] = '\0';
    char *newline = strrchr(text, '\n');
    return newline ? newline + 1 : text;
}

/* One test from standard input to standard output. */
static bool run_case(struct code_seat *s, const json_t *test, double cpu_s, int program, struct code_result *r)
{
    const char *input = json_string_value(json_object_get(test, "input")), *want = json_string_value(json_object_get(test, "output"));
    struct run_spec spec = {.program = program,
                            .input = sandbox_file(input, strlen(input)),
                            .server = -1,
                            .cpu_s = cpu_s,
                            .output = (1 << 20) + 4 * (int64_t)strlen(want)};
    struct run_result run;
    sandbox_run(&run, s->sandbox, &spec, code_wall(cpu_s));
    close(spec.input);
    r->out_of_time = run.limit == RUN_CPU || run.limit == RUN_WALL;
    if (r->out_of_time)
        snprintf(r->why, sizeof(r->why), "out of time (%g s of CPU time are allowed)", cpu_s);
    else if (run.limit == RUN_OUTPUT)
        snprintf(r->why, sizeof(r->why), "far more output than expected, or files without end");
    else if (run.end.code > 128)
        snprintf(r->why, sizeof(r->why), "the program was ended by signal %d", run.end.code - 128);
    else if (run.end.code)
        snprintf(r->why, sizeof(r->why), "exit code %d: %.300s", run.end.code, last_line(run.err));
    else
        r->correct = code_same_output(run.out, run.n, want, r->why, sizeof(r->why));
    free(run.out);
    return r->correct;
}

void code_seat_judge(struct code_seat *s, const struct code_tests *t, double cpu_s, const char *program, struct code_result *r)
{
    *r = (struct code_result){.correct = false};
    char *text = xprintf("%s%s", t->prelude ? t->prelude : "", program);
    int file = sandbox_file(text, strlen(text));
    free(text);
    size_t i = 0;
    json_t *test;
    if (t->request)
        code_seat_calls(s, t->request, cpu_s, file, r);
    json_array_foreach(t->cases, i, test)
    {
        r->correct = false;
        if (run_case(s, test, cpu_s, file, r))
            continue;
        char *why = xprintf("test %zu of %zu: %s", i + 1, json_array_size(t->cases), r->why);
        snprintf(r->why, sizeof(r->why), "%s", why);
        free(why);
        break;
    }
    if (t->cases && r->correct)
        snprintf(r->why, sizeof(r->why), "passed, %zu tests", i);
    close(file);
}

void code_seat_leave(struct code_seat *s)
{
    if (s->judging)
        run_finish(&s->judge, true);
    s->judging = false;
}
