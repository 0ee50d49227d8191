#!/usr/bin/env python3
"""Turns the published files of the code benchmarks into truth files of score and evaluate.

    scripts/import_code.py humaneval      HumanEval.jsonl[.gz]                 truth.jsonl
    scripts/import_code.py humanevalplus  HumanEvalPlus-OriginFmt.jsonl[.gz]   truth.jsonl
    scripts/import_code.py mbppplus       MbppPlus-OriginFmt.jsonl[.gz]        truth.jsonl
    scripts/import_code.py livecodebench  test.jsonl [test2.jsonl ...]         truth.jsonl [--from DATE] [--to DATE]

Sources: github.com/openai/human-eval (data/), github.com/evalplus/humanevalplus_release and evalplus/mbppplus_release (releases),
huggingface.co/datasets/livecodebench/code_generation_lite. Files may be gzip or Zstandard. DATE is YYYY-MM-DD, both ends included; the
paper's window of LiveCodeBench v5 is --from 2024-08-01 --to 2025-02-01 of the contests' dates."""
import argparse
import ast
import gzip
import json
import subprocess
import sys


def records(path):
    with open(path, "rb") as f:
        head = f.read(4)
    if head[:2] == b"\x1f\x8b":
        text = gzip.open(path, "rb").read()
    elif head == b"\x28\xb5\x2f\xfd":
        text = subprocess.run(["zstd", "-dc", path], stdout=subprocess.PIPE, check=True).stdout
    else:
        text = open(path, "rb").read()
    for number, line in enumerate(text.decode().split("\n"), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError as e:
                sys.exit("import_code: %s:%d: %s" % (path, number, e))


def pick(record, *keys):
    return {key: record[key] for key in keys}


def humaneval(record):
    return {"id": record["task_id"], **pick(record, "prompt", "entry_point", "test", "canonical_solution")}


def humanevalplus(record):
    # One test of the published file takes the answer, a number, for a list: HumanEval/32 wants a root of a polynomial.
    broken, right = "_poly(*candidate(*inp), inp)", "abs(_poly(*inp, candidate(*inp)))"
    return {**humaneval(record), "test": record["test"].replace(broken, right)}


def mbppplus(record):
    defined = {n.name for n in ast.parse(record["code"]).body if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    test = ast.parse(record["test"])
    defined -= {n.name for n in test.body if isinstance(n, ast.FunctionDef)}
    called = {n.func.id for n in ast.walk(test) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)} & defined
    if len(called) != 1:
        sys.exit("import_code: task %s: its test calls %d functions of its solution, not one" % (record["task_id"], len(called)))
    # Three tests of the published file compare and assert nothing: 737, 787 and 794.
    last = "        exact_match = exp == (out is not None)\n"
    text = record["test"].replace(last, last + "    assert exact_match\n")
    test = "\n".join(record["test_imports"] + [text])
    return {"id": record["task_id"], "prompt": record["prompt"], "entry_point": called.pop(), "test": test,
            **pick(record, "test_list", "code")}


def livecodebench(record):
    return {"id": record["question_id"],
            **pick(record, "question_title", "question_content", "platform", "contest_id", "contest_date", "difficulty", "starter_code",
                   "public_test_cases", "private_test_cases", "metadata")}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("task", choices=["humaneval", "humanevalplus", "mbppplus", "livecodebench"])
    p.add_argument("files", nargs="+", help="the published files, then the truth file to write")
    p.add_argument("--from", dest="first", default="", help="livecodebench: contests on this day or later")
    p.add_argument("--to", dest="last", default="9999", help="livecodebench: contests on this day or before")
    a = p.parse_args()
    if len(a.files) < 2:
        p.error("name the published files, then the truth file to write")
    n = 0
    with open(a.files[-1], "w", encoding="utf-8") as out:
        for path in a.files[:-1]:
            for record in records(path):
                if not a.first <= record.get("contest_date", a.first)[:10] <= a.last:
                    continue
                out.write(json.dumps(globals()[a.task](record), ensure_ascii=False) + "\n")
                n += 1
    print("import_code: %d problems" % n, file=sys.stderr)


main()
