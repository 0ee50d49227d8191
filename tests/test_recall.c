/* Documents that ask what a state can keep: every answer stands where the document says, lengths are met; the task's verdicts and page. */
#include "core/html.h"
#include "core/json.h"
#include "data/synth/recall.h"
#include "infer/score/scoring.h"
#include "tests/program.h"
#include "tests/test.h"

static char dir[] = "/tmp/test_recall.XXXXXX";

/* The n-th word (from 0) of a text without its newline; NULL: there are fewer. Valid until the next call. */
static const char *word_at(const char *text, int64_t n, int64_t *words)
{
    static char found[64];
    found[0] = 0;
    *words = 0;
    for (const char *p = text; *p && *p != '\n'; ++*words) {
        size_t bytes = strcspn(p, " \n");
        if (*words == n)
            snprintf(found, sizeof(found), "%.*s", (int)bytes, p);
        p += bytes + (p[bytes] == ' ');
    }
    return found[0] ? found : NULL;
}

/* Answers looked up in the text itself. */
static void check_document(const struct recall_doc *d, const struct recall_settings *s)
{
    int64_t words, facts = 0;
    for (const char *p = d->text; *p; p++)
        facts += *p == '=';
    check_int(facts, d->facts);
    check(facts >= 1 && facts <= s->facts && d->n <= s->questions);
    word_at(d->text, 0, &words);
    check(2 * facts <= words || words == 1);
    for (int64_t i = 0; i < d->n; i++) {
        const struct recall_question *q = &d->question[i];
        for (int64_t j = 0; j < i; j++)
            check_msg(strcmp(q->ask, d->question[j].ask) != 0, "%s twice", q->ask);
        int64_t at = 0;
        if (q->key) {
            char fact[40];
            snprintf(fact, sizeof(fact), "%s%s", q->ask + 1, q->answer);
            const char *word;
            while ((word = word_at(d->text, at, &words)) && strcmp(word, fact) != 0)
                at++;
            check_msg(word, "%s in %s", fact, d->text);
        } else {
            at = strtoll(q->ask + 1, NULL, 10) - 1;
            const char *word = word_at(d->text, at, &words);
            check(at < s->farthest);
            check_msg(word && strcmp(word, q->answer) == 0, "%s: %s, not %s", q->ask, word ? word : "nothing", q->answer);
        }
        check(q->position == (words > 1 ? (double)at / (double)(words - 1) : 0));
    }
}

static void every_answer_is_in_its_document(void)
{
    struct err e;
    struct tokenizer *tok;
    must(tokenizer_open(&tok, "byte", &e));
    static const int64_t lengths[] = {16, 17, 40, 63, 64, 65, 257, 1024, 5000};
    for (int ask = RECALL_KEY; ask <= RECALL_BOTH; ask++)
        for (size_t l = 0; l < sizeof(lengths) / sizeof(lengths[0]); l++)
            for (uint64_t i = 0; i < 8; i++) {
                struct recall_settings s = {lengths[l], 1 + (int64_t)i * 12, 12, (enum recall_ask)ask, 20};
                struct recall_doc d, again;
                recall_make(&d, &s, tok, 3, i);
                recall_make(&again, &s, tok, 3, i);
                check_document(&d, &s);
                check_str(d.text, again.text);
                check_int(d.tokens, strlen(d.text));
                check_msg(d.tokens <= s.tokens && d.tokens >= s.tokens - 6, "%lld tokens, %lld wanted", (long long)d.tokens,
                          (long long)s.tokens);
                check(ask == RECALL_WORD || (d.n > 0 && d.question[0].key));
                recall_free(&d);
                recall_free(&again);
            }
    tokenizer_close(tok);
}

/* A model's text for each kind of answer, and what the task says. */
static void verdicts(void)
{
    static const struct {
        const char *text;
        bool right;
    } cases[] = {{"m", true}, {" m \n?ab=\nq", true}, {"q", false},           {"mm", false},
                 {"", false}, {"M", false},           {"x</think>\nm", true}, {"x</think>m", true}};
    json_t *truth = json_pack("{s:s, s:s, s:i, s:f}", "id", "a", "answer", "m", "length", 64, "position", 0.5);
    char *key;
    struct err e;
    check(task_recall.gold(truth, &key, &e));
    check_str(key, "m");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct verdict v = {0};
        task_recall.judge(&v, truth, key, cases[i].text, false);
        check_msg(v.correct == cases[i].right && v.why, "\"%s\"", cases[i].text);
        check_msg(!v.extracted == (cases[i].text[0] == 0), "\"%s\": \"%s\"", cases[i].text, v.extracted ? v.extracted : "");
        verdict_free(&v);
    }
    free(key);
    json_object_del(truth, "position");
    check(!task_recall.gold(truth, &key, &e));
    check_has(e.msg, "position");
    json_decref(truth);
}

static int run(const char *command)
{
    struct ran r = run_program(dir, "%s", command);
    check_msg(r.code == 0, "%s: %s", command, r.err);
    int code = r.code;
    ran_free(&r);
    return code;
}

/* Answers that know documents of up to 128 tokens: the score's verdicts keep lengths, and the page shows the fall. */
static void accuracy_against_length(void)
{
    run("synth --domain recall --kind eval --min-tokens 64 --max-tokens 512 --facts 5 --count 80 --output truth.jsonl");
    char *path = xprintf("%s/truth.jsonl", dir), *answers = xprintf("%s/answers.jsonl", dir), *page = xprintf("%s/page.html", dir);
    struct err e;
    json_t *list = json_load_lines(path, &e), *r;
    struct file_out *out;
    must(list && file_out_open(&out, answers, false, &e));
    size_t i;
    int by_length[4] = {0};
    json_array_foreach(list, i, r)
    {
        int64_t length = json_integer_value(json_object_get(r, "length"));
        check(strlen(json_string_value(json_object_get(r, "prompt"))) <= (size_t)length + 5);
        by_length[length == 64 ? 0 : length == 128 ? 1 : length == 256 ? 2 : 3]++;
        json_t *a = json_pack("{s:O, s:i, s:s}", "id", json_object_get(r, "id"), "sample", 0, "text",
                              length <= 128 ? json_string_value(json_object_get(r, "answer")) : "-");
        must(json_write_line(out, a, &e));
        json_decref(a);
    }
    must(file_out_commit(out, &e));
    for (int l = 0; l < 4; l++)
        check_int(by_length[l], 20);
    run("score --task recall --truth truth.jsonl --answers answers.jsonl --output score.json --html page.html");
    char *score_path = xprintf("%s/score.json", dir), *html = file_read(page, 1 << 24, NULL, &e);
    json_t *score = json_load_path(score_path, false, NULL, &e);
    must(score && html);
    check(json_number_value(json_object_get(json_object_get(json_object_get(score, "metrics"), "accuracy"), "value")) == 0.5);
    check_int(json_integer_value(json_object_get(json_array_get(json_object_get(score, "verdicts"), 3), "length")), 512);
    check_has(html, "Against length and position");
    check_has(html, "<td class=\"num\">128</td>");
    const char *row = strstr(html, "<td class=\"num\">256</td>");
    check(row && strstr(row, "<td class=\"num\">0%</td>") && strstr(row, "<td class=\"num\">0%</td>") < row + 300);
    json_decref(score);
    json_decref(list);
    free(path);
    free(answers);
    free(page);
    free(score_path);
    free(html);
}

/* More lengths than the page has rows for: it says what it does not show. */
static void many_lengths(void)
{
    json_t *verdicts = json_array(), *score = json_pack("{s:o}", "verdicts", verdicts);
    for (int i = 0; i < 140; i++)
        json_array_append_new(verdicts, json_pack("{s:b, s:i, s:f}", "correct", i % 2, "length", 100 + i / 2, "position", 0.5));
    struct html h;
    html_begin(&h, "lengths");
    task_recall.page(&h, score);
    fflush(h.f);
    check_has(h.text, "<td class=\"num\">163</td>");
    check_has(h.text, "Left out: 12 questions of other lengths; there are more than 64.");
    html_abort(&h);
    json_decref(score);
}

/* Training documents go through prepare: answers are learnt, the rest is not. */
static void training_documents_are_prepared(void)
{
    run("synth --domain recall --min-tokens 32 --max-tokens 200 --facts 4 --questions 3 --count 30 --output train.jsonl");
    run("prepare --tokenizer byte --input train.jsonl --output train.tok --dump-ids ids.jsonl");
    char *a = xprintf("%s/train.jsonl", dir), *b = xprintf("%s/ids.jsonl", dir);
    struct err e;
    json_t *records = json_load_lines(a, &e), *dumped = json_load_lines(b, &e), *r;
    must(records && dumped);
    size_t i, j;
    json_array_foreach(records, i, r)
    {
        char want[64] = "", got[64] = "";
        int n = 0;
        json_t *turns = json_object_get(r, "messages"), *label;
        for (size_t t = 1; t < json_array_size(turns); t += 2)
            strcat(strcat(want, json_string_value(json_object_get(json_array_get(turns, t), "content"))), "\n");
        json_array_foreach(json_object_get(json_array_get(dumped, i), "labels"), j, label)
        {
            if (json_integer_value(label) >= 3 && n < 63)
                got[n++] = (char)(json_integer_value(label) - 3);
        }
        want[strlen(want) - 1] = 0; /* after the last answer comes the end token */
        check_str(got, want);
    }
    json_decref(records);
    json_decref(dumped);
    free(a);
    free(b);
}

static const struct test all[] = {
    {"every answer is in its document", every_answer_is_in_its_document},
    {"verdicts", verdicts},
    {"accuracy against length", accuracy_against_length},
    {"more lengths than rows", many_lengths},
    {"training documents are prepared", training_documents_are_prepared},
};
int main(int argc, char **argv)
{
    must(mkdtemp(dir));
    int code = test_main(argc, argv, "test_recall", all, sizeof(all) / sizeof(all[0]));
    struct err e;
    must(file_remove_tree(dir, &e));
    return code;
}
