/* data/parquet/parquet.c - see parquet.h: the columns put together to rows. */
#include "data/parquet/parquet.h"
#include "core/file.h"
#include "data/parquet/column.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const size_t MAX_ROW = (size_t)1 << 31;

struct parquet {
    char *path;
    struct file_map map;
    struct parquet_meta meta;
    int n_columns;
    int *column;                 /* [n_columns] their nodes */
    bool *wanted;                /* [n_columns] */
    const char **leaf_column;    /* [n_leaves] the name of the column that a leaf belongs to, for errors */
    struct parquet_column *leaf; /* [n_leaves] opened when the first row is read, those of wanted columns */
    bool started;
    int64_t next_group, group_left, number;
};

bool parquet_is(const char *path)
{
    char magic[4] = "";
    struct stat st;
    FILE *f = stat(path, &st) == 0 && S_ISREG(st.st_mode) ? fopen(path, "rb") : NULL; /* nothing may be taken out of a pipe */
    bool is = f && fread(magic, 1, 4, f) == 4 && memcmp(magic, "PAR1", 4) == 0;
    if (f)
        fclose(f);
    return is;
}

static void name_leaves(struct parquet *p, int column)
{
    const struct parquet_node *n = &p->meta.node[p->column[column]];
    for (const struct parquet_node *below = n; below < p->meta.node + n->next; below++)
        if (below->type != PARQUET_GROUP)
            p->leaf_column[below->leaf] = n->name;
}

bool parquet_open(struct parquet **out, const char *path, struct err *e)
{
    struct parquet *p = xcalloc(1, sizeof *p);
    if (!file_map_open(&p->map, path, e)) {
        free(p);
        return false;
    }
    p->path = xstrdup(path);
    if (!parquet_meta_read(&p->meta, p->map.data, p->map.size, path, e)) {
        parquet_close(p);
        return false;
    }
    p->n_columns = p->meta.node[0].children;
    p->column = xcalloc((size_t)p->n_columns + 1, sizeof *p->column);
    p->wanted = xcalloc((size_t)p->n_columns + 1, sizeof *p->wanted);
    p->leaf_column = xcalloc((size_t)p->meta.n_leaves + 1, sizeof *p->leaf_column);
    for (int i = 0, node = 1; i < p->n_columns; i++, node = p->meta.node[node].next) {
        p->column[i] = node;
        p->wanted[i] = true;
        name_leaves(p, i);
    }
    *out = p;
    return true;
}

void parquet_close(struct parquet *p)
{
    if (!p)
        return;
    for (int i = 0; p->leaf && i < p->meta.n_leaves; i++)
        column_close(&p->leaf[i]);
    free(p->leaf);
    free(p->leaf_column);
    free(p->column);
    free(p->wanted);
    parquet_meta_free(&p->meta);
    file_map_close(&p->map);
    free(p->path);
    free(p);
}

int64_t parquet_rows(const struct parquet *p)
{
    return p->meta.rows;
}

int parquet_columns(const struct parquet *p)
{
    return p->n_columns;
}

const char *parquet_column(const struct parquet *p, int column)
{
    return p->meta.node[p->column[column]].name;
}

char *parquet_column_type(const struct parquet *p, int column)
{
    return parquet_type_name(&p->meta, p->column[column]);
}

void parquet_want(struct parquet *p, int column, bool wanted)
{
    must(!p->started);
    p->wanted[column] = wanted;
}

int64_t parquet_number(const struct parquet *p)
{
    return p->number;
}

/* ------------------------------------------------------------------- beginnings */

static bool open_columns(struct parquet *p, struct err *e)
{
    p->leaf = xcalloc((size_t)p->meta.n_leaves + 1, sizeof *p->leaf);
    for (int i = 0; i < p->n_columns; i++)
        for (int n = p->column[i]; p->wanted[i] && n < p->meta.node[p->column[i]].next; n++) {
            const struct parquet_node *node = &p->meta.node[n];
            if (node->decimal || node->type == PARQUET_INT96)
                return err_set(e, "%s: column \"%s\" holds %s, which are not read here", p->path, parquet_column(p, i),
                               node->decimal ? "decimal numbers" : "96-bit times");
            if (node->type != PARQUET_GROUP)
                column_open(&p->leaf[node->leaf], node, p->map.data);
        }
    p->started = true;
    return true;
}

/* e says what is wrong with this leaf. */
static bool leaf_fails(const struct parquet *p, int leaf, struct err *e)
{
    return err_in(e, "%s: row %lld, column \"%s\"", p->path, (long long)p->number + 1, p->leaf_column[leaf]);
}

/* The columns of a row group end together. */
static bool group_ended(const struct parquet *p, struct err *e)
{
    for (int i = 0; p->next_group > 0 && i < p->meta.n_leaves; i++)
        if (p->leaf[i].node && !column_done(&p->leaf[i])) {
            err_set(e, "it holds more values than the row group has rows");
            return leaf_fails(p, i, e);
        }
    return true;
}

static bool begin_group(struct parquet *p, struct err *e)
{
    for (int i = 0; i < p->meta.n_leaves; i++)
        if (p->leaf[i].node && !column_chunk(&p->leaf[i], &p->meta.chunk[p->next_group * p->meta.n_leaves + i], e))
            return leaf_fails(p, i, e);
    p->group_left = p->meta.group_rows[p->next_group++];
    return true;
}

/* ------------------------------------------------------------------- rows */

/* A row on its way. Every list element begins with entries of one repetition level in all leaves below it, which rep follows. */
struct row {
    struct parquet *p;
    struct packed *out;
    size_t start; /* in out */
    struct err *e;
};

static bool put_node(struct row *r, int node, uint32_t rep);

/* The current entry of a leaf has to be there, and begin at this repetition level. */
static bool ready(struct row *r, int leaf, uint32_t rep)
{
    struct parquet_column *c = &r->p->leaf[leaf];
    if (!column_ready(c, r->e))
        return leaf_fails(r->p, leaf, r->e);
    if (column_rep(c) == rep)
        return true;
    err_set(r->e, "its lists do not fit its rows");
    return leaf_fails(r->p, leaf, r->e);
}

static bool put_leaf(struct row *r, int leaf, uint32_t rep)
{
    return ready(r, leaf, rep) && (column_take(&r->p->leaf[leaf], r->out, r->e) || leaf_fails(r->p, leaf, r->e));
}

/* Something above is missing: the leaves below the node each have one entry that says so, which leaves no trace in the row. */
static bool pass_over(struct row *r, int node, uint32_t rep)
{
    const struct parquet_node *n = &r->p->meta.node[node];
    int first = n->leaf, last = first;
    for (int i = node; i < n->next; i++)
        last += r->p->meta.node[i].type != PARQUET_GROUP;
    size_t before = r->out->n;
    for (int leaf = first; leaf < last; leaf++) {
        if (!ready(r, leaf, rep))
            return false;
        if (column_def(&r->p->leaf[leaf]) >= (uint32_t)r->p->leaf[leaf].node->def) {
            err_set(r->e, "it has a value in what is missing for its neighbours");
            return leaf_fails(r->p, leaf, r->e);
        }
        if (!put_leaf(r, leaf, rep))
            return false;
        r->out->n = before;
    }
    return true;
}

static bool missing(struct row *r, int node, uint32_t rep, const char *instead)
{
    if (!pass_over(r, node, rep))
        return false;
    for (; *instead; instead++)
        packed_tag(r->out, *instead);
    return true;
}

static bool put_struct(struct row *r, int node, uint32_t rep)
{
    const struct parquet_node *all = r->p->meta.node;
    packed_tag(r->out, '{');
    for (int child = node + 1; child < all[node].next; child = all[child].next) {
        packed_key(r->out, all[child].name);
        if (!put_node(r, child, rep))
            return false;
    }
    packed_tag(r->out, '}');
    return true;
}

/* The elements of a repeated node. element: the node that holds what is repeated, itself or its only child. */
static bool put_list(struct row *r, int node, int element, uint32_t rep)
{
    const struct parquet_node *n = &r->p->meta.node[node];
    struct parquet_column *first = &r->p->leaf[n->leaf];
    if (!ready(r, n->leaf, rep))
        return false;
    if (column_def(first) < (uint32_t)n->def)
        return missing(r, node, rep, "[]");
    packed_tag(r->out, '[');
    for (uint32_t at = rep;; at = (uint32_t)n->rep) {
        bool ok = element != node            ? put_node(r, element, at)
                  : n->type == PARQUET_GROUP ? put_struct(r, node, at)
                                             : put_leaf(r, n->leaf, at);
        if (!ok)
            return false;
        if (r->out->n - r->start > MAX_ROW)
            return err_set(r->e, "%s: row %lld is larger than 2 GiB", r->p->path, (long long)r->p->number + 1);
        if (column_done(first))
            break; /* the end of the chunk ends the list, too */
        if (!column_ready(first, r->e))
            return leaf_fails(r->p, n->leaf, r->e);
        if (column_rep(first) < (uint32_t)n->rep)
            break;
    }
    packed_tag(r->out, ']');
    return true;
}

static bool put_node(struct row *r, int node, uint32_t rep)
{
    const struct parquet_meta *m = &r->p->meta;
    const struct parquet_node *n = &m->node[node];
    if (n->repetition == PARQUET_REPEATED)
        return put_list(r, node, node, rep);
    if (n->type != PARQUET_GROUP)
        return put_leaf(r, n->leaf, rep);
    if (!ready(r, n->leaf, rep))
        return false;
    if (n->repetition == PARQUET_OPTIONAL && column_def(&r->p->leaf[n->leaf]) < (uint32_t)n->def)
        return missing(r, node, rep, "n");
    int element = parquet_element(m, node);
    return element > 0 ? put_list(r, node + 1, element, rep) : put_struct(r, node, rep);
}

int parquet_next(struct parquet *p, struct packed *out, struct err *e)
{
    if (!p->started && !open_columns(p, e))
        return -1;
    while (p->group_left == 0) {
        if (!group_ended(p, e))
            return -1;
        if (p->next_group == p->meta.n_groups)
            return 0;
        if (!begin_group(p, e))
            return -1;
    }
    struct row r = {p, out, out->n, e};
    packed_tag(out, '{');
    for (int i = 0; i < p->n_columns; i++)
        if (p->wanted[i]) {
            packed_key(out, parquet_column(p, i));
            if (!put_node(&r, p->column[i], 0))
                return -1;
        }
    packed_tag(out, '}');
    p->group_left--;
    p->number++;
    return 1;
}
