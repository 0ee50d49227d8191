# infer/code/call.py - the candidate's side: loads the program, then answers calls of its functions. It knows no expected value, and whatever
# the program does to this interpreter, all that leaves it is the text of an answer. Run as: server.py PROGRAM, calls at descriptor 3, answers
# at 4. An answer is messages: "p" a piece of a long list, "v" the value ("l", "t": the pieces are a list, a tuple), "x" an exception,
# then "e". Arguments are copies: what a function does to them in place is its own affair.
import sys
import types


def load(path):
    module = types.ModuleType("solution")
    sys.modules["solution"] = module
    sys.setrecursionlimit(50000)
    with open(path, encoding="utf-8", errors="surrogateescape") as f:
        exec(compile(f.read(), "solution.py", "exec"), module.__dict__)
    return module.__dict__


def answer_value(v):
    if type(v) in (list, tuple) and len(v) > PIECE:
        for i in range(0, len(v), PIECE):
            write_message(4, b"p", encode(list(v[i : i + PIECE])))
        write_message(4, b"l" if type(v) is list else b"t")
    else:
        write_message(4, b"v", encode(v))


def answer(call, names, namespace):
    name, args, kwargs = decode(call)
    try:
        if name not in names:
            names[name] = eval(name, namespace)
        answer_value(names[name](*args, **kwargs))
    except Exception as e:
        write_message(4, b"x", json.dumps([type(e).__name__, str(e)[:300]]).encode())
    write_message(4, b"e")


def serve():
    names, namespace, broken = {}, {}, None
    try:
        namespace = load(sys.argv[1])
    except Exception as e:
        broken = json.dumps([type(e).__name__, str(e)[:300]]).encode()
    while True:
        call = read_message(3)
        if broken:
            write_message(4, b"x", broken)
            write_message(4, b"e")
        else:
            answer(call, names, namespace)


serve()
