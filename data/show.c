/* data/show.c - see show.h. */
#include "data/show.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const MARKS[2][2] = {{"\xe2\x9f\xa6", "\xe2\x9f\xa7"}, {"\033[32m", "\033[0m"}}; /* brackets, colour */

char *show_text(const struct tokenizer *tok, const int32_t *ids, int64_t n)
{
    char *all, *text;
    size_t size, bytes;
    FILE *to = open_memstream(&all, &size);
    must(to);
    for (int64_t i = 0; !tok && i < n; i++)
        fprintf(to, "%s%d", i ? " " : "", ids[i]);
    for (int64_t i = 0, end; tok && i < n; i = end) {
        const char *name = tokenizer_control(tok, ids[i]);
        if (name) {
            fputs(name, to);
            end = i + 1;
            continue;
        }
        for (end = i + 1; end < n && !tokenizer_control(tok, ids[end]); end++)
            ;
        text = tokenizer_decode_more(tok, ids + i, end - i, &bytes);
        for (size_t k = 0; k < bytes; k++)
            fputs(text[k] ? (char[]){text[k], '\0'} : "\xEF\xBF\xBD", to); /* U+FFFD: a NUL would end the text */
        free(text);
    }
    must(fclose(to) == 0); /* memory: it fails for want of memory only */
    return all;
}

static void print_document(FILE *to, const struct tokfile *f, int64_t doc, const struct tokenizer *tok, bool colour)
{
    int64_t n = tokfile_doc_len(f, doc);
    int32_t *ids = xmalloc((size_t)n * sizeof *ids);
    uint8_t *learnt = xmalloc((size_t)n);
    tokfile_read(f, doc, 0, n, ids, learnt);
    fprintf(to, "--- document %lld of %lld: %lld tokens, %lld learnt\n", (long long)doc + 1, (long long)tokfile_docs(f), (long long)n,
            (long long)tokfile_doc_learnt(f, doc));
    for (int64_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && learnt[end] == learnt[i]; end++)
            ;
        fputs(learnt[i] ? MARKS[colour][0] : "", to);
        char *text = show_text(tok, ids + i, end - i);
        fputs(text, to);
        free(text);
        fputs(learnt[i] ? MARKS[colour][1] : "", to);
        fputs(!tok && end < n ? " " : "", to);
    }
    fputc('\n', to);
    free(ids);
    free(learnt);
}

bool show_fits(const struct tokfile *f, const char *path, const struct tokenizer *tok, const char *tokenizer, struct err *e)
{
    if (!tok)
        return true;
    if (*tokfile_tokenizer(f) && strcmp(tokfile_tokenizer(f), tokenizer_digest(tok)) != 0)
        return err_set(e, "%s was made with another tokenizer (digest %s) than %s (%s); give that one, or none to see ids", path,
                       tokfile_tokenizer(f), tokenizer, tokenizer_digest(tok));
    if (tokfile_max_id(f) >= tokenizer_vocab(tok))
        return err_set(e, "%s holds token %d, but the vocabulary of %s ends at %d; give the right tokenizer, or none to see ids", path,
                       tokfile_max_id(f), tokenizer, tokenizer_vocab(tok) - 1);
    return true;
}

bool show_documents(FILE *to, const char *path, int64_t n, const char *tokenizer, bool colour, struct err *e)
{
    struct tokfile *f;
    if (!tokfile_open(&f, path, true, e))
        return false;
    struct tokenizer *tok = NULL;
    bool ok = (!tokenizer || tokenizer_open(&tok, tokenizer, e)) && show_fits(f, path, tok, tokenizer, e);
    for (int64_t doc = 0; ok && doc < n && doc < tokfile_docs(f); doc++)
        print_document(to, f, doc, tok, colour);
    tokenizer_close(tok);
    tokfile_close(f);
    if (ok && (fflush(to) != 0 || ferror(to)))
        return err_set(e, "cannot write to standard output: %s", strerror(errno));
    return ok;
}
