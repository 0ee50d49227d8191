# infer/code/values.py - Python values as JSON text and back, so that nothing but plain data can travel between two interpreters. Stands in
# front of call.py (the candidate's side) and of check.py (the judge's side).
#
# None, bool, int, float, str and lists are themselves; everything else is an object with one key: {"t": []} tuple, {"d": [[key, value]]}
# dict, {"s": []} set, {"z": []} frozenset, {"b": hex} bytes, {"c": [re, im]} complex, {"i": hex} a large int, {"r": [a, b, c]} range,
# {"q": []} deque, {"f": [n, d]} Fraction, {"m": text} Decimal, {"T": [[]]} a list of tuples, {"U": [[]]} a tuple of tuples,
# {"o": name} a value that cannot travel. Long lists go in pieces, so that no message is large.
import json
import os
from itertools import chain

ATOMS = {int, float, str, bool, type(None)}
PIECE = 10000  # elements of a long list or tuple in one message


def pack(v, careful=False):
    """careful: some int is too large for JSON's decimal digits."""
    kind = type(v)
    if kind in ATOMS:
        return {"i": hex(v)} if careful and kind is int and v.bit_length() > 64 else v
    if isinstance(v, (list, tuple)):
        kinds = set(map(type, v))
        rows = None
        if kinds <= ATOMS and not careful:
            inner = list(v)
        elif (kinds == {list} or kinds == {tuple}) and not careful and set(map(type, chain.from_iterable(v))) <= ATOMS:
            rows, inner = kinds.pop(), list(v)
        else:
            inner = [pack(x, careful) for x in v]
        if rows is tuple:
            return {"T" if isinstance(v, list) else "U": inner}
        return inner if isinstance(v, list) else {"t": inner}
    if isinstance(v, dict):
        return {"d": [[pack(k, careful), pack(x, careful)] for k, x in v.items()]}
    if isinstance(v, (set, frozenset)):
        return {"s" if isinstance(v, set) else "z": [pack(x, careful) for x in v]}
    if isinstance(v, (bytes, bytearray)):
        return {"b": v.hex()}
    for base in (bool, int, float, str):  # of a class made from it: the value
        if isinstance(v, base):
            return pack(base.__new__(base, base.__str__(v) if base is str else v), careful)
    if isinstance(v, complex):
        return {"c": [v.real, v.imag]}
    if isinstance(v, range):
        return {"r": [v.start, v.stop, v.step]}
    module = kind.__module__.partition(".")[0]
    if module == "numpy" and hasattr(v, "tolist"):
        return pack(v.tolist(), careful)
    if module == "collections" and kind.__name__ == "deque":
        return {"q": [pack(x, careful) for x in v]}
    if module == "fractions":
        return {"f": [pack(v.numerator, True), pack(v.denominator, True)]}
    if module == "decimal":
        return {"m": str(v)}
    return {"o": kind.__name__}


class Opaque:
    """A value that did not travel: true, as most objects are, and equal to nothing."""

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return "<%s>" % self.name

    def __eq__(self, other):
        return False

    __hash__ = None


def unpack(j):
    if type(j) is list:
        return j if set(map(type, j)) <= ATOMS else [unpack(x) for x in j]
    if type(j) is not dict:
        return j
    ((tag, v),) = j.items()
    if tag == "t":
        return tuple(unpack(v))
    if tag == "T":
        return list(map(tuple, v))
    if tag == "U":
        return tuple(map(tuple, v))
    if tag == "d":
        return {unpack(k): unpack(x) for k, x in v}
    if tag in ("s", "z"):
        return (set if tag == "s" else frozenset)(map(unpack, v))
    if tag == "b":
        return bytes.fromhex(v)
    if tag == "c":
        return complex(float(v[0]), float(v[1]))
    if tag == "i":
        return int(v, 16)
    if tag == "r":
        return range(*map(int, v))
    if tag == "q":
        from collections import deque
        return deque(map(unpack, v))
    if tag == "f":
        from fractions import Fraction
        return Fraction(int(unpack(v[0])), int(unpack(v[1])))
    if tag == "m":
        from decimal import Decimal
        return Decimal(v)
    if tag == "o":
        return Opaque(str(v)[:80])
    raise ValueError("unknown kind of value")


def encode(v):
    try:
        return json.dumps(pack(v)).encode()
    except ValueError:  # an int of more digits than are printed at once
        return json.dumps(pack(v, True)).encode()


def decode(text):
    return unpack(json.loads(text))


def read_exactly(fd, n):
    data = bytearray(n)
    view = memoryview(data)
    while view:
        got = os.readv(fd, [view])
        if not got:
            os._exit(0)  # the other side is gone
        view = view[got:]
    return data


def read_message(fd):
    return read_exactly(fd, int.from_bytes(read_exactly(fd, 4), "little"))


def write_message(fd, kind, text=b""):
    data = memoryview((len(text) + 1).to_bytes(4, "little") + kind + text)
    while data:
        data = data[os.write(fd, data) :]
