/* infer/record.c - see record.h. */
#include "infer/record.h"
#include <stdlib.h>

char *record_id(const json_t *record, struct err *e)
{
    const json_t *id = json_object_get(record, "id");
    if (json_is_integer(id))
        return xprintf("%" JSON_INTEGER_FORMAT, json_integer_value(id));
    if (json_is_string(id))
        return xstrdup(json_string_value(id));
    err_set(e, "\"id\" must be a string or an integer, got %s", id ? json_type_name(id) : "nothing");
    return NULL;
}

char *record_key(const json_t *record)
{
    struct err none;
    char *id = record_id(record, &none);
    char *key = xprintf("%s\n%" JSON_INTEGER_FORMAT, id ? id : "", json_integer_value(json_object_get(record, "sample")));
    free(id);
    return key;
}
