/* tests/bench_parquet.c - reads Parquet files to their end and says how long that took; started by scripts/bench_parquet.py.
 *
 * A line of JSON for each file: rows, bytes of the file, bytes of the rows as packed (data/packed.h), seconds, seconds of CPU time, peak memory.
 */
#include "core/json.h"
#include "core/file.h"
#include "core/log.h"
#include "data/parquet/parquet.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Of this program, in MB; getrusage() would tell its parent's before exec as well. */
static double peak_mb(void)
{
    char line[128];
    long kb = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "VmHWM:", 6) == 0)
            kb = strtol(line + 6, NULL, 10);
    if (f)
        fclose(f);
    return (double)kb / 1024;
}

static bool read_file(const char *path, struct err *e)
{
    double start = log_now(), cpu = cpu_now();
    struct parquet *p;
    if (!parquet_open(&p, path, e))
        return false;
    struct packed row = {0};
    int64_t rows = 0, bytes = 0;
    int got;
    for (; (got = parquet_next(p, &row, e)) == 1; rows++, row.n = 0)
        bytes += (int64_t)row.n;
    packed_free(&row);
    parquet_close(p);
    if (got == 0)
        printf(
            "{\"path\": \"%s\", \"rows\": %lld, \"file_bytes\": %lld, \"packed_bytes\": %lld, \"s\": %.6f, \"cpu_s\": %.6f, \"peak_mb\": %.1f}\n",
            path, (long long)rows, (long long)file_size(path), (long long)bytes, log_now() - start, cpu_now() - cpu, peak_mb());
    return got == 0;
}

int main(int argc, char **argv)
{
    struct err e;
    for (int i = 1; i < argc; i++)
        if (!read_file(argv[i], &e)) {
            fprintf(stderr, "bench_parquet: %s\n", e.msg);
            return 1;
        }
    return argc > 1 ? 0 : 2;
}
