#!/usr/bin/env bash
# tests/rehearse.sh - scripts/rehearse.sh on two ranks: all its checks hold and its report has every part; a report over runs that differ from each
# other by one number fails with one line; what it refuses.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$(realpath "${PCM_BUILD:-build/cpu}")
skip() { echo "  skipped rehearse: $1"; exit 77; }
command -v mpirun >/dev/null || skip "no mpirun (package openmpi-bin)"
command -v python3 >/dev/null || skip "no python3"
[[ $build != *cuda* ]] || skip "needs a GPU for each rank"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
    echo "  FAILED  rehearse: $1"
    tail -n 5 "$work"/said* "$work"/out/log* 2>/dev/null || true
    exit 1
}
export BUILD=$build PATH=$work:$PATH # no GPU is seen: the build is the CPU's
printf '#!/bin/sh\nexit 1\n' >"$work/nvidia-smi"
chmod +x "$work/nvidia-smi"
refused() { # CODE TEXT WORDS...
    local code=0
    scripts/rehearse.sh "${@:3}" 2>"$work/said" || code=$?
    [ $code -eq "$1" ] || fail "exit code $code, not $1: ${*:3}"
    grep -q -- "$2" "$work/said" || fail "not \"$2\": ${*:3}"
    [ "$(wc -l <"$work/said")" -eq 1 ] || fail "not one line: ${*:3}"
}
refused 2 "unknown option --rank" --rank 2
refused 2 "no whole number" --ranks none
refused 1 "no such model" --model "$work/none.json" --output "$work/out"
refused 1 "is not empty" --output "$work"

scripts/rehearse.sh --ranks 2 --rows 4 --steps 24 --output "$work/out" --optim.lr=3e-3 2>"$work/said" || fail "exit code $?"
grep -q "rank 1 killed after step 1[5-9]\|rank 1 killed after step 2" "$work/said" || fail "no rank was killed in mid-run"
grep -q "resuming from $work/out/run/phase1/step_000012" "$work/out/run/phase1/launch.log" || fail "not resumed from the checkpoint"
[ "$(wc -l <"$work/out/run/phase2/metrics.jsonl")" -eq 24 ] || fail "phase 2 did not end"
python3 - "$work/out" <<'EOF' || fail "report.json"
import json, sys
d = json.load(open(sys.argv[1] + "/report.json"))
assert d["ranks"] == 2 and d["fewer"] == 1 and len(d["checks"]) >= 15 and all(c["holds"] for c in d["checks"])
assert [x["ranks"] for x in d["rates"]] == [1, 2] and all(x["tokens_per_s"] > 0 and x["save_s"] >= 0 for x in d["rates"])
assert d["rates"][1]["comm_wait_s"] >= 0 and d["rates"][0]["comm_wait_s"] is None
assert [(x["from"], x["ranks"], x["step"]) for x in d["resumes"]][0] == (2, 2, 12) and d["resumes"][1]["ranks"] == 1
assert 12 <= d["resumes"][1]["step"] < 24
assert d["losses"]["phase1"] == 0 and 0 <= d["losses"]["phase2"] < 1e-4 and d["generation"]["new_ids"] > 0
for x in d["projection"]: # the sums are those of the parts
    seconds = [p["seconds"] for p in x["parts"]]
    assert abs(x["step_s"][0] - sum(seconds[:3])) < 1e-9 and abs(x["step_s"][1] - (seconds[0] + seconds[1] + seconds[3])) < 1e-9
    assert abs(x["tokens_per_s"][1] - 8 * x["tokens"] / x["step_s"][1]) < 1e-6
EOF
for words in "All .* checks hold" "Rates from 1 to 2" "Resumes" "fewer ranks | 2 to 1" "projected"; do
    grep -q "$words" "$work/out/report.md" || fail "report.md lacks \"$words\""
done
grep -q "<polyline" "$work/out/losses.svg" || fail "losses.svg has no curves"
left=$(find "$work/out" -name '*.safetensors')
[ -z "$left" ] || fail "weights are left: $left"

# One number of a step changed in the last place, or its rows: not the same run any more.
spoil() { # FILE KEY EXPRESSION CHECK
    cp "$work/out/$1" "$work/good"
    python3 - "$work/out/$1" "$2" "$3" <<'EOF'
import json, sys
steps = [json.loads(line) for line in open(sys.argv[1])]
steps[20][sys.argv[2]] = eval(sys.argv[3], {"x": steps[20][sys.argv[2]]})
open(sys.argv[1], "w").write("".join(json.dumps(s) + "\n" for s in steps))
EOF
    local code=0
    scripts/rehearse_report.py report "$work/out" 2>"$work/said" || code=$?
    cp "$work/good" "$work/out/$1"
    [ "$code $(wc -l <"$work/said")" = "1 1" ] || fail "a changed $2 in $1: exit code $code"
    grep -q "$4.*does not hold" "$work/said" || fail "a changed $2 in $1 shows as something else"
    grep -q "1 of .* checks do not hold" "$work/out/report.md" || fail "report.md does not tell of a changed $2 in $1"
}
spoil run/phase1/metrics.jsonl loss "x * (1 + 2**-52)" "phase 1 after a killed rank"
spoil run/phase2/metrics.jsonl learnt_tokens "x + 1" "data order"
spoil run/phase2/metrics.jsonl loss "x * 1.001" "after the resume on 1 rank:"
spoil whole/phase2/metrics.jsonl mem_gib "x + 1" "phase 2: memory"
echo "  ok      rehearse"
