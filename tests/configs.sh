#!/usr/bin/env bash
# tests/configs.sh - every settings file of train in configs/: --plan takes it once its data are replaced by something small, data that are missing are one
# clear line, and the published recipes resolve to what was published.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${PCM_BUILD:-build/cpu}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
    echo "  FAILED  configs: $1"
    cat "$work/out" "$work/err" 2>/dev/null || true
    exit 1
}
"$build/synth" --level easy --count 50 --seed 1 --output "$work/a.jsonl" 2>/dev/null
"$build/prepare" --tokenizer byte --input "$work/a.jsonl" --output "$work/a.tok" 2>/dev/null

for config in configs/*.json; do
    grep -q '"phases"' "$config" || continue # another program's
    data=()
    for ((i = 0; i < $(grep -c '"seq_len"' "$config"); i++)); do data+=("--phases.$i.data=[{\"path\": \"$work/a.tok\"}]"); done
    "$build/train" "$config" --run_dir="$work/run" --tokenizer=byte "${data[@]}" --plan --ranks 8 >"$work/out" 2>"$work/err" || fail "$config: not planned"
    grep -q "on each of 8 ranks" "$work/out" || fail "$config: no plan for 8 ranks"
    code=0
    "$build/train" "$config" --run_dir="$work/run" --tokenizer=byte --precision=f32 --phases.0.data='[{"path": "nowhere.tok"}]' \
        >"$work/out" 2>"$work/err" || code=$?
    [ $code -eq 1 ] && [ "$(grep -c '^train: ' "$work/err")" -eq 1 ] && tail -n 1 "$work/err" | grep -q '^train: .*nowhere.tok' ||
        fail "$config: missing data, exit code $code"
    [ ! -e "$work/run" ] || fail "$config: a run that was refused left a folder"
done

resolved() { # CONFIG 'LINE': the line is among its settings as resolved
    "$build/train" "configs/$1.json" --print-config >"$work/out"
    grep -q "^ *$2,\{0,1\}$" "$work/out" || fail "$1: not $2"
}
for config in phase1-7b phase2-7b phase2-math-7b ablation-no-promptcot-7b phase1-7b-as-run phase2-7b-as-run; do
    for line in '"lr": 5e-6' '"eps": 1e-8' '"weight_decay": 0.01' '"schedule": "constant"' '"warmup": "log"' '"warmup_steps": 100' \
        '"precision": "bf16"' '"epochs": 1.0' '"pack": false'; do
        resolved $config "$line"
    done
    case $config in phase1*) resolved $config '"seq_len": 16384' ;; *) resolved $config '"seq_len": 20480' ;; esac
    case $config in
    *as-run) resolved $config '"rows": 8' && resolved $config '"grad_clip": 0.0' ;;
    *) resolved $config '"rows": 64' && resolved $config '"grad_clip": 1.0' ;;
    esac
done
echo "  ok      configs"
