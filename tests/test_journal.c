/* tests/test_journal.c - lines that are kept until all are there: a file cut at every byte, damaged, of other settings, or in use. */
#include "core/file.h"
#include "infer/journal.h"
#include "tests/test.h"
#include <unistd.h>

static char dir[] = "/tmp/test_journal.XXXXXX";
static char *output, *kept; /* dir/out, dir/out.journal */
enum { N = 5 };
static const char *const line[N] = {"{\"a\":1}", "", "5 7 0123456789abcdef0123456789abcdef x", "\xc3\xa9\xc3\xa9", "the last one"};
static const int order[N] = {3, 0, 4, 2, 1};

static struct journal *open_it(const char *settings)
{
    struct journal *j = NULL;
    struct err e = {""};
    check_msg(journal_open(&j, output, N, settings, &e), "%s", e.msg);
    return j;
}

static void add(struct journal *j, int i)
{
    struct err e = {""};
    check_msg(journal_add(j, i, line[i], strlen(line[i]), &e), "%s", e.msg);
}

static char *text_of(const char *path, size_t *n)
{
    struct err e;
    char *text = file_read(path, 1 << 20, n, &e);
    check_msg(text, "%s", e.msg);
    return text ? text : xstrdup("");
}

static void write_bytes(const char *path, const char *text, size_t n)
{
    FILE *f = fopen(path, "wb");
    check(f && fwrite(text, 1, n, f) == n && fclose(f) == 0);
}

/* Adds what is missing, commits, and compares with lines 0 .. N-1. */
static void finish(struct journal *j)
{
    struct err e = {""};
    for (int i = 0; i < N; i++)
        if (!journal_has(j, i))
            add(j, i);
    check_int(journal_count(j), N);
    check_msg(journal_commit(j, &e), "%s", e.msg);
    char want[400] = "", *got = text_of(output, NULL);
    for (int i = 0; i < N; i++) {
        strcat(want, line[i]);
        strcat(want, "\n");
    }
    check_str(got, want);
    check(!file_exists(kept));
    free(got);
    unlink(output);
}

static void cut_anywhere(void)
{
    struct journal *j = open_it("same");
    for (int i = 0; i < 4; i++)
        add(j, order[i]);
    journal_close(j);
    size_t n;
    char *whole = text_of(kept, &n);
    int64_t before = 0;
    check(n > 150);
    for (size_t cut = 0; cut <= n; cut++) {
        write_bytes(kept, whole, cut);
        j = open_it("same");
        int64_t count = journal_count(j), ends = 0;
        for (int i = 0; i < N; i++)
            ends += journal_has(j, order[i]) && i < count; /* those that were added first */
        check_int(ends, count);
        check_msg(count == before || (count == before + 1 && whole[cut - 1] == '\n'), "%lld after %lld at byte %zu", (long long)count,
                  (long long)before, cut);
        before = count;
        finish(j);
    }
    check_int(before, 4);
    /* A damaged byte ends what is believed. */
    for (size_t at = 25; at < n; at += 7) {
        whole[at] ^= 1;
        write_bytes(kept, whole, n);
        j = open_it("same");
        check(journal_count(j) < 4);
        finish(j);
        whole[at] ^= 1;
    }
    free(whole);
}

static void other_settings(void)
{
    struct err e = {""};
    struct journal *j = open_it("one");
    journal_close(j);
    check(!file_exists(kept)); /* nothing was in it */
    j = open_it("one");
    add(j, 2);
    journal_close(j);
    j = NULL;
    check(!journal_open(&j, output, N, "two", &e));
    check_has(e.msg, "holds finished answers of a run with another model, other prompts or other settings");
    check(!journal_open(&j, output, 1, "two", &e)); /* nor where that run had more lines than this one */
    j = open_it("one");
    check_int(journal_count(j), 1);
    finish(j);
    /* Of other settings, but without a line: nobody's loss. */
    write_bytes(kept, "generate-journal-1 two\n12 3", 27);
    j = open_it("one");
    check_int(journal_count(j), 0);
    add(j, 4);
    journal_close(j);
    j = open_it("one");
    check_int(journal_count(j), 1);
    finish(j);
    static const char foreign[] = "something else, longer than a header, that someone keeps here\n";
    write_bytes(kept, foreign, sizeof foreign - 1);
    check(!journal_open(&j, output, N, "one", &e));
    check_has(e.msg, "is in the way");
    char *still = text_of(kept, NULL);
    check_str(still, foreign);
    free(still);
    unlink(kept);
}

static void one_at_a_time(void)
{
    struct err e = {""};
    struct journal *j = open_it("one"), *second = NULL;
    check(!journal_open(&second, output, N, "one", &e));
    check_has(e.msg, "another generate is writing");
    finish(j);
    check(!journal_open(&j, dir, N, "one", &e)); /* told before hours of work */
    check_has(e.msg, "is a folder");
    /* The output is no file: nothing beside it. */
    char *saved = output;
    output = xstrdup("/dev/null");
    j = open_it("one");
    for (int i = 0; i < N; i++)
        add(j, i);
    check_msg(journal_commit(j, &e), "%s", e.msg);
    check(!file_exists("/dev/null.journal"));
    free(output);
    output = saved;
}

static const struct test all[] = {
    {"a file cut at any byte, or damaged", cut_anywhere},
    {"other settings", other_settings},
    {"one at a time, and no file", one_at_a_time},
};

int main(int argc, char **argv)
{
    struct err e;
    must(mkdtemp(dir));
    output = xprintf("%s/out", dir);
    kept = xprintf("%s/out.journal", dir);
    int status = test_main(argc, argv, "test_journal", all, 3);
    file_remove_tree(dir, &e);
    free(output);
    free(kept);
    return status;
}
