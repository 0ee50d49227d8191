/* core/conf.c - settings as a whole: defaults, what is missing, the resolved dump, --help. See conf.h; reading values is conf_set.c. */
#include "core/conf_impl.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double NO_LIMIT = 9e18; /* a bound out here is no bound worth printing */

static int default_choice(const struct conf_field *f)
{
    if (!f->str_def)
        return isnan(f->def) ? -1 : (int)f->def;
    for (int i = 0; f->choices[i]; i++)
        if (strcmp(f->choices[i], f->str_def) == 0)
            return i;
    die("the default \"%s\" of setting \"%s\" is not one of its choices", f->str_def, f->key);
}

void conf_defaults(void *into, const struct conf_field *table)
{
    for (const struct conf_field *f = table; f->key; f++) {
        void *at = (char *)into + f->at;
        switch (f->type) {
        case CONF_INT:
            *(int64_t *)at = f->required || isnan(f->def) ? INT64_MIN : (int64_t)f->def;
            break;
        case CONF_FLOAT:
            *(double *)at = f->required ? NAN : f->def;
            break;
        case CONF_BOOL:
            *(bool *)at = f->def != 0;
            break;
        case CONF_STR:
            free(*(char **)at);
            *(char **)at = f->str_def && !f->required ? xstrdup(f->str_def) : NULL;
            break;
        case CONF_CHOICE:
            *(int *)at = f->required ? -1 : default_choice(f);
            break;
        case CONF_PAIR:
            ((double *)at)[0] = f->required ? NAN : f->def;
            ((double *)at)[1] = f->required ? NAN : f->def2;
            break;
        case CONF_STRS:
        case CONF_LIST:
            break; /* empty, as the struct is zeroed */
        }
    }
}

void conf_free_list(struct conf_list *l, const struct conf_field *f)
{
    for (int64_t i = 0; i < l->n; i++)
        conf_free((char *)l->at + (size_t)i * f->sub_size, f->sub);
    free(l->at);
    *l = (struct conf_list){0};
}

void conf_free(void *of, const struct conf_field *table)
{
    for (const struct conf_field *f = table; f->key; f++) {
        void *at = (char *)of + f->at;
        if (f->type == CONF_STR) {
            free(*(char **)at);
            *(char **)at = NULL;
        } else if (f->type == CONF_STRS) {
            struct conf_strs *s = at;
            for (int64_t i = 0; i < s->n; i++)
                free(s->at[i]);
            free(s->at);
            *s = (struct conf_strs){0};
        } else if (f->type == CONF_LIST) {
            conf_free_list(at, f);
        }
    }
}

/* Has the setting a value, its default included? */
static bool given(const void *at, enum conf_type type)
{
    switch (type) {
    case CONF_INT:
        return *(const int64_t *)at != INT64_MIN;
    case CONF_FLOAT:
    case CONF_PAIR:
        return !isnan(*(const double *)at);
    case CONF_BOOL:
        return true;
    case CONF_STR:
        return *(char *const *)at != NULL;
    case CONF_CHOICE:
        return *(const int *)at >= 0;
    case CONF_STRS:
        return ((const struct conf_strs *)at)->n > 0;
    case CONF_LIST:
        return ((const struct conf_list *)at)->n > 0;
    }
    return false;
}

static bool check_all(const void *of, const struct conf_field *table, const char *prefix, struct err *e)
{
    for (const struct conf_field *f = table; f->key; f++) {
        const void *at = (const char *)of + f->at;
        if (f->required && !given(at, f->type)) {
            char key[256], option[256], what[512];
            snprintf(key, sizeof key, "%s%s", prefix, f->key);
            conf_option(key, option, sizeof option);
            conf_expected(f, what, sizeof what);
            return err_set(e, "setting \"%s\" is required and was not given; set it, for one with --%s: %s%s%s", key, option, what,
                           f->help ? ", " : "", f->help ? f->help : "");
        }
        if (f->type != CONF_LIST)
            continue;
        const struct conf_list *l = at;
        for (int64_t i = 0; i < l->n; i++) {
            char inside[256];
            snprintf(inside, sizeof inside, "%s%s.%lld.", prefix, f->key, (long long)i);
            if (!check_all((const char *)l->at + (size_t)i * f->sub_size, f->sub, inside, e))
                return false;
        }
    }
    return true;
}

bool conf_check(const void *of, const struct conf_field *table, struct err *e)
{
    return check_all(of, table, "", e);
}

static json_t *real(double x)
{
    return isfinite(x) ? json_real(x) : NULL; /* JSON has no infinity: left out, it comes back as the default that it can only be */
}

static json_t *value_to_json(const void *at, const struct conf_field *f)
{
    switch (f->type) {
    case CONF_INT:
        return json_integer(*(const int64_t *)at);
    case CONF_FLOAT:
        return real(*(const double *)at);
    case CONF_BOOL:
        return json_boolean(*(const bool *)at);
    case CONF_STR:
        return json_string(*(char *const *)at);
    case CONF_CHOICE:
        return json_string(f->choices[*(const int *)at]);
    case CONF_PAIR:
        return json_pack("[f, f]", ((const double *)at)[0], ((const double *)at)[1]);
    case CONF_STRS:
    case CONF_LIST:
        break;
    }
    json_t *array = json_array();
    must(array);
    if (f->type == CONF_STRS) {
        const struct conf_strs *s = at;
        for (int64_t i = 0; i < s->n; i++)
            must(json_array_append_new(array, json_string(s->at[i])) == 0);
    } else {
        const struct conf_list *l = at;
        for (int64_t i = 0; i < l->n; i++)
            must(json_array_append_new(array, conf_to_json((const char *)l->at + (size_t)i * f->sub_size, f->sub)) == 0);
    }
    return array;
}

json_t *conf_to_json(const void *of, const struct conf_field *table)
{
    json_t *root = json_object();
    must(root);
    for (const struct conf_field *f = table; f->key; f++) {
        const void *at = (const char *)of + f->at;
        bool list = f->type == CONF_STRS || f->type == CONF_LIST;
        json_t *v = list || given(at, f->type) ? value_to_json(at, f) : NULL;
        if (!v)
            continue;
        json_t *in = root;
        const char *key = f->key;
        for (const char *dot; (dot = strchr(key, '.')); key = dot + 1) {
            json_t *section = json_object_getn(in, key, (size_t)(dot - key));
            if (!section) {
                section = json_object();
                must(json_object_setn_new(in, key, (size_t)(dot - key), section) == 0);
            }
            in = section;
        }
        must(json_object_set_new(in, key, v) == 0);
    }
    return root;
}

bool conf_write(const char *path, const void *of, const struct conf_field *table, struct err *e)
{
    json_t *o = conf_to_json(of, table);
    bool ok = json_write_path(path, o, e);
    json_decref(o);
    return ok;
}

bool conf_in_range(const struct conf_field *f, double x)
{
    if (isnan(x))
        return false;
    return f->min == f->max || (x >= f->min && (x <= f->max || f->max < f->min));
}

void conf_option(const char *key, char *to, size_t n)
{
    snprintf(to, n, "%s", key);
    if (!strchr(key, '.'))
        for (char *p = to; *p; p++)
            if (*p == '_')
                *p = '-';
}

/* " from 1 to 64", " of at least 1", " of at most 64" or "". */
static void range(const struct conf_field *f, char *to, size_t n)
{
    *to = '\0';
    if (f->min == f->max)
        return;
    bool low = f->min > -NO_LIMIT, high = f->max >= f->min && f->max < NO_LIMIT;
    const char *form = f->type == CONF_INT ? "%.0f" : "%g";
    char a[64], b[64];
    snprintf(a, sizeof a, form, f->min);
    snprintf(b, sizeof b, form, f->max);
    if (low && high)
        snprintf(to, n, " from %s to %s", a, b);
    else if (low)
        snprintf(to, n, " of at least %s", a);
    else if (high)
        snprintf(to, n, " of at most %s", b);
}

void conf_expected(const struct conf_field *f, char *to, size_t n)
{
    char within[160];
    range(f, within, sizeof within);
    switch (f->type) {
    case CONF_INT:
        snprintf(to, n, "an integer%s", within);
        break;
    case CONF_FLOAT:
        snprintf(to, n, "a number%s", within);
        break;
    case CONF_BOOL:
        snprintf(to, n, "true or false");
        break;
    case CONF_STR:
        snprintf(to, n, "a string");
        break;
    case CONF_CHOICE:
        *to = '\0';
        for (int i = 0; f->choices[i]; i++) {
            size_t at = strlen(to);
            snprintf(to + at, n - at, "%s\"%s\"", i == 0 ? "" : f->choices[i + 1] ? ", " : " or ", f->choices[i]);
        }
        break;
    case CONF_PAIR:
        snprintf(to, n, "two numbers%s%s", *within ? ", each" : "", within);
        break;
    case CONF_STRS:
        snprintf(to, n, "a list of strings");
        break;
    case CONF_LIST:
        snprintf(to, n, "a list of objects");
        break;
    }
}

static void help_default(FILE *to, const struct conf_field *f)
{
    bool number = f->type == CONF_INT || f->type == CONF_FLOAT || f->type == CONF_PAIR;
    char within[160];
    range(f, within, sizeof within);
    if (f->required)
        fprintf(to, " (required%s%s)", number && *within ? ";" : "", number ? within : "");
    else if (f->type == CONF_INT && !isnan(f->def))
        fprintf(to, " (default %.0f%s%s)", f->def, *within ? ";" : "", within);
    else if (f->type == CONF_FLOAT && !isnan(f->def))
        fprintf(to, " (default %g%s%s)", f->def, *within ? ";" : "", within);
    else if (f->type == CONF_PAIR && !isnan(f->def))
        fprintf(to, " (default %g,%g%s%s)", f->def, f->def2, *within ? "; each" : "", within);
    else if (number && *within)
        fprintf(to, " (%s)", within + 1);
    else if (f->type == CONF_BOOL)
        fprintf(to, " (default %s)", f->def != 0 ? "true" : "false");
    else if (f->type == CONF_STR && f->str_def)
        fprintf(to, " (default %s)", *f->str_def ? f->str_def : "empty");
    else if (f->type == CONF_CHOICE && default_choice(f) >= 0)
        fprintf(to, " (default %s)", f->choices[default_choice(f)]);
    else if (f->type == CONF_STRS)
        fprintf(to, " (may be repeated)");
}

static void help_all(FILE *to, const struct conf_field *table, const char *prefix)
{
    static const char *const words[] = {"INT", "NUMBER", "", "TEXT", "", "A,B", "TEXT", ""};
    for (const struct conf_field *f = table; f->key; f++) {
        char key[256], option[512];
        snprintf(key, sizeof key, "%s%s", prefix, f->key);
        if (f->type == CONF_LIST) {
            fprintf(to, "  %s[]: %s%s; N counts them from 0:\n", key, f->help ? f->help : "", f->required ? " (required)" : "");
            snprintf(option, sizeof option, "%s.N.", key);
            help_all(to, f->sub, option);
            continue;
        }
        conf_option(key, option, sizeof option);
        int width = fprintf(to, "  --%s %s", option, words[f->type]);
        if (f->type == CONF_CHOICE)
            for (int i = 0; f->choices[i]; i++)
                width += fprintf(to, "%s%s", i ? "|" : "", f->choices[i]);
        if (width < 34)
            fprintf(to, "%*s", 34 - width, "");
        else
            fprintf(to, "\n%34s", "");
        fputs(f->help ? f->help : "", to);
        help_default(to, f);
        fputc('\n', to);
    }
}

void conf_help(FILE *to, const struct conf_field *table)
{
    help_all(to, table, "");
}
