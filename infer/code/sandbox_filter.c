/* infer/code/sandbox_filter.c - the system calls that a program in the sandbox may make. All others answer "not implemented", which C libraries
 * take for an old kernel and work around; no list of dangerous calls has to be kept up to date. */
#include "infer/code/sandbox_impl.h"
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* What an interpreter with numpy and threads needs: files, memory, time, signals, waiting, its own identity. Not: sockets, new processes,
 * tracing, namespaces, mounts, memory files, System V and POSIX IPC, keys, io_uring, BPF, clocks, modules. */
static const char *const allowed[] = {"access",
                                      "alarm",
                                      "arch_prctl",
                                      "brk",
                                      "capget",
                                      "chdir",
                                      "chmod",
                                      "clock_getres",
                                      "clock_gettime",
                                      "clock_nanosleep",
                                      "close",
                                      "close_range",
                                      "copy_file_range",
                                      "creat",
                                      "dup",
                                      "dup2",
                                      "dup3",
                                      "epoll_create",
                                      "epoll_create1",
                                      "epoll_ctl",
                                      "epoll_pwait",
                                      "epoll_wait",
                                      "eventfd2",
                                      "execve",
                                      "exit",
                                      "exit_group",
                                      "faccessat",
                                      "faccessat2",
                                      "fallocate",
                                      "fchdir",
                                      "fchmod",
                                      "fchmodat",
                                      "fcntl",
                                      "fdatasync",
                                      "flock",
                                      "fstat",
                                      "fstatfs",
                                      "fsync",
                                      "ftruncate",
                                      "futex",
                                      "getcpu",
                                      "getcwd",
                                      "getdents64",
                                      "getegid",
                                      "geteuid",
                                      "getgid",
                                      "getgroups",
                                      "getitimer",
                                      "getpgid",
                                      "getpgrp",
                                      "getpid",
                                      "getppid",
                                      "getpriority",
                                      "getrandom",
                                      "getresgid",
                                      "getresuid",
                                      "getrlimit",
                                      "getrusage",
                                      "getsid",
                                      "gettid",
                                      "gettimeofday",
                                      "getuid",
                                      "kill",
                                      "link",
                                      "linkat",
                                      "lseek",
                                      "lstat",
                                      "madvise",
                                      "membarrier",
                                      "mincore",
                                      "mkdir",
                                      "mkdirat",
                                      "mmap",
                                      "mprotect",
                                      "mremap",
                                      "msync",
                                      "munmap",
                                      "nanosleep",
                                      "newfstatat",
                                      "open",
                                      "openat",
                                      "pause",
                                      "pipe",
                                      "pipe2",
                                      "poll",
                                      "ppoll",
                                      "prctl",
                                      "pread64",
                                      "preadv",
                                      "prlimit64",
                                      "pselect6",
                                      "pwrite64",
                                      "pwritev",
                                      "read",
                                      "readlink",
                                      "readlinkat",
                                      "readv",
                                      "recvfrom",
                                      "recvmsg",
                                      "rename",
                                      "renameat",
                                      "renameat2",
                                      "restart_syscall",
                                      "rmdir",
                                      "rseq",
                                      "rt_sigaction",
                                      "rt_sigpending",
                                      "rt_sigprocmask",
                                      "rt_sigreturn",
                                      "rt_sigsuspend",
                                      "rt_sigtimedwait",
                                      "sched_get_priority_max",
                                      "sched_get_priority_min",
                                      "sched_getaffinity",
                                      "sched_getparam",
                                      "sched_getscheduler",
                                      "sched_yield",
                                      "select",
                                      "sendfile",
                                      "sendmsg",
                                      "sendto",
                                      "set_robust_list",
                                      "set_tid_address",
                                      "setitimer",
                                      "setpgid",
                                      "setrlimit",
                                      "setsid",
                                      "shutdown",
                                      "sigaltstack",
                                      "stat",
                                      "statfs",
                                      "statx",
                                      "symlink",
                                      "symlinkat",
                                      "sysinfo",
                                      "tgkill",
                                      "time",
                                      "times",
                                      "tkill",
                                      "truncate",
                                      "umask",
                                      "uname",
                                      "unlink",
                                      "unlinkat",
                                      "utime",
                                      "utimensat",
                                      "utimes",
                                      "wait4",
                                      "waitid",
                                      "write",
                                      "writev"};
/* Questions about terminals and flags of descriptors; not, for example, pushing input into a terminal. */
static const unsigned long controls[] = {TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIOCLEX, FIONCLEX};
static const unsigned long namespaces =
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

static bool fill(scmp_filter_ctx filter, bool may_fork)
{
    bool ok = true;
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
        int call = seccomp_syscall_resolve_name(allowed[i]); /* negative: this processor has no such call */
        ok = ok && (call < 0 || seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0) == 0);
    }
    for (size_t i = 0; i < sizeof(controls) / sizeof(controls[0]); i++)
        ok = ok && seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_EQ, controls[i])) == 0;
    /* A thread is made by clone(); clone3(), whose flags a filter cannot see, is "not implemented", so that libraries fall back to it. */
    unsigned long must_have = may_fork ? 0 : CLONE_THREAD;
    ok = ok &&
         seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, namespaces | must_have, must_have)) == 0;
    /* A pair of connected sockets is a pipe both ways, which event loops wake themselves with. */
    return ok && seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX)) == 0;
}

int sandbox_filter(bool may_fork, struct err *e)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    int fd = memfd_create("filter", MFD_CLOEXEC);
    if (!filter || fd < 0 || !fill(filter, may_fork) || seccomp_export_bpf(filter, fd) != 0) {
        err_set(e, "the filter of system calls (seccomp) cannot be built: %s; is this kernel older than 3.17?", strerror(errno));
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    seccomp_release(filter);
    return fd;
}
