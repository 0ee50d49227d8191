#!/usr/bin/env bash
# tests/bench_throughput.sh - `make bench-throughput` in small: both models run under both limits, and the report says what was measured.
set -euo pipefail
build=${PCM_BUILD:?}
program=$build/tests/bench_throughput
if ldd "$program" | grep -q libcudart; then
    echo "on a GPU this is the 7B shapes: make BACKEND=cuda bench-throughput"
    exit 77
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/scratch"
"$program" --quick --scratch "$dir/scratch" --memory-gib 0.5,0.75 --json "$dir/result.json" >"$dir/log" || { cat "$dir/log"; exit 1; }
[ -z "$(ls "$dir/scratch")" ] || { echo "weights were left behind"; exit 1; }
python3 scripts/report_throughput.py "$dir/result.json" "$dir/result.md" "$dir/result.svg" >"$dir/printed"
cmp -s <(head -c 200 "$dir/printed") <(head -c 200 "$dir/result.md") || { echo "what is printed is not what is written"; exit 1; }
python3 - "$dir" <<'END'
import json, sys, xml.dom.minidom
result = json.load(open(sys.argv[1] + "/result.json"))
assert [l["memory_gib"] for l in result["limits"]] == [0.5, 0.75]
for limit in result["limits"]:
    cells, limit_bytes = limit["transformer"], limit["memory_gib"] * 2**30
    assert [(c["context"], c["answers"]) for c in cells] == [(64, "short"), (64, "long"), (1024, "short"), (1024, "long")], cells
    for c in cells + [limit["mamba"]]:
        assert 1 <= c["batch"] <= 16 and abs(c["tokens_per_s"] * c["step_s"] / c["batch"] - 1) < 1e-9, c
        m = c["memory"]
        assert 0 < m["weights"] + m["sequences"] + m["work"] + m["libraries"] <= m["planned"] <= limit_bytes, m
    # Answers of all lengths need half the pages that answers at the context's length do: as many sequences in less memory.
    short, long = cells[2], cells[3]
    assert short["batch"] == long["batch"] == 16 and long["memory"]["sequences"] < 0.7 * short["memory"]["sequences"], (short, long)
table = open(sys.argv[1] + "/result.md").read()
assert table.count("| 1k | short | 16 |") == 2 and "The numbers mean nothing" in table.replace("the numbers", "The numbers"), table
assert len(xml.dom.minidom.parse(sys.argv[1] + "/result.svg").getElementsByTagName("polyline")) == 6
result["limits"][0]["memory_gib"], result["limits"][0]["transformer"][0] = 24, {"context": 64, "answers": "short", "batch": 0}
result["limits"][0]["transformer"][1]["tokens_per_s"] = 2 * result["limits"][0]["mamba"]["tokens_per_s"]
json.dump(result, open(sys.argv[1] + "/changed.json", "w"))
END
python3 scripts/report_throughput.py "$dir/changed.json" "$dir/changed.md" "$dir/changed.svg" >/dev/null
grep -q '^The Transformer is faster at .*64 with long answers (2.00×)' "$dir/changed.md"
grep -q '^The paper has 3.66× at 24 GB (vLLM, both models).$' "$dir/changed.md"
grep -q '^| 64 | short | 0: not one sequence fits |' "$dir/changed.md"
status=0
"$program" --memory-gib 24,x >/dev/null 2>"$dir/why" || status=$?
[ $status = 2 ] && grep -q 'expected numbers above 0' "$dir/why" || { echo "a wrong limit: $status"; cat "$dir/why"; exit 1; }
status=0
"$program" --context 47 --scratch "$dir/scratch" --json "$dir/x.json" >/dev/null 2>"$dir/why" || status=$?
[ $status = 2 ] && grep -q 'expected 0 or at least 48' "$dir/why" || { echo "too short a context: $status"; cat "$dir/why"; exit 1; }
"$program" --context 48 --quick --memory-gib 0.5 --scratch "$dir/scratch" --json "$dir/shortest.json" >"$dir/log" || { cat "$dir/log"; exit 1; }
status=0
"$program" --quick --scratch "$dir/none" --json "$dir/x.json" >/dev/null 2>"$dir/why" || status=$?
[ $status = 1 ] && grep -q 'name another with --scratch' "$dir/why" || { echo "no scratch folder: $status"; cat "$dir/why"; exit 1; }
[ ! -e "$dir/x.json" ]
