#!/usr/bin/env python3
"""Turns the published files of the mathematics benchmarks into truth files of score: {"id", "problem", "answer"} a line.

    scripts/import_math.py aime24         FILE.jsonl                              truth.jsonl
    scripts/import_math.py aime25         FILE.jsonl                              truth.jsonl
    scripts/import_math.py math500        test.jsonl                              truth.jsonl
    scripts/import_math.py olympiadbench  OE_TO_maths_en_COMP.json[l]             truth.jsonl
    scripts/import_math.py amc23          test.jsonl                              truth.jsonl
    scripts/import_math.py gsm8k          test.jsonl                              truth.jsonl

Sources: AIME: the paper's own github.com/Spencerx/PromptCoT (PromptCoT_Mamba/data/aime_test.jsonl, which holds both years: rows of the other
year are left out), NeMo-Skills, or any file with a problem (or question) and an answer; MATH-500: huggingface.co/datasets/HuggingFaceH4/MATH-500;
OlympiadBench: huggingface.co/datasets/Hothan/OlympiadBench or github.com/QwenLM/Qwen2.5-Math (evaluation/data/olympiadbench/test.jsonl);
AMC: github.com/QwenLM/Qwen2.5-Math (evaluation/data/amc23/test.jsonl); GSM8K: github.com/openai/grade-school-math. A file is JSON Lines or
a JSON array, and may be gzip or Zstandard."""
import re
import sys

from truth_files import convert


def first(record, *keys):
    for key in keys:
        if record.get(key) is not None:
            return record[key]
    raise KeyError(" or ".join(keys))


def problem_of(record):
    if "problem" in record or "question" in record:
        return first(record, "problem", "question")
    # Only a rendered prompt: what stands between its head and the instruction.
    found = re.search(r"<\|im_start\|>user\n(.*)\nPlease reason step by step", record["prompt"], re.S)
    return found.group(1) if found else record["prompt"]


def answer_of(record):
    answer = record.get("answer", record.get("expected_answer"))
    if answer is None:
        answer = first(record, "reference_solution", "solution").split("####")[-1]
    if isinstance(answer, float):  # 27.0
        answer = int(answer) if answer == int(answer) else repr(answer)
    return str(answer).strip()


def aime(year):
    def row(record, number):
        if year == "25" and "2024" in str(record.get("source")) or year == "24" and "2025" in str(record.get("source")):
            return None
        return {"id": record.get("id", "aime%s-%02d" % (year, number)), "problem": problem_of(record), "answer": answer_of(record)}
    return row


def math500(record, number):
    return {"id": record.get("unique_id", number), "problem": problem_of(record), "answer": answer_of(record),
            **{k: record[k] for k in ("subject", "level") if k in record}}


def olympiadbench(record, number):
    # final_answer is a list of one string, which may hold several answers; the unit stands beside it, and the error of the one rounded answer.
    context = record.get("context")
    answer, unit, error = record["final_answer"][0], (record.get("unit") or "").strip("$"), record.get("error")
    if unit and not record.get("is_multiple_answer"):
        power = re.search(r"\^.*$", unit)
        power = power.group(0) if power else ""
        word = unit[:len(unit) - len(power)]
        answer = answer.strip("$") + ("\\%" if unit == "%" else ("\\text{ %s}" % word if word else "") + power)
    return {"id": record.get("id", number), "problem": (context + "\n" if context else "") + record["question"], "answer": answer,
            **({"tolerance": "%g" % float(error)} if error else {})}


def amc23(record, number):
    return {"id": record.get("id", number), "problem": problem_of(record), "answer": answer_of(record)}


def gsm8k(record, number):
    return {"id": number, "problem": record["question"], "answer": record["answer"]}


SETS = {"aime24": aime("24"), "aime25": aime("25"), "math500": math500, "olympiadbench": olympiadbench, "amc23": amc23, "gsm8k": gsm8k}


def main():
    if len(sys.argv) == 2 and sys.argv[1] in ("-h", "--help"):
        print(__doc__)
        return
    if len(sys.argv) != 4 or sys.argv[1] not in SETS:
        sys.stderr.write("import_math: usage: scripts/import_math.py {%s} FILE truth.jsonl\n" % ",".join(SETS))
        sys.exit(2)
    name, source, target = sys.argv[1:]
    convert(name, [source], target, SETS[name])


main()
