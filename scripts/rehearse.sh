#!/usr/bin/env bash
# scripts/rehearse.sh - the whole of a real training on this host, in small: phase 1 and phase 2 of some steps each, from random weights on generated
# data, once undisturbed and once with a rank killed, a stop and the rest on fewer ranks; rates at 1, 2, 4 ... ranks, export and generation. Writes
# one report (report.md, report.json, losses.svg) and ends with exit code 1 and one line when something in it does not hold.
#
# usage: scripts/rehearse.sh [--ranks N] [--model CONFIG.json] [--tokens T1,T2] [--rows N] [--steps N] [--output DIR] [--section.key=value ...]
#   --ranks N         default: 8, 4, 2 or 1, as this host has GPUs; without any 8 ranks on the CPU
#   --model FILE      default: configs/models/mamba-codestral-7b.json on GPUs, configs/models/demo.json on CPUs
#   --tokens T1,T2    a row's tokens in the two phases; default: 16384,20480 on GPUs, 256,320 on CPUs
#   --rows N          rows of a step for each rank (default 1)
#   --steps N         steps of each phase (default 20)
#   --output DIR      a new folder (default runs/rehearsal); two and a bit checkpoints must fit there
#   --section.key=... settings of train, for all runs; --optim.lr=1e-4 for instance
#
# BUILD=folder chooses the programs (default: build/cuda with GPUs, else build/cpu). Whatever the host, the report also has the plan of the 7B shape
# on eight GPUs, and what its step should take, from measured parts.
set -euo pipefail
cd "$(dirname "$0")/.."
wrong() { echo "rehearse: $1; --help shows how" >&2; exit 2; }
fail() { echo "rehearse: $1" >&2; exit 1; }
say() { echo "rehearse: $1" >&2; }

gpus=$({ nvidia-smi -L 2>/dev/null || true; } | grep -c '^GPU' || true)
ranks='' model='' tokens='' rows=1 steps=20 output=runs/rehearsal settings=()
while [ $# -gt 0 ]; do
    case $1 in
    --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0" && exit 0 ;;
    --ranks | --model | --tokens | --rows | --steps | --output)
        [ $# -ge 2 ] || wrong "$1 needs a value"
        case $1 in
        --ranks) ranks=$2 ;; --model) model=$2 ;; --tokens) tokens=$2 ;; --rows) rows=$2 ;; --steps) steps=$2 ;; --output) output=$2 ;;
        esac
        shift
        ;;
    --*.*=*) settings+=("$1") ;;
    *) wrong "unknown option $1" ;;
    esac
    shift
done
if [ "$gpus" -gt 0 ]; then
    build=${BUILD:-build/cuda} backend=cuda
    model=${model:-configs/models/mamba-codestral-7b.json} tokens=${tokens:-16384,20480}
    for n in 8 4 2 1; do [ -n "$ranks" ] || [ "$gpus" -lt $n ] || ranks=$n; done
    # As in the one-GPU steps of BENCHMARKS.md, so that rates compare.
    kind='"precision": "bf16", "residual": "bf16", "gradients": "bf16", "recompute": "full"' lr=3e-4 watch='{}' type=bf16
else
    build=${BUILD:-build/cpu} backend=cpu
    model=${model:-configs/models/demo.json} tokens=${tokens:-256,320} ranks=${ranks:-8}
    # More ranks than cores: each computes with one thread, and waits long for its turn.
    kind='"precision": "f32"' lr=4e-3 watch='{"silent_s": 60, "hung_s": 300}' type=f32
    export OMP_NUM_THREADS=1
fi
export BUILD=$build OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
seq=("${tokens%,*}" "${tokens#*,}")
for n in "$ranks" "$rows" "$steps" "${seq[@]}"; do [[ $n =~ ^[1-9][0-9]*$ ]] || wrong "\"$n\" is no whole number above 0"; done
[ "$steps" -ge 4 ] || wrong "--steps must be at least 4"
for program in prepare train export generate; do
    [ -x "$build/$program" ] || fail "there is no $build/$program; run make first, or set BUILD"
done
for tool in mpirun python3; do command -v $tool >/dev/null || fail "no $tool; scripts/install_deps.sh installs it"; done
[ -f "$model" ] || fail "$model: no such model"
mkdir -p "$output"
out=$(realpath "$output")
[ -z "$(ls -A "$out")" ] || fail "$output is not empty; remove it, or give another --output"
every=$((steps / 2))

# --- settings, data, plans
phase() { # NUMBER WEIGHTS SAVE_EVERY: the settings file of a phase, as scripts/launch.sh takes it
    cat >"$out/phase$1.json" <<EOF
{"run_dir": "$out/run/phase$1", "model": {"config": "$model", "weights": "$2"}, $kind, "watch": $watch,
 "optim": {"lr": $lr, "warmup_steps": 5, "schedule": "constant"}, "batch": {"rows": $((ranks * rows)), "micro_rows": $rows},
 "phases": [{"name": "phase$1", "seq_len": ${seq[$1 - 1]}, "steps": $steps, "pack": false, "data": [{"path": "$out/phase$1.tok"}]}],
 "checkpoint": {"every_steps": $3, "keep": 1}, "log": {"tensorboard": false}}
EOF
}
phase 1 random $every
phase 2 "$out/run/phase1" 1000000
say "$ranks ranks ($backend), $model, ${seq[*]} tokens; into $out"
for p in 1 2; do
    scripts/rehearse_report.py data --model "$model" --rows $((ranks * rows * steps)) --tokens "${seq[p - 1]}" --seed $p >"$out/phase$p.jsonl"
    "$build/prepare" --input "$out/phase$p.jsonl" --output "$out/phase$p.tok" --on-bad-line error 2>>"$out/log" || fail "$(tail -n 1 "$out/log")"
    head -n 1 "$out/phase$p.jsonl" >"$out/first$p.jsonl"
    rm "$out/phase$p.jsonl"
done

plan() { # RANKS PHASE: into plan-phaseP-R.txt
    "$build/train" "$out/phase$2.json" "${settings[@]}" --batch.rows=$(($1 * rows)) --ranks "$1" --plan \
        >"$out/plan-phase$2-$1.txt" 2>>"$out/log" || fail "$(tail -n 1 "$out/log")"
}
bytes() { sed -n "s/^  $2 *\([0-9]*\)  .*/\1/p" "$1"; } # PLAN NAME
fits() { # RANKS: within what is free, both phases
    local p need free
    for p in 1 2; do
        need=$(bytes "$out/plan-phase$p-$1.txt" "in all") free=$(bytes "$out/plan-phase$p-$1.txt" "free on the device")
        [ "$need" -le "${free:-$need}" ] || return 1
    done
}
counts=() fewer=0
for ((n = 1; n < ranks; n *= 2)); do counts+=("$n"); done
for n in "${counts[@]}" "$ranks"; do
    plan "$n" 1
    plan "$n" 2
    [ "$n" -eq "$ranks" ] || ! fits "$n" || fewer=$n
done
fits "$ranks" ||
    fail "$ranks ranks need more memory than is free (see $out/plan-phase2-$ranks.txt); take fewer --tokens or a smaller --model"
need=$(($(bytes "$out/plan-phase1-$ranks.txt" "a checkpoint: weights and two moments (f32)") * 11 / 5))
free=$(df --output=avail -B1 "$out" | tail -n 1)
[ "$free" -ge "$need" ] || fail "$output: $need bytes of disk are needed for checkpoints, $free are free"
for t in 16384 20480; do # on paper: nobody needs the GPUs for it
    cat >"$out/paper.json" <<EOF
{"run_dir": "none", "model": {"config": "configs/models/mamba-codestral-7b.json", "weights": "random"}, "precision": "bf16", "residual": "bf16",
 "gradients": "bf16", "recompute": "full", "batch": {"rows": 8, "micro_rows": 1},
 "phases": [{"name": "paper", "seq_len": $t, "steps": 20, "pack": false, "data": [{"path": "none.tok"}]}]}
EOF
    "$build/train" "$out/paper.json" --ranks 8 --plan >"$out/plan-7b-8-$t.txt" 2>>"$out/log" || fail "$(tail -n 1 "$out/log")"
done
cat >"$out/rehearsal.json" <<EOF
{"backend": "$backend", "device": "$(grep -m 1 "^$backend: " "$out/log" || echo "$backend")", "cores": $(getconf _NPROCESSORS_ONLN), "ranks": $ranks, "fewer": $fewer,
 "model": "$model", "steps": $steps, "every": $every, "seq_len": [${seq[0]}, ${seq[1]}], "rows": $rows, "type": "$type",
 "commit": "$(git describe --always --dirty 2>/dev/null || echo unknown)", "date": "$(date -u +%FT%TZ)"}
EOF

# --- what runs share
run=0
trap '[ $run -eq 0 ] || { kill -TERM $run 2>/dev/null; sleep 1; kill -TERM $run 2>/dev/null; } || true' EXIT
launch() { # RANKS WORDS...: in the background, as $run; what it says goes to $log
    local n=$1
    shift
    scripts/launch.sh --ranks "$n" --max-restarts 2 "$@" "${settings[@]}" 2>>"$log" &
    run=$!
}
finish() { # WHAT
    local code=0
    wait $run || code=$?
    run=0
    [ $code -eq 0 ] || fail "$1 ended with exit code $code: $(grep -v '^ *$' "$log" | tail -n 1)"
}
wait_until() { # WHAT TEST...: while the run goes on
    until "${@:2}"; do
        kill -0 $run 2>/dev/null || fail "the run ended before $1: $(tail -n 1 "$log")"
        sleep 0.02
    done
}
lines() { # FILE N: it has at least so many
    [ -f "$1" ] && [ "$(wc -l <"$1")" -ge "$2" ]
}
said() { # FILE TEXT N: at least so many times
    [ -f "$1" ] && [ "$(grep -cF -- "$2" "$1")" -ge "$3" ]
}
newest_is() { [ -f "$1/latest" ] && [ "$(cat "$1/latest")" = "$2" ]; }
now() { date +%s.%N; }
seconds() { awk -v a="$1" -v b="$2" 'BEGIN {printf "%.2f", b - a}'; }
event() { tr -d '\n' <<<"$1" >>"$out/events.jsonl" && echo >>"$out/events.jsonl"; }
step_name() { printf 'step_%06d' "$1"; }
keep_manifests() { # RUN: what its checkpoints were, and their place on the disk back
    local d
    for d in "$1"/step_*; do cp "$d/manifest.json" "$d.manifest.json" && rm -r "$d"; done
}

# --- 1 to N: the rate of phase 1 at as many rows a rank
for n in "${counts[@]}"; do
    if ! fits "$n"; then
        say "the rate of $n of $ranks ranks: not run, more memory is needed than is free (plan-phase1-$n.txt)"
        continue
    fi
    say "the rate of $n of $ranks ranks"
    log=$out/log-rate-$n
    launch "$n" "$out/phase1.json" "--run_dir=$out/rate/$n" --batch.rows=$((n * rows)) --phases.0.steps=$((steps < 8 ? steps : 8)) \
        --checkpoint.every_steps=1000000
    finish "the run for the rate of $n"
    keep_manifests "$out/rate/$n"
done

# --- undisturbed
say "both phases, undisturbed"
log=$out/log-whole
launch "$ranks" "$out/phase1.json" "--run_dir=$out/whole/phase1" --checkpoint.every_steps=1000000
finish "phase 1"
launch "$ranks" "$out/phase2.json" "--run_dir=$out/whole/phase2" "--model.weights=$out/whole/phase1"
finish "phase 2"
keep_manifests "$out/whole/phase1"
keep_manifests "$out/whole/phase2"

# --- the same, disturbed: a rank killed in phase 1 after the checkpoint; a stop in phase 2, and the rest on fewer ranks
say "both phases, disturbed: phase 1"
log=$out/log-run one=$out/run/phase1 two=$out/run/phase2 victim=$((ranks - 1))
rank_pid() { # RANK: the process of this run that is it
    local p
    for p in /proc/[0-9]*; do
        if grep -qzxF "OMPI_COMM_WORLD_RANK=$1" "$p/environ" 2>/dev/null && grep -qzxF "$out/phase1.json" "$p/cmdline" 2>/dev/null; then
            echo "${p#/proc/}"
            return 0
        fi
    done
    return 1
}
launch "$ranks" "$out/phase1.json" "$out/phase2.json"
wait_until "its first step" lines "$one/metrics.jsonl" 1
pid=$(rank_pid $victim) || fail "rank $victim was gone before it could be killed; take more --steps or --tokens"
wait_until "its checkpoint" newest_is "$one" "$(step_name $every)"
wait_until "the kill" lines "$one/metrics.jsonl" $((every + 1 + steps / 10))
kill -9 "$pid" || fail "rank $victim was gone before it could be killed; take more --steps or --tokens"
t0=$(now)
cp "$one/metrics.jsonl" "$out/run/before-kill.jsonl"
say "rank $victim killed after step $(wc -l <"$out/run/before-kill.jsonl"), $(step_name $every) is there"
wait_until "the restart" said "$one/launch.log" "from the newest good checkpoint" 1
t1=$(now)
wait_until "loading" said "$one/launch.log" "GiB planned" 2
t2=$(now)
wait_until "the first step" lines "$one/metrics.jsonl" $((every + 1))
t3=$(now)
said "$one/launch.log" "resuming from $one/$(step_name $every)" 1 || fail "after the kill the run did not go on from $(step_name $every)"
event "{\"resume\": \"a rank killed\", \"ranks\": $ranks, \"from\": $ranks, \"rank\": $victim, \"step\": $every, \"gone_s\": $(seconds "$t0" "$t1"),
 \"load_s\": $(seconds "$t1" "$t2"), \"step_s\": $(seconds "$t2" "$t3")}"

if [ "$fewer" -gt 0 ]; then
    wait_until "the stop in phase 2" lines "$two/metrics.jsonl" $every
    kill -TERM $run
    finish "the stop in phase 2"
    at=$(wc -l <"$two/metrics.jsonl")
    [ "$at" -lt "$steps" ] || fail "phase 2 was over before it could be stopped; take more --steps or --tokens"
    [ -f "$two/$(step_name "$at")/manifest.json" ] || fail "the stop after step $at left no checkpoint"
    say "stopped after step $at of phase 2; the rest on $fewer ranks"
    keep_manifests "$one" # phase 2 has its own checkpoint from here on
    t1=$(now)
    launch "$fewer" "$out/phase2.json"
    wait_until "loading" said "$two/launch.log" "GiB planned" 2
    t2=$(now)
    wait_until "the first step" lines "$two/metrics.jsonl" $((at + 1))
    t3=$(now)
    event "{\"resume\": \"fewer ranks\", \"ranks\": $fewer, \"from\": $ranks, \"step\": $at, \"load_s\": $(seconds "$t1" "$t2"),
 \"step_s\": $(seconds "$t2" "$t3")}"
    finish "the rest of phase 2"
else
    say "there is no smaller number of ranks with enough memory: phase 2 goes on as it is"
    finish "phase 2"
    keep_manifests "$one"
fi

# --- export, generation
say "export and generation"
last=$two/$(step_name "$steps") log=$out/log-export
t0=$(now)
"$build/export" --checkpoint "$last" --output "$out/hf" --dtype $type 2>>"$log" || fail "$(tail -n 1 "$log")"
t1=$(now)
scripts/rehearse_report.py prompt <"$out/first2.jsonl" >"$out/prompts.jsonl"
"$build/generate" --model "$out/hf" --input "$out/prompts.jsonl" --output "$out/answers.jsonl" --temperature 0 --max-new-tokens 32 \
    --prompt-logprobs 2>>"$log" || fail "$(tail -n 1 "$log")"
event "{\"export_s\": $(seconds "$t0" "$t1"), \"bytes\": $(du -sb "$out/hf" | cut -f 1), \"generate_s\": $(seconds "$t1" "$(now)")}"
rm -r "$out/hf" "$two"/step_*[0-9] "$out"/phase?.tok "$out"/first?.jsonl "$out/paper.json"

scripts/rehearse_report.py report "$out"
