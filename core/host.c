/* core/host.c - see host.h. */
#include "core/host.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A number after a key in a file such as /proc/meminfo (key NULL: the file's first word); -1 when it is not there. */
static long long read_number(const char *path, const char *key)
{
    FILE *f = fopen(path, "r");
    if (!f)
        return -1;
    char line[256];
    long long n = -1;
    while (n < 0 && fgets(line, sizeof line, f)) {
        size_t skip = key ? strlen(key) : 0;
        if (key && strncmp(line, key, skip) != 0)
            continue;
        if (sscanf(line + skip, "%lld", &n) != 1)
            break; /* "max" */
    }
    fclose(f);
    return n;
}

void host_memory(size_t *free_bytes, size_t *total_bytes)
{
    long long total = read_number("/proc/meminfo", "MemTotal:") * 1024, avail = read_number("/proc/meminfo", "MemAvailable:") * 1024;
    if (total < 0 || avail < 0)
        total = avail = (long long)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
    long long limit = read_number("/sys/fs/cgroup/memory.max", NULL), used = read_number("/sys/fs/cgroup/memory.current", NULL);
    if (limit > 0 && limit < total)
        total = limit;
    if (limit > 0 && used >= 0 && limit - used < avail)
        avail = limit > used ? limit - used : 0;
    *total_bytes = (size_t)total;
    *free_bytes = (size_t)avail;
}

size_t host_resident(void)
{
    long long pages, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%lld %lld", &pages, &resident) != 2)
        resident = 0;
    if (f)
        fclose(f);
    return (size_t)(resident * sysconf(_SC_PAGESIZE));
}
