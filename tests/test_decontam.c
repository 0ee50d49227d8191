/* tests/test_decontam.c - words of texts, likeness of sets, and that copies of evaluation problems are found in whatever dress, and nothing else. */
#include "core/file.h"
#include "core/rng.h"
#include "data/select/decontam.h"
#include "data/select/minhash.h"
#include "tests/folder.h"
#include "tests/program.h"
#include "tests/test.h"
#include <ctype.h>
#include <signal.h>
#include <sys/resource.h>

/* ------------------------------------------------------------------- words and sets */

static bool same_words(const char *a, const char *b)
{
    struct words x = {0}, y = {0};
    words_of(&x, a, strlen(a));
    words_of(&y, b, strlen(b));
    bool same = x.n == y.n;
    for (int64_t i = 0; same && i < x.n; i++)
        same = x.at[i].hash == y.at[i].hash && x.at[i].number == y.at[i].number;
    words_free(&x);
    words_free(&y);
    return same;
}

static void words(void)
{
    struct words w = {0};
    const char *text = "Ann's 1,234\ncats";
    words_of(&w, text, strlen(text));
    check_int(w.n, 3);
    check(w.at[0].at == 0 && w.at[0].n == 5 && w.at[0].line && !w.at[0].number);
    check(w.at[1].at == 6 && w.at[1].n == 5 && !w.at[1].line && w.at[1].number);
    check(w.at[2].at == 12 && w.at[2].n == 4 && w.at[2].line);
    words_free(&w);
    check(same_words("Find $x^2+1$.", "find  x 2 1"));
    check(same_words("\\dfrac{a}{b} \\leq \\left( \\sqrt{2} \\right)", "a/b ≤ (√2)"));
    check(same_words("It's 1{,}000,000 \\textbf{Cats}", "it’s **1000000** cats"));
    check(same_words("1,2,3 and 12,34", "1 2 3 and 12 34"));
    check(same_words("pi is \\pi", "pi is π"));
    check(same_words("a [asy] draw((0,0)--(1,1)); [/asy] b", "a b"));
    check(!same_words("a [asy] draw", "a draw"));
    check(!same_words("cats 3", "cats 4") && !same_words("cat", "cats") && !same_words("a1", "a 2"));
    check(same_words("数学题", "数 学 题") && !same_words("数学", "学数"));
    check(same_words("a\xff\xfe b", "a b")); /* what is no UTF-8 parts words */
}

static void likeness(void)
{
    enum { TRIALS = 500 };
    uint32_t a[150], b[150];
    uint64_t ka[MINHASH_BANDS], kb[MINHASH_BANDS];
    int found = 0, shared = 0;
    for (uint64_t trial = 0; trial < TRIALS; trial++) { /* sets that share 2/3 of each: similarity 1/2 */
        for (uint64_t i = 0; i < 150; i++) {
            a[i] = (uint32_t)rng_u64(1, trial, i);
            b[i] = i < 100 ? a[i] : (uint32_t)rng_u64(2, trial, i);
        }
        int64_t na = minhash_set(a, 150), nb = minhash_set(b, 150);
        check(na == 150 && nb == 150 && fabs(minhash_similarity(a, na, b, nb) - 0.5) < 1e-12);
        check(fabs(minhash_share(a, na, b, nb) - 2.0 / 3) < 1e-12);
        minhash_keys(a, na, ka);
        minhash_keys(b, nb, kb);
        int here = 0;
        for (int k = 0; k < MINHASH_BANDS; k++)
            here += ka[k] == kb[k];
        shared += here;
        found += here > 0;
    }
    double mean = (double)shared / TRIALS; /* 40 bands of probability 1/8: 5, its deviation over the trials below 0.1 */
    check_msg(mean > 4.6 && mean < 5.4, "%g keys are shared on average", mean);
    check_msg(found >= TRIALS * 98 / 100, "%d of %d share a key", found, TRIALS);
    uint32_t c[] = {5, 1, 5, 3, 1};
    check(minhash_set(c, 5) == 3 && c[0] == 1 && c[1] == 3 && c[2] == 5);
    check(minhash_similarity(c, 3, c, 3) == 1 && minhash_similarity(c, 1, c + 1, 2) == 0);
}

/* ------------------------------------------------------------------- dressing up */

struct text {
    char at[1 << 16];
    size_t n;
};
static void add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *t, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    t->n += (size_t)vsnprintf(t->at + t->n, sizeof t->at - t->n, fmt, args);
    va_end(args);
    must(t->n < sizeof t->at);
}

/* Other numbers, some of them spelt. */
static void renumber(struct text *t, const char *from, uint64_t seed)
{
    static const char *const names[] = {"two", "three", "five", "seven", "eleven", "twelve", "twenty-five", "forty", "one hundred"};
    *t = (struct text){.n = 0};
    for (uint64_t i = 0; *from; i++) {
        if (!isdigit((unsigned char)*from)) {
            add(t, "%c", *from++);
            continue;
        }
        from += strspn(from, "0123456789");
        if (rng_below(seed, 1, i, 4) == 0)
            add(t, "%s", names[rng_below(seed, 2, i, 9)]);
        else
            add(t, "%d", (int)rng_below(seed, 3, i, 5000));
    }
}

/* The same words in other dress: case, line breaks, dollars, LaTeX spellings, bold type. */
static void redress(struct text *t, const char *from, uint64_t seed)
{
    *t = (struct text){.n = 0};
    for (uint64_t i = 0; *from; i++, from++) {
        uint64_t dice = rng_below(seed, 4, i, 10);
        if (*from == ' ')
            add(t, "%s", dice < 2 ? "\n" : dice < 4 ? "  " : " ");
        else if (strncmp(from, "\\frac", 5) == 0 && !isalpha((unsigned char)from[5]))
            add(t, "\\dfrac"), from += 4;
        else if (*from == '$' && from[-(i > 0)] != '\\')
            add(t, "%s", dice < 5 ? " $ " : "");
        else if (*from == '.' && from[1] == ' ')
            add(t, "%s", dice < 5 ? " ." : ";");
        else if (isalpha((unsigned char)*from) && i > 0 && from[-1] == ' ')
            add(t, "%c", dice < 3 ? toupper(*from) : *from);
        else
            add(t, "%c", *from);
    }
}

static json_t *record_of(const char *before, const char *problem, const char *after)
{
    char *question = xprintf("%s%s%s", before, problem, after);
    json_t *v = json_pack("{s:[{s:s, s:s}, {s:s, s:s}]}", "messages", "role", "user", "content", question, "role", "assistant", "content",
                          "<think>\nLet us see.\n</think>\n\nDone.");
    free(question);
    return v;
}

/* -1: clean; 0: copy of another problem; 1: of this one. */
static int found(const struct decontam *d, json_t *record, const char *id, struct decontam_room *room)
{
    json_t *hit = record ? decontam_find(d, record, room) : NULL;
    int is = !hit ? -1 : strcmp(json_string_value(json_object_get(hit, "problem")), id) == 0;
    json_decref(hit);
    json_decref(record);
    return is;
}

static struct decontam *open_against(const char *const *paths, int n, double coverage)
{
    struct err e;
    struct decontam *d = NULL;
    struct decontam_settings s = {
        .against = {(char **)(void *)paths, n}, .ngram = 13, .coverage = coverage, .similarity = 0.6, .part = DECONTAM_ALL};
    check_msg(decontam_open(&d, &s, &e), "%s", e.msg);
    return d;
}

/* ------------------------------------------------------------------- made-up problems */

static void make_problem(struct text *t, uint64_t seed, uint64_t index, uint64_t words)
{
    static const char *const syllable[] = {"ba", "ce", "di", "fo", "gu", "la", "me", "ni", "po", "ru", "sa", "te", "vi", "zo", "hu", "ka"};
    *t = (struct text){.n = 0};
    uint64_t at = index << 16;
    for (uint64_t i = 0; i < words; i++, at += 8) {
        uint64_t what = rng_below(seed, 0, at, 12);
        add(t, "%s", i > 0 ? " " : "");
        if (what == 0)
            add(t, "%d", (int)rng_below(seed, 0, at + 1, 1000));
        else if (what == 1)
            add(t, "$\\frac{%c}{%d}$", 'a' + (int)rng_below(seed, 0, at + 1, 26), (int)rng_below(seed, 0, at + 2, 50));
        else
            for (uint64_t k = 0; k < 1 + rng_below(seed, 0, at + 1, 2); k++) /* 272 words, so that short runs meet by chance */
                add(t, "%s", syllable[rng_below(seed, 0, at + 2 + k, 16)]);
        add(t, "%s", i % 11 == 10 ? "." : "");
    }
}

static void planted_copies(void)
{
    enum { PROBLEMS = 600 };
    static struct text one, other;
    struct decontam_room room = {0};
    static const char *const dresses[][2] = {
        {"", ""},
        {"", "\nPlease reason step by step, and put your final answer within \\boxed{}."},
        {"<|im_start|>user\n",
         "\nPlease reason step by step, and put your final answer within \\boxed{}.<|im_end|>\n<|im_start|>assistant\n<think>\n"},
        {"You will be given a question (problem specification) and will generate a correct Python program that matches the specification and "
         "passes all tests.\n\nQuestion: ",
         "\n\nRead the inputs from stdin solve the problem and write the answer to stdout (do not directly test on the sample inputs). Enclose "
         "your code within delimiters as follows. Ensure that when the python program runs, it reads the inputs, runs the algorithm and writes "
         "output to STDOUT.\n```python\n# YOUR CODE HERE\n```\n\n"},
        {"Problem:\n", "\n\nThink it over."},
    };
    char *path = path_of("made.jsonl");
    FILE *f = fopen(path, "w");
    for (uint64_t i = 0; i < PROBLEMS; i++) {
        make_problem(&one, 7, i, 4 + i % 90); /* short ones as well */
        json_t *v = json_pack("{s:I, s:s}", "id", (json_int_t)i, "problem", one.at);
        json_dumpf(v, f, JSON_COMPACT);
        fputc('\n', f);
        json_decref(v);
    }
    must(fclose(f) == 0);
    struct decontam *d = open_against((const char *const[]){path}, 1, 0.5);
    check_int(decontam_problems(d), PROBLEMS);
    int exact = 0, dressed = 0, near = 0, nears = 0, wrong = 0, tries = 0, longer = 0;
    for (uint64_t i = 0; i < PROBLEMS; i++) {
        char id[24];
        snprintf(id, sizeof id, "%d", (int)i);
        make_problem(&one, 7, i, 4 + i % 90);
        for (int k = 0; k < 5; k++) {
            exact += found(d, record_of(dresses[k][0], one.at, dresses[k][1]), id, &room) == 1;
            redress(&other, one.at, i);
            dressed += i % 90 >= 2 && found(d, record_of(dresses[k][0], other.at, dresses[k][1]), id, &room) == 1;
            tries++;
            longer += i % 90 >= 2; /* six words and more: they may stand in several lines */
        }
        if (i % 90 >= 21) { /* 25 words and more: long enough to have near copies */
            renumber(&other, one.at, i);
            near += found(d, record_of("", other.at, dresses[1][1]), id, &room) == 1;
            nears++;
        }
        make_problem(&one, 8, i, 4 + i % 90);
        wrong += found(d, record_of("", one.at, dresses[1][1]), id, &room) != -1;
    }
    fprintf(stderr, "  made-up problems: exact %d of %d, other dress %d of %d, other numbers %d of %d\n", exact, tries, dressed, longer,
            near, nears);
    check_msg(exact >= tries * 99 / 100, "of %d exact copies %d are found", tries, exact);
    check_msg(dressed >= longer * 99 / 100, "of %d copies in other dress %d are found", longer, dressed);
    check_msg(near >= nears * 95 / 100, "of %d copies with other numbers %d are found", nears, near);
    check_msg(wrong == 0, "%d other problems are taken for copies", wrong);
    decontam_close(d);
    decontam_room_free(&room);
    free(path);
}

/* What counts, and what does not. */
static void what_counts(void)
{
    static const char *const fifteen = "one red fox and two blue hens ran over the old green hill at night";
    char *path = path_of("eval.jsonl"), *text;
    struct decontam_room room = {0};
    text = xprintf("{\"id\":\"a\",\"problem\":\"%s\"}\n{\"unique_id\":\"b\",\"question\":\"Is seven a prime?\"}\n"
                   "{\"prompt\":\"Name the largest bone of a blue whale.\"}\n"
                   "{\"id\":1,\"problem\":\"Given the usual wording that stands in front of every single problem of this set find x\"}\n"
                   "{\"id\":2,\"problem\":\"Given the usual wording that stands in front of every single problem of this set find y\"}\n"
                   "{\"id\":3,\"problem\":\"Given the usual wording that stands in front of every single problem of this set find z\"}\n"
                   "{\"id\":4,\"problem\":\"Given the usual wording that stands in front of every single problem of this set find u\"}\n"
                   "{\"id\":5,\"problem\":\"Given the usual wording that stands in front of every single problem of this set find w\"}\n"
                   "{\"id\":\"again\",\"problem\":\"%s!\"}\n",
                   fifteen, fifteen);
    put("eval.jsonl", text);
    free(text);
    struct decontam *d = open_against((const char *const[]){path}, 1, 0);
    check_int(decontam_problems(d), 8); /* "again" is the first one again */
    static const struct {
        const char *question, *id; /* "": clean */
    } cases[] = {
        {"We saw: one red fox and two blue hens ran over the old green hill, yes", "a"}, /* 13 in a row, and more */
        {"One red fox and two blue hens ran over the old green", "near"},                /* 11: alike in the runs */
        {"Two red foxes, one blue hen and the old hill", ""},
        {"Is seven a prime?", "b"},
        {"Tell me.\\nIs seven a prime?\\nThink.", "b"},
        {"I ask: is seven a prime?", ""}, /* a short problem inside of a line proves nothing */
        {"So: name the largest bone of a blue whale, please", "line 3"},
        {"Name the largest bone of a grey whale.", ""},
        {"Given the usual wording that stands in front of every single problem of this set, what is the capital of a country that has no sea and three "
         "neighbours, all of them larger, and a river that runs north?",
         ""}, /* common wording */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *line = xprintf("{\"prompt\":\"%s\",\"completion\":\"x\"}", cases[i].question);
        json_t *v = json_loads(line, 0, NULL), *hit = decontam_find(d, v, &room);
        const char *id = hit ? json_string_value(json_object_get(hit, "problem")) : "", *how = hit ? decontam_how(hit) : "";
        check_msg(strcmp(id, cases[i].id) == 0 || strcmp(how, cases[i].id) == 0, "%s: \"%s\" %s, want %s", cases[i].question, id, how,
                  cases[i].id);
        free(line);
        json_decref(hit);
        json_decref(v);
    }
    char *answer =
        xprintf("{\"messages\":[{\"role\":\"user\",\"content\":\"?\"},{\"role\":\"assistant\",\"content\":\"Recall: %s.\"}]}", fifteen);
    json_t *v = json_loads(answer, 0, NULL), *hit = decontam_find(d, v, &room);
    check(hit && strcmp(json_string_value(json_object_get(hit, "problem")), "a") == 0);
    check(hit &&
          strcmp(json_string_value(json_object_get(hit, "match")), "one red fox and two blue hens ran over the old green hill") == 0);
    json_decref(hit);
    struct decontam_settings s = {.against = {&path, 1}, .ngram = 13, .similarity = 0.6, .part = DECONTAM_QUESTION};
    struct decontam *q;
    struct err e;
    check(decontam_open(&q, &s, &e));
    hit = decontam_find(q, v, &room);
    check(!hit);
    json_decref(v);
    free(answer);
    decontam_close(q);
    decontam_close(d);
    decontam_room_free(&room);
    free(path);
}

/* ------------------------------------------------------------------- the program */

static void the_program(void)
{
    put("eval.jsonl", "{\"id\":\"e1\",\"problem\":\"one red fox and two blue hens ran over the old green hill at night\"}\n");
    put("in.jsonl", "{\"id\":1,\"prompt\":\"q\",\"completion\":\"a\"}\n"
                    "{\"id\":2,\"prompt\":\"one red fox and two blue hens ran over the old green hill\",\"completion\":\"a\"}\n"
                    "{\"id\":3,\"text\":\"clean\"  }\n"
                    "{\"id\":4,\"prompt\":\"x\",\"completion\":\"One red fox AND two blue hens ran\\nover the old green hill at\"}\n");
    struct ran r = run_program(dir, "decontaminate --input in.jsonl --against eval.jsonl --output out.jsonl --removed gone.jsonl");
    check_msg(r.code == 0, "%s", r.err);
    ran_free(&r);
    struct err e;
    char *path = path_of("out.jsonl"), *text = file_read(path, 1 << 20, NULL, &e);
    check_str(text, "{\"id\":1,\"prompt\":\"q\",\"completion\":\"a\"}\n{\"id\":3,\"text\":\"clean\"  }\n");
    free(text);
    free(path);
    path = path_of("gone.jsonl");
    json_t *gone = json_load_lines(path, &e);
    check_int(json_array_size(gone), 2);
    const json_t *one = json_array_get(gone, 1);
    check_str(json_string_value(json_object_get(one, "where")), "in.jsonl:4");
    check_int(json_integer_value(json_object_get(one, "id")), 4);
    check_str(json_string_value(json_object_get(one, "how")), "ngram");
    check_str(json_string_value(json_object_get(one, "set")), "eval.jsonl");
    check_str(json_string_value(json_object_get(one, "problem")), "e1");
    check_str(json_string_value(json_object_get(one, "match")), "One red fox AND two blue hens ran\nover the old green hill");
    json_decref(gone);
    free(path);

    static const struct {
        const char *options, *says;
        int code;
    } wrong[] = {
        {"--input in.jsonl --output o.jsonl --removed r.jsonl", "--input and --against must be given", 2},
        {"--input in.jsonl --against eval.jsonl --output o.jsonl --removed o.jsonl", "--output and --removed name the same file o.jsonl",
         2},
        {"--input in.jsonl --against eval.jsonl --output in.jsonl --removed r.jsonl", "in.jsonl is an input and an output", 2},
        {"--input in.jsonl --against none.jsonl --output o.jsonl --removed r.jsonl", "none.jsonl: there is no such file", 1},
        {"--input in.jsonl --against empty.jsonl --output o.jsonl --removed r.jsonl", "hold no problem", 1},
        {"--input in.jsonl --against noproblem.jsonl --output o.jsonl --removed r.jsonl",
         "noproblem.jsonl:1: this evaluation record has no problem", 1},
        {"--input other.jsonl --against eval.jsonl --output o.jsonl --removed r.jsonl",
         "other.jsonl:1: the record has neither \"text\", \"prompt\" nor \"messages\", which are what is compared", 1},
        {"--input bad.jsonl --against eval.jsonl --output o.jsonl --removed r.jsonl", "bad.jsonl:2:", 1},
        {"--input in.jsonl --against eval.jsonl --frames word --output o.jsonl --removed r.jsonl", "must have two words", 1},
    };
    put("empty.jsonl", "");
    put("noproblem.jsonl", "{\"answer\":1}\n");
    put("other.jsonl", "{\"question\":\"one red fox and two blue hens ran over the old green hill at night\",\"answer\":\"a\"}\n");
    put("bad.jsonl", "{\"text\":\"a\"}\n{\"text\":\n");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        r = run_program(dir, "decontaminate %s", wrong[i].options);
        check_int(r.code, wrong[i].code);
        check_has(r.err, wrong[i].says);
        ran_free(&r);
    }
    path = path_of("o.jsonl");
    check(!file_exists(path));
    free(path);
    r = run_program(dir, "decontaminate --input bad.jsonl --on-bad-line skip --against eval.jsonl --output o.jsonl --removed r.jsonl");
    check_int(r.code, 0);
    check_has(r.err, "1 of 2 records stay, 0 go, 1 are bad");
    ran_free(&r);

    /* A bad record ends the run while the next batches have been read and not been looked at. */
    static const char record[] = "{\"text\":\"a record of some length, of which there are a hundred thousand after the bad one\"}\n";
    enum { RECORDS = 100000 };
    char *many = xmalloc(RECORDS * (sizeof record - 1) + 64), *end = stpcpy(many, "{\"text\":\n");
    for (int i = 0; i < RECORDS; i++)
        end = stpcpy(end, record);
    put("long.jsonl", many);
    free(many);
    r = run_program(dir, "decontaminate --input long.jsonl --against eval.jsonl --output long.out.jsonl --removed long.gone.jsonl");
    check_int(r.code, 1);
    check_has(r.err, "long.jsonl:1:");
    ran_free(&r);
}

/* Ended by a signal in the middle, it leaves what was there before: neither parts nor half a file. */
static void interrupted(void)
{
    static const int signals[] = {SIGTERM, SIGINT};
    put("old.jsonl", "what was there\n");
    for (int i = 0; i < 2; i++) {
        char *programs = program_folder(), *part = path_of("old.jsonl.part"), *out = path_of("old.jsonl"), *list = path_of("list.jsonl"),
             *list_part = path_of("list.jsonl.part"), *err = path_of(".err"), *inputs = xstrdup("");
        for (int k = 0; k < 100; k++) { /* the 9 MB of the test before, a hundred times */
            char *more = xprintf("%s --input long.jsonl", inputs);
            free(inputs);
            inputs = more;
        }
        char *command = xprintf(
            "cd '%s' && exec '%s'/decontaminate%s --on-bad-line skip --against eval.jsonl --output old.jsonl --removed list.jsonl 2>.err",
            dir, programs, inputs);
        pid_t child = fork();
        if (child == 0) {
            execl("/bin/sh", "sh", "-c", command, (char *)NULL);
            _exit(127);
        }
        for (int k = 0; k < 5000 && file_size(part) <= 0; k++)
            usleep(1000);
        check(file_size(part) > 0);
        kill(child, signals[i]);
        int status;
        must(waitpid(child, &status, 0) == child);
        check(WIFEXITED(status) && WEXITSTATUS(status) == 1);
        struct err e;
        char *said = file_read(err, 1 << 20, NULL, &e), *left = file_read(out, 1 << 20, NULL, &e);
        check_has(said, "interrupted by signal");
        check_str(left, "what was there\n");
        check(!file_exists(part) && !file_exists(list) && !file_exists(list_part));
        free(said);
        free(left);
        free(programs);
        free(part);
        free(out);
        free(list);
        free(list_part);
        free(err);
        free(inputs);
        free(command);
    }
}

/* A mixture may ask for it. */
static void in_a_mixture(void)
{
    put("eval.jsonl", "{\"id\":\"e1\",\"problem\":\"one red fox and two blue hens ran over the old green hill at night\"}\n");
    put("set.jsonl",
        "{\"id\":\"a\",\"prompt\":\"q\",\"completion\":\"a\"}\n"
        "{\"id\":\"b\",\"prompt\":\"one red fox and nine blue hens ran over the old green hill at night\",\"completion\":\"a\"}\n");
    put("mix.json",
        "{\"tokenizer\":\"byte\",\"sources\":[{\"name\":\"s\",\"path\":\"set.jsonl\"}],\"decontaminate\":{\"against\":[\"eval.jsonl\"]}}");
    struct ran r = run_program(dir, "select mix.json --output mix");
    check_msg(r.code == 0, "%s", r.err);
    ran_free(&r);
    struct err e;
    char *path = path_of("mix/s.contaminated.jsonl");
    json_t *gone = json_load_lines(path, &e);
    check_int(json_array_size(gone), 1);
    const json_t *one = json_array_get(gone, 0);
    check_str(json_string_value(json_object_get(one, "id")), "b");
    check_str(json_string_value(json_object_get(one, "where")), "set.jsonl:2");
    check_str(json_string_value(json_object_get(one, "how")), "near");
    check(json_number_value(json_object_get(one, "similarity")) == 1);
    json_decref(gone);
    free(path);
    path = path_of("mix/manifest.json");
    json_t *manifest = json_load_path(path, false, NULL, &e);
    const json_t *source = json_array_get(json_object_get(manifest, "sources"), 0);
    check_int(json_integer_value(json_object_get(json_object_get(source, "left_out"), "contaminated")), 1);
    check_int(json_integer_value(json_object_get(source, "records_out")), 1);
    check_int(json_integer_value(json_object_get(json_array_get(json_object_get(manifest, "against"), 0), "problems")), 1);
    json_decref(manifest);
    free(path);
}

/* Ten times the records in the same memory. Under the address sanitizer, memory given back is not kept for its sake. */
static void constant_memory(void)
{
    static const int sizes[] = {20000, 200000};
    long peak[2];
    put("eval.jsonl", "{\"id\":\"e1\",\"problem\":\"one red fox and two blue hens ran over the old green hill at night\"}\n");
    for (int k = 0; k < 2; k++) {
        char *path = path_of("many.jsonl"), *program = program_folder();
        FILE *f = fopen(path, "w");
        for (int i = 0; i < sizes[k]; i++)
            fprintf(f, "{\"id\":%d,\"prompt\":\"What is %d and %d?\",\"completion\":\"It is %d, which one sees by adding them up.\"}\n", i,
                    i, i + 1, 2 * i + 1);
        must(fclose(f) == 0);
        char *command = xprintf(
            "cd '%s' && ASAN_OPTIONS=quarantine_size_mb=1 exec '%s/decontaminate' --threads 2 --input many.jsonl --against eval.jsonl --output o.jsonl --removed r.jsonl "
            "2>/dev/null",
            dir, program);
        pid_t child = fork();
        if (child == 0) {
            execl("/bin/sh", "sh", "-c", command, (char *)NULL);
            _exit(127);
        }
        struct rusage used;
        int status;
        must(wait4(child, &status, 0, &used) == child);
        check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        peak[k] = used.ru_maxrss;
        free(command);
        free(program);
        free(path);
    }
    check_msg(peak[1] < peak[0] + 8192, "%ld kB for 20,000 records, %ld kB for 200,000", peak[0], peak[1]);
}

/* ------------------------------------------------------------------- real problems */

static void real_problems(void)
{
    static const char *const paths[] = {"../shared/corpus/eval/math500.jsonl.zst", "../shared/corpus/eval/aime24.jsonl",
                                        "../shared/corpus/eval/gsm8k_test.jsonl.zst"};
    static const char *const keys[] = {"problem", "problem", "question"}, *const ids[] = {"unique_id", "id", NULL};
    static struct text other;
    for (int k = 0; k < 3; k++)
        if (!file_exists(paths[k])) {
            test_skip("no ../shared/corpus/eval");
            return;
        }
    struct decontam_room room = {0};
    struct decontam *d = open_against(paths, 3, 0);
    int n = 0, exact = 0, dressed = 0, nears = 0, near = 0;
    for (int k = 0; k < 3; k++) {
        struct err e;
        json_t *all = json_load_lines(paths[k], &e), *v;
        size_t i;
        json_array_foreach(all, i, v)
        {
            const char *text = json_string_value(json_object_get(v, keys[k]));
            const char *id = ids[k] ? json_string_value(json_object_get(v, ids[k])) : "";
            struct words w = {0};
            words_of(&w, text, strlen(text));
            n++;
            exact +=
                found(d, record_of("", text, "\nPlease reason step by step, and put your final answer within \\boxed{}."), id, &room) >= 0;
            redress(&other, text, i);
            dressed += found(d, record_of("", other.at, "\nLet's think step by step and output the final answer within \\boxed{}."), id,
                             &room) >= 0;
            if (w.n >= 20) {
                renumber(&other, text, i);
                near += found(d, record_of("", other.at, ""), id, &room) >= 0;
                nears++;
            }
            words_free(&w);
        }
        json_decref(all);
    }
    fprintf(stderr, "  real problems: exact %d of %d, other dress %d, other numbers %d of %d\n", exact, n, dressed, near, nears);
    check_msg(exact >= n * 99 / 100, "of %d exact copies %d are found", n, exact);
    check_msg(dressed >= n * 95 / 100, "of %d copies in other dress %d are found", n, dressed);
    check_msg(near >= nears * 95 / 100, "of %d copies with other numbers %d are found", nears, near);
    decontam_close(d);
    decontam_room_free(&room);
}

/* Training problems that are none of the evaluation's: few are taken for copies, fewer with coverage. */
static void false_alarms(void)
{
    static const char *const paths[] = {"../shared/corpus/eval/aime24.jsonl", "../shared/corpus/eval/gsm8k_test.jsonl.zst"};
    const char *train = "../shared/corpus/train/gsm8k_train.jsonl.zst";
    if (!file_exists(paths[0]) || !file_exists(train)) {
        test_skip("no ../shared/corpus/train");
        return;
    }
    struct err e;
    struct decontam_room room = {0};
    json_t *all = json_load_lines(train, &e), *v;
    for (int k = 0; k < 2; k++) {
        struct decontam *d = open_against(paths, 2, k == 0 ? 0 : 0.5);
        size_t i, hits = 0, n = json_array_size(all);
        json_array_foreach(all, i, v)
        {
            json_t *record = json_pack("{s:O, s:O}", "prompt", json_object_get(v, "question"), "completion", json_object_get(v, "answer"));
            json_t *hit = decontam_find(d, record, &room);
            hits += hit != NULL;
            json_decref(hit);
            json_decref(record);
        }
        fprintf(stderr, "  false alarms: %zu of %zu\n", hits, n);
        check_msg(hits * 1000 <= n * (k == 0 ? 5 : 1), "%zu of %zu records are taken for copies", hits, n);
        decontam_close(d);
    }
    json_decref(all);
    decontam_room_free(&room);
}

static const struct test tests[] = {
    {"words", words},
    {"likeness", likeness},
    {"planted copies", planted_copies},
    {"what counts", what_counts},
    {"the program", the_program},
    {"interrupted", interrupted}, /* reads a file of the test before */
    {"in a mixture", in_a_mixture},
    {"constant memory", constant_memory},
    {"real problems", real_problems},
    {"false alarms", false_alarms},
};

int main(int argc, char **argv)
{
    return folder_main(argc, argv, "test_decontam", tests, (int)(sizeof tests / sizeof *tests));
}
