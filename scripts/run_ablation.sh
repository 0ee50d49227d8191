#!/usr/bin/env bash
# scripts/run_ablation.sh - the paper's ablation at small scale, on generated problems: phase 1 alone; phase 2 without the synthesised (composed)
# problems; phase 2 whole; phase 2 on mathematics alone. All start from the same phase 1, take as many steps, and answer the same held-out
# problems. The table goes to standard output and runs/ablation/table.md, pages beside it.
# usage: [BACKEND=cuda] scripts/run_ablation.sh   (HELD_OUT=N: problems of each kind, default 200; of code three for eight, there are few)
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${BUILD:-build/${BACKEND:-cpu}}
held_out=${HELD_OUT:-200}
run=runs/ablation
# OpenMP threads that wait spin for some 10 ms by default, which ruins a machine that does other work too: they sleep sooner.
export GOMP_SPINCOUNT=${GOMP_SPINCOUNT:-10000}
begin=$(date +%s)
rm -rf "$run"
mkdir -p "$run/data"

# A dozen concepts each of mathematics and of programming: what half a million weights can learn in minutes.
concepts=() code=()
for c in remainder "greatest common divisor" "units digit of a power" "digit sum in a base" "two equations" "linear equation" "absolute value" \
    average "term of an arithmetic sequence" "Fibonacci rule" "linear recurrence" "points on a segment"; do
    concepts+=(--concept "$c")
done
for c in "even numbers" "odd numbers" "greater than" adding multiplying squares "absolute values" reversal "ascending order" "every second" sum maximum \
    minimum counting; do
    code+=(--concept "$c")
done
make_set() { # NAME DOMAIN LEVEL SEED COUNT OPTIONS...
    "$bin/synth" --domain "$2" --level "$3" --seed "$4" --count "$5" --output "$run/data/$1.jsonl" "${@:6}"
    "$bin/prepare" --tokenizer byte --input "$run/data/$1.jsonl" --output "$run/data/$1.tok"
}
make_set math math 1 1 20000 "${concepts[@]}"
make_set code code 1 1 10000 "${code[@]}"
make_set math2 math 1 2 20000 "${concepts[@]}"
make_set code2 code 2 2 10000 "${code[@]}"
make_set composed math 3 2 20000 "${concepts[@]}"
"$bin/synth" --domain math --level 1 --kind eval --seed 9 --count "$held_out" --output "$run/data/single.eval.jsonl" "${concepts[@]}"
"$bin/synth" --domain math --level 3 --kind eval --seed 9 --count "$held_out" --output "$run/data/composed.eval.jsonl" "${concepts[@]}"
"$bin/synth" --domain code --level 2 --kind eval --seed 9 --count "$((held_out * 3 / 8))" --output "$run/data/code.eval.jsonl" "${code[@]}"

for variant in phase1 without-synthesised full math-heavy; do
    "$bin/train" "configs/ablation-$variant.json"
    scores=()
    for kind in single composed code; do
        out=$run/$variant.$kind
        task=$([ "$kind" = code ] && echo livecodebench || echo math500)
        "$bin/generate" --model "$run/$variant/$(cat "$run/$variant/latest")" --input "$run/data/$kind.eval.jsonl" --output "$out.answers.jsonl" \
            --temperature 0 --max-new-tokens 700 --batch 64
        "$bin/score" --task "$task" --truth "$run/data/$kind.eval.jsonl" --answers "$out.answers.jsonl" --output "$out.score.json" --html "$out.html"
        scores+=(--score "$variant, $kind=$out.score.json")
    done
    "$bin/report" --output "$run/$variant.html" --metrics "$run/$variant/metrics.jsonl" "${scores[@]}" --title "Ablation: $variant"
done

python3 - "$run" <<'EOF' | tee "$run/table.md"
import json, sys
rows = [("phase1", "phase 1 alone", "", ""), ("without-synthesised", "phase 2 without the composed problems", "11.7 (without PromptCoT)", ""),
        ("full", "phase 2 whole", "35.2", "29.9 (13.6 without OpenCodeReasoning)"), ("math-heavy", "phase 2 on mathematics alone", "42.9", "20.3")]
print("| | single concepts | composed concepts | code | paper: AIME 24 | paper: LiveCodeBench |\n|---|---|---|---|---|---|")
for name, label, aime, lcb in rows:
    cells = []
    for kind in ("single", "composed", "code"):
        a = json.load(open(f"{sys.argv[1]}/{name}.{kind}.score.json"))["metrics"]["accuracy"]
        cells.append("%.1f%% (%.1f to %.1f)" % tuple(100 * a[k] for k in ("value", "low", "high")))
    print("| %s | %s | %s | %s |" % (label, " | ".join(cells), aime, lcb))
EOF
echo "ablation: done in $(($(date +%s) - begin)) s; pages in $run/" >&2
