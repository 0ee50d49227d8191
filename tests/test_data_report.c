/* tests/test_data_report.c - the page about prepared data: its numbers are those of the files, it needs nothing from elsewhere, and texts stay text. */
#include "core/file.h"
#include "data/data_report.h"
#include "data/tokfile.h"
#include "tests/folder.h"
#include "tests/program.h"
#include "tests/test.h"

static void rows(void)
{
    const int64_t len[] = {60, 50, 40, 30, 250, 100};
    struct packing p = packing_of(len, 6, 100); /* 60 + 40, 50 + 30, 100 of 250, 100 */
    check(p.rows == 4 && p.tokens == 380 && p.cut == 1);
    p = packing_of(len, 6, 1000);
    check(p.rows == 1 && p.tokens == 530 && p.cut == 0);
    p = packing_of(len, 6, 1);
    check(p.rows == 6 && p.tokens == 6 && p.cut == 6);
    p = packing_of(len, 0, 8);
    check(p.rows == 0 && p.tokens == 0);
}

/* How often the words stand in the text. */
static int times(const char *text, const char *words)
{
    int n = 0;
    for (; (text = strstr(text, words)); text += strlen(words))
        n++;
    return n;
}

static void the_page(void)
{
    put("a.jsonl",
        "{\"prompt\": \"1 < 2 & ask\\n\", \"completion\": \"<b>yes</b>\"}\n{\"prompt\": \"q\\n\", \"completion\": \"a\\u0001\"}\n");
    put("b.jsonl", "{\"text\": \"all of it\"}\n");
    struct ran r = run_program(dir, "prepare --tokenizer byte --input a.jsonl --output a.tok");
    check_int(r.code, 0);
    ran_free(&r);
    r = run_program(dir, "prepare --tokenizer byte --input b.jsonl --output b.tok");
    check_int(r.code, 0);
    ran_free(&r);
    r = run_program(dir, "prepare --tokenizer byte --report r.html a.tok b.tok");
    check_msg(r.code == 0, "%s", r.err);
    check_str(r.out, "");
    ran_free(&r);
    char *path = path_of("r.html");
    struct err e;
    char *page = file_read(path, 1 << 22, NULL, &e);
    check_msg(page, "%s", e.msg);
    if (page) {
        /* a: 1 + 12 + 10 + 1 and 1 + 2 + 2 + 1 tokens, of them 11 + 3 learnt; b: 1 + 9 + 1, all but the first */
        check_has(page, "3 documents, 41 tokens in 2 files.");
        check_has(page,
                  "<td>a.tok</td><td class=\"num\">2</td><td class=\"num\">30</td><td class=\"num\">73.2%</td><td class=\"num\">14</td>"
                  "<td class=\"num\">46.7%</td>");
        check_has(page, "<td>a.tok</td><td class=\"num\">15</td><td class=\"num\">6</td><td class=\"num\">6</td><td class=\"num\">24</td>");
        check_has(page,
                  "<td>b.tok</td><td class=\"num\">1</td><td class=\"num\">11</td><td class=\"num\">26.8%</td><td class=\"num\">10</td>"
                  "<td class=\"num\">90.9%</td>");
        check_has(page, "<td class=\"num\">2,048</td><td class=\"num\">1</td><td class=\"num\">2.00%</td><td class=\"num\">3</td>"
                        "<td class=\"num\">0.67%</td><td class=\"num\">0 (0.0%)</td>");
        check_has(page, "&lt;s&gt;1 &lt; 2 &amp; ask\n<span class=\"good\">&lt;b&gt;yes&lt;/b&gt;&lt;/s&gt;</span>");
        check_has(page, "<span class=\"good\">a\xEF\xBF\xBD&lt;/s&gt;</span>");
        check_has(page, "<span class=\"good\">&lt;s&gt;all of it&lt;/s&gt;</span>");
        check_int(times(page, "<details"), 3);
        check_int(times(page, "<svg"), 3);
        check_int(times(page, "http") + times(page, "<script") + times(page, "src=") + times(page, "url("), 0);
    }
    free(page);
    r = run_program(dir, "prepare --report r.html a.tok"); /* ids, without a tokenizer */
    check_int(r.code, 0);
    page = file_read(path, 1 << 22, NULL, &e);
    check_has(page, "1 116 13 <span class=\"good\">100 4 2</span>");
    free(page);
    ran_free(&r);
    free(path);

    /* Of one name in two folders: told apart by their paths. Larger numbers are grouped. */
    char *other = path_of("other");
    check_msg(file_mkdirs(other, &e), "%s", e.msg);
    char *long_text = xmalloc(1234567 + 1), *line;
    memset(long_text, 'x', 1234567);
    long_text[1234567] = '\0';
    line = xprintf("{\"text\": \"%s\"}\n", long_text);
    put("other/a.jsonl", line);
    r = run_program(dir, "prepare --tokenizer byte --input other/a.jsonl --output other/a.tok");
    check_int(r.code, 0);
    ran_free(&r);
    r = run_program(dir, "prepare --tokenizer byte --report r.html a.tok other/a.tok b.tok");
    check_int(r.code, 0);
    ran_free(&r);
    path = path_of("r.html");
    page = file_read(path, 1 << 22, NULL, &e);
    check_has(page, "4 documents, 1,234,610 tokens in 3 files.");
    check_has(page, "<td>a.tok</td>");
    check_has(page, "<td>other/a.tok</td><td class=\"num\">1</td><td class=\"num\">1,234,569</td>");
    check_has(page, "<td>b.tok</td>");
    free(page);
    free(path);
    free(line);
    free(long_text);
    free(other);
}

static void check_fails(int code, const char *args, const char *words)
{
    struct ran r = run_program(dir, "prepare %s", args);
    check_msg(r.code == code, "%s: %d", args, r.code);
    check_has(r.err, words);
    char *path = path_of("x.html");
    check(!file_exists(path));
    free(path);
    ran_free(&r);
}

static void what_is_wrong(void)
{
    check_fails(2, "--report x.html", "the files that it is about are missing");
    check_fails(2, "--report x.html a.tok --input a.jsonl", "--report is about files that were prepared before");
    check_fails(1, "--report x.html a.tok none.tok", "none.tok");
    check_fails(1, "--report x.html a.jsonl", "a.jsonl");
    put("ids.jsonl", "{\"input_ids\": [5, 300]}\n");
    struct ran r = run_program(dir, "prepare --input ids.jsonl --output ids.tok");
    check_int(r.code, 0);
    ran_free(&r);
    check_fails(1, "--tokenizer byte --report x.html ids.tok", "holds token 300, but the vocabulary of byte ends at 258");
}

static const struct test tests[] = {{"rows", rows}, {"the page", the_page}, {"what is wrong", what_is_wrong}};

int main(int argc, char **argv)
{
    return folder_main(argc, argv, "test_data_report", tests, (int)(sizeof tests / sizeof *tests));
}
