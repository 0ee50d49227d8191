/* tests/test_loader.c - the rows of a phase: a partition, well filled, exact by hand; weights, epochs, digests, errors. */
#include "tests/loader_shards.h"

/* --------------------------------------------------------------- partition, fill */

static void test_partition(void)
{
    struct shard s = {0, 20000, len_any};
    write_shard(in_folder("a.tok"), &s, "");
    struct loader_source src = {in_folder("a.tok"), 1.0};
    int32_t *count = xmalloc((size_t)s.docs * sizeof *count);
    for (int how = 0; how < 4; how++) {
        struct loader_settings set = settings_of(&src, 1);
        set.pack = how & 1;
        set.shuffle = how & 2;
        struct loader *l = open_loader(&set);
        struct phase p;
        read_phase(l, set.seq_len, &p);
        struct loader_stats st = loader_stats(l);
        int64_t wrong = 0, disorder = 0, cut = 0;
        count_docs(&p, 0, p.rows, 0, s.docs, count);
        for (int64_t d = 0; d < s.docs; d++) {
            wrong += count[d] != 1;
            cut += s.len(d) > set.seq_len;
        }
        check_int(wrong, 0);
        check_int(p.docs, s.docs);
        check_int(st.docs, s.docs);
        check_int(st.rows, p.rows);
        check_int(st.cut, cut);
        check_int(st.unlearnt, 0);
        check(cut > 100);
        /* Without shuffling a row's documents stand in file order; without packing all do. */
        for (int64_t r = 0; r < p.rows; r++)
            for (int64_t i = p.start[r] + 1; i < p.start[r + 1]; i++)
                disorder += p.id[i] < p.id[i - 1];
        for (int64_t i = 1; i < p.docs && !set.pack; i++)
            disorder += p.id[i] < p.id[i - 1];
        check(set.shuffle ? disorder > 1000 : disorder == 0);
        check_int(loader_steps(l), (p.rows + 7) / 8);
        if (!set.pack)
            check_int(loader_max_docs(l), 1);
        phase_free(&p);
        loader_close(l);
    }
    free(count);
}

static void test_fill(void)
{
    struct shard s = {0, 5000, len_log_normal};
    write_shard(in_folder("a.tok"), &s, "");
    struct loader_source src = {in_folder("a.tok"), 1.0};
    struct loader_settings set = settings_of(&src, 1);
    for (set.seq_len = 1024; set.seq_len <= 16384; set.seq_len *= 4) {
        struct loader *l = open_loader(&set);
        struct loader_stats st = loader_stats(l);
        check_msg(st.fill >= 0.95 && st.fill <= 1.0, "seq_len %lld: fill %.4f", (long long)set.seq_len, st.fill);
        int64_t tokens = 0;
        for (int64_t d = 0; d < s.docs; d++)
            tokens += s.len(d) < set.seq_len ? s.len(d) : set.seq_len;
        check_int(st.tokens, tokens);
        check_msg(st.fill == (double)tokens / (double)(st.rows * set.seq_len), "%.6f", st.fill);
        loader_close(l);
    }
}

static int64_t places_shared(const struct phase *p, const struct phase *q, int64_t q_from)
{
    int64_t same = 0;
    for (int64_t i = 0; i < p->docs && q_from + i < q->docs; i++)
        same += p->id[i] == q->id[q_from + i];
    return same;
}

static void test_permutations_differ(void)
{
    struct shard s = {0, 2000, len_ten};
    write_shard(in_folder("a.tok"), &s, "");
    struct loader_source src = {in_folder("a.tok"), 1.0};
    for (int pack = 0; pack < 2; pack++) {
        struct loader_settings set = settings_of(&src, 1);
        set.pack = pack;
        set.seq_len = 10; /* one document a row, packed or not */
        set.epochs = 2;
        struct loader *l = open_loader(&set), *again = open_loader(&set);
        set.seed++;
        struct loader *other = open_loader(&set);
        struct phase p, q, r;
        read_phase(l, 10, &p);
        read_phase(again, 10, &q);
        read_phase(other, 10, &r);
        check_int(p.docs, 4000);
        check_int(places_shared(&p, &q, 0), 4000);
        check(places_shared(&p, &r, 0) < 20); /* expected 2 */
        check(places_shared(&p, &p, 2000) < 20);
        phase_free(&p);
        phase_free(&q);
        phase_free(&r);
        loader_close(l);
        loader_close(again);
        loader_close(other);
    }
}

/* ------------------------------------------------------------- exact by hand */

static void write_docs(const char *path, int64_t docs, const int64_t *len, const int32_t *ids, const uint8_t *learnt)
{
    struct err e = {""};
    struct tokfile_out *o = NULL;
    char hex[HASH_XXH3_HEX];
    if (!tokfile_out_open(&o, path, "", 100, &e))
        die("%s", e.msg);
    for (int64_t d = 0; d < docs; ids += len[d], learnt += len[d], d++)
        if (!tokfile_out_add(o, ids, learnt, len[d], &e))
            die("%s", e.msg);
    if (!tokfile_out_commit(o, hex, &e))
        die("%s", e.msg);
}

/* seq_len 6: documents of 4 and 2 share row 0; the one of 8 is cut to 6 and is row 1; the two without a target within 6 are left out. */
static void test_by_hand(void)
{
    const int64_t len[] = {4, 8, 1, 7, 2};
    const int32_t ids[] = {10, 11, 12, 13, 20, 21, 22, 23, 24, 25, 26, 27, 30, 40, 41, 42, 43, 44, 45, 46, 50, 51};
    const uint8_t learnt[] = {1, 0, 1, 1, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 0, 1};
    const int32_t want_ids[] = {10, 11, 12, 13, 50, 51, 20, 21, 22, 23, 24, 25};
    const int32_t want_target[] = {-1, 12, 13, -1, 51, -1, 21, 22, 23, -1, -1, -1};
    const int32_t want_len[] = {4, 2, 6};
    write_docs(in_folder("a.tok"), 5, len, ids, learnt);
    struct loader_source src = {in_folder("a.tok"), 1.0};
    for (int row_mean = 0; row_mean < 2; row_mean++) {
        struct loader_settings set = settings_of(&src, 1);
        set.seq_len = 6;
        set.shuffle = false;
        set.row_mean = row_mean;
        set.vocab = 52;
        struct loader *l = open_loader(&set);
        struct loader_stats st = loader_stats(l);
        check(st.docs == 3 && st.cut == 2 && st.unlearnt == 2 && st.rows == 2 && st.tokens == 12 && st.learnt == 6 && st.fill == 1.0);
        check_int(loader_steps(l), 1);
        check_int(loader_max_docs(l), 2);
        int64_t rows, tokens, n_learnt;
        loader_step(l, 0, &rows, &tokens, &n_learnt);
        check(rows == 2 && tokens == 12 && n_learnt == 6);
        struct batch b = batch_new(l, 6, 8);
        loader_pass(l, 0, 0, 0, 1, 8, &b);
        check_int(b.tokens, 12);
        check_int(b.docs, 3);
        check_int(b.learnt, 6);
        check(memcmp(b.ids, want_ids, sizeof want_ids) == 0);
        check(memcmp(b.target, want_target, sizeof want_target) == 0);
        check(memcmp(b.doc_len, want_len, sizeof want_len) == 0);
        for (int t = 0; t < 12; t++) /* both rows have 3 targets: 1/6 by tokens, 1/(2*3) by rows */
            check_msg(b.weight[t] == (want_target[t] < 0 ? 0.0f : (float)(1.0 / 6.0)), "token %d: %g", t, (double)b.weight[t]);
        char text[300], short_text[40];
        loader_describe(l, 0, text, sizeof text);
        char want[300];
        snprintf(want, sizeof want, "%s:0, %s:4, %s:1", src.path, src.path, src.path);
        check_str(text, want);
        loader_describe(l, 0, short_text, sizeof short_text);
        snprintf(want, sizeof want, "%s:0 ...", src.path);
        check_str(short_text, want);
        batch_free(&b);
        loader_close(l);
    }
}

/* Rows of 1 and 3 targets: by tokens every target weighs 1/4, by rows 1/2 and 1/6. */
static void test_weights_of_rows(void)
{
    const int64_t len[] = {3, 4};
    const int32_t ids[] = {1, 2, 3, 4, 5, 6, 7};
    const uint8_t learnt[] = {0, 0, 1, 0, 1, 1, 1};
    const float by_tokens[] = {0, 0.25f, 0, 0.25f, 0.25f, 0.25f, 0}, sixth = (float)(1.0 / 6.0);
    const float by_rows[] = {0, 0.5f, 0, sixth, sixth, sixth, 0};
    write_docs(in_folder("a.tok"), 2, len, ids, learnt);
    struct loader_source src = {in_folder("a.tok"), 1.0};
    for (int row_mean = 0; row_mean < 2; row_mean++) {
        struct loader_settings set = settings_of(&src, 1);
        set.pack = set.shuffle = false;
        set.row_mean = row_mean;
        struct loader *l = open_loader(&set);
        struct batch b = batch_new(l, set.seq_len, 2);
        loader_pass(l, 0, 0, 0, 1, 2, &b);
        check_int(b.tokens, 7);
        check(memcmp(b.weight, row_mean ? by_rows : by_tokens, sizeof by_rows) == 0);
        batch_free(&b);
        loader_close(l);
    }
}

/* Unpacked and unshuffled: 48 documents, 4 a step, are 12 steps in file order. */
static void test_file_order(void)
{
    struct shard s = {0, 48, len_any};
    write_shard(in_folder("a.tok"), &s, "");
    struct loader_source src = {in_folder("a.tok"), 1.0};
    struct loader_settings set = settings_of(&src, 1);
    set.pack = set.shuffle = false;
    set.rows = 4;
    set.epochs = 0;
    set.steps = 12;
    set.seq_len = 500;
    struct loader *l = open_loader(&set);
    struct batch b = batch_new(l, 500, 1);
    check_int(loader_steps(l), 12);
    int64_t wrong = 0;
    for (int64_t step = 0; step < 12; step++) {
        int64_t rows, tokens, learnt, targets = 0;
        loader_step(l, step, &rows, &tokens, &learnt);
        for (int64_t i = 0; i < 4; i++) {
            int64_t d = 4 * step + i;
            loader_pass(l, step, i, 0, 1, 1, &b);
            wrong += b.docs != 1 || b.tokens != s.len(d) || b.doc_len[0] != s.len(d);
            for (int64_t t = 0; t < b.tokens; t++) {
                bool is_target = t + 1 < b.tokens && is_learnt(d, t + 1);
                targets += is_target;
                wrong += b.ids[t] != token(&s, d, t) || b.target[t] != (is_target ? token(&s, d, t + 1) : -1);
                wrong += b.weight[t] != (is_target ? (float)(1.0 / (double)learnt) : 0.0f);
            }
        }
        check_int(targets, learnt);
    }
    check_int(wrong, 0);
    batch_free(&b);
    loader_close(l);
}

/* ------------------------------------------------------------ weights, epochs */

static void test_source_weights(void)
{
    enum { A = 301, B = 100 };
    struct shard a = {0, A, len_any}, b = {1, B, len_any};
    write_shard(in_folder("a.tok"), &a, "");
    write_shard(in_folder("b.tok"), &b, "");
    static const double weights[] = {0.5, 1, 2, 2.5, 0.01};
    int32_t count[A], second[A];
    for (int w = 0; w < 5; w++)
        for (int how = 0; how < 4; how++) {
            struct loader_source src[] = {{in_folder("b.tok"), 1.0}, {in_folder("a.tok"), weights[w]}};
            struct loader_settings set = settings_of(src, 2);
            set.pack = how & 1;
            set.shuffle = how & 2;
            set.epochs = 2;
            struct loader *l = open_loader(&set);
            struct phase p;
            read_phase(l, set.seq_len, &p);
            int64_t rows = loader_stats(l).rows, whole = (int64_t)weights[w], part = llround((weights[w] - (double)whole) * A);
            int64_t extra = 0, wrong = 0, both = 0, neither = 0;
            check_int(loader_stats(l).docs, B + whole * A + part);
            count_docs(&p, 0, rows, 1, B, count);
            for (int d = 0; d < B; d++)
                wrong += count[d] != 1;
            count_docs(&p, 0, rows, 0, A, count);
            count_docs(&p, rows, p.rows, 0, A, second);
            for (int d = 0; d < A; d++) {
                wrong += count[d] < whole || count[d] > whole + 1;
                extra += count[d] - whole;
                both += count[d] > whole && second[d] > whole;
                neither += count[d] == whole && second[d] == whole;
            }
            check_int(wrong, 0);
            check_int(extra, part);
            /* Two seeded halves of 151 in a row meet in one document only. */
            check_int(both, part == 151 ? 1 : 0);
            check_int(neither, part == 151 ? 0 : A - 2 * part);
            phase_free(&p);
            loader_close(l);
        }
    struct loader_source src = {in_folder("a.tok"), 0.5};
    struct loader_settings set = settings_of(&src, 1);
    struct phase p, q;
    struct loader *l = open_loader(&set);
    read_phase(l, set.seq_len, &p);
    loader_close(l);
    set.seed++;
    l = open_loader(&set);
    read_phase(l, set.seq_len, &q);
    loader_close(l);
    qsort(p.id, (size_t)p.docs, sizeof *p.id, by_value);
    qsort(q.id, (size_t)q.docs, sizeof *q.id, by_value);
    check(p.docs == 151 && q.docs == 151 && memcmp(p.id, q.id, 151 * sizeof *p.id) != 0); /* another seed, another half */
    phase_free(&p);
    phase_free(&q);
}

/* A phase in steps goes on over epochs without dropping a row; one in epochs ends with a smaller step, and may end within an epoch. */
static void test_steps_and_epochs(void)
{
    struct shard s = {0, 10, len_ten};
    write_shard(in_folder("a.tok"), &s, "");
    struct loader_source src = {in_folder("a.tok"), 1.0};
    struct loader_settings set = settings_of(&src, 1);
    int32_t count[10];
    set.pack = false;
    set.rows = 7;
    set.epochs = 0;
    set.steps = 10;
    struct loader *l = open_loader(&set);
    struct phase p;
    read_phase(l, set.seq_len, &p);
    check_int(loader_steps(l), 10);
    check_int(p.rows, 70);
    for (int epoch = 0; epoch < 7; epoch++) {
        count_docs(&p, 10 * epoch, 10 * (epoch + 1), 0, 10, count);
        for (int d = 0; d < 10; d++)
            check_int(count[d], 1);
    }
    loader_close(l);

    static const struct {
        double epochs;
        int64_t rows, steps;
    } want[] = {{1, 10, 2}, {1.5, 15, 3}, {2.1, 21, 3}, {0.3, 3, 1}, {0.001, 1, 1}, {7, 70, 10}, {2, 20, 3}};
    set.steps = 0;
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        set.epochs = want[i].epochs;
        l = open_loader(&set);
        struct phase q;
        read_phase(l, set.seq_len, &q);
        check_int(loader_steps(l), want[i].steps);
        check_int(q.rows, want[i].rows);
        check(memcmp(q.id, p.id, (size_t)q.docs * sizeof *q.id) == 0); /* the same rows as the phase given in steps */
        phase_free(&q);
        loader_close(l);
    }
    phase_free(&p);

    /* One row of 256 tokens an epoch, 8 rows a step: a step takes eight epochs. */
    set.pack = true;
    set.epochs = 0;
    set.rows = 8;
    set.steps = 3;
    l = open_loader(&set);
    read_phase(l, set.seq_len, &p);
    check_int(p.rows, 24);
    check_int(p.docs, 240);
    check_int(loader_max_docs(l), 10);
    phase_free(&p);
    loader_close(l);
}

/* ------------------------------------------------------------ digests, errors */

static void test_digest(void)
{
    struct shard s = {0, 20, len_any}, s2 = {1, 20, len_any};
    write_shard(in_folder("a.tok"), &s, "");
    write_shard(in_folder("b.tok"), &s, "");
    write_shard(in_folder("c.tok"), &s2, "");
    struct loader_source src = {in_folder("a.tok"), 1.0};
    struct loader_settings base = settings_of(&src, 1), set;
    struct loader *l = open_loader(&base);
    char digest[9][40];
    snprintf(digest[0], sizeof digest[0], "%s", loader_digest(l));
    loader_close(l);
    for (int i = 1; i < 9; i++) {
        set = base;
        struct loader_source from = src;
        set.source = &from;
        if (i == 1)
            from.path = in_folder("c.tok");
        else if (i == 2)
            from.weight = 1.25;
        else if (i == 3)
            set.seq_len--;
        else if (i == 4)
            set.rows++;
        else if (i == 5)
            set.seed++;
        else if (i == 6)
            set.pack = false;
        else if (i == 7)
            set.shuffle = false;
        else
            set.row_mean = true;
        l = open_loader(&set);
        snprintf(digest[i], sizeof digest[i], "%s", loader_digest(l));
        loader_close(l);
        for (int j = 0; j < i; j++)
            check_msg(strcmp(digest[i], digest[j]) != 0, "changes %d and %d", i, j);
    }
    struct loader_source moved = {in_folder("b.tok"), 1.0};
    set = base;
    set.source = &moved;
    set.epochs = 3;
    l = open_loader(&set);
    check_str(loader_digest(l), digest[0]); /* the same rows, from elsewhere and for longer */
    loader_close(l);
}

static void refused(const struct loader_settings *s, const char *words, const char *also)
{
    struct err e = {""};
    struct loader *l = NULL;
    bool opened = loader_open(&l, s, &e);
    check_msg(!opened, "expected \"%s\"", words);
    if (opened)
        loader_close(l);
    check_has(e.msg, words);
    check_has(e.msg, also);
    check(!strchr(e.msg, '\n'));
}

static void test_errors(void)
{
    struct shard s = {0, 20, len_any}, none = {0, 0, len_any};
    write_shard(in_folder("a.tok"), &s, "tokenizer one");
    write_shard(in_folder("b.tok"), &s, "tokenizer two");
    write_shard(in_folder("empty.tok"), &none, "");
    struct loader_source src[] = {{in_folder("a.tok"), 1.0}, {"", 1.0}};
    char other[128];
    src[1].path = other;
    struct loader_settings set = settings_of(src, 1);

    set.tokenizer = "tokenizer two";
    refused(&set, "a.tok: made with tokenizer tokenizer one, expected tokenizer two", "prepare");
    set.tokenizer = "tokenizer one";
    loader_close(open_loader(&set));
    set.tokenizer = NULL;
    snprintf(other, sizeof other, "%s", in_folder("b.tok"));
    set.n_source = 2;
    refused(&set, "b.tok: made with tokenizer tokenizer two, expected tokenizer one", "a.tok");

    snprintf(other, sizeof other, "%s", in_folder("gone.tok"));
    refused(&set, "gone.tok", "");
    set.n_source = 1;
    set.vocab = 5000;
    refused(&set, "but the model's vocabulary has 5000", "a.tok: holds token id");
    set.vocab = VOCAB;
    static const double weights[] = {0, -1, NAN, INFINITY};
    for (int i = 0; i < 4; i++) {
        src[0].weight = weights[i];
        refused(&set, "weight must be above 0", "a.tok");
    }
    src[0].weight = 1e12;
    refused(&set, "lower the weight", "a.tok");
    src[0].weight = 1e-6;
    refused(&set, "raise the weight", "a.tok");
    src[0].weight = 1;
    set.seq_len = 1;
    refused(&set, "none of 20 documents has a learnt token", "raise seq_len");
    set.seq_len = 256;
    snprintf(other, sizeof other, "%s", in_folder("empty.tok"));
    set.source = src + 1;
    refused(&set, "none of 0 documents", "empty.tok");
    set.n_source = 0;
    refused(&set, "nothing to train on", "add data");
    set.n_source = 2;
    set.source = src;
    loader_close(open_loader(&set)); /* an empty source beside a full one */

    /* A byte of the content changes after the shard was made. */
    FILE *f = fopen(src[0].path, "r+b");
    must(f && fseek(f, 300, SEEK_SET) == 0 && fputc(0x5a, f) != EOF && fclose(f) == 0);
    refused(&set, "damaged", "prepare");
}

static const struct test tests[] = {
    {"partition", test_partition},
    {"fill", test_fill},
    {"permutations_differ", test_permutations_differ},
    {"by_hand", test_by_hand},
    {"weights_of_rows", test_weights_of_rows},
    {"file_order", test_file_order},
    {"source_weights", test_source_weights},
    {"steps_and_epochs", test_steps_and_epochs},
    {"digest", test_digest},
    {"errors", test_errors},
};

int main(int argc, char **argv)
{
    return shards_main(argc, argv, "test_loader", tests, (int)(sizeof tests / sizeof *tests));
}
