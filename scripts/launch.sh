#!/usr/bin/env bash
# scripts/launch.sh - a whole training without anyone watching: one settings file after the other (phase 1, then phase 2), each on N ranks, started
# again from its newest good checkpoint when a rank fails. What is said goes to the terminal and to RUN_DIR/launch.log.
#
# usage: scripts/launch.sh [--ranks N] [--max-restarts N] [--hosts FILE] [CONFIG.json ...] [--section.key=value ...]
#        default: --ranks 8 --max-restarts 20 configs/phase1-7b.json configs/phase2-7b.json
#
# Run it again to go on: what is done is passed over. SIGTERM, SIGINT and SIGUSR1 make the run save and stop, with exit code 0 and nothing
# after it. Exit code 1: a run failed for good, the last line says why. BUILD=folder chooses the programs (default build/cuda).
set -euo pipefail
cd "$(dirname "$0")/.."
train=${BUILD:-build/cuda}/train
ranks=8 restarts=20 hosts=() configs=() settings=()
while [ $# -gt 0 ]; do
    case $1 in
    --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" && exit 0 ;;
    --ranks | --max-restarts | --hosts)
        [ $# -ge 2 ] || { echo "launch: $1 needs a value" >&2; exit 2; }
        case $1 in --ranks) ranks=$2 ;; --max-restarts) restarts=$2 ;; --hosts) hosts=(--hosts "$2") ;; esac
        shift
        ;;
    --*) settings+=("$1") ;;
    *) configs+=("$1") ;;
    esac
    shift
done
[ ${#configs[@]} -gt 0 ] || configs=(configs/phase1-7b.json configs/phase2-7b.json)
[ -x "$train" ] || { echo "launch: there is no $train; build it (make BACKEND=cuda), or set BUILD" >&2; exit 2; }

run=0 stop=0
trap 'stop=1; [ $run -eq 0 ] || kill -TERM $run' TERM INT USR1
for config in "${configs[@]}"; do
    folder=$("$train" "$config" "${settings[@]}" --print-config | sed -n 's/^  "run_dir": "\(.*\)",\{0,1\}$/\1/p')
    mkdir -p "$folder"
    echo "launch: $config, $ranks ranks, $(date -u +%FT%TZ)" | tee -a "$folder/launch.log" >&2
    "$train" "$config" "${settings[@]}" --ranks "$ranks" --max-restarts "$restarts" "${hosts[@]}" 2> >(exec tee -i -a "$folder/launch.log" >&2) &
    run=$!
    code=0
    while :; do # a signal ends the waiting, not the run
        wait $run && code=0 || code=$?
        kill -0 $run 2>/dev/null || break
    done
    run=0
    [ $code -eq 0 ] || exit $code
    [ $stop -eq 0 ] || exit 0
done
echo "launch: done" >&2
