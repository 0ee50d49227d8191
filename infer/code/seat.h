/* infer/code/seat.h - one place at which programs are judged, one after another. As many seats work at once as there are cores. */
#ifndef INFER_CODE_SEAT_H
#define INFER_CODE_SEAT_H
#include "infer/code/code.h"
#include "infer/code/sandbox.h"
#ifdef __cplusplus
extern "C" {
#endif

struct code_seat {
    const struct sandbox *sandbox;
    int call_py, check_py; /* sandbox_file()s of the two Python programs */
    /* The interpreter that runs tests: started when the first is needed, kept. It is trusted with verdicts, not with the host. */
    struct run judge;
    bool judging;
};

struct code_result {
    bool correct, out_of_time;
    char why[512];
};

/* A program (prelude and all) under t. cpu_s: the limit, instead of t's. */
void code_seat_judge(struct code_seat *s, const struct code_tests *t, double cpu_s, const char *program, struct code_result *r);
void code_seat_leave(struct code_seat *s);

/* Inside: tests as Python, in calls.c. */
void code_seat_calls(struct code_seat *s, const json_t *request, double cpu_s, int program, struct code_result *r);
/* Wall-clock seconds that cpu_s CPU seconds may take: a busy machine or a sleeping program. */
double code_wall(double cpu_s);

#ifdef __cplusplus
}
#endif
#endif
