/* tests/test_chat.c - records to documents and prompts: exact ids and marks, templates, and every refusal. */
#include "core/file.h"
#include "core/json.h"
#include "data/chat.h"
#include "tests/test.h"
#include "tests/tiny_spm.h"
#include <unistd.h>

#define SHARED "../shared/corpus/"
static char tiny_path[] = "/tmp/test_chat.XXXXXX";
static struct tokenizer *byte, *tiny, *tagged; /* tagged: ChatML's tags are pieces */

static json_t *parse(const char *text)
{
    json_error_t je;
    json_t *v = json_loads(text, 0, &je);
    check_msg(v != NULL, "%s in %s", je.text, text);
    return v;
}

/* The document with learnt runs in {}: control tokens by name, the rest as text. The caller frees. */
static char *shown(const struct document *d, const struct tokenizer *tok)
{
    char *text = xstrdup("");
    int64_t learnt = 0;
    for (int64_t i = 0, end; i < d->ids.n; i = end) {
        const char *name = tokenizer_control(tok, d->ids.at[i]);
        for (end = i + 1; !name && end < d->ids.n && d->learnt[end] == d->learnt[i] && !tokenizer_control(tok, d->ids.at[end]); end++)
            ;
        char *run = name ? xstrdup(name) : tokenizer_decode_more(tok, d->ids.at + i, end - i, NULL);
        bool open = d->learnt[i] && (i == 0 || !d->learnt[i - 1]), close = d->learnt[i] && (end == d->ids.n || !d->learnt[end]);
        char *more = xprintf("%s%s%s%s", text, open ? "{" : "", run, close ? "}" : "");
        learnt += d->learnt[i] ? end - i : 0;
        free(text);
        free(run);
        text = more;
    }
    check_int(d->n_learnt, learnt);
    return text;
}

static void check_document(const struct tokenizer *tok, enum chat_template t, const char *record, const char *want)
{
    json_t *r = parse(record);
    struct document d = {0};
    struct err e = {""};
    check_msg(chat_document(&d, r, tok, t, 0, &e), "%s: %s", record, e.msg);
    char *got = shown(&d, tok);
    check_str(got, want);
    free(got);
    document_free(&d);
    json_decref(r);
}

static void check_prompt(const struct tokenizer *tok, enum chat_template t, const char *record, const char *want)
{
    json_t *r = parse(record);
    struct document d = {0};
    struct err e = {""};
    check_msg(chat_prompt(&d.ids, r, tok, t, 0, &e), "%s: %s", record, e.msg);
    document_mark(&d, 0, false);
    char *got = shown(&d, tok);
    check_str(got, want);
    free(got);
    document_free(&d);
    json_decref(r);
}

static void check_refused(const struct tokenizer *tok, enum chat_template t, const char *record, const char *words)
{
    json_t *r = parse(record);
    struct document d = {0};
    struct err e = {""};
    check_msg(!chat_document(&d, r, tok, t, 259, &e), "accepted: %s", record);
    check_has(e.msg, words);
    document_free(&d);
    json_decref(r);
}

static void check_prompt_refused(const struct tokenizer *tok, const char *record, const char *words)
{
    json_t *r = parse(record);
    struct ids ids = {0};
    struct err e = {""};
    check_msg(!chat_prompt(&ids, r, tok, CHAT_CHATML, 259, &e), "accepted: %s", record);
    check_has(e.msg, words);
    ids_free(&ids);
    json_decref(r);
}

static void texts(void)
{
    check_document(byte, CHAT_PLAIN, "{\"text\": \"h\\u00e9\", \"source\": 1}", "{<s>h\xc3\xa9</s>}");
    check_document(byte, CHAT_PLAIN, "{\"text\": \"\", \"prompt\": null}", "{<s></s>}");
    check_document(tiny, CHAT_CHATML, "{\"text\": \"ab\"}", "{<s> ab</s>}");
}

static void pairs(void)
{
    check_document(byte, CHAT_CHATML, "{\"prompt\": \"q\\n\", \"completion\": \"a\"}", "<s>q\n{a</s>}");
    check_document(byte, CHAT_PLAIN, "{\"prompt\": \"q\", \"completion\": \"\"}", "<s>q{</s>}");
    check_document(byte, CHAT_PLAIN, "{\"prompt\": \"\", \"completion\": \"a\"}", "<s>{a</s>}");
    check_document(byte, CHAT_PLAIN, "{\"prompt\": \"q<think>\\n\", \"completion\": \"a\"}", "<s>q<think>\n{a</s>}");
    check_document(byte, CHAT_PLAIN, "{\"prompt\": \"q\", \"completion\": \"<think>\\na\"}", "<s>q{<think>\na</s>}");
    /* One text, and the prompt's own length is the border: "he" + "l" is the one piece "hel", which then counts as prompt (_ hel). */
    check_document(tiny, CHAT_PLAIN, "{\"prompt\": \"he\", \"completion\": \"l\"}", "<s> hel{</s>}");
    check_document(tiny, CHAT_PLAIN, "{\"prompt\": \"he\\n\", \"completion\": \"ab\"}", "<s> he\n{ab</s>}");
}

#define TALK                                                                                                                               \
    "{\"messages\": [{\"role\": \"system\", \"content\": \"s\"}, {\"role\": \"user\", \"content\": \"q\"}, {\"role\": \"assistant\", "     \
    "\"content\": \"a\"}, {\"role\": \"user\", \"content\": \"r\"}"

static void plain(void)
{
    check_document(byte, CHAT_PLAIN, TALK ", {\"role\": \"assistant\", \"content\": \"b\"}]}", "<s>s\nq\n{a\n}r\n{b</s>}");
    check_document(byte, CHAT_PLAIN, TALK "]}", "<s>s\nq\n{a\n}r</s>");
    check_prompt(byte, CHAT_PLAIN, TALK "]}", "<s>s\nq\na\nr\n");
}

static void chatml(void)
{
    check_document(byte, CHAT_CHATML, TALK ", {\"role\": \"assistant\", \"content\": \"b\"}]}",
                   "<s><|im_start|>system\ns<|im_end|>\n<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n{a<|im_end|>}\n"
                   "<|im_start|>user\nr<|im_end|>\n<|im_start|>assistant\n{b<|im_end|>\n</s>}");
    check_prompt(byte, CHAT_CHATML, TALK "], \"id\": 7}",
                 "<s><|im_start|>system\ns<|im_end|>\n<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\na<|im_end|>\n"
                 "<|im_start|>user\nr<|im_end|>\n<|im_start|>assistant\n");
    /* As ordinary text the conversation is one text to SentencePiece (a space in front of the first tag only); as pieces the tags are one id. */
    const char *turn = "{\"messages\": [{\"role\": \"user\", \"content\": \"ab\"}, {\"role\": \"assistant\", \"content\": \"hel\"}]}";
    check_document(tiny, CHAT_CHATML, turn, "<s> <|im_start|>user\nab<|im_end|>\n<|im_start|>assistant\n{hel<|im_end|>\n</s>}");
    check_document(tagged, CHAT_CHATML, turn, "<s><|im_start|>user\nab<|im_end|>\n<|im_start|>assistant\n{hel<|im_end|>\n</s>}");
    json_t *r = parse(turn);
    struct document d = {0};
    struct err e;
    check(chat_document(&d, r, tagged, CHAT_CHATML, 0, &e));
    check_int(d.ids.at[1], TINY_IM_START);
    check_int(d.ids.at[d.ids.n - 3], TINY_IM_END);
    check_int(d.ids.at[d.ids.n - 4], TINY_HEL);
    check_int(d.n_learnt, 4);
    document_free(&d);
    json_decref(r);
}

static void mistral(void)
{
    check_document(tiny, CHAT_MISTRAL, TALK ", {\"role\": \"assistant\", \"content\": \"b\"}]}",
                   "<s>[INST] q[/INST]{ a</s>}[INST] s\n\nr[/INST]{ b</s>}");
    check_prompt(tiny, CHAT_MISTRAL, TALK "]}", "<s>[INST] q[/INST] a</s>[INST] s\n\nr[/INST]");
    check_document(tiny, CHAT_MISTRAL, TALK "]}", "<s>[INST] q[/INST]{ a</s>}[INST] s\n\nr[/INST]</s>");
    check_document(
        tiny, CHAT_MISTRAL,
        "{\"tools\": [{\"type\": \"function\", \"function\": {\"parameters\": {\"x\": 0.1}, \"name\": \"f\"}}],"
        "\"messages\": [{\"role\": \"user\", \"content\": \"q\"}, {\"role\": \"user\", \"content\": \"r\"},"
        "{\"role\": \"assistant\", \"tool_calls\": [{\"id\": \"i\", \"function\": {\"name\": \"f\", \"arguments\": "
        "\"{\\\"x\\\":[1,2.50]}\"}}]},"
        "{\"role\": \"tool\", \"tool_call_id\": \"i\", \"content\": \"no json\"}, {\"role\": \"assistant\", \"content\": \"a\"}]}",
        "<s>[AVAILABLE_TOOLS] [{\"type\": \"function\", \"function\": {\"name\": \"f\", \"description\": \"\", \"parameters\": "
        "{\"x\": 0.1}}}][/AVAILABLE_TOOLS][INST] q\n\nr[/INST]{[TOOL_CALLS] [{\"name\": \"f\", \"arguments\": {\"x\": [1, 2.5]}, "
        "\"id\": \"i\"}]</s>}[TOOL_RESULTS] {\"content\": \"no json\", \"call_id\": \"i\"}[/TOOL_RESULTS]{ a</s>}");
}

static void given_ids(void)
{
    check_document(byte, CHAT_PLAIN, "{\"input_ids\": [100, 101, 2]}", "{ab</s>}");
    check_document(byte, CHAT_PLAIN, "{\"input_ids\": [1, 100, 101], \"labels\": [-100, -100, 101]}", "<s>a{b}");
    check_document(byte, CHAT_PLAIN, "{\"input_ids\": [100], \"labels\": null}", "{a}");
    check_prompt(byte, CHAT_PLAIN, "{\"input_ids\": [100, 2]}", "a</s>");
    json_t *r = parse("{\"input_ids\": [5, 300000], \"labels\": [-100, -100]}"); /* no tokenizer, no vocabulary */
    struct document d = {0};
    struct err e;
    check(chat_document(&d, r, NULL, CHAT_PLAIN, 0, &e));
    check_int(d.ids.n, 2);
    check_int(d.ids.at[1], 300000);
    check_int(d.n_learnt, 0);
    json_decref(r);
    r = parse("{\"text\": \"abc\"}"); /* a document is overwritten */
    check(chat_document(&d, r, byte, CHAT_PLAIN, 0, &e));
    check_int(d.ids.n, 5);
    check_int(d.n_learnt, 5);
    document_cut(&d, 2);
    check_int(d.ids.n, 2);
    check_int(d.n_learnt, 2);
    json_decref(r);
    document_free(&d);
}

static void prompts(void)
{
    check_prompt(byte, CHAT_CHATML, "{\"prompt\": \"q\", \"completion\": \"known\", \"id\": 1}", "<s>q");
    check_prompt(byte, CHAT_PLAIN, "{\"prompt\": \"\"}", "<s>");
    check_prompt(tiny, CHAT_PLAIN, "{\"prompt\": \"ab\"}", "<s> ab");
    check_prompt_refused(byte, "{\"text\": \"q\"}", "one of the keys prompt, messages, input_ids; this one has \"text\"");
    check_prompt_refused(byte, "{\"prompt\": \"q\", \"input_ids\": [1]}", "this one has \"prompt\", \"input_ids\"");
    check_prompt_refused(NULL, "{\"prompt\": \"q\"}", "--tokenizer");
    check_prompt_refused(byte, "{\"input_ids\": [1, 259]}", "token 1 is 259, but the vocabulary ends at 258");
    check_prompt_refused(byte, "{\"input_ids\": []}", "no token");
    check_prompt_refused(byte, "{\"messages\": [{\"role\": \"assistant\", \"content\": \"a\"}]}", "the last message is the assistant's");
}

static void refused(void)
{
    check_refused(byte, 0, "[1]", "a record must be a JSON object, got an array");
    check_refused(byte, 0, "{}", "this one has no keys");
    check_refused(byte, 0, "{\"question\": \"q\", \"text\": null}", "this one has \"question\", \"text\" (null)");
    check_refused(byte, 0, "{\"text\": \"a\", \"prompt\": \"b\", \"completion\": \"c\"}", "has \"text\", \"prompt\", \"completion\"");
    check_refused(byte, 0, "{\"text\": 5}", "\"text\" must be a string, got an integer");
    check_refused(byte, 0, "{\"prompt\": \"q\"}", "\"completion\" is missing");
    check_refused(byte, 0, "{\"completion\": \"q\"}", "\"prompt\" is missing");
    check_refused(byte, 0, "{\"prompt\": \"<think>\\n\", \"completion\": \"<think>a\"}",
                  "<think> ends the prompt and begins the completion");
    check_refused(NULL, 0, "{\"text\": \"a\"}", "--tokenizer");
    check_refused(byte, 0, "{\"messages\": []}", "\"messages\" must be an array");
    check_refused(byte, 0, "{\"messages\": \"hi\"}", "got a string");
    check_refused(byte, 0, "{\"messages\": [\"hi\"]}", "messages[0] must be an object with role and content, got a string");
    check_refused(byte, 0, "{\"messages\": [{\"content\": \"hi\"}]}", "messages[0]: key \"role\" is missing");
    check_refused(byte, 0, "{\"messages\": [{\"role\": \"user\", \"content\": null}]}",
                  "messages[0]: \"content\" must be a string, got null");
    check_refused(byte, CHAT_CHATML, "{\"messages\": [{\"role\": \"assistant\", \"tool_calls\": [{}]}]}", "only --template mistral");
    check_refused(byte, CHAT_MISTRAL, TALK "]}", "needs the token [INST], which this tokenizer lacks");
    check_refused(tiny, CHAT_MISTRAL, "{\"messages\": [{\"role\": \"assistant\", \"content\": \"a\"}]}",
                  "begins with a message of the user");
    check_refused(tiny, CHAT_MISTRAL, "{\"messages\": [{\"role\": \"system\", \"content\": \"a\"}]}", "got \"system alone\"");
    check_refused(tiny, CHAT_MISTRAL, TALK ", {\"role\": \"judge\", \"content\": \"a\"}]}", "role \"judge\"");
    check_refused(tiny, CHAT_MISTRAL, TALK ", {\"role\": \"assistant\", \"content\": \"\"}]}", "neither content nor tool_calls");
    check_refused(tiny, CHAT_MISTRAL, TALK ", {\"role\": \"tool\", \"content\": \"a\"}]}", "messages[4]: key \"tool_call_id\" is missing");
    check_refused(byte, 0, "{\"input_ids\": []}", "no token");
    check_refused(byte, 0, "{\"labels\": [1]}", "\"input_ids\" must be an array of token ids, got nothing");
    check_refused(byte, 0, "{\"input_ids\": [1, -1]}", "input_ids[1] must be a token id, got -1");
    check_refused(byte, 0, "{\"input_ids\": [1, 4294967297]}", "got 4294967297");
    check_refused(byte, 0, "{\"input_ids\": [1, 2.0]}", "got a number");
    check_refused(byte, 0, "{\"input_ids\": [1, 259]}", "token 1 is 259, but the vocabulary ends at 258");
    check_refused(byte, 0, "{\"input_ids\": [1, 2], \"labels\": [1]}", "\"labels\" has 1 entries, \"input_ids\" 2");
    check_refused(byte, 0, "{\"input_ids\": [1, 2], \"labels\": [-100, 1]}",
                  "labels[1] must be -100 (not learnt) or input_ids[1], which is 2; got 1");
    check_refused(byte, 0, "{\"input_ids\": [1], \"labels\": [\"1\"]}", "got a string");
}

static void golden_chats(void)
{
    struct err e = {""};
    struct tokenizer *tok;
    if (!file_exists(SHARED "tokenizer/mistral_v3.chat_golden.jsonl")) {
        test_skip("no ../shared/corpus/tokenizer");
        return;
    }
    json_t *all = json_load_lines(SHARED "tokenizer/mistral_v3.chat_golden.jsonl", &e), *r;
    check_msg(all, "%s", e.msg);
    check_msg(tokenizer_open(&tok, SHARED "tokenizer/mistral_v3.model", &e), "%s", e.msg);
    size_t chat;
    json_array_foreach(all, chat, r)
    {
        const char *name = json_string_value(json_object_get(r, "name"));
        const json_t *want = json_object_get(r, "tokens_v3"), *request = json_object_get(r, "request");
        struct ids got = {0};
        struct document d = {0};
        check_msg(chat_prompt(&got, request, tok, CHAT_MISTRAL, tokenizer_vocab(tok), &e), "%s: %s", name, e.msg);
        check_msg(chat_document(&d, request, tok, CHAT_MISTRAL, tokenizer_vocab(tok), &e), "%s: %s", name, e.msg);
        check_int(got.n, json_array_size(want));
        check_int(d.ids.n, got.n + 1); /* these end with a question, then the end token */
        for (int64_t i = 0; i < got.n; i++) {
            json_int_t id = json_integer_value(json_array_get(want, (size_t)i));
            check_msg(got.at[i] == id && d.ids.at[i] == id, "%s: token %lld is %d, want %lld", name, (long long)i, got.at[i],
                      (long long)id);
        }
        ids_free(&got);
        document_free(&d);
    }
    check_int(json_array_size(all), 6);
    json_decref(all);
    tokenizer_close(tok);
}

static const struct test tests[] = {
    {"texts", texts},     {"pairs", pairs},     {"plain", plain},
    {"chatml", chatml},   {"mistral", mistral}, {"given_ids", given_ids},
    {"prompts", prompts}, {"refused", refused}, {"golden_chats", golden_chats},
};

static struct tokenizer *open_tiny(bool chatml_tags)
{
    struct tokenizer *t;
    struct err e;
    tiny_spm_write(tiny_path, chatml_tags);
    if (!tokenizer_open(&t, tiny_path, &e)) {
        fprintf(stderr, "%s\n", e.msg);
        exit(1);
    }
    return t;
}

int main(int argc, char **argv)
{
    struct err e;
    int fd = mkstemp(tiny_path);
    if (fd < 0 || !tokenizer_open(&byte, "byte", &e)) {
        perror(tiny_path);
        return 1;
    }
    close(fd);
    tiny = open_tiny(false);
    tagged = open_tiny(true);
    int rc = test_main(argc, argv, "test_chat", tests, (int)(sizeof tests / sizeof *tests));
    tokenizer_close(byte);
    tokenizer_close(tiny);
    tokenizer_close(tagged);
    unlink(tiny_path);
    return rc;
}
