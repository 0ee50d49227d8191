#!/usr/bin/env bash
# tests/launch_phases.sh - scripts/launch.sh: two settings files one after the other on two ranks, the second from the first one's weights; a signal
# in the first stops all, and the same command goes on.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$(realpath "${PCM_BUILD:-build/cpu}")
command -v mpirun >/dev/null || { echo "  skipped launch_phases: no mpirun (package openmpi-bin)"; exit 77; }
[[ $build != *cuda* ]] || { echo "  skipped launch_phases: needs a GPU for each rank"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
    echo "  FAILED  launch_phases: $1"
    cat "$work"/out* 2>/dev/null || true
    exit 1
}
"$build/synth" --level easy --count 200 --seed 1 --output "$work/a.jsonl" 2>/dev/null
"$build/prepare" --tokenizer byte --input "$work/a.jsonl" --output "$work/a.tok" 2>/dev/null
cat >"$work/model.json" <<EOF
{"model_type": "mamba2", "hidden_size": 16, "num_hidden_layers": 2, "num_heads": 2, "head_dim": 16, "expand": 2, "n_groups": 1, "state_size": 16,
 "conv_kernel": 4, "vocab_size": 260, "chunk_size": 32, "tie_word_embeddings": true}
EOF
config() { # NAME WEIGHTS STEPS
    cat >"$work/$1.json" <<EOF
{"run_dir": "$work/$1", "model": {"config": "$work/model.json", "weights": "$2"}, "tokenizer": "byte", "batch": {"rows": 8, "micro_rows": 4},
 "phases": [{"name": "$1", "seq_len": 192, "steps": $3, "data": [{"path": "$work/a.tok"}]}],
 "checkpoint": {"every_steps": 100000}, "log": {"every_steps": 20, "tensorboard": false}}
EOF
}
config one random 300
config two "$work/one" 20
export BUILD=$build OMP_NUM_THREADS=1
launch=(scripts/launch.sh --ranks 2 --max-restarts 1 "$work/one.json" "$work/two.json")

"${launch[@]}" 2>"$work/out1" &
run=$!
for ((i = 0; i < 600; i++)); do
    [ ! -s "$work/one/metrics.jsonl" ] || break
    sleep 0.05
done
kill -TERM $run
code=0
wait $run || code=$?
[ $code -eq 0 ] || fail "stopped with exit code $code"
grep -q "stopped by SIGUSR1 at step" "$work/out1" || fail "SIGTERM did not stop the ranks"
[ ! -e "$work/two" ] || fail "the second phase began after a stop"

"${launch[@]}" 2>"$work/out2" || fail "exit code $?"
grep -q "resuming from $work/one/step_" "$work/out2" || fail "the first phase did not go on"
grep -q "weights from $work/one/step_000300" "$work/out2" || fail "the second phase did not begin with the first one's weights"
[ "$(cat "$work/two/latest")" = step_000020 ] || fail "the second phase did not end"
grep -q "resuming from" "$work/one/launch.log" || fail "launch.log does not hold what was said"
echo "  ok      launch_phases"
