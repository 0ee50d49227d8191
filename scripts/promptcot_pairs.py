#!/usr/bin/env python3
"""scripts/promptcot_pairs.py LEVEL=SYNTH.jsonl ... PAIRS.jsonl - records of `synth` as triples of concepts, problem and rationale for promptcot's
jobs triples and expectation: {"id", "foundational_concepts", "level", "problem", "rationale"}."""
import json
import sys

if len(sys.argv) < 3 or sys.argv[1] in ("-h", "--help"):
    sys.exit(__doc__)
with open(sys.argv[-1], "w") as out:
    for arg in sys.argv[1:-1]:
        level, path = arg.split("=", 1)
        for line in open(path):
            r = json.loads(line)
            problem = r["prompt"].removeprefix("Q: ").split("\n<think>")[0]
            triple = {"id": r["id"], "foundational_concepts": r["concepts"], "level": level, "problem": problem, "rationale": r["rationale"]}
            print(json.dumps(triple, ensure_ascii=False), file=out)
