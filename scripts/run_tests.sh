#!/usr/bin/env bash
# scripts/run_tests.sh BUILD - runs the checks, every test program of tests/test_*.c as built under BUILD, and every tests/*.sh, and sums up.
# A program's last "name: N passed, N failed, N skipped" line counts; one that crashes, hangs or is missing counts as failed. A script without
# such a line passes with exit code 0 and is skipped with 77. Whole outputs stay in BUILD/tests/*.log; of failures they are shown.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:?usage: scripts/run_tests.sh BUILD}
export PCM_BUILD=$build # for tests that run the programs
limit=300               # seconds a test program may take
# OpenMP threads that wait spin for some 10 ms by default, which ruins a machine that does other work too: they sleep sooner.
export GOMP_SPINCOUNT=${GOMP_SPINCOUNT:-10000}
mkdir -p "$build/tests"
passed=0 failed=0 skipped=0 bad=()

run() { # NAME COMMAND...
    local name=$1 log="$build/tests/$1.log" status=0 counts start=$SECONDS
    shift
    timeout "$limit" "$@" >"$log" 2>&1 || status=$?
    counts=$(sed -n 's/^[^ ]*: \([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' "$log" | tail -n 1)
    if [ -z "$counts" ] && [[ $1 == bash ]]; then
        case $status in 0) counts="1 0 0" ;; 77) counts="0 0 1" status=0 ;; *) counts="0 1 0" ;; esac
    fi
    local p f s why=""
    read -r p f s <<<"${counts:-0 0 0}"
    if [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; then
        f=1 why=" (crashed: exit code $status)"
        [ "$status" -ne 124 ] || why=" (stopped after $limit s)"
    elif [ -z "$counts" ]; then
        f=1 why=" (printed no result)"
    fi
    if [ "$f" -gt 0 ]; then
        grep -v "^  ok  " "$log" | tail -n 200 || true
        bad+=("$name$why")
    else
        grep "^  skipped" "$log" || true
    fi
    echo "$name: $p passed, $f failed, $s skipped$why, $((SECONDS - start)) s"
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

run check bash scripts/check.sh "$build"
for source in tests/test_*.c; do
    name=$(basename "$source" .c)
    run "$name" "$build/tests/$name"
done
shopt -s nullglob
for script in tests/*.sh; do
    run "$(basename "$script" .sh)" bash "$script"
done

# Once more at the end, which is all that some show of a long output.
for name in "${bad[@]}"; do
    echo "failed: $name; the end of $build/tests/${name%% *}.log:"
    grep -v "^  ok  " "$build/tests/${name%% *}.log" | tail -n 12 | cut -c 1-400 | sed 's/^/    /' || true
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
