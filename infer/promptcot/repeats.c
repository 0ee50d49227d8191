/* infer/promptcot/repeats.c - of generated problems those go that are there already: copies of evaluation problems, and problems in the same or nearly
 * the same words as one before them. See promptcot.h. */
#include "data/select/near.h"
#include "infer/promptcot/promptcot.h"
#include "infer/promptcot/text.h"
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL /* no library to link */
#include <xxhash.h>    /* XXH3_64bits */

/* The problems that stay, as far as the next one is compared with them. */
struct kept {
    const struct promptcot *p;
    struct decontam *against; /* NULL: there are no evaluation problems */
    struct decontam_room room;
    struct words words;
    struct runs runs;
    struct table exact; /* all words of a problem that stays -> its number */
    struct near near;
    json_t *records;
};

static uint64_t hash_of(const struct words *w)
{
    uint64_t h = 0;
    for (int64_t i = 0; i < w->n; i++)
        h = XXH3_64bits_withSeed(&w->at[i].hash, sizeof w->at[i].hash, h);
    return h;
}

/* Why the problem goes, a record for the list of what went, which lacks its id; NULL: it is one of the kept now. */
static json_t *fault_of(struct kept *k, json_t *record)
{
    const char *problem = text_of(record, "problem"), *why = NULL;
    int32_t of;
    double similarity = 1;
    json_t *asked = json_pack("{s:s}", "prompt", problem), *hit = k->against ? decontam_find(k->against, asked, &k->room) : NULL;
    json_decref(asked);
    if (hit) {
        json_object_set_new(hit, "why", json_string("contaminated"));
        return hit;
    }
    words_of(&k->words, problem, strlen(problem));
    runs_of(&k->runs, &k->words, false);
    uint64_t hash = hash_of(&k->words);
    if ((of = table_get(&k->exact, hash)) >= 0)
        why = "duplicate";
    else if ((of = near_find(&k->near, &k->runs, k->p->similarity, &similarity)) >= 0)
        why = "near_duplicate";
    if (why)
        return json_pack("{s:s, s:O, s:f}", "why", why, "of", json_object_get(json_array_get(k->records, (size_t)of), "id"), "similarity",
                         (double)(int64_t)(similarity * 1000 + 0.5) / 1000);
    table_put(&k->exact, hash, (int32_t)json_array_size(k->records));
    near_add(&k->near, &k->runs);
    json_array_append(k->records, record);
    return NULL;
}

bool step_take_out(struct step *s, struct err *e)
{
    struct kept k = {.p = s->p, .records = json_array()};
    json_t *removed = json_array(), *one, *fault;
    size_t i;
    bool ok = s->p->decontaminate.against.n == 0 || decontam_open(&k.against, &s->p->decontaminate, e);
    json_array_foreach(s->out, i, one)
    {
        if (!ok || !(fault = fault_of(&k, one)))
            continue;
        step_drop(s, text_of(fault, "why"));
        json_object_set(fault, "id", json_object_get(one, "id"));
        json_object_set(fault, "text", json_object_get(one, "problem"));
        json_array_append_new(removed, fault);
    }
    char *path = xprintf("%s/%s.removed.jsonl", s->p->work, s->name);
    ok = ok && step_write(removed, path, e);
    free(path);
    json_decref(removed);
    json_decref(s->out);
    s->out = k.records;
    decontam_close(k.against);
    decontam_room_free(&k.room);
    words_free(&k.words);
    runs_free(&k.runs);
    table_free(&k.exact);
    near_free(&k.near);
    return ok;
}
