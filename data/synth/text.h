/* data/synth/text.h - what the generators of problems share: numbers drawn in order, text of bounded length, what is held out, what may be used. */
#ifndef DATA_SYNTH_TEXT_H
#define DATA_SYNTH_TEXT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

/* Random numbers of one document, drawn in order: a function of (seed, stream, n). */
struct draw {
    uint64_t seed, stream, n;
};
/* 0 .. n - 1, n > 0. */
int64_t draw_below(struct draw *r, int64_t n);
/* low .. high, both included. */
int64_t draw_between(struct draw *r, int64_t low, int64_t high);

/* Text of bounded length. Every template's longest form fits, so running over is a bug in a template: it dies. */
struct text {
    char *at;
    size_t n, room;
};
void put(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* One in ten problems is held out, by a hash of what is asked (whatever the seed), so training and evaluation never meet. */
bool synth_held_out(const char *problem);

/* Which concepts may be used: all when n is 0. */
struct synth_choice {
    char **names;
    int64_t n;
};
bool synth_chosen(const struct synth_choice *c, const char *name);

#ifdef __cplusplus
}
#endif
#endif
