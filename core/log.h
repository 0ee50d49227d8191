/* core/log.h - talk to the person: lines and progress on standard error. Results never go here. */
#ifndef CORE_LOG_H
#define CORE_LOG_H
#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif

/* One line on standard error (clears a progress line first). */
void log_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* From here on log_line() says nothing: of several ranks one talks. */
void log_mute(void);
/* Seconds on a monotonic clock. */
double log_now(void);
/* "2m10s", "3.4s", "1h02m". Returns buf. */
char *log_duration(char *buf, size_t n, double seconds);

/* Progress of a long job: on a terminal a line redrawn at most 5 times a second, piped a plain line at most every 10 s. */
struct progress {
    const char *what, *unit; /* "prepare", "docs" */
    double total;            /* 0: unknown, then there is no percentage and no ETA */
    double t0, last;
    bool tty, shown;
};
void progress_start(struct progress *p, const char *what, const char *unit, double total);
/* done out of total so far; extra (may be NULL) is added to the line. */
void progress_update(struct progress *p, double done, const char *extra);
/* A last line with the total, the time and the mean rate. */
void progress_end(struct progress *p, double done, const char *extra);

#ifdef __cplusplus
}
#endif
#endif
