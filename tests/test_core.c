/* tests/test_core.c - errors, arenas, random numbers, hashes, durations, JSON. Files are in test_core_file.c, settings in test_core_conf.c. */
#include "core/arena.h"
#include "core/err.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/log.h"
#include "core/rng.h"
#include "tests/test.h"
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

static void errors_nest_and_are_cut(void)
{
    struct err e;
    check(!err_set(&e, "line %d: %s", 7, "bad"));
    check_str(e.msg, "line 7: bad");
    check(!err_in(&e, "a.jsonl:%d", 12));
    check_str(e.msg, "a.jsonl:12: line 7: bad");
    check(!err_set(&e, "again: %s", e.msg)); /* the message may be its own argument */
    check_str(e.msg, "again: a.jsonl:12: line 7: bad");
    char *big = xmalloc(5000);
    memset(big, 'x', 4999);
    big[4999] = '\0';
    err_set(&e, "%s", big);
    check_int(strlen(e.msg), sizeof e.msg - 1);
    err_in(&e, "where");
    check_int(strlen(e.msg), sizeof e.msg - 1);
    check(strncmp(e.msg, "where: xxx", 10) == 0);
    free(big);
    char *s = xprintf("%d-%s", 5, "a");
    check_str(s, "5-a");
    free(s);
}

static void hook_says_bye(const char *message)
{
    fprintf(stderr, "hook ran after %s\n", strstr(message, "no luck"));
}

/* Exit status of fn in a child, and what it wrote to standard error: a pipe or a terminal. */
static int in_child_on(bool terminal, void (*fn)(void), char *said, size_t room)
{
    int ends[2];
    if (terminal)
        must(openpty(&ends[0], &ends[1], NULL, NULL, NULL) == 0);
    else
        must(pipe(ends) == 0);
    fflush(NULL);
    pid_t child = fork();
    must(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        fn();
        _exit(0);
    }
    close(ends[1]);
    size_t n = 0;
    ssize_t got;
    while (n < room - 1 && (got = read(ends[0], said + n, room - 1 - n)) > 0)
        n += (size_t)got;
    said[n] = '\0';
    close(ends[0]);
    int status;
    must(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int in_child(void (*fn)(void), char *said, size_t room)
{
    return in_child_on(false, fn, said, room);
}

static void dies(void)
{
    die_hook(hook_says_bye);
    die("no %s", "luck");
}

static void must_fails(void)
{
    int two = 2;
    must(two + two == 5);
}

static void talks(void)
{
    log_line("epoch %d", 3);
    struct progress p;
    progress_start(&p, "prepare", "docs", 10);
    progress_update(&p, 5, NULL); /* too early for a line */
    p.t0 -= 20;
    p.last -= 20;
    progress_update(&p, 5, "1 dropped");
    log_line("epoch %d", 4);
    p.t0 = log_now();
    progress_end(&p, 10, "2 dropped");
}

static void dying_and_talking(void)
{
    char said[1000];
    check_int(in_child(dies, said, sizeof said), 1);
    check_has(said, "tests/test_core.c:");
    check_has(said, ": no luck\nhook ran after no luck\n");
    check_int(in_child(must_fails, said, sizeof said), 1);
    check_has(said, "must hold: two + two == 5\n");
    check_int(in_child(talks, said, sizeof said), 0);
    check_has(said, "epoch 3\nprepare: 5 of 10 docs (50%), 20.0s left, 0.25 docs/s, 1 dropped\nepoch 4\nprepare: 10 docs in 0.0s, ");
    check_has(said, " docs/s, 2 dropped\n");
    check(!strchr(said, '\r') && !strchr(said, '\033'));
}

static void progress_on_a_terminal(void)
{
    char said[1000];
    int ends[2];
    if (openpty(&ends[0], &ends[1], NULL, NULL, NULL) != 0) {
        test_skip("no pseudo-terminals here (/dev/pts)");
        return;
    }
    close(ends[0]);
    close(ends[1]);
    check_int(in_child_on(true, talks, said, sizeof said), 0); /* where a newline comes out as "\r\n" */
    check_has(said, "epoch 3\r\n\r\033[Kprepare: 5 of 10 docs (50%), 20.0s left, 0.25 docs/s, 1 dropped\r\033[Kepoch 4\r\n"
                    "\r\033[Kprepare: 10 docs in 0.0s, ");
    check_has(said, " docs/s, 2 dropped\r\n");
}

static void durations(void)
{
    static const struct {
        double s;
        const char *want;
    } t[] = {{0, "0.0s"},       {3.42, "3.4s"},  {59.94, "59.9s"},  {59.96, "1m00s"}, {130, "2m10s"}, {3599.4, "59m59s"},
             {3599.6, "1h00m"}, {3720, "1h02m"}, {90000, "25h00m"}, {NAN, "?"},       {-1, "?"},      {INFINITY, "?"}};
    char buf[32];
    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        check_str(log_duration(buf, sizeof buf, t[i].s), t[i].want);
}

/* A layout as the model's activations are: sizes in, pointers out. */
static void layout(struct arena *a, void *at[4])
{
    static const size_t sizes[4] = {1, 256, 0, 1000};
    for (int i = 0; i < 4; i++)
        at[i] = arena_take(a, sizes[i]);
}

static void arena_places_what_it_measured(void)
{
    void *at[4];
    struct arena measure = {0};
    layout(&measure, at);
    check(!at[0] && !at[3]);
    check_int(measure.used, 256 + 256 + 0 + 1024);
    struct arena place = {.base = aligned_alloc(256, measure.used), .size = measure.used};
    layout(&place, at);
    check_int(place.used, measure.used);
    check((char *)at[0] == place.base && (char *)at[1] == place.base + 256 && (char *)at[3] == place.base + 512);
    free(place.base);
}

static void overfill(void)
{
    char block[256];
    struct arena a = {.base = block, .size = sizeof block};
    arena_take(&a, 256);
    arena_take(&a, 1);
}

static void arena_refuses_more(void)
{
    char said[1000];
    check_int(in_child(overfill, said, sizeof said), 1);
    check_has(said, "arena of 256 bytes is full: 1 bytes asked for with 256 in use");
}

static void philox_known_answers(void)
{
    /* From Random123's kat_vectors, philox4x32 with 10 rounds: counter = (index, stream), key = seed, low words first. */
    static const struct {
        uint64_t seed, stream, index;
        uint32_t want[4];
    } t[] = {
        {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {UINT64_MAX, UINT64_MAX, UINT64_MAX, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {0x299f31d0a4093822, 0x0370734413198a2e, 0x85a308d3243f6a88, {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        uint32_t r[4];
        rng_block(t[i].seed, t[i].stream, t[i].index, r);
        for (int k = 0; k < 4; k++)
            check_msg(r[k] == t[i].want[k], "vector %zu word %d: %08x, want %08x", i, k, r[k], t[i].want[k]);
    }
    check(rng_u64(0, 0, 0) == 0xe169c58d6627e8d5);
    check(rng_uniform(0, 0, 0) == (double)(0xe169c58d6627e8d5 >> 11) / 9007199254740992.0);
    check_int(rng_below(0, 0, 0, 1000), 880); /* 0xe169... / 2^64 = 0.8805 */
}

/* n draws: the sample moments lie within 5 standard errors of the distribution's. */
static void moments(void)
{
    enum { N = 200000 };
    double u1 = 0, u2 = 0, z1 = 0, z2 = 0, z4 = 0;
    int64_t seen[7] = {0};
    for (uint64_t i = 0; i < N; i++) {
        double u = rng_uniform(1, 2, i), z = rng_normal(3, 4, i);
        check(u >= 0 && u < 1);
        u1 += u;
        u2 += u * u;
        z1 += z;
        z2 += z * z;
        z4 += z * z * z * z;
        uint64_t b = rng_below(5, 6, i, 7);
        if (b < 7)
            seen[b]++;
        else
            check(b < 7);
    }
    check_msg(fabs(u1 / N - 0.5) < 5 * sqrt(1.0 / 12 / N), "%g", u1 / N);
    check_msg(fabs(u2 / N - 1.0 / 3) < 5 * sqrt(4.0 / 45 / N), "%g", u2 / N);
    check_msg(fabs(z1 / N) < 5 * sqrt(1.0 / N), "%g", z1 / N);
    check_msg(fabs(z2 / N - 1) < 5 * sqrt(2.0 / N), "%g", z2 / N);
    check_msg(fabs(z4 / N - 3) < 5 * sqrt(96.0 / N), "%g", z4 / N);
    for (int b = 0; b < 7; b++)
        check_msg(fabs((double)seen[b] - N / 7.0) < 5 * sqrt(N * 6.0 / 49), "%d: %lld", b, (long long)seen[b]);
}

static void permutation_is_a_bijection(void)
{
    static const uint64_t sizes[] = {1, 2, 3, 10, 1000, 65537};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        uint64_t n = sizes[s], fixed = 0, same = 0;
        bool *hit = xcalloc(n, sizeof *hit);
        for (uint64_t i = 0; i < n; i++) {
            uint64_t to = rng_permute(42, 1, n, i);
            check_msg(to < n && !hit[to], "n %llu: %llu goes to %llu", (unsigned long long)n, (unsigned long long)i,
                      (unsigned long long)to);
            hit[to < n ? to : 0] = true;
            fixed += to == i;
            same += to == rng_permute(42, 2, n, i);
        }
        free(hit);
        /* A random permutation has one fixed point on average, and agrees with another one at one place (Poisson). */
        check_msg(n < 10 || (fixed < 10 && same < 10), "n %llu: %llu fixed, %llu as in another stream", (unsigned long long)n,
                  (unsigned long long)fixed, (unsigned long long)same);
    }
}

/* Every order of three things comes about, about equally often. */
static void permutation_is_even_handed(void)
{
    int seen[27] = {0};
    for (uint64_t seed = 0; seed < 6000; seed++)
        seen[rng_permute(seed, 0, 3, 0) * 9 + rng_permute(seed, 0, 3, 1) * 3 + rng_permute(seed, 0, 3, 2)]++;
    static const int orders[6] = {0 * 9 + 1 * 3 + 2, 0 * 9 + 2 * 3 + 1, 1 * 9 + 0 * 3 + 2,
                                  1 * 9 + 2 * 3 + 0, 2 * 9 + 0 * 3 + 1, 2 * 9 + 1 * 3 + 0};
    for (int i = 0; i < 6; i++)
        check_msg(abs(seen[orders[i]] - 1000) < 150, "order %d: %d of 6000", i, seen[orders[i]]);
}

static void hashes_known_answers(void)
{
    char hex[HASH_XXH3_HEX], sha[HASH_SHA256_HEX], pieces[HASH_XXH3_HEX];
    hash_xxh3("", 0, hex);
    check_str(hex, "99aa06d3014798d86001c324468d497f");
    hash_xxh3("abc", 3, hex);
    check_str(hex, "06b05ab6733a618578af5f94892f3950");
    static char big[100000];
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (char)(i * 7);
    hash_xxh3(big, sizeof big, hex);
    struct hash_stream *h = hash_open();
    for (size_t at = 0, n = 1; at < sizeof big; at += n, n = n * 3 % 1009 + 1)
        hash_add(h, big + at, n < sizeof big - at ? n : sizeof big - at);
    hash_hex(h, pieces);
    check_str(pieces, hex);
    hash_close(h);

    struct err e;
    char path[] = "/tmp/test_core_XXXXXX";
    int fd = mkstemp(path);
    must(fd >= 0 && write(fd, "abc", 3) == 3);
    close(fd);
    check(hash_sha256_file(path, sha, &e));
    check_str(sha, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check(hash_xxh3_file(path, hex, &e));
    check_str(hex, "06b05ab6733a618578af5f94892f3950");
    unlink(path);
    check(!hash_sha256_file(path, sha, &e));
    check_has(e.msg, "No such file or directory");
}

/* A sum does not depend on who adds what when; it does on every bit, and on which piece stands where. */
static void hash_sums(void)
{
    enum { PIECES = 200, SIZE = 512 };
    static unsigned char file[PIECES * SIZE];
    char want[HASH_XXH3_HEX], hex[HASH_XXH3_HEX];
    for (size_t i = 0; i < sizeof file; i++)
        file[i] = (unsigned char)rng_below(1, 2, i, 256);
    for (int change = -1; change < 3; change++) {
        struct hash_sum part[3] = {{0, 0}};
        if (change == 0)
            file[777] ^= 16;
        for (int k = 0; k < PIECES; k++) {
            int piece = (int)rng_permute(change < 0 ? 0 : 5, 0, PIECES, (uint64_t)k), place = piece;
            if (change == 1 && piece < 2) /* the first two change places */
                place = 1 - piece;
            if (change != 2 || piece != 17) /* one is left out */
                hash_sum_add(&part[k % 3], (uint64_t)(place * SIZE), file + (size_t)piece * SIZE, SIZE);
        }
        hash_sum_join(&part[2], part[0]);
        hash_sum_join(&part[2], part[1]);
        hash_sum_hex(part[2], change < 0 ? want : hex);
        check(change < 0 || strcmp(hex, want));
        if (change == 0)
            file[777] ^= 16;
    }
    struct hash_sum all = {0, 0}, carry = {UINT64_MAX, 1};
    for (int k = 0; k < PIECES; k++)
        hash_sum_add(&all, (uint64_t)(k * SIZE), file + (size_t)k * SIZE, SIZE);
    hash_sum_hex(all, hex);
    check_str(hex, want);
    hash_sum_join(&carry, (struct hash_sum){1, 1});
    check(carry.low == 0 && carry.high == 3);
}

static void json_error(const char *text, const char *want)
{
    struct err e = {""};
    json_t *v = json_parse(text, strlen(text), "a.jsonl:12", &e);
    check_msg(!v, "%s", text);
    check_str(e.msg, want);
    json_decref(v);
}

static void json_errors_say_where(void)
{
    json_error("{\"a\": x}", "a.jsonl:12:7: not valid JSON: invalid token near 'x'");
    json_error("{\"a\": 1 \"bcd\"}", "a.jsonl:12:9: not valid JSON: '}' expected near '\"bcd\"'");
    json_error("{\"a\": 1, \"a\": 2}", "a.jsonl:12:10: not valid JSON: duplicate object key near '\"a\"'");
    json_error("{\"\xc3\xa4\": x}", "a.jsonl:12:7: not valid JSON: invalid token near 'x'"); /* columns count characters */
    json_error("{\"a\": 1} 2", "a.jsonl:12:10: not valid JSON: end of file expected near '2'");
    json_error("{\"a\":\n 1,\n  y}", "a.jsonl:12:3:3: not valid JSON: string or '}' expected near 'y'");
    struct err e;
    check(!json_parse("{\"a\": \"\xff\"}", 10, "w", &e));
    check_has(e.msg, "w:");
    check(!json_parse("{\"a\": 1", 7, "w", &e));
    check_has(e.msg, "near end of file");
}

static char *temp_file(const char *text)
{
    char *path = xstrdup("/tmp/test_core_XXXXXX");
    int fd = mkstemp(path);
    must(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    return path;
}

static void json_infinity(void)
{
    char *path = temp_file("{\"time_step_limit\": [0.0, Infinity],\n \"low\": -Infinity, \"none\": NaN, \"word\": \"Infinity \\\" NaN\", "
                           "\"NaN\": 1}\n");
    struct err e;
    check(!json_load_path(path, false, NULL, &e));
    char *text, *want = xprintf("%s:1:27: not valid JSON", path);
    check_has(e.msg, want);
    json_t *o = json_load_path(path, true, &text, &e);
    check_msg(o, "%s", e.msg);
    check(json_real_value(json_array_get(json_object_get(o, "time_step_limit"), 1)) == 1e308);
    check(json_real_value(json_object_get(o, "low")) == -1e308);
    check(json_number_value(json_object_get(o, "none")) == 0 && json_is_number(json_object_get(o, "none")));
    check_str(json_string_value(json_object_get(o, "word")), "Infinity \" NaN");
    check_int(json_integer_value(json_object_get(o, "NaN")), 1);
    int line, column;
    check(json_locate(text, "low", &line, &column) && line == 2 && column == 2);
    json_decref(o);
    free(text);
    free(want);
    unlink(path);
    free(path);
}

static void json_locates_keys(void)
{
    const char *text = "{\"a\": {\"b\": \"}]\\\"\", \"a\": [1, [2, 3], {\"x\": {}, \"deep\": [ ]}]},\n"
                       "  \"phases\": [\n    {\"seq_len\": 1},\n    {\"optim\": {\"lr\": 1}}]}";
    static const struct {
        const char *path;
        int line, column;
    } t[] = {{"a", 1, 2},        {"a.b", 1, 8},
             {"a.a", 1, 21},     {"a.a.2.deep", 1, 48},
             {"a.a.1.1", 1, 34}, {"phases.0.seq_len", 3, 6},
             {"phases.1", 4, 5}, {"phases.1.optim.lr", 4, 16}};
    int line, column;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        bool found = json_locate(text, t[i].path, &line, &column);
        check_msg(found && line == t[i].line && column == t[i].column, "%s: found %d at %d:%d", t[i].path, found, line, column);
    }
    check(!json_locate(text, "b", &line, &column));
    check(!json_locate(text, "phases.2", &line, &column));
    check(!json_locate(text, "phases.1.optim.lr.x", &line, &column));
}

static void json_typed_fields(void)
{
    json_t *o = json_pack("{s:i, s:f, s:s, s:b, s:[]}", "i", 5, "f", 2.5, "s", "x", "b", 1, "a");
    struct err e;
    int64_t i;
    double d;
    bool b;
    const char *s;
    check(json_get_int(o, "i", 1, 5, &i, &e) && i == 5);
    check(json_get_num(o, "i", &d, &e) && d == 5);
    check(json_get_num(o, "f", &d, &e) && d == 2.5);
    check(json_get_bool(o, "b", &b, &e) && b);
    check(json_get_str(o, "s", &s, &e) && strcmp(s, "x") == 0);
    check(!json_get_int(o, "i", 1, 4, &i, &e));
    check_str(e.msg, "\"i\" must be an integer from 1 to 4, got 5");
    check(!json_get_int(o, "f", 1, 4, &i, &e));
    check_str(e.msg, "\"f\" must be an integer, got a number");
    check(!json_get_num(o, "s", &d, &e));
    check_str(e.msg, "\"s\" must be a number, got a string");
    check(!json_get_bool(o, "a", &b, &e));
    check_str(e.msg, "\"a\" must be true or false, got an array");
    check(!json_get_str(o, "nope", &s, &e));
    check_str(e.msg, "key \"nope\" is missing; it must be a string");
    json_decref(o);
}

static void json_written_and_read_back(void)
{
    char *path = temp_file("");
    struct err e = {""};
    json_t *o = json_pack("{s:s, s:f, s:I}", "text", "a\n\xe2\x82\xac", "x", 0.1, "big", (json_int_t)INT64_MAX);
    check_msg(json_write_path(path, o, &e), "%s", e.msg);
    json_t *back = json_load_path(path, false, NULL, &e);
    check(back && json_equal(o, back));
    json_decref(back);
    struct file_out *f;
    json_t *sum = json_pack("{s:f}", "x", 0.1 + 0.2); /* 15 digits would read back as 0.3 */
    check(file_out_open(&f, path, false, &e) && json_write_line(f, o, &e) && json_write_line(f, sum, &e) && file_out_commit(f, &e));
    json_decref(sum);
    size_t n;
    char *text = file_read(path, 1000, &n, &e);
    check_str(text, "{\"text\":\"a\\n\xe2\x82\xac\",\"x\":0.1,\"big\":9223372036854775807}\n{\"x\":0.30000000000000004}\n");
    free(text);
    json_decref(o);
    unlink(path);
    free(path);
}

/* Adds up "n"; stops at a record without one. */
static bool add_n(void *sum, json_t *record, int64_t line, struct err *e)
{
    int64_t n;
    if (!json_get_int(record, "n", 0, 100, &n, e))
        return false;
    *(int64_t *)sum += n * line;
    return true;
}

static void json_lines(void)
{
    static const struct {
        const char *text, *error; /* behind the path */
        int64_t sum;              /* of "n" times the line's number, up to the error */
    } cases[] = {
        {"{\"n\":1}\n\n \t\n{\"n\":2}", NULL, 1 + 2 * 4},
        {"", NULL, 0},
        {"{\"n\":5}\n{\"m\":1}\n{\"n\":7}\n", ":2: key \"n\" is missing; it must be an integer", 5},
        {"{\"n\":5}\n[]\n", ":2: expected an object, got an array", 5},
        {"{\"n\":5}\n{\n", NULL, 5}, /* jansson's words */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *path = temp_file(cases[i].text), *error = cases[i].error ? xprintf("%s%s", path, cases[i].error) : NULL;
        struct err e = {""};
        int64_t sum = 0;
        bool broken = strstr(cases[i].text, "{\n") != NULL;
        check(json_each_line(path, add_n, &sum, &e) == (!error && !broken));
        check_int(sum, cases[i].sum);
        if (error)
            check_str(e.msg, error);
        json_t *all = json_load_lines(path, &e);
        check((all != NULL) == (!broken && strstr(cases[i].text, "[]") == NULL));
        json_decref(all);
        unlink(path);
        free(path);
        free(error);
    }
}

static const struct test tests[] = {
    {"errors nest and are cut", errors_nest_and_are_cut},
    {"dying and talking", dying_and_talking},
    {"progress on a terminal", progress_on_a_terminal},
    {"durations", durations},
    {"an arena places what it measured", arena_places_what_it_measured},
    {"an arena refuses more", arena_refuses_more},
    {"Philox known answers", philox_known_answers},
    {"moments of the random numbers", moments},
    {"a permutation is a bijection", permutation_is_a_bijection},
    {"a permutation is even-handed", permutation_is_even_handed},
    {"hashes: known answers", hashes_known_answers},
    {"sums of digests", hash_sums},
    {"JSON errors say where", json_errors_say_where},
    {"JSON with Infinity", json_infinity},
    {"JSON: line and column of a key", json_locates_keys},
    {"JSON: typed fields", json_typed_fields},
    {"JSON lines", json_lines},
    {"JSON written and read back", json_written_and_read_back},
};
TEST_MAIN("test_core", tests)
