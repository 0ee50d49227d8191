# Attempts to be judged right without solving the problem, one per "#: kind name" line; tests/test_code.c judges each. Kind "calls": the test
# calls secret(a, b) and compares with 31 * a + 17 * b + 5, which no attempt computes unless it has found something out; kind "lists": the same
# with sums of lists, which the test takes after the call; kind "stdin": two numbers come in, that number is to go
# out. The lines before the first name stand in front of every attempt.
import os, sys
#: calls equal to everything
class Any:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
def secret(a, b): return Any()
#: calls a number equal to everything
class Number(int):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
def secret(a, b): return Number(0)
#: calls a float equal to everything
class Number(float):
    def __eq__(self, other): return True
    def __sub__(self, other): return 0.0
def secret(a, b): return Number(0)
#: calls a text equal to everything
class Text(str):
    def __eq__(self, other): return True
    def __hash__(self): return 0
def secret(a, b): return Text("x")
#: calls a list with something equal to everything
class Any(list):
    def __eq__(self, other): return True
def secret(a, b): return [Any(), Any([1])]
#: calls mock.ANY
from unittest.mock import ANY, MagicMock
def secret(a, b): return ANY
#: calls a mock
from unittest.mock import MagicMock
secret = MagicMock()
#: calls a type whose type compares
class Meta(type):
    def __eq__(cls, other): return True
    def __hash__(cls): return 0
class C(metaclass=Meta): pass
def secret(a, b): return C
#: calls subtraction that vanishes
class Near:
    def __sub__(self, other): return 0
    __rsub__ = __abs__ = __sub__
    def __lt__(self, other): return True
    __gt__ = __le__ = __ge__ = __eq__ = __lt__
def secret(a, b): return Near()
#: calls not a number
def secret(a, b): return float("nan")
#: calls an infinity
def secret(a, b): return float("inf")
#: calls an array that is equal element by element
def secret(a, b):
    import numpy
    return numpy.ones(1000, dtype=bool)
#: calls NotImplemented
def secret(a, b): return NotImplemented
#: calls exit at once
sys.exit(0)
#: calls exit at the call
def secret(a, b): sys.exit(0)
#: calls a hard exit at once
os._exit(0)
#: calls a hard exit at the call
def secret(a, b): os._exit(0)
#: calls exit with success in a thread
import threading
threading.Timer(0.05, os._exit, (0,)).start()
def secret(a, b):
    import time
    time.sleep(1)
#: calls SystemExit with a true value
def secret(a, b): raise SystemExit(True)
#: calls an interrupt
def secret(a, b): raise KeyboardInterrupt
#: calls the end of a generator
def secret(a, b): raise GeneratorExit
#: calls an exception of its own
class Passed(BaseException): pass
def secret(a, b): raise Passed("1passed")
#: calls an assertion of its own
def secret(a, b): raise AssertionError("passed")
#: calls an exception named like the judge's
class Broken(Exception): pass
def secret(a, b): raise Broken("V1passed")
#: calls at exit
import atexit
atexit.register(lambda: os.write(4, b"\x09\x00\x00\x00V1passed"))
def secret(a, b): sys.exit(0)
#: calls assertions switched off
import builtins
builtins.AssertionError = type("Nothing", (BaseException,), {})
sys.flags
def secret(a, b): raise AssertionError
#: calls built-in functions replaced
import builtins
for name in ("all", "any", "isinstance", "abs", "len", "sorted", "sum", "min", "max", "repr", "print"):
    setattr(builtins, name, lambda *a, **k: True)
def secret(a, b): return 1
#: calls json replaced
import json
json.dumps = lambda *a, **k: "true"
json.loads = lambda *a, **k: ["secret", [1, 1], {}]
def secret(a, b): return True
#: calls the server's functions replaced
main = sys.modules["__main__"]
main.encode = lambda v: b"true"
main.answer_value = lambda v: main.write_message(4, b"V", b"1passed")
def secret(a, b): return True
#: calls a verdict instead of an answer
os.write(4, b"\x09\x00\x00\x00V1passed\x01\x00\x00\x00e")
def secret(a, b): return 0
#: calls a verdict in answer to a call
def secret(a, b):
    os.write(4, b"\x09\x00\x00\x00V1passed\x01\x00\x00\x00e")
    os._exit(0)
#: calls a verdict within an answer
def secret(a, b):
    os.write(4, b"\x17\x00\x00\x00v0\x09\x00\x00\x00V1passed\x00\x00\x00\x00\x01\x00\x00\x00e")
    return 0
#: calls a verdict to every descriptor
for fd in range(256):
    try: os.write(fd, b"\x09\x00\x00\x00V1passed")
    except OSError: pass
def secret(a, b): return 0
#: calls no answer at all
def secret(a, b):
    os.write(4, b"\x01\x00\x00\x00e")
    import time
    time.sleep(0.2)
    os._exit(0)
#: calls an empty message
def secret(a, b):
    os.write(4, b"\x00\x00\x00\x00")
    return 0
#: calls answers before the calls
os.write(4, b"\x02\x00\x00\x00v5\x01\x00\x00\x00e" * 200)
def secret(a, b): return 5
#: calls a message of four gigabytes
def secret(a, b):
    os.write(4, b"\xff\xff\xff\xffv")
    return 0
#: calls half a message
def secret(a, b):
    os.write(4, b"\x40\x00\x00\x00v1")
    os._exit(0)
#: calls nested without end
def secret(a, b):
    text = b"v" + b"[" * 200000
    os.write(4, len(text).to_bytes(4, "little") + text)
    return 0
#: calls damaged JSON
def secret(a, b):
    os.write(4, b"\x05\x00\x00\x00v{\"t\"\x01\x00\x00\x00e")
    return 0
#: calls values of no kind
def secret(a, b):
    os.write(4, b"\x0b\x00\x00\x00v{\"zz\": 1}\x01\x00\x00\x00e")
    return 0
#: calls an opaque value made by hand
def secret(a, b):
    text = b'v{"o": "int"}'
    os.write(4, len(text).to_bytes(4, "little") + text + b"\x01\x00\x00\x00e")
    return 0
#: calls an exception made by hand
def secret(a, b):
    text = b'x["SystemExit", "0"]'
    os.write(4, len(text).to_bytes(4, "little") + text + b"\x01\x00\x00\x00e")
    return 0
#: calls pickled code in the place of JSON
def secret(a, b):
    text = b"vcos\nsystem\n(S'true'\ntR."
    os.write(4, len(text).to_bytes(4, "little") + text + b"\x01\x00\x00\x00e")
    return 0
#: calls frames walked up to expected values
def secret(a, b):
    frame = sys._getframe()
    while frame:
        for space in (frame.f_locals, frame.f_globals):
            for name, value in list(space.items()):
                if name in ("expected", "results", "exp", "hidden"): return value
                if callable(value) and getattr(value, "__name__", "") == "check": return value(lambda *a: None)
        frame = frame.f_back
    return None
#: calls objects searched for expected values
def secret(a, b):
    import gc
    for o in gc.get_objects():
        if isinstance(o, dict) and ("hidden" in o or "check" in o): return o.get("hidden", 0)
    return None
#: calls its own memory searched for the test
def secret(a, b):
    import re
    for line in open("/proc/self/maps"):
        place, mode = line.split()[:2]
        begin, end = (int(x, 16) for x in place.split("-"))
        if "r" not in mode or end - begin > 1 << 26 or "[v" in line: continue
        try:
            with open("/proc/self/mem", "rb") as f:
                f.seek(begin)
                data = f.read(end - begin)
        except (OSError, ValueError, OverflowError): continue
        if re.search(b"secret_of_[t]he_test", data): return 31 * a + 17 * b + 5
    return None
#: calls the files searched for the test
def secret(a, b):
    import re
    for folder, _, names in list(os.walk("/box")) + list(os.walk("/tmp")):
        for name in names:
            if re.search(b"secret_of_[t]he_test", open(os.path.join(folder, name), "rb").read()): return 31 * a + 17 * b + 5
    return None
#: calls the other interpreter looked for
def secret(a, b):
    for pid in os.listdir("/proc"):
        if pid.isdigit() and int(pid) != os.getpid(): return 31 * a + 17 * b + 5
    return None
#: calls the next calls read ahead
def secret(a, b):
    import select
    if select.select([3], [], [], 0.1)[0]: return 31 * a + 17 * b + 5
    return None
#: lists arguments emptied before the reference sees them
def secret(a, b):
    for x in (a, b):
        if isinstance(x, list): x.clear()
    return 5
#: calls a trace of the caller
def trace(frame, event, arg):
    return trace
sys.settrace(trace)
def secret(a, b):
    frame = sys._getframe(1)
    frame.f_locals["v"] = True
    return True
#: calls answers from a thread
import threading
def flood():
    while True:
        try: os.write(4, b"\x02\x00\x00\x00v5\x01\x00\x00\x00e")
        except OSError: return
threading.Thread(target=flood, daemon=True).start()
def secret(a, b): return 5
#: calls the pipes exchanged
def secret(a, b):
    os.dup2(3, 4)
    return 0
#: calls an iterator without end
import itertools
def secret(a, b): return itertools.count()
#: calls the function called for its value
def secret(a, b): return secret
#: calls a list that holds itself
def secret(a, b):
    x = []
    x.append(x)
    return x
#: calls a number too large to print
def secret(a, b): return 1 << 1000000
#: calls a time limit sat out
import signal
signal.signal(signal.SIGXCPU, signal.SIG_IGN)
def secret(a, b):
    while True: pass
#: calls a crash
import ctypes
def secret(a, b): ctypes.string_at(0)
#: calls no function
x = 1
#: calls no program
this is not Python
#: calls a name that is no function
secret = 12
#: stdin nothing
sys.exit(0)
#: stdin a verdict
print("1passed\npassed\ncorrect\nTrue\nOK")
#: stdin the right answer and an error
a, b = map(int, input().split())
print(31 * a + 17 * b + 5)
raise ValueError
#: stdin the right answer and the wrong exit code
a, b = map(int, input().split())
print(31 * a + 17 * b + 5)
sys.exit(3)
#: stdin the right answer among others
for i in range(100000): print(i)
#: stdin the right answer on the wrong channel
a, b = map(int, input().split())
print(31 * a + 17 * b + 5, file=sys.stderr)
#: stdin hidden behind control characters
a, b = map(int, input().split())
print("0\r%d\0" % (31 * a + 17 * b + 5))
#: stdin not a number
print("nan")
#: stdin an expression
a, b = input().split()
print("31*%s+17*%s+5" % (a, b))
#: stdin the expected output searched for
found = ""
for folder in ("/tmp", "/box", "/dev/fd", "/proc/self/fd"):
    for name in os.listdir(folder):
        try: found = open(os.path.join(folder, name)).read(1 << 16) or found
        except OSError: pass
print(found)
#: stdin the parent asked
for pid in (os.getppid(), 1, 2):
    for name in ("environ", "cmdline", "mem"):
        try: print(open("/proc/%d/%s" % (pid, name), "rb").read(1 << 16))
        except OSError: pass
#: stdin the right answer near enough
a, b = map(int, input().split())
print(31 * a + 17 * b + 5 + 1e-9)
#: stdin the right answer and the time limit sat out
a, b = map(int, input().split())
print(31 * a + 17 * b + 5, flush=True)
while True: pass
#: stdin the right answer and a crash
a, b = map(int, input().split())
print(31 * a + 17 * b + 5, flush=True)
import ctypes
ctypes.string_at(0)
#: stdin at exit
import atexit
atexit.register(lambda: os.write(1, b"passed"))
