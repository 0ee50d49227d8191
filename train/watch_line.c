/* train/watch_line.c - the last line of a run that was ended: made by the watch, read by the supervisor. */
#include "train/watch.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const section_names[WATCH_SECTIONS] = {"start", "data", "forward", "backward", "reduce", "optimizer", "save"};
static const char *const cause_names[WATCH_CAUSES] = {"died", "silent", "hung", "failed"};

char *watch_line(const struct watch_verdict *v)
{
    char rank[16] = "?";
    if (v->rank >= 0)
        snprintf(rank, sizeof rank, "%d", v->rank);
    return xprintf("train: rank %s (%s) %s at step %lld, section %s: %s", rank, v->host, cause_names[v->cause], (long long)v->step,
                   section_names[v->section], v->why);
}

static int find(const char *const *names, int n, const char *word)
{
    int i = 0;
    while (i < n && strcmp(names[i], word))
        i++;
    return i < n ? i : -1;
}

bool watch_parse(struct watch_verdict *v, const char *line)
{
    char rank[16], cause[16], section[16];
    long long step;
    int why = 0;
    *v = (struct watch_verdict){0};
    if (sscanf(line, "train: rank %15s (%63[^)]) %15s at step %lld, section %15[a-z]: %n", rank, v->host, cause, &step, section, &why) !=
            5 ||
        why == 0)
        return false;
    v->rank = strcmp(rank, "?") ? atoi(rank) : -1;
    v->step = step;
    v->cause = find(cause_names, WATCH_CAUSES, cause);
    v->section = find(section_names, WATCH_SECTIONS, section);
    snprintf(v->why, sizeof v->why, "%s", line + why);
    return v->cause >= 0 && v->section >= 0;
}
