/* tests/folder.h - a folder of a test program's own: paths in it, small files put there. folder_main() makes it and removes it; a program with
 * more to do calls mkdtemp(dir) and file_remove_tree() itself. */
#ifndef TESTS_FOLDER_H
#define TESTS_FOLDER_H
#include "core/file.h"
#include "tests/test.h"
#include <stdlib.h>
#include <string.h>

static char dir[] = "/tmp/promptcot_test.XXXXXX";

/* The caller frees. */
static inline char *path_of(const char *name)
{
    return xprintf("%s/%s", dir, name);
}

static inline void put(const char *name, const char *text)
{
    char *path = path_of(name);
    struct err e;
    struct file_out *o;
    check_msg(file_out_open(&o, path, false, &e) && file_out_write(o, text, strlen(text), &e) && file_out_commit(o, &e), "%s", e.msg);
    free(path);
}

/* test_main() with the folder there. */
static inline int folder_main(int argc, char **argv, const char *program, const struct test *t, int n)
{
    struct err e;
    must(mkdtemp(dir));
    int status = test_main(argc, argv, program, t, n);
    must(file_remove_tree(dir, &e));
    return status;
}
#endif
