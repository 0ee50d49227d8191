# infer/code/check.py - the judge's side: runs the tests of a benchmark, in an interpreter that the candidate's program never enters. The
# functions under test are stand-ins that send a call out and take plain data back. Requests come at descriptor 3 ("T"); each is served by a
# fork, so that tests cannot disturb each other and numpy is loaded once; "R" is a part of an answer, "X" says that none will come. To the
# outside, at 4: "C" a call, "V1" passed, "V0" and why not, then "D" in any case.
import builtins
import gc
import resource
import sys

CPU_SECONDS = 600  # for one candidate's tests: large answers take time to read and compare


class Raised(Exception):
    """An exception of the candidate's that is no built-in one."""


class Broken(BaseException):
    """The candidate's answer is no plain data."""


def answer_exception(text):
    name, message = json.loads(text)
    kind = getattr(builtins, name, None) if isinstance(name, str) else None
    if not (isinstance(kind, type) and issubclass(kind, Exception)) or issubclass(kind, (UnicodeError, AssertionError)):
        return Raised("%s: %s" % (name, message))
    return kind(message)


def answer_value():
    """The value of an answer; its exception is raised."""
    pieces, value, error, known = [], None, None, {}.setdefault
    while True:
        message = read_message(3)
        if message[:1] != b"R":  # "X": the candidate has ended
            os._exit(0)
        kind, text = message[1:2], message[2:]
        try:
            if kind == b"p":
                rows = decode(text)
                if set(map(type, rows)) == {tuple} and set(map(type, chain.from_iterable(rows))) == {str}:
                    rows = [tuple(map(known, row, row)) for row in rows]  # equal strings are kept once
                pieces += rows
            elif kind == b"v":
                value = decode(text)
            elif kind in (b"l", b"t"):
                value = pieces if kind == b"l" else tuple(pieces)
            elif kind == b"x":
                error = answer_exception(text)
            elif kind == b"e":
                break
            else:
                raise ValueError
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError, ArithmeticError):
            raise Broken("the answer is no plain value") from None
    if error:
        raise error
    return value


def stand_in(name, count):
    def call(*args, **kwargs):
        count[0] += 1
        write_message(4, b"C", encode([name, list(args), kwargs]))
        return answer_value()

    call.__name__ = name.rpartition(".")[2]
    return call


def run_test(request, count):
    """setup: what the test may use; test: defines check(candidate), or asserts as it stands."""
    namespace = {"__name__": "test"}
    exec(compile(request["setup"], "setup", "exec"), namespace)
    candidate = stand_in(request["entry_point"], count)
    namespace[request["entry_point"]] = candidate
    exec(compile(request["test"], "test", "exec"), namespace)
    if "check" in namespace and namespace["check"] is not candidate:
        namespace["check"](candidate)


def as_lists(v):
    return [as_lists(x) for x in v] if isinstance(v, (list, tuple)) else v


def run_cases(request, count):
    """Functional tests of contests: a line of JSON for each argument, one for the result, in which tuples are lists."""
    call = stand_in(request["entry_point"], count)
    for case in request["cases"]:
        expected = json.loads(case["output"])
        got = as_lists(call(*map(json.loads, case["input"].split("\n"))))
        assert got == expected, "expected %s, got %s" % (short(expected), short(got))


def short(v):
    text = repr(v)
    return text if len(text) <= 120 else text[:117] + "..."


def why_not(e, count):
    where = "call %d: " % count[0] if count[0] else ""
    text = " ".join(str(e)[:300].split())
    if isinstance(e, (AssertionError, Broken)):
        return where + (text or "an assertion of the test fails")
    return where + type(e).__name__ + (": " + text if text else "")


def serve(request):
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    sys.setrecursionlimit(20000)
    count = [0]
    try:
        (run_cases if "cases" in request else run_test)(request, count)
        verdict = b"1passed, %d calls" % count[0]
    except BaseException as e:
        verdict = b"0" + why_not(e, count).encode(errors="replace")
    write_message(4, b"V", verdict)


def main():
    try:
        import numpy  # here, so that every fork has it
    except ImportError:
        pass
    gc.disable()
    while True:
        message = read_message(3)
        if message[:1] != b"T":
            continue  # the rest of an answer that nobody waits for any more
        request = json.loads(message[1:])
        child = os.fork()
        if child == 0:
            try:
                serve(request)
            finally:
                os._exit(0)
        if os.waitpid(child, 0)[1]:
            os._exit(1)  # it may have ended within a message: only a new interpreter is in step again
        write_message(4, b"D")


main()
