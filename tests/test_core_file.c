/* tests/test_core_file.c - files appear whole or not at all, compressed or not; lines of any length; folders. */
#include "core/file.h"
#include "core/rng.h"
#include "tests/test.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

static char *folder; /* of this run, removed at the end */

static char *in_folder(const char *name)
{
    static char path[64][512]; /* a test holds fewer at a time */
    static int next;
    char *p = path[next++ % 64];
    snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

static void put(const char *path, const void *p, size_t n)
{
    struct err e;
    struct file_out *o;
    check_msg(file_out_open(&o, path, false, &e) && file_out_write(o, p, n, &e) && file_out_commit(o, &e), "%s", e.msg);
}

static void check_content(const char *path, const void *want, size_t want_n)
{
    struct err e;
    size_t n = 0;
    char *got = file_read(path, (size_t)1 << 30, &n, &e);
    check_msg(got, "%s", e.msg);
    check_msg(got && n == want_n && memcmp(got, want, n) == 0, "%s: %zu bytes, want %zu", path, n, want_n);
    check(!got || got[n] == '\0');
    free(got);
}

static bool part_exists(const char *path)
{
    char *part = xprintf("%s.part", path);
    bool there = file_exists(part);
    free(part);
    return there;
}

/* Bytes that hardly compress. */
static char *noise(size_t n)
{
    char *p = xmalloc(n + 4);
    for (size_t i = 0; i < n; i += 4) {
        uint32_t r[4];
        rng_block(9, 9, i, r);
        memcpy(p + i, r, 4);
    }
    return p;
}

static void written_whole(void)
{
    char *path = in_folder("whole.bin"), *big = noise(3500001);
    struct err e;
    struct file_out *o;
    check(file_out_open(&o, path, false, &e));
    check(part_exists(path) && !file_exists(path));
    for (size_t at = 0, n = 1; at < 3500001; at += n, n = n * 5 % 1300021 + 1) { /* small pieces and ones larger than the buffer */
        n = n < 3500001 - at ? n : 3500001 - at;
        check(file_out_write(o, big + at, n, &e));
    }
    check_int(file_out_tell(o), 3500001);
    check(file_out_patch(o, 1000000, "HEADER", 6, &e) && file_out_patch(o, 3499995, "FOOTER", 6, &e));
    memcpy(big + 1000000, "HEADER", 6);
    memcpy(big + 3499995, "FOOTER", 6);
    check(file_out_write(o, NULL, 0, &e));
    check(file_out_commit(o, &e));
    check(!part_exists(path));
    check_content(path, big, 3500001);
    check_int(file_size(path), 3500001);

    check(file_out_open(&o, path, false, &e) && file_out_write(o, "new", 3, &e));
    file_out_abort(o); /* the old file stays */
    check(!part_exists(path));
    check_content(path, big, 3500001);
    put(path, "new", 3);
    check_content(path, "new", 3);
    file_out_abort(NULL);
    free(big);
}

static void compressed_round_trip(void)
{
    static const size_t sizes[] = {0, 1, 65536, 131072, 131073, 3000000};
    struct err e;
    struct file_out *o;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        char *path = in_folder("a.txt.zst"), *p = noise(sizes[s]);
        for (size_t i = 0; i < sizes[s]; i++)
            p[i] &= 15; /* to half its size */
        put(path, p, sizes[s]);
        check_content(path, p, sizes[s]);
        check_msg(sizes[s] < 1000 || file_size(path) < (int64_t)(sizes[s] * 6 / 10), "%lld", (long long)file_size(path));
        char *command = xprintf("zstd -dqc '%s' > '%s'", path, in_folder("by_zstd"));
        if (system("command -v zstd > /dev/null") == 0) { /* what the zstd program thinks of it */
            check(system(command) == 0);
            check_content(in_folder("by_zstd"), p, sizes[s]);
        }
        free(command);
        free(p);
    }
    /* By wish, under another name; file_copy() does not compress again, nor decompress. */
    check(file_out_open(&o, in_folder("state.bin"), true, &e) && file_out_write(o, "aaaaaaaaaa", 10, &e) && file_out_commit(o, &e));
    check(file_copy(in_folder("state.bin"), in_folder("copy.zst"), &e));
    check_int(file_size(in_folder("copy.zst")), file_size(in_folder("state.bin")));
    check_content(in_folder("copy.zst"), "aaaaaaaaaa", 10);
}

static void damaged_zstd(void)
{
    struct err e;
    char *path = in_folder("whole.zst"), *cut = in_folder("cut.zst"), *p = noise(500000);
    put(path, p, 500000);
    struct file_map m;
    check(file_map_open(&m, path, &e));
    static const size_t keep[] = {5, 10, 1000, 300000}; /* and all but the last byte, below */
    for (size_t i = 0; i < 5; i++) {
        struct file_out *o;
        char *raw = in_folder("raw");
        check(file_out_open(&o, raw, false, &e) && file_out_write(o, m.data, i < 4 ? keep[i] : m.size - 1, &e) && file_out_commit(o, &e));
        check(rename(raw, cut) == 0);
        check(!file_read(cut, 1 << 30, NULL, &e));
        check_has(e.msg, "cut.zst is cut short: its zstd data ends in the middle");
    }
    char *bad = xmalloc(m.size);
    memcpy(bad, m.data, m.size);
    bad[m.size / 2] ^= 1; /* the checksum notices one bit */
    put(in_folder("raw"), bad, m.size);
    check(rename(in_folder("raw"), cut) == 0);
    check(!file_read(cut, 1 << 30, NULL, &e));
    check_has(e.msg, "cut.zst is damaged (zstd: ");
    free(bad);
    file_map_close(&m);
    put(in_folder("raw"), "plain text", 10);
    check(rename(in_folder("raw"), cut) == 0);
    check(!file_read(cut, 1 << 30, NULL, &e));
    check_has(e.msg, "is named .zst, but is not a zstd file");
    free(p);
}

/* Whatever fails, and whenever: the old file stays, no .part stays, and the message says what to do. */
static void full_disk(void)
{
    struct rlimit old, small;
    must(getrlimit(RLIMIT_FSIZE, &old) == 0);
    small = (struct rlimit){100000, old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    char *p = noise(4000000);
    static const size_t sizes[] = {100001, 1 << 20, 4000000}; /* fails in commit, at once, in the middle of many writes */
    for (size_t s = 0; s < 3; s++) {
        for (int zst = 0; zst < 2; zst++) {
            char *path = in_folder(zst ? "full.zst" : "full.bin");
            put(path, "old", 3);
            struct err e = {""};
            struct file_out *o;
            setrlimit(RLIMIT_FSIZE, &small);
            check(file_out_open(&o, path, false, &e));
            bool ok = true;
            for (size_t at = 0; at < sizes[s]; at += 70000) /* a caller that does not look sees it at the latest in commit */
                ok = file_out_write(o, p + at, sizes[s] - at < 70000 ? sizes[s] - at : 70000, &e) && ok;
            check(sizes[s] < 2000000 || !ok);
            if (s == 2 && zst == 0)
                check(!file_out_patch(o, 0, "x", 1, &e));
            e.msg[0] = '\0';
            check(!file_out_commit(o, &e));
            setrlimit(RLIMIT_FSIZE, &old);
            char *want = xprintf("cannot write %s: File too large; free some space or raise the limit, then run again", path);
            check_str(e.msg, want);
            free(want);
            check(!part_exists(path));
            check_content(path, "old", 3);
        }
    }
    char *path = in_folder("full.bin"), *to = in_folder("full.copy");
    put(path, p, 4000000);
    put(to, "old", 3);
    struct err e;
    setrlimit(RLIMIT_FSIZE, &small);
    check(!file_copy(path, to, &e));
    setrlimit(RLIMIT_FSIZE, &old);
    check_has(e.msg, "full.copy: File too large");
    check(!part_exists(to));
    check_content(to, "old", 3);
    free(p);

    struct file_out *o;
    check(file_out_open(&o, "/dev/full", false, &e) && file_out_write(o, "x", 1, &e));
    check(!file_out_commit(o, &e));
    check_str(e.msg, "cannot write /dev/full: No space left on device; free some space or raise the limit, then run again");
    check(!file_exists("/dev/full.part"));
    check(file_out_open(&o, "/dev/null", false, &e) && file_out_write(o, "x", 1, &e) && file_out_commit(o, &e));
    check(!file_exists("/dev/null.part"));
}

static void cannot_be_opened(void)
{
    struct err e;
    struct file_out *o;
    check(!file_out_open(&o, in_folder("no/such/place"), false, &e) && !o);
    check_has(e.msg, "cannot create ");
    check_has(e.msg, "no/such/place.part: No such file or directory");
    check(!file_out_open(&o, folder, false, &e));
    check_has(e.msg, "Is a directory");
    check(!file_read(folder, 100, NULL, &e));
    check_has(e.msg, "Is a directory");
    check(!file_read(in_folder("none"), 100, NULL, &e));
    check_has(e.msg, "none: No such file or directory");
    put(in_folder("four"), "four", 4);
    check(!file_read(in_folder("four"), 3, NULL, &e));
    check_has(e.msg, "four is too large: more than 3 bytes");
    check_content(in_folder("four"), "four", 4);
    put(in_folder("four.zst"), "four", 4);
    check(!file_read(in_folder("four.zst"), 3, NULL, &e)); /* the limit is of what comes out */
    struct file_map m;
    put(in_folder("empty"), "", 0);
    check(!file_map_open(&m, in_folder("empty"), &e));
    check_has(e.msg, "empty is empty");
    check(!file_map_open(&m, folder, &e));
    check(file_map_open(&m, in_folder("four"), &e) && m.size == 4 && memcmp(m.data, "four", 4) == 0);
    file_map_close(&m);
    file_map_close(&m);
}

static void lines_one_by_one(const char *path, const char *const want[], const size_t sizes[], int n)
{
    struct err e;
    struct lines *l;
    check_msg(lines_open(&l, path, &e), "%s", e.msg);
    char *line = NULL;
    size_t got = 0;
    double before = 0;
    for (int i = 0; i < n; i++) {
        int r = lines_next(l, &line, &got, &e);
        check_msg(r == 1 && got == sizes[i] && memcmp(line, want[i], got) == 0 && line[got] == '\0', "%s line %d: %d, %zu bytes", path, i,
                  r, got);
        check_int(lines_number(l), i + 1);
        check(lines_progress(l) >= before && lines_progress(l) <= 1);
        before = lines_progress(l);
    }
    check_int(lines_next(l, &line, &got, &e), 0);
    check_int(lines_next(l, &line, &got, &e), 0);
    check(n == 0 || lines_progress(l) == 1);
    lines_close(l);
}

static void lines_of_any_length(void)
{
    enum { LONG = 3 << 20, EDGE = 256 << 10 }; /* EDGE: what is read at once */
    char *big = xmalloc(LONG + 1), *text = xmalloc(2 * LONG + 4 * EDGE);
    memset(big, 'x', LONG);
    big[LONG] = '\0';
    big[LONG / 2] = 'y';
    const char *want[] = {"first", "", big, "with\rin it", "\"\0\"", big, big, big, "last without newline"};
    const size_t sizes[] = {5, 0, LONG, 10, 3, EDGE - 1, EDGE, EDGE + 1, 20};
    static const char *const ends[] = {"\n", "\n", "\r\n", "\n", "\n", "\n", "\r\n", "\n", ""};
    size_t n = 0;
    for (int i = 0; i < 9; i++) {
        memcpy(text + n, want[i], sizes[i]);
        n += sizes[i];
        memcpy(text + n, ends[i], strlen(ends[i]));
        n += strlen(ends[i]);
    }
    put(in_folder("lines.txt"), text, n);
    put(in_folder("lines.txt.zst"), text, n);
    lines_one_by_one(in_folder("lines.txt"), want, sizes, 9);
    lines_one_by_one(in_folder("lines.txt.zst"), want, sizes, 9);
    put(in_folder("nothing"), "", 0);
    lines_one_by_one(in_folder("nothing"), want, sizes, 0);
    put(in_folder("nothing.zst"), "", 0);
    lines_one_by_one(in_folder("nothing.zst"), want, sizes, 0);
    /* A file of every length about what is read at once: its only line comes whole. */
    for (int d = -2; d <= 2; d++) {
        const char *one[] = {big};
        const size_t size[] = {(size_t)(EDGE + d)};
        memcpy(text, big, size[0]);
        text[size[0]] = '\n';
        put(in_folder("edge"), text, size[0] + 1);
        lines_one_by_one(in_folder("edge"), one, size, 1);
        put(in_folder("edge"), text, size[0]);
        lines_one_by_one(in_folder("edge"), one, size, 1);
    }
    free(big);
    free(text);
}

/* Two zstd files one after the other are one (as `cat a.zst b.zst`). */
static void zstd_frames_in_a_row(void)
{
    struct err e;
    struct file_out *o;
    size_t n;
    put(in_folder("one.zst"), "first\n", 6);
    char *frame = xmalloc(1000);
    struct file_map m;
    check(file_map_open(&m, in_folder("one.zst"), &e));
    n = m.size;
    memcpy(frame, m.data, n);
    memcpy(frame + n, m.data, n);
    file_map_close(&m);
    check(file_out_open(&o, in_folder("raw"), false, &e) && file_out_write(o, frame, 2 * n, &e) && file_out_commit(o, &e));
    check_content(in_folder("raw"), "first\nfirst\n", 12);
    free(frame);
}

static void gzip_files(void)
{
    struct err e;
    enum { SIZE = 700000 }; /* more than is read at once, even when compressed */
    char *p = noise(SIZE), *path = in_folder("two.txt.gz");
    for (int member = 0; member < 2; member++) { /* two members, as `cat a.gz b.gz` makes them */
        gzFile gz = gzopen(path, member ? "ab" : "wb");
        check(gz && gzwrite(gz, p + member * (SIZE / 2), SIZE / 2) == SIZE / 2 && gzclose(gz) == Z_OK);
    }
    check_content(path, p, SIZE);
    size_t n = (size_t)file_size(path);
    char *bytes = xmalloc(n);
    FILE *f = fopen(path, "rb");
    check(f && fread(bytes, 1, n, f) == n);
    fclose(f);
    static const struct {
        const char *name, *words;
        double keep; /* share of the bytes */
        int change;  /* xor to the byte in the middle */
    } cases[] = {{"cut.gz", "cut.gz is cut short: its gzip data ends in the middle", 0.7, 0},
                 {"bad.gz", "bad.gz is damaged (gzip: ", 1, 0x55},
                 {"no.gz", "no.gz is named .gz, but is not a gzip file", 0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        f = fopen(in_folder(cases[i].name), "wb");
        bytes[n / 2] ^= (char)cases[i].change;
        check(f && fwrite(bytes, 1, (size_t)(cases[i].keep * (double)n), f) == (size_t)(cases[i].keep * (double)n) && fclose(f) == 0);
        check(!file_read(in_folder(cases[i].name), SIZE, NULL, &e));
        check_has(e.msg, cases[i].words);
    }
    free(bytes);
    free(p);
}

static void folders(void)
{
    struct err e;
    check(file_mkdirs(in_folder("a/b//c/"), &e) && file_is_dir(in_folder("a/b/c")));
    check(file_mkdirs(in_folder("a/b/c"), &e));
    put(in_folder("a/b/c/f"), "x", 1);
    check(!file_mkdirs(in_folder("a/b/c/f/g"), &e));
    check_has(e.msg, "cannot make the folder ");
    check(symlink("..", in_folder("a/b/up")) == 0); /* is removed itself, not followed */
    put(in_folder("beside"), "x", 1);
    check(file_sync_dir(in_folder("a"), &e) && !file_sync_dir(in_folder("none"), &e));
    check(file_remove_tree(in_folder("a"), &e) && !file_exists(in_folder("a")) && file_exists(in_folder("beside")));
    check(file_remove_tree(in_folder("a"), &e));
    check(file_remove_tree(in_folder("beside"), &e) && !file_exists(in_folder("beside")));
    check_int(file_size(in_folder("beside")), -1);
}

/* /dev/stdout may lead to a file: that is gone on with, and the name stays what it is. */
static void own_descriptors(void)
{
    struct err e = {""};
    struct file_out *o;
    char path[64], *text;
    size_t n;
    FILE *f = fopen(in_folder("led.to"), "wb");
    must(f && fputs("first\n", f) >= 0 && fflush(f) == 0);
    snprintf(path, sizeof path, "/dev/fd/%d", fileno(f));
    check_msg(file_out_open(&o, path, false, &e) && file_out_write(o, "second\n", 7, &e) && file_out_commit(o, &e), "%s", e.msg);
    must(fputs("third\n", f) >= 0 && fflush(f) == 0);
    text = file_read(in_folder("led.to"), 100, &n, &e);
    check_str(text, "first\nsecond\nthird\n");
    free(text);
    check(file_out_open(&o, path, false, &e) && file_out_write(o, "0123", 4, &e) && !file_out_patch(o, 0, "4", 1, &e));
    check_has(e.msg, "cannot go back in");
    file_out_abort(o);
    fclose(f);
    check(!file_replaceable("/dev/stdout") && !file_replaceable("/dev/null") && !file_replaceable(folder));
    check(file_replaceable(in_folder("led.to")) && file_replaceable(in_folder("not there")) && file_replaceable("/dev/shm/not there"));
}

static void clean_up(void)
{
    struct err e;
    check_msg(file_remove_tree(folder, &e), "%s", e.msg);
}

static const struct test tests[] = {
    {"a file is written whole", written_whole},
    {"zstd there and back", compressed_round_trip},
    {"damaged zstd files", damaged_zstd},
    {"a full disk leaves the old file", full_disk},
    {"what cannot be opened", cannot_be_opened},
    {"descriptors of the process's own", own_descriptors},
    {"lines of any length", lines_of_any_length},
    {"zstd frames in a row", zstd_frames_in_a_row},
    {"gzip files", gzip_files},
    {"folders", folders},
    {"the folder of this test can be removed", clean_up},
};

int main(int argc, char **argv)
{
    char template[] = "/tmp/test_core_file_XXXXXX";
    folder = mkdtemp(template);
    must(folder);
    return test_main(argc, argv, "test_core_file", tests, (int)(sizeof tests / sizeof *tests));
}
