/* data/parquet/thrift.c - see thrift.h. */
#include "data/parquet/thrift.h"

enum { DEPTH = 32 };

static unsigned byte(struct thrift *t)
{
    if (t->bad || t->p == t->end) {
        t->bad = true;
        return 0;
    }
    return *t->p++;
}

static void advance(struct thrift *t, uint64_t n)
{
    if (n > (uint64_t)(t->end - t->p))
        t->bad = true;
    else
        t->p += n;
}

uint64_t thrift_varint(struct thrift *t)
{
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        unsigned b = byte(t);
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80)
            return t->bad ? 0 : v;
    }
    t->bad = true;
    return 0;
}

int64_t thrift_int(struct thrift *t)
{
    return thrift_zigzag(thrift_varint(t));
}

bool thrift_field(struct thrift *t, struct thrift_field *f)
{
    unsigned b = byte(t);
    if (t->bad || b == 0)
        return false;
    f->type = (int)(b & 15);
    int64_t id = b >> 4 ? f->id + (int64_t)(b >> 4) : thrift_int(t);
    if (f->type > THRIFT_STRUCT || f->type == 0 || id < 1 || id > INT16_MAX)
        t->bad = true;
    f->id = (int)id;
    return !t->bad;
}

int64_t thrift_list(struct thrift *t, int *type)
{
    unsigned b = byte(t);
    uint64_t n = b >> 4 == 15 ? thrift_varint(t) : b >> 4;
    *type = (int)(b & 15);
    if (n > (uint64_t)(t->end - t->p))
        t->bad = true;
    return t->bad ? 0 : (int64_t)n;
}

const char *thrift_binary(struct thrift *t, size_t *n)
{
    uint64_t len = thrift_varint(t);
    const char *s = (const char *)t->p;
    advance(t, len);
    *n = t->bad ? 0 : (size_t)len;
    return s;
}

static void skip(struct thrift *t, int type, bool in_list, int depth)
{
    struct thrift_field f = {0};
    int element, value;
    int64_t n;
    size_t len;
    if (depth == DEPTH)
        t->bad = true;
    if (t->bad)
        return;
    switch (type) {
    case THRIFT_TRUE: /* of a field, the type is the value */
    case THRIFT_FALSE:
        if (in_list)
            byte(t);
        return;
    case THRIFT_I8:
        byte(t);
        return;
    case THRIFT_I16:
    case THRIFT_I32:
    case THRIFT_I64:
        thrift_varint(t);
        return;
    case THRIFT_DOUBLE:
        advance(t, 8);
        return;
    case THRIFT_BINARY:
        thrift_binary(t, &len);
        return;
    case THRIFT_LIST:
    case THRIFT_SET:
        n = thrift_list(t, &element);
        for (int64_t i = 0; i < n && !t->bad; i++)
            skip(t, element, true, depth + 1);
        return;
    case THRIFT_MAP:
        n = (int64_t)(thrift_varint(t) & INT64_MAX);
        value = n > 0 ? (int)byte(t) : 0;
        for (int64_t i = 0; i < n && !t->bad; i++) {
            skip(t, value >> 4, true, depth + 1);
            skip(t, value & 15, true, depth + 1);
        }
        return;
    case THRIFT_STRUCT:
        while (thrift_field(t, &f))
            skip(t, f.type, false, depth + 1);
        return;
    default:
        t->bad = true;
    }
}

void thrift_skip(struct thrift *t, int type)
{
    skip(t, type, false, 0);
}
