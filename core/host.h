/* core/host.h - this machine's memory. */
#ifndef CORE_HOST_H
#define CORE_HOST_H
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif

/* Bytes that programs can still take, and bytes in all; inside a container that has a limit (cgroup v2), of that limit. */
void host_memory(size_t *free_bytes, size_t *total_bytes);

/* Bytes that this process holds; 0 where /proc does not tell. */
size_t host_resident(void);

#ifdef __cplusplus
}
#endif
#endif
