# Attempts to get out of the sandbox, one per "#: name" line; tests/test_sandbox.c runs each as a program of its own. One that gets through
# prints ESCAPED. Every attempt begins with the lines before the first name. CANARY stands for a world-writable folder of the host.
import ctypes, errno, mmap, os, resource, signal, socket, struct, sys, threading, time

libc = ctypes.CDLL(None, use_errno=True)


def escaped(what=""):
    print("ESCAPED", what, flush=True)


def call(number, *args):
    """A raw system call; whether it worked."""
    ctypes.set_errno(0)
    r = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in args])
    return r if r != -1 else None


def try_(f, *args):
    """Gets through when f does not fail."""
    try:
        r = f(*args)
    except BaseException:
        return None
    escaped(repr(r))
    return r


def put(path, data):
    fd = os.open(path, os.O_WRONLY)
    try_(os.write, fd, data)


def raw(number, *args):
    r = call(number, *args)
    if r is not None:
        escaped("system call %d gives %d" % (number, r))
#: fork bomb
while True:
    try:
        if os.fork() >= 0:
            escaped()
            os._exit(0)
    except OSError:
        break
#: fork by its number
raw(57)
#: vfork by its number
raw(58)
#: clone without a thread's flags
raw(56, 17, 0, 0, 0, 0)
#: clone with namespaces
for flag in (0x10000000, 0x20000000, 0x40000000, 0x20000, 0x4000000, 0x8000000, 0x2000000):
    raw(56, flag | 17, 0, 0, 0, 0)
    raw(56, flag | 0x10000 | 0x800 | 0x100, 0, 0, 0, 0)
#: clone3
raw(435, struct.pack("11Q", 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0), 88)
#: a shell
import subprocess
try_(subprocess.check_output, ["/bin/sh", "-c", "echo hello"])
#: os.system
if os.system("true") == 0:
    escaped()
#: posix_spawn
try_(os.posix_spawn, "/usr/bin/true", ["true"], {})
#: multiprocessing
import multiprocessing
try_(lambda: multiprocessing.get_context("fork").Process(target=escaped).start())
#: double fork and setsid
try:
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            escaped()
            open("CANARY/daemon", "w").close()
            time.sleep(1000)
except OSError:
    pass
#: pseudo-terminal with a child
import pty
try_(pty.fork)
#: thread bomb
threading.stack_size(65536)
n = 0
try:
    while n < 5000:
        threading.Thread(target=time.sleep, args=(100,), daemon=True).start()
        n += 1
except RuntimeError:
    pass
if n > 64:
    escaped(n)
os._exit(0)
#: 100 GB at once
try_(bytearray, 100 << 30)
#: 100 GB mapped and not reserved
try_(lambda: mmap.mmap(-1, 100 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000))
#: memory bit by bit
held = []
try:
    while len(held) < 4096:
        held.append(bytes(1 << 20))
except MemoryError:
    pass
if len(held) >= 512:
    escaped(len(held))
#: shared memory bit by bit
held = []
try:
    while len(held) < 4096:
        held.append(mmap.mmap(-1, 1 << 20))
        held[-1][0] = 1
except OSError:
    pass
if len(held) >= 512:
    escaped(len(held))
#: memory by threads
def hog(held=[]):
    while True:
        held.append(bytes(1 << 20))
        if len(held) >= 512:
            escaped()
            os._exit(0)
threading.Thread(target=hog).start()
threading.Thread(target=hog).start()
#: memory behind descriptors
try_(os.memfd_create, "x")
raw(319, b"x", 0)
raw(447, 0)
#: pipes that hold much
import fcntl
held = []
try:
    while True:
        r, w = os.pipe()
        fcntl.fcntl(w, 1031, 1 << 20)
        os.write(w, bytes(1 << 20))
        held.append(r)
except OSError:
    pass
if len(held) > 64:
    escaped(len(held))
#: System V shared memory
raw(29, 0, 1 << 30, 0o1666)
#: System V semaphores and queues
raw(64, 0, 32000, 0o1666)
raw(68, 0, 0o1666)
#: POSIX queues
raw(240, b"/q", 0o102, 0o666, None)
#: shared memory as a file
try_(open, "/dev/shm/x", "wb")
#: one large file
with open("/tmp/big", "wb") as f:
    n = 0
    try:
        while n < 4096:
            f.write(bytes(1 << 20))
            f.flush()
            n += 1
    except OSError:
        pass
if n > 64:
    escaped(n)
#: one sparse file
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with open("/tmp/sparse", "wb") as f:
    try_(f.truncate, 10 << 30)
#: many files
n = 0
try:
    while n < 4096:
        with open("/tmp/f%d" % n, "wb") as f:
            f.write(bytes(1 << 20))
        n += 1
except OSError:
    pass
if n > 64:
    escaped(n)
#: files of no length
n = 0
while n < 60000:
    os.close(os.open("/tmp/%d" % n, os.O_CREAT | os.O_WRONLY))
    n += 1
escaped(n)
#: a fresh folder, first
if os.listdir("/tmp") or os.getcwd() != "/tmp":
    escaped()
open("/tmp/left", "w").close()
#: a fresh folder, second
if os.listdir("/tmp"):
    escaped()
#: writing to the system
for place in ("/", "/usr", "/usr/lib/python3/dist-packages", "/usr/local", "/bin", "/etc", "/dev", "/box", "/proc", "/home", "/root", "/var/tmp"):
    try_(open, place + "/mark", "w")
    try_(os.mkdir, place + "/folder")
#: changing the interpreter
import json
try_(open, json.__file__, "a")
try_(os.chmod, json.__file__, 0o777)
try_(os.unlink, json.__file__)
try_(os.rename, "/usr/lib", "/usr/bil")
#: changing what is run next
try_(open, "/box/program.py", "w")
try_(os.unlink, "/box/program.py")
#: reading the host
for path in ("/etc/passwd", "/etc/shadow", "/etc/hostname", "/root", "/home", "/var/log", "/sys/class", "/boot", "/opt", "/srv", "/mnt", "/run"):
    try_(lambda: os.listdir(path) if os.path.isdir(path) else open(path).read(1))
#: reading a folder of the host
try_(os.listdir, "CANARY")
try_(open, "CANARY/kept", "a")
#: climbing out
for path in ("../../../../../../etc/passwd", "/tmp/../../../root", "/proc/self/root/etc/passwd", "/proc/1/root/etc/shadow", "/proc/self/cwd/../etc/passwd"):
    try_(lambda: os.listdir(path) if os.path.isdir(path) else open(path).read(1))
#: a link out
os.symlink("/etc/passwd", "/tmp/link")
try_(lambda: open("/tmp/link").read(1))
#: a hard link to the system
try_(os.link, "/usr/bin/python3", "/tmp/python3")
#: files by their handle
handle = struct.pack("IiQ", 8, 1, 2)
raw(304, -100, handle, 0)
raw(303, -100, b"/usr", ctypes.create_string_buffer(handle, 128), ctypes.byref(ctypes.c_int()), 0)
#: chroot
try_(os.chroot, "/tmp")
raw(161, b"/tmp")
#: mounting
for kind in (b"tmpfs", b"proc", b"sysfs", b"devtmpfs", b"overlay"):
    raw(165, b"none", b"/tmp", kind, 0, None)
#: mounting again, writable
raw(165, None, b"/usr", None, 32 | 4096, None)
raw(165, None, b"/", None, 32, None)
#: unmounting
for place in (b"/usr", b"/proc", b"/tmp", b"/dev", b"/"):
    raw(166, place, 2)
#: the newer calls for mounts
raw(428, -100, b"/", 1)
raw(430, b"tmpfs", 0)
raw(429, 0, b"", -100, b"/tmp", 4)
raw(432, 0, 0, 0)
raw(433, -100, b"/", 0)
raw(442, -100, b"/usr", 0, struct.pack("4Q", 0, 1, 0, 0), 32)
#: pivot_root
raw(155, b"/tmp", b"/tmp")
#: namespaces
for flag in (0x10000000, 0x20000, 0x20000000, 0x40000000, 0x4000000, 0x8000000, 0x2000000, 0x80):
    raw(272, flag)
#: somebody else's namespaces
for name in ("user", "mnt", "pid", "net", "uts", "ipc"):
    try:
        fd = os.open("/proc/1/ns/" + name, os.O_RDONLY)
        raw(308, fd, 0)
    except OSError:
        pass
#: maps of users
put("/proc/self/uid_map", b"0 0 1\n")
put("/proc/self/gid_map", b"0 0 1\n")
#: other processes
if [p for p in os.listdir("/proc") if p.isdigit() and int(p) != os.getpid()]:
    escaped(os.listdir("/proc"))
#: the secrets of the environment
for path in ("/proc/self/environ", "/proc/1/environ"):
    if b"SANDBOX_TEST_SECRET" in open(path, "rb").read():
        escaped(path)
if "SANDBOX_TEST_SECRET" in os.environ:
    escaped()
#: tracing
raw(101, 0, 0, 0, 0)
for pid in range(2, 50):
    raw(101, 16, pid, 0, 0)
#: somebody else's memory
local = ctypes.create_string_buffer(16)
vec = struct.pack("2Q", ctypes.addressof(local), 16)
for pid in (1, os.getppid(), 2, 3):
    raw(310, pid, vec, 1, vec, 1, 0)
    raw(311, pid, vec, 1, vec, 1, 0)
#: somebody else's descriptors
raw(434, 1, 0)
raw(438, 0, 0, 0)
raw(312, 1, 1, 0, 0, 0)
#: killing everything
try:
    os.kill(-1, signal.SIGKILL)
    os.kill(0, signal.SIGTERM)
except OSError:
    pass
#: killing by number
n = 0
for pid in range(2, 40000):
    try:
        os.kill(pid, signal.SIGKILL)
        n += 1
    except OSError:
        pass
if n:
    escaped(n)
#: killing the parent
for pid in (os.getppid(), 1):
    if pid not in (0, os.getpid()):
        try_(os.kill, pid, signal.SIGKILL)
try_(os.killpg, 1 if os.getpgrp() != 1 else 2, signal.SIGKILL)
#: signals ignored, for ever
for s in range(1, 65):
    try:
        signal.signal(s, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
while True:
    pass
#: asleep for ever
time.sleep(100000)
#: asleep with everything closed
for fd in range(256):
    try:
        os.close(fd)
    except OSError:
        pass
while True:
    time.sleep(1000)
#: busy in threads
def spin():
    while True:
        pass
for _ in range(8):
    threading.Thread(target=spin).start()
#: a thread that stays behind
threading.Thread(target=time.sleep, args=(100000,)).start()
sys.exit(0)
#: busy at exit
import atexit
atexit.register(lambda: [None for _ in iter(int, 1)])
#: limits raised
for what in (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC, resource.RLIMIT_CORE):
    try_(resource.setrlimit, what, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
#: limits of others
for pid in (2, os.getppid() or 2):
    try_(resource.prlimit, pid, resource.RLIMIT_CPU, (1, 1))
#: another user
for f in (os.setuid, os.setgid, os.seteuid, os.setegid):
    try_(f, 0)
try_(os.setgroups, [0])
raw(122, 0)
#: capabilities
raw(126, struct.pack("Ii", 0x20080522, 0), struct.pack("6I", *[0xFFFFFFFF] * 6))
import re
if any(int(v, 16) for v in re.findall(r"Cap(?:Eff|Prm|Inh|Amb|Bnd):\s*(\w+)", open("/proc/self/status").read())):
    escaped()
#: programs of the root user
for path in ("/usr/bin/su", "/usr/bin/passwd", "/usr/bin/mount", "/usr/bin/newgrp"):
    if os.path.exists(path) and not os.statvfs(path).f_flag & os.ST_NOSUID:
        escaped(path)
os.execv("/bin/sh", ["sh", "-c", "echo x > /usr/mark && echo ESCAPED; echo x > CANARY/mark && echo ESCAPED"])
#: every family of sockets
for family in range(64):
    for kind in (1, 2, 3, 5):
        r = call(41, family, kind, 0)
        if r is not None:
            escaped("family %d" % family)
#: TCP to the host
try_(socket.create_connection, ("127.0.0.1", 22), 1)
try_(socket.create_connection, ("1.1.1.1", 80), 1)
try_(socket.create_connection, ("::1", 22), 1)
#: names of hosts
try_(socket.getaddrinfo, "example.com", 80)
try_(socket.gethostbyname, "example.com")
#: a page
import urllib.request
try_(urllib.request.urlopen, "http://example.com/", None, 1)
#: a pair of sockets of another family
for family in (2, 10, 16, 17, 40):
    raw(53, family, 1, 0, ctypes.create_string_buffer(8))
#: connecting and listening
a, b = socket.socketpair()
for number in (42, 49, 50, 43, 288):
    raw(number, a.fileno(), struct.pack("H14s", 2, b""), 16)
#: interfaces of the host
names = [l.split(":")[0].strip() for l in open("/proc/net/dev").readlines()[2:]]
if set(names) - {"lo"} or len(open("/proc/net/tcp").readlines()) > 1:
    escaped(names)
#: io_uring
raw(425, 8, ctypes.create_string_buffer(120))
#: bpf
raw(321, 0, ctypes.create_string_buffer(72), 72)
#: perf
raw(298, struct.pack("2I", 1, 120) + bytes(112), 0, -1, -1, 0)
#: userfaultfd
raw(323, 0)
#: keys
raw(248, b"user", b"x", b"y", 1, -3)
raw(250, 0, -3, 0)
#: kernel modules
raw(175, b"", 0, b"")
raw(313, 0, b"", 0)
raw(176, b"loop", 0)
#: reboot, kexec, swap
raw(246, 0, 0, None, 0)
raw(167, b"/tmp/x", 0)
raw(169, 0xFEE1DEAD, 672274793, 0, None)
#: clocks
try_(time.clock_settime, time.CLOCK_REALTIME, 0)
raw(164, struct.pack("2q", 0, 0), None)
raw(159, ctypes.create_string_buffer(struct.pack("I", 1), 256))
raw(305, 0, ctypes.create_string_buffer(struct.pack("I", 1), 256))
#: the host's name
try_(socket.sethostname, "taken")
raw(170, b"taken", 5)
raw(171, b"taken", 5)
if os.uname().nodename != "sandbox":
    escaped(os.uname().nodename)
#: ports and personalities
raw(172, 3)
raw(173, 0, 1024, 1)
raw(135, 0x0040000)
raw(154, 1, ctypes.create_string_buffer(16), 16)
#: accounting, quotas, the kernel's log
raw(163, None)
raw(179, 0x800001, None, 0, None)
raw(103, 3, ctypes.create_string_buffer(4096), 4096)
try_(open, "/dev/kmsg")
#: making devices
try_(os.mknod, "/tmp/mem", 0o20666, os.makedev(1, 1))
try_(os.mknod, "/tmp/disk", 0o60666, os.makedev(254, 0))
#: devices of the host
for name in ("mem", "kmem", "port", "kvm", "fuse", "sda", "vda", "nvme0n1", "loop0", "loop-control", "nvidia0", "nvidiactl", "dri/card0", "snd", "input", "net/tun", "vsock", "hwrng", "cuse"):
    if os.path.exists("/dev/" + name):
        escaped(name)
if set(os.listdir("/dev")) - set("null zero full random urandom tty pts ptmx shm console core fd stdin stdout stderr".split()):
    escaped(os.listdir("/dev"))
#: typing into a terminal
import fcntl
for path in ("/dev/tty", "/dev/console", "/proc/self/fd/0"):
    try:
        fd = os.open(path, os.O_RDWR)
        try_(fcntl.ioctl, fd, 0x5412, b"x")
        try_(fcntl.ioctl, fd, 0x541C, b"\x03")
    except OSError:
        pass
#: inherited descriptors
for fd in range(3, 4096):
    try_(os.fstat, fd)
#: descriptors without end
n = 0
try:
    while n < 10000:
        os.dup(0)
        n += 1
except OSError:
    pass
if n > 64:
    escaped(n)
#: writing to its own input
import fcntl
fd = os.open("/proc/self/fd/0", os.O_RDWR)
try_(os.write, fd, b"x")
try_(os.ftruncate, fd, 0)
try_(os.ftruncate, fd, 1000)
try_(mmap.mmap, fd, 4)
try_(fcntl.fcntl, fd, 1033, 0)
try_(os.write, 0, b"x")
#: a flood
block = b"x" * 65536
while True:
    os.write(1, block)
#: a flood of errors
block = b"x" * 65536
while True:
    os.write(2, block)
#: settings of the kernel
for path in ("kernel/core_pattern", "kernel/hostname", "kernel/panic", "vm/drop_caches", "kernel/sysrq", "kernel/modprobe", "net/ipv4/ip_forward", "user/max_user_namespaces"):
    try_(open, "/proc/sys/" + path, "w")
try_(open, "/proc/sysrq-trigger", "w")
#: the memory of the kernel
for path in ("/proc/kcore", "/proc/kmsg"):
    try_(lambda: open(path, "rb").read(4096))
for path in ("/proc/kallsyms", "/proc/iomem"):
    try:
        if any(int(line.split()[0].split("-")[0], 16) for line in open(path)):
            escaped(path)
    except OSError:
        pass
#: spared when memory runs out
put("/proc/self/oom_score_adj", b"-1000")
#: before others
try_(os.nice, -20)
try_(os.setpriority, os.PRIO_PROCESS, 0, -20)
try_(os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(50))
#: control groups
try_(os.listdir, "/sys/fs/cgroup")
try_(open, "/sys/fs/cgroup/cgroup.procs", "w")
#: watching files
raw(253)
raw(294, 0)
raw(300, 0, 0)
#: running what is in memory
raw(322, -100, b"/usr/bin/true", None, None, 0x800)
#: system calls of 32 bits
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(b"\x53\xb8\x02\x00\x00\x00\xcd\x80\x5b\xc3")  # push rbx; mov eax, 2 (fork); int 0x80; pop rbx; ret
r = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
if r >= 0:
    escaped(r)
#: system calls of x32
for number in (57, 41, 165, 272):
    raw(0x40000000 | number, 2, 1, 0)
#: a crash
ctypes.string_at(0)
#: a crash with a dump of memory
resource.setrlimit(resource.RLIMIT_CORE, resource.getrlimit(resource.RLIMIT_CORE))
os.abort()
#: folders without end
path = b"/tmp"
for _ in range(3000):
    try:
        os.mkdir("d")
        os.chdir("d")
    except OSError:
        break
#: recursion without end
sys.setrecursionlimit(1 << 30)
def deeper(x):
    return [deeper(x)] + sorted([1, 2], key=lambda v: deeper(v))
deeper(0)
#: a message to whoever runs it
for fd in range(3, 64):
    try:
        os.write(fd, b"\x09\x00\x00\x00V1passed")
        escaped()
    except OSError:
        pass
