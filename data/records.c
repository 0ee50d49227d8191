/* data/records.c - see records.h. */
#include "data/records.h"
#include "core/file.h"
#include "data/parquet/parquet.h"
#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

enum { FOLDERS_DEEP = 16, BATCH_BYTES = 1 << 18 };

struct source {
    char *path;
    bool parquet;
    enum import_set set;
    double bytes;
};
struct records {
    struct source *file;
    int n, room, at;      /* files; the one that is read, or will be */
    char **columns;       /* NULL-ended */
    double bytes, before; /* of all; of the files already read */
    struct lines *lines;
    struct parquet *rows;
    struct packed row;
    int64_t batched; /* records handed out in batches */
    bool broken;     /* an error ended the stream */
};

/* ------------------------------------------------------------------- which files */

static void add_file(struct records *r, const char *path, enum import_set set)
{
    if (r->n == r->room)
        r->file = xrealloc(r->file, (size_t)(r->room = 2 * r->room + 16) * sizeof *r->file);
    int64_t size = file_size(path);
    r->file[r->n++] = (struct source){xstrdup(path), parquet_is(path), set, size > 0 ? (double)size : 0};
    r->bytes += size > 0 ? (double)size : 0;
}

static bool holds_records(const char *name)
{
    static const char *const endings[] = {".jsonl", ".jsonl.zst", ".jsonl.gz", ".parquet"};
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (n > strlen(endings[i]) && strcmp(name + n - strlen(endings[i]), endings[i]) == 0)
            return true;
    return false;
}

/* Shards are named "train-00002-of-00007.parquet": those beside this one have to be there, so that a download that was broken off is seen. */
static bool neighbours_there(const char *path, struct err *e)
{
    const char *of = strstr(path, "-of-");
    for (const char *next = of; next && (next = strstr(next + 1, "-of-"));)
        of = next;
    size_t at = of ? (size_t)(of - path) : 0;
    if (at < 6 || strspn(of + 4, "0123456789") != 5 || of[-6] != '-' || strspn(of - 5, "0123456789") != 5)
        return true;
    long number = strtol(of - 5, NULL, 10), total = strtol(of + 4, NULL, 10);
    for (long i = number - 1; i <= number + 1; i += 2) {
        char *beside = xprintf("%.*s%05ld%s", (int)(at - 5), path, i, of);
        bool ok = i < 0 || i >= total || file_exists(beside);
        if (!ok)
            err_set(e, "%s is missing beside its neighbour number %ld of %ld: the download is not whole; fetch the rest", beside, number,
                    total);
        free(beside);
        if (!ok)
            return false;
    }
    return true;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static bool walk(struct records *r, const char *folder, size_t root, const struct records_from *from, int depth, struct err *e)
{
    struct dirent **entry;
    int n = depth < FOLDERS_DEEP ? scandir(folder, &entry, NULL, by_name) : 0;
    if (n < 0)
        return err_set(e, "cannot read the folder %s: %s", folder, strerror(errno));
    bool ok = true;
    for (int i = 0; i < n; i++) {
        char *path = xprintf("%s/%s", folder, entry[i]->d_name);
        if (ok && entry[i]->d_name[0] != '.') {
            if (file_is_dir(path))
                ok = walk(r, path, root, from, depth + 1, e);
            else if (holds_records(path) && (!from->match || fnmatch(from->match, path + root, 0) == 0) && (ok = neighbours_there(path, e)))
                add_file(r, path, from->set);
        }
        free(path);
        free(entry[i]);
    }
    if (depth < FOLDERS_DEEP)
        free(entry);
    return ok;
}

static bool add_path(struct records *r, const char *path, const struct records_from *from, struct err *e)
{
    if (!file_is_dir(path)) {
        if (file_size(path) < 0)
            return err_set(e, "%s: there is no such file; give an existing .jsonl, .jsonl.zst, .jsonl.gz or .parquet, or a folder of them",
                           path);
        add_file(r, path, from->set);
        return true;
    }
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    char *folder = xprintf("%.*s", (int)n, path);
    int before = r->n;
    bool ok = walk(r, folder, n + 1, from, 0, e);
    free(folder);
    return ok && (r->n > before || err_set(e, "%s: no .jsonl, .jsonl.zst, .jsonl.gz or .parquet file in this folder%s%s", path,
                                           from->match ? " fits the pattern " : "", from->match ? from->match : ""));
}

/* ------------------------------------------------------------------- opening */

static bool asked_for(const struct records *r, const char *column)
{
    for (char **c = r->columns; *c; c++)
        if (strcmp(*c, column) == 0)
            return true;
    return false;
}

/* Opens a Parquet file with the columns that are wanted of it. *set: which set it is, or SET_AUTO, which becomes one. */
static bool open_rows(const struct records *r, const struct source *s, enum import_set *set, struct parquet **out, struct err *e)
{
    struct parquet *p;
    if (!parquet_open(&p, s->path, e))
        return false;
    int n = parquet_columns(p);
    struct import_column *column = xcalloc((size_t)n + 1, sizeof *column);
    char **type = xcalloc((size_t)n + 1, sizeof *type);
    bool *used = xcalloc((size_t)n + 1, sizeof *used);
    for (int i = 0; i < n; i++)
        column[i] = (struct import_column){parquet_column(p, i), type[i] = parquet_column_type(p, i)};
    bool ok = import_columns(set, column, n, used, e) || err_in(e, "%s", s->path);
    for (int i = 0; i < n; i++) {
        parquet_want(p, i, used[i] || asked_for(r, column[i].name));
        free(type[i]);
    }
    free(type);
    free(used);
    free(column);
    if (ok)
        *out = p;
    else
        parquet_close(p);
    return ok;
}

/* What is wrong with a file's columns is told before hours are spent on the files before it. */
static bool check_files(struct records *r, struct err *e)
{
    for (int i = 0; i < r->n; i++) {
        struct parquet *p;
        if (!r->file[i].parquet)
            continue;
        if (!open_rows(r, &r->file[i], &r->file[i].set, &p, e))
            return false;
        parquet_close(p);
    }
    return true;
}

bool records_open(struct records **out, const struct records_from *from, struct err *e)
{
    struct records *r = xcalloc(1, sizeof *r);
    size_t n = 0;
    while (from->columns && from->columns[n])
        n++;
    r->columns = xcalloc(n + 1, sizeof *r->columns);
    for (size_t i = 0; i < n; i++)
        r->columns[i] = xstrdup(from->columns[i]);
    bool ok = true;
    for (int64_t i = 0; ok && i < from->n_path; i++)
        ok = add_path(r, from->path[i], from, e);
    ok = ok && check_files(r, e);
    if (ok)
        *out = r;
    else
        records_close(r);
    return ok;
}

static void close_file(struct records *r)
{
    lines_close(r->lines);
    parquet_close(r->rows);
    r->lines = NULL;
    r->rows = NULL;
}

void records_close(struct records *r)
{
    if (!r)
        return;
    close_file(r);
    for (int i = 0; i < r->n; i++)
        free(r->file[i].path);
    for (char **c = r->columns; *c; c++)
        free(*c);
    packed_free(&r->row);
    free(r->columns);
    free(r->file);
    free(r);
}

int records_files(const struct records *r)
{
    return r->n;
}

const char *records_file(const struct records *r, int file)
{
    return r->file[file].path;
}

double records_size(const struct records *r)
{
    return r->bytes;
}

double records_tell(const struct records *r)
{
    double part = r->lines ? lines_progress(r->lines) : r->rows ? (double)parquet_number(r->rows) / ((double)parquet_rows(r->rows) + 1) : 0;
    return r->before + (r->at < r->n ? part * r->file[r->at].bytes : 0);
}

/* ------------------------------------------------------------------- reading */

static int next_line(struct records *r, struct record *out, struct err *e)
{
    char *text;
    size_t n;
    int got;
    while ((got = lines_next(r->lines, &text, &n, e)) == 1 && strspn(text, " \t\r") == n)
        ;
    if (got == 1)
        *out = (struct record){(unsigned char *)text, n, lines_number(r->lines), r->at};
    return got;
}

static int next_row(struct records *r, struct record *out, struct err *e)
{
    r->row.n = 0;
    int got = parquet_next(r->rows, &r->row, e);
    if (got == 1)
        *out = (struct record){r->row.at, r->row.n, parquet_number(r->rows), r->at};
    return got;
}

int records_next(struct records *r, struct record *out, struct err *e)
{
    for (; r->at < r->n; r->at++) {
        struct source *s = &r->file[r->at];
        enum import_set set = s->set;
        if (!r->lines && !r->rows && !(s->parquet ? open_rows(r, s, &set, &r->rows, e) : lines_open(&r->lines, s->path, e)))
            return -1;
        int got = s->parquet ? next_row(r, out, e) : next_line(r, out, e);
        if (got != 0)
            return got;
        close_file(r);
        r->before += s->bytes;
    }
    return 0;
}

/* The bytes of the records move while they are gathered, so that each record's place is an offset until all are there. */
bool records_batch_next(struct records *r, struct records_batch *b)
{
    struct record record;
    int got = 1;
    b->n = 0;
    b->n_bytes = 0;
    b->first = r->batched;
    b->err.msg[0] = '\0';
    while (b->n_bytes < BATCH_BYTES && !r->broken && (got = records_next(r, &record, &b->err)) == 1) {
        if (record.n > b->room - b->n_bytes) {
            b->room = b->n_bytes + record.n > 2 * b->room ? b->n_bytes + record.n : 2 * b->room;
            b->bytes = xrealloc(b->bytes, b->room);
        }
        if (b->n == b->record_room)
            b->record = xrealloc(b->record, (size_t)(b->record_room = 2 * b->record_room + 64) * sizeof *b->record);
        memcpy(b->bytes + b->n_bytes, record.at, record.n);
        b->n_bytes += record.n;
        b->record[b->n++] = record;
    }
    const unsigned char *at = b->bytes;
    for (int64_t i = 0; i < b->n; i++) {
        b->record[i].at = at;
        at += b->record[i].n;
    }
    r->broken = r->broken || got < 0;
    r->batched += b->n;
    b->tell = records_tell(r);
    return b->n > 0 || b->err.msg[0];
}

void records_batch_free(struct records_batch *b)
{
    free(b->record);
    free(b->bytes);
    *b = (struct records_batch){0};
}

bool records_are_lines(const struct records *r, const struct record *record)
{
    return !r->file[record->file].parquet;
}

char *records_where(const struct records *r, const struct record *record)
{
    const struct source *s = &r->file[record->file];
    return xprintf("%s:%s%lld", s->path, s->parquet ? " row " : "", (long long)record->number);
}

json_t *records_parse(const struct records *r, const struct record *record, enum import_set *set, struct err *e)
{
    char *where = records_where(r, record);
    json_t *v = NULL;
    if (!r->file[record->file].parquet)
        v = json_parse((const char *)record->at, record->n, where, e);
    else if (!(v = packed_json(record->at, record->n, e)))
        err_in(e, "%s", where);
    if (set)
        *set = r->file[record->file].set;
    free(where);
    return v;
}
