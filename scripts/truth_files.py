"""What scripts/import_math.py and scripts/import_code.py share: published files are read, truth files are written, whole or not at all."""
import gzip
import json
import os
import subprocess
import sys
import zlib


def fail(message):
    sys.exit("%s: %s" % (os.path.basename(sys.argv[0]).removesuffix(".py"), message))


def records(path):
    """(where it stands, record) of a file of JSON Lines or with a JSON array; gzip and Zstandard are undone."""
    try:
        with open(path, "rb") as f:
            data = f.read()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        elif data[:4] == b"\x28\xb5\x2f\xfd":
            data = subprocess.run(["zstd", "-dc"], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True).stdout
        text = data.decode()
    except (OSError, EOFError, zlib.error, subprocess.CalledProcessError, UnicodeDecodeError) as e:
        fail("%s: %s" % (path, getattr(e, "strerror", None) or "is damaged, or no text: %s" % e))
    if text.lstrip().startswith("["):
        try:
            found = list(enumerate(json.loads(text), 1))
        except ValueError as e:
            fail("%s: %s" % (path, e))
    else:
        found = []
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                try:
                    found.append((number, json.loads(line)))
                except ValueError as e:
                    fail("%s:%d: %s" % (path, number, e))
    for number, record in found:
        if not isinstance(record, dict):
            fail("%s:%d: expected an object, got %s" % (path, number, json.dumps(record)[:40]))
        yield number, record


def convert(name, paths, target, row_of):
    """row_of(record, number) gives the truth record, or None for one that is left out."""
    rows = []
    for path in paths:
        for number, record in records(path):
            try:
                row = row_of(record, number)
            except KeyError as e:
                fail("%s:%d: the record has no %s; is this the published file of %s?" % (path, number, str(e).strip("'\""), name))
            except (AttributeError, IndexError, SyntaxError, TypeError, ValueError) as e:
                fail("%s:%d: the record is not as the published file of %s has it: %s" % (path, number, name, e))
            if row:
                rows.append(json.dumps(row, ensure_ascii=False) + "\n")
    if not rows:
        fail("%s: holds no problem of %s that is wanted" % (", ".join(paths), name))
    try:
        with open(target + ".new", "w", encoding="utf-8") as f:
            f.writelines(rows)
        os.replace(target + ".new", target)
    except OSError as e:
        fail("%s: %s" % (target, e.strerror))
    print("%d problems" % len(rows), file=sys.stderr)
