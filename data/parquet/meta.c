/* data/parquet/meta.c - see meta.h. The numbers in the switches are the field ids of parquet.thrift. */
#include "data/parquet/meta.h"
#include "data/parquet/thrift.h"
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 24, MAX_NODES = 10000 };
enum { CONVERTED_MAP = 1, CONVERTED_MAP_KEY_VALUE, CONVERTED_LIST, CONVERTED_DECIMAL = 5, CONVERTED_UINT_32 = 13 };
enum { LOGICAL_MAP = 2, LOGICAL_LIST, LOGICAL_DECIMAL = 5, LOGICAL_NULL = 11 };

const char *const parquet_codec_names[PARQUET_CODECS] = {"none", "snappy", "gzip", "lzo", "brotli", "lz4", "zstd", "lz4_raw"};

/* ------------------------------------------------------------------- the schema */

static void read_logical_type(struct thrift *t, struct parquet_node *n)
{
    struct thrift_field f = {0};
    while (thrift_field(t, &f)) {
        n->list = n->list || f.id == LOGICAL_LIST || f.id == LOGICAL_MAP;
        n->decimal = n->decimal || f.id == LOGICAL_DECIMAL;
        n->null = n->null || f.id == LOGICAL_NULL;
        thrift_skip(t, f.type);
    }
}

static void read_element(struct thrift *t, struct parquet_node *n)
{
    struct thrift_field f = {0};
    int64_t type = PARQUET_GROUP, repetition = PARQUET_REQUIRED, children = 0, converted = -1, width = 0;
    size_t len = 0;
    const char *name = "";
    while (thrift_field(t, &f))
        switch (f.id) {
        case 1:
            type = thrift_int(t);
            break;
        case 2:
            width = thrift_int(t);
            break;
        case 3:
            repetition = thrift_int(t);
            break;
        case 4:
            name = thrift_binary(t, &len);
            break;
        case 5:
            children = thrift_int(t);
            break;
        case 6:
            converted = thrift_int(t);
            break;
        case 10:
            read_logical_type(t, n);
            break;
        default:
            thrift_skip(t, f.type);
        }
    if (children > 0)
        type = PARQUET_GROUP;
    if (type < 0 || type > PARQUET_GROUP || repetition < 0 || repetition > PARQUET_REPEATED || children < 0 || children > MAX_NODES ||
        width < 0 || width > (1 << 20) || (type == PARQUET_FIXED && width == 0))
        t->bad = true;
    if (t->bad)
        return;
    n->name = xprintf("%.*s", (int)len, name);
    n->type = (enum parquet_type)type;
    n->repetition = (enum parquet_repetition)repetition;
    n->children = (int)children;
    n->width = (int32_t)width;
    n->list = n->list || converted == CONVERTED_LIST || converted == CONVERTED_MAP || converted == CONVERTED_MAP_KEY_VALUE;
    n->decimal = n->decimal || converted == CONVERTED_DECIMAL;
    n->u32 = type == PARQUET_INT32 && converted == CONVERTED_UINT_32;
}

/* Levels and ends of the subtree at node i; the node after it, -1: the counts of children do not fit. */
static int place_node(struct parquet_meta *m, int i, int def, int rep, int depth)
{
    if (i >= m->n_nodes || depth > DEPTH)
        return -1;
    struct parquet_node *n = &m->node[i];
    if (i > 0) {
        def += n->repetition != PARQUET_REQUIRED;
        rep += n->repetition == PARQUET_REPEATED;
    }
    n->def = def;
    n->rep = rep;
    n->leaf = m->n_leaves;
    m->n_leaves += n->type != PARQUET_GROUP;
    int next = i + 1;
    for (int c = 0; c < n->children && next > 0; c++)
        next = place_node(m, next, def, rep, depth + 1);
    n->next = next;
    return n->type == PARQUET_GROUP && n->leaf == m->n_leaves ? -1 : next; /* a group without a column has no levels to read */
}

static bool read_schema(struct parquet_meta *m, struct thrift *t)
{
    int type;
    int64_t n = thrift_list(t, &type);
    if (t->bad || type != THRIFT_STRUCT || n < 1 || n > MAX_NODES || m->node)
        return false;
    m->node = xcalloc((size_t)n, sizeof *m->node);
    for (m->n_nodes = 0; m->n_nodes < n && !t->bad; m->n_nodes++)
        read_element(t, &m->node[m->n_nodes]);
    return !t->bad && m->node[0].type == PARQUET_GROUP && place_node(m, 0, 0, 0, 0) == m->n_nodes;
}

/* ------------------------------------------------------------------- the row groups */

struct chunk_meta {
    int64_t type, codec, values, unpacked, size, data_at, dictionary_at;
    bool elsewhere;
};

static void read_chunk_meta(struct thrift *t, struct chunk_meta *c)
{
    struct thrift_field f = {0};
    while (thrift_field(t, &f)) {
        int64_t *to = f.id == 1    ? &c->type
                      : f.id == 4  ? &c->codec
                      : f.id == 5  ? &c->values
                      : f.id == 6  ? &c->unpacked
                      : f.id == 7  ? &c->size
                      : f.id == 9  ? &c->data_at
                      : f.id == 11 ? &c->dictionary_at
                                   : NULL;
        if (to)
            *to = thrift_int(t);
        else
            thrift_skip(t, f.type);
    }
}

/* The chunk of leaf node n. */
static bool read_chunk(struct thrift *t, const struct parquet_node *n, struct parquet_chunk *to, size_t file_size)
{
    struct thrift_field f = {0};
    struct chunk_meta c = {.type = -1};
    while (thrift_field(t, &f)) {
        if (f.id == 3) {
            read_chunk_meta(t, &c);
            continue;
        }
        c.elsewhere = c.elsewhere || f.id == 1; /* file_path: the column is in another file */
        thrift_skip(t, f.type);
    }
    int64_t at = c.dictionary_at > 0 && c.dictionary_at < c.data_at ? c.dictionary_at : c.data_at;
    if (c.values == 0) { /* of no rows: writers then put anything for where the pages would be */
        at = 4;
        c.size = 0;
    }
    if (t->bad || c.elsewhere || c.type != (int64_t)n->type || c.codec < 0 || c.codec >= PARQUET_CODECS || c.values < 0 || c.size < 0 ||
        c.unpacked < 0 || at < 4 || at > (int64_t)file_size || c.size > (int64_t)file_size - at)
        return false;
    *to = (struct parquet_chunk){at, c.size, c.values, c.unpacked, (int)c.codec};
    return true;
}

static bool read_group(struct parquet_meta *m, struct thrift *t, int64_t group, size_t file_size)
{
    struct thrift_field f = {0};
    int type, node = 0;
    bool columns = false;
    while (thrift_field(t, &f))
        if (f.id == 1) {
            if (columns || thrift_list(t, &type) != m->n_leaves || type != THRIFT_STRUCT)
                return false;
            columns = true;
            for (int leaf = 0; leaf < m->n_leaves; leaf++) {
                while (m->node[node].type == PARQUET_GROUP)
                    node++;
                if (!read_chunk(t, &m->node[node++], &m->chunk[group * m->n_leaves + leaf], file_size))
                    return false;
            }
        } else if (f.id == 3) {
            m->group_rows[group] = thrift_int(t);
        } else {
            thrift_skip(t, f.type);
        }
    return columns && m->group_rows[group] >= 0;
}

static bool read_groups(struct parquet_meta *m, struct thrift *t, size_t file_size)
{
    int type;
    int64_t n = thrift_list(t, &type);
    if (t->bad || (n > 0 && type != THRIFT_STRUCT) || m->chunk || !m->node)
        return false;
    m->n_groups = n;
    m->group_rows = xcalloc((size_t)n + 1, sizeof *m->group_rows);
    /* Each chunk's description takes bytes of the footer, so that this is no more than some times the file's size. */
    if ((int64_t)(t->end - t->p) / m->n_leaves < n)
        return false;
    m->chunk = xcalloc((size_t)(n * m->n_leaves) + 1, sizeof *m->chunk);
    for (int64_t i = 0; i < n; i++)
        if (!read_group(m, t, i, file_size))
            return false;
    return true;
}

static bool read_footer(struct parquet_meta *m, struct thrift *t, size_t file_size)
{
    struct thrift_field f = {0};
    bool schema = false, groups = false;
    m->rows = -1;
    while (thrift_field(t, &f))
        switch (f.id) {
        case 2:
            if (!(schema = read_schema(m, t)))
                return false;
            break;
        case 3:
            m->rows = thrift_int(t);
            break;
        case 4:
            if (!(groups = read_groups(m, t, file_size)))
                return false;
            break;
        default:
            thrift_skip(t, f.type);
        }
    if (t->bad || !schema || !groups)
        return false;
    int64_t rows = 0;
    for (int64_t i = 0; i < m->n_groups; i++)
        if (m->group_rows[i] > INT64_MAX / 2 - rows)
            return false;
        else
            rows += m->group_rows[i];
    return rows == m->rows;
}

bool parquet_meta_read(struct parquet_meta *m, const unsigned char *file, size_t size, const char *path, struct err *e)
{
    *m = (struct parquet_meta){0};
    if (size < 4 || memcmp(file, "PAR1", 4) != 0)
        return err_set(e, "%s is no Parquet file: it does not begin with PAR1", path);
    if (size < 12 || memcmp(file + size - 4, "PAR1", 4) != 0)
        return err_set(e, "%s is cut short: a Parquet file ends with PAR1, and this one of %zu bytes does not; fetch it again", path, size);
    uint32_t footer;
    memcpy(&footer, file + size - 8, sizeof footer);
    struct thrift t = {file + size - 8, file + size - 8, footer > size - 12};
    if (!t.bad) {
        t.p -= footer;
        if (read_footer(m, &t, size))
            return true;
    }
    parquet_meta_free(m);
    return err_set(e, "%s is damaged: its footer (the last %u bytes) makes no sense; fetch it again", path, (unsigned)footer + 8);
}

void parquet_meta_free(struct parquet_meta *m)
{
    for (int i = 0; i < m->n_nodes; i++)
        free(m->node[i].name);
    free(m->node);
    free(m->group_rows);
    free(m->chunk);
    *m = (struct parquet_meta){0};
}

/* ------------------------------------------------------------------- lists, and names of types */

int parquet_element(const struct parquet_meta *m, int node)
{
    const struct parquet_node *n = &m->node[node], *middle = n + 1;
    if (n->type != PARQUET_GROUP || !n->list || n->children != 1 || middle->repetition != PARQUET_REPEATED)
        return -1;
    size_t len = strlen(n->name);
    bool older = middle->type != PARQUET_GROUP || middle->children != 1 || strcmp(middle->name, "array") == 0 ||
                 (strncmp(middle->name, n->name, len) == 0 && strcmp(middle->name + len, "_tuple") == 0);
    return node + (older ? 1 : 2);
}

static char *struct_name(const struct parquet_meta *m, int node)
{
    char *all = xstrdup("struct<");
    for (int c = node + 1, i = 0; i < m->node[node].children; i++, c = m->node[c].next) {
        char *child = parquet_type_name(m, c), *longer = xprintf("%s%s%s: %s", all, i ? ", " : "", m->node[c].name, child);
        free(child);
        free(all);
        all = longer;
    }
    char *closed = xprintf("%s>", all);
    free(all);
    return closed;
}

char *parquet_type_name(const struct parquet_meta *m, int node)
{
    static const char *const names[] = {"bool", "int32", "int64", "int96", "float", "double", "string", "bytes"};
    const struct parquet_node *n = &m->node[node];
    if (n->decimal || n->u32 || n->null)
        return xstrdup(n->decimal ? "decimal" : n->null ? "null" : "uint32");
    int element = n->repetition == PARQUET_REPEATED ? -1 : parquet_element(m, node);
    if (element == node + 1) /* says list<> itself */
        return parquet_type_name(m, element);
    char *name = element > 0 ? parquet_type_name(m, element) : n->type == PARQUET_GROUP ? struct_name(m, node) : xstrdup(names[n->type]);
    if (element < 0 && n->repetition != PARQUET_REPEATED)
        return name;
    char *list = xprintf("list<%s>", name);
    free(name);
    return list;
}

/* ------------------------------------------------------------------- pages */

/* The header of a data page (v1, v2) or a dictionary page inside a page's header. */
static void read_page_kind(struct thrift *t, int id, struct parquet_page *h)
{
    struct thrift_field f = {0};
    while (thrift_field(t, &f)) {
        if (f.id == 1)
            h->values = thrift_int(t);
        else if (f.id == (id == 8 ? 4 : 2))
            h->encoding = (int)thrift_int(t);
        else if (id == 5 && f.id == 3)
            h->def_encoding = (int)thrift_int(t);
        else if (id == 5 && f.id == 4)
            h->rep_encoding = (int)thrift_int(t);
        else if (id == 8 && f.id == 5)
            h->def_bytes = thrift_int(t);
        else if (id == 8 && f.id == 6)
            h->rep_bytes = thrift_int(t);
        else if (id == 8 && f.id == 7)
            h->compressed = f.type == THRIFT_TRUE;
        else
            thrift_skip(t, f.type);
    }
}

size_t parquet_page_read(struct parquet_page *h, const unsigned char *p, size_t n)
{
    struct thrift t = {p, p + n, false};
    struct thrift_field f = {0};
    *h = (struct parquet_page){
        .kind = -1, .size = -1, .unpacked = -1, .compressed = true, .def_encoding = ENCODING_RLE, .rep_encoding = ENCODING_RLE};
    while (thrift_field(&t, &f))
        switch (f.id) {
        case 1:
            h->kind = (int)thrift_int(&t);
            break;
        case 2:
            h->unpacked = thrift_int(&t);
            break;
        case 3:
            h->size = thrift_int(&t);
            break;
        case 4:
            h->crc = (uint32_t)thrift_int(&t);
            h->has_crc = true;
            break;
        case 5:
        case 7:
        case 8:
            read_page_kind(&t, f.id, h);
            break;
        default:
            thrift_skip(&t, f.type);
        }
    size_t used = (size_t)(t.p - p);
    if (t.bad || h->kind < 0 || h->size < 0 || h->unpacked < 0 || h->unpacked > INT32_MAX || (uint64_t)h->size > n - used ||
        h->values < 0 || h->values > INT32_MAX || h->def_bytes < 0 || h->rep_bytes < 0 || h->def_bytes > h->size ||
        h->rep_bytes > h->size - h->def_bytes || h->def_bytes + h->rep_bytes > h->unpacked)
        return 0;
    return used;
}
