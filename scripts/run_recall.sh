#!/usr/bin/env bash
# scripts/run_recall.sh - what a fixed-size state can recall: trains a small model on documents with facts, then asks for the value of a key in
# documents of 64 to 65,536 tokens, for the value of one of 2 to 128 keys in 1,024 tokens, and for the n-th word.
# usage: [BACKEND=cuda] scripts/run_recall.sh [configs/recall-cpu.json | configs/recall-gpu.json]   (EACH=N: questions a length, default 40)
set -euo pipefail
cd "$(dirname "$0")/.."
config=${1:-configs/recall-cpu.json}
bin=${BUILD:-build/${BACKEND:-cpu}}
each=${EACH:-40}
case $config in
*cpu.json) run=runs/recall-cpu scale=1 ;;
*) run=runs/recall-gpu scale=8 ;;
esac
# OpenMP threads that wait spin for some 10 ms by default, which ruins a machine that does other work too: they sleep sooner.
export GOMP_SPINCOUNT=${GOMP_SPINCOUNT:-10000}
mkdir -p "$run/data"

make_data() { # NAME COUNT OPTIONS...: training documents
    "$bin/synth" --domain recall --count "$2" --output "$run/data/$1.jsonl.zst" "${@:3}"
    "$bin/prepare" --tokenizer byte --input "$run/data/$1.jsonl.zst" --output "$run/data/$1.tok"
}
make_data tiny $((40000 * scale)) --seed 1 --min-tokens 16 --max-tokens 64 --facts 6 --questions 6
make_data short $((20000 * scale)) --seed 2 --min-tokens 48 --max-tokens 256 --facts 16 --questions 16
make_data words $((10000 * scale)) --seed 3 --min-tokens 32 --max-tokens 512 --facts 4 --questions 16 --ask word --farthest 32
make_data long 6000 --seed 4 --min-tokens 128 --max-tokens $((1700 * (scale > 1 ? 10 : 1))) --facts 64 --questions 64
"$bin/train" "$config"
model=$run/$(cat "$run/latest")

scores=()
ask() { # NAME LABEL OPTIONS...: held-out questions
    local at=$run/$1
    "$bin/synth" --domain recall --kind eval --seed 9 --output "$at.jsonl" "${@:3}"
    "$bin/generate" --model "$model" --input "$at.jsonl" --output "$at.answers.jsonl" --temperature 0 --max-new-tokens 8 --stop $'\n' --batch 32
    "$bin/score" --task recall --truth "$at.jsonl" --answers "$at.answers.jsonl" --output "$at.score.json" --html "$at.html"
    scores+=(--score "$2=$at.score.json")
}
ask lengths "16 facts, 64 to 65,536 tokens" --min-tokens 64 --max-tokens 65536 --count $((11 * each)) --facts 16
for facts in 2 4 8 16 32 64 128; do
    ask "facts$facts" "$facts facts, 1,024 tokens" --min-tokens 1024 --max-tokens 1024 --count $((2 * each)) --facts "$facts"
done
ask words "one of the first 32 words" --ask word --farthest 32 --min-tokens 64 --max-tokens 1024 --count $((5 * each)) --facts 4
"$bin/report" --output "$run/report.html" --metrics "$run/metrics.jsonl" "${scores[@]}" --title "Recall: $config"
echo "open $run/report.html and $run/lengths.html" >&2
