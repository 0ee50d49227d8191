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

from truth_files import convert, fail


def pick(record, *keys):
    return {key: record[key] for key in keys}


def humaneval(record):
    return {"id": record["task_id"], **pick(record, "prompt", "entry_point", "test", "canonical_solution")}


def humanevalplus(record):
    if "plus_input" in record:
        fail("these are the inputs of HumanEval+ without its tests; HumanEvalPlus-OriginFmt.jsonl has them")
    # One test of the published file takes the answer, a number, for a list: HumanEval/32 wants a root of a polynomial.
    broken, right = "_poly(*candidate(*inp), inp)", "abs(_poly(*inp, candidate(*inp)))"
    return {**humaneval(record), "test": record["test"].replace(broken, right)}


def mbppplus(record):
    defined = {n.name for n in ast.parse(record["code"]).body if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    test = ast.parse(record["test"])
    defined -= {n.name for n in test.body if isinstance(n, ast.FunctionDef)}
    called = {n.func.id for n in ast.walk(test) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)} & defined
    if len(called) != 1:
        fail("task %s: its test calls %d functions of its solution, not one" % (record["task_id"], len(called)))
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


SETS = {"humaneval": humaneval, "humanevalplus": humanevalplus, "mbppplus": mbppplus, "livecodebench": livecodebench}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("task", choices=SETS)
    p.add_argument("files", nargs="+", help="the published files, then the truth file to write")
    p.add_argument("--from", dest="first", default="", help="livecodebench: contests on this day or later")
    p.add_argument("--to", dest="last", default="9999", help="livecodebench: contests on this day or before")
    a = p.parse_args()
    if len(a.files) < 2:
        p.error("name the published files, then the truth file to write")

    def row(record, _number):
        inside = a.task != "livecodebench" or a.first <= record["contest_date"][:10] <= a.last
        return SETS[a.task](record) if inside else None

    convert(a.task, a.files[:-1], a.files[-1], row)


main()
