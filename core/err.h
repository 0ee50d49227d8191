/* core/err.h - how this program reports failure (two kinds, never mixed).
 *
 * die()       the run cannot go on: out of memory, a library call failed, an
 *             internal contract is broken. Prints file:line, runs the hook of
 *             die_hook() (so that a job of several ranks ends as one), exits 1.
 * struct err  the input is wrong: a file, a setting, a line of JSONL. The
 *             function returns false having said where, what was expected, what
 *             it got and what to do; main() prints it as one line and exits 1.
 */
#ifndef CORE_ERR_H
#define CORE_ERR_H
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
#define CORE_NORETURN [[noreturn]]
extern "C" {
#else
#define CORE_NORETURN _Noreturn
#endif

struct err {
    char msg[1024];
};

/* Writes the message. Always returns false, so a caller can write: return err_set(e, "..."); */
bool err_set(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Puts "where: " in front of what e already says. Returns false. */
bool err_in(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

CORE_NORETURN void die_at(const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
#define die(...)   die_at(__FILE__, __LINE__, __VA_ARGS__)
#define must(cond) ((cond) ? (void)0 : die_at(__FILE__, __LINE__, "must hold: %s", #cond))

/* What die() says in front, such as "rank 1 of 4 (host): "; the string stays the caller's. "": nothing. */
void die_who(const char *who);
/* Called by die() after the message is out, with it, before the exit. NULL: nothing. The answer is the hook that stood before. */
typedef void die_hook_fn(const char *message);
die_hook_fn *die_hook(die_hook_fn *fn);

/* malloc, calloc, realloc and strdup that die instead of returning NULL. The caller frees. */
void *xmalloc(size_t n);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n);
char *xstrdup(const char *s);
/* A new string printed as printf would; dies when out of memory. The caller frees. */
char *xprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#ifdef __cplusplus
}
#endif
#endif
