#!/usr/bin/env bash
# scripts/run_demo.sh - the whole path on a small model, on the CPU in a few minutes: make a curriculum of arithmetic problems, prepare it,
# train through both phases, export after each, answer held-out problems, score the answers, write runs/demo/report.html.
# Called by `make demo`. To use data and a model of your own, copy configs/demo.json and follow the README's jobs.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${BUILD:-build/cpu}
run=runs/demo
train_problems=40000 held_out=200
# OpenMP threads that wait spin for some 10 ms by default, which ruins a machine that does other work too: they sleep sooner.
export GOMP_SPINCOUNT=${GOMP_SPINCOUNT:-10000}

begin=$(date +%s)
rm -rf "$run"
mkdir -p "$run/data"
for level in easy hard; do
    "$bin/synth" --level "$level" --count "$train_problems" --seed 1 --output "$run/data/$level.jsonl"
    "$bin/synth" --level "$level" --kind eval --count "$held_out" --seed 2 --output "$run/data/$level.eval.jsonl"
    "$bin/prepare" --tokenizer byte --input "$run/data/$level.jsonl" --output "$run/data/$level.tok"
done

"$bin/train" configs/demo.json

# The checkpoint at the end of phase 1 stays: it is the run's first; the newest is the end of phase 2.
phase1=$(find "$run" -maxdepth 1 -name 'step_*' | sort | head -n 1)
phase2=$run/$(cat "$run/latest")
scores=() answers=()
for phase in phase1 phase2; do
    "$bin/export" --checkpoint "${!phase}" --output "$run/$phase" --dtype f32
    for level in easy hard; do
        out=$run/$phase.$level
        "$bin/generate" --model "$run/$phase" --input "$run/data/$level.eval.jsonl" --output "$out.answers.jsonl" \
            --temperature 0 --max-new-tokens 256 --batch 64
        "$bin/score" --task arithmetic --truth "$run/data/$level.eval.jsonl" --answers "$out.answers.jsonl" --output "$out.score.json" \
            --html "$out.html"
        scores+=(--score "after $phase, held-out $level problems=$out.score.json")
    done
done
for level in easy hard; do
    answers+=(--answers "$run/phase2.$level.answers.jsonl" --prompts "$run/data/$level.eval.jsonl")
done
"$bin/report" --output "$run/report.html" --metrics "$run/metrics.jsonl" "${scores[@]}" "${answers[@]}" \
    --title "Demo: arithmetic reasoning in two phases"
echo "demo: done in $(($(date +%s) - begin)) s; open $run/report.html" >&2
