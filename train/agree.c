/* train/agree.c - see agree.h. */
#include "train/agree.h"
#include "core/hash.h"
#include "kernels/comm.h"
#include "train/watch.h"
#include <stdlib.h>
#include <string.h>

struct claim {
    char host[64];
    char is[256];
};

bool agree_value(const char *what, const char *is, struct err *e)
{
    int size = comm_size(), r = 1;
    struct claim me = {0}, *all = xcalloc((size_t)size, sizeof *all);
    snprintf(me.host, sizeof me.host, "%s", watch_host());
    snprintf(me.is, sizeof me.is, "%s", is);
    comm_gather(all, &me, sizeof me);
    while (r < size && !strcmp(all[r].is, all[0].is))
        r++;
    if (r < size)
        err_set(e, "rank %d (%s) differs from rank 0 (%s) in %s: %s, not %s; start all ranks alike", r, all[r].host, all[0].host, what,
                all[r].is, all[0].is);
    free(all);
    return r >= size;
}

/* The first setting in which two resolved sets differ, as "optim.lr"; NULL: none. Both came from one table, so they have the same keys save
 * those that were not given. The caller frees. */
static char *find_difference(const json_t *a, const json_t *b, const json_t **in_a, const json_t **in_b)
{
    char *found = NULL;
    const json_t *all = json_is_object(a) ? a : b;
    if (json_is_array(a) && json_is_array(b)) {
        size_t na = json_array_size(a), nb = json_array_size(b);
        for (size_t i = 0; i < (na > nb ? na : nb) && !found; i++) {
            char *inner = find_difference(json_array_get(a, i), json_array_get(b, i), in_a, in_b);
            if (inner)
                found = xprintf("%zu%s%s", i, *inner ? "." : "", inner);
            free(inner);
        }
    } else if (json_is_object(a) && json_is_object(b)) {
        for (int turn = 0; turn < 2 && !found; turn++, all = b) {
            const char *key;
            json_t *v;
            json_object_foreach((json_t *)all, key, v)
            {
                char *inner = find_difference(json_object_get(a, key), json_object_get(b, key), in_a, in_b);
                if (inner)
                    found = xprintf("%s%s%s", key, *inner ? "." : "", inner);
                free(inner);
                if (found)
                    break;
            }
        }
    } else if (!json_equal(a, b)) {
        *in_a = a;
        *in_b = b;
        found = xstrdup("");
    }
    return found;
}

static char *show(const json_t *v)
{
    char *text = v ? json_line(v) : NULL, *cut = xprintf("%.100s", text ? text : "not given");
    free(text);
    return cut;
}

static bool agree_settings(const struct settings *s, struct err *e)
{
    json_t *o = conf_to_json(s, settings_table);
    char *text = json_line(o), hex[HASH_XXH3_HEX];
    must(text);
    hash_xxh3(text, strlen(text), hex);
    int rank = comm_rank(), size = comm_size(), other = 0;
    char(*all)[HASH_XXH3_HEX] = xcalloc((size_t)size, sizeof *all);
    comm_gather(all, hex, sizeof hex);
    while (other < size && !strcmp(all[other], all[0]))
        other++;
    free(all);
    if (other < size) { /* every rank takes part in naming the difference */
        int64_t n = rank == 0 ? (int64_t)strlen(text) + 1 : 0;
        comm_broadcast(&n, sizeof n, 0);
        char *first = xmalloc((size_t)n), what[sizeof e->msg] = "";
        if (rank == 0)
            memcpy(first, text, (size_t)n);
        comm_broadcast(first, (size_t)n, 0);
        json_t *want = json_loads(first, 0, NULL);
        const json_t *a = NULL, *b = NULL;
        must(want);
        char *key = find_difference(want, o, &a, &b), *should = show(a), *is = show(b);
        snprintf(what, sizeof what, "rank %d (%s) differs from rank 0 in the setting %s: %s, not %s; start all ranks alike", rank,
                 watch_host(), key ? key : "", is, should);
        comm_broadcast(what, sizeof what, other);
        err_set(e, "%s", what);
        free(key);
        free(should);
        free(is);
        free(first);
        json_decref(want);
    }
    free(text);
    json_decref(o);
    return other >= size;
}

bool agree_start(const struct settings *s, enum resume resume, struct err *e)
{
    static const char *const words[] = {"auto", "never", "must"};
    char hex[HASH_XXH3_HEX] = "";
    return comm_agree(hash_xxh3_file("/proc/self/exe", hex, e), e) && agree_value("the program's binary (XXH3-128)", hex, e) &&
           agree_value("--resume", words[resume], e) && agree_settings(s, e);
}
