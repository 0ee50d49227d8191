#!/usr/bin/env bash
# scripts/check.sh [BUILD] - what can be checked without running anything: who includes whom, that every header stands alone, format, lint.
# Tools that are not installed are skipped with a message. The last line is "check: N passed, N failed, N skipped"; exit 1 if one failed.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/cpu}
jobs=$(nproc)
passed=0 failed=0 skipped=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

verdict() { # NAME STATUS: the log is shown when it failed
    if [ "$2" -eq 0 ]; then
        passed=$((passed + 1))
        echo "  ok      check: $1"
    else
        failed=$((failed + 1))
        cat "$log"
        echo "  FAILED  check: $1"
    fi
}
skip() { # NAME WHY
    skipped=$((skipped + 1))
    echo "  skipped check: $1: $2"
}
sources() { # files of the project with one of the given endings
    local names=() ending
    for ending in "$@"; do names+=(-o -name "*.$ending"); done
    find core kernels data model train infer tests -type f \( "${names[@]:1}" \) | LC_ALL=C sort
}

# Floors: core(0) <- kernels, data(1) <- model(2) <- train, infer(3); tests may include all. Backends are seen by nobody but themselves,
# and #if stays inside kernels/ (include guards and the C++ and CUDA brackets of headers apart).
floors() {
    sources c h cc cu cuh | xargs awk '
        BEGIN { split("core 0 kernels 1 data 1 model 2 train 3 infer 3 tests 4", w); for (i = 1; i in w; i += 2) floor[w[i]] = w[i + 1] }
        function complain(what) { printf "%s:%d: %s\n", FILENAME, FNR, what; bad = 1 }
        FNR == 1 { split(FILENAME, own, "/") }
        /^[ \t]*#[ \t]*include[ \t]*"/ {
            split($0, quoted, "\""); split(quoted[2], to, "/")
            if (!(to[1] in floor)) complain("\"" quoted[2] "\": write the path from the top folder, as in \"core/err.h\"")
            else if (to[1] != own[1] && floor[to[1]] >= floor[own[1]]) complain(own[1] "/ must not include " to[1] "/ (" quoted[2] ")")
            else if ((to[2] == "cpu" || to[2] == "cuda") && own[1] != "tests" && own[2] != to[2]) complain("only kernels/" to[2] "/ includes " quoted[2])
        }
        /^[ \t]*#[ \t]*(if|elif)/ && own[1] != "kernels" && own[1] != "tests" && !/__cplusplus|__CUDACC__|#ifndef [A-Z0-9_]+_H$/ {
            complain("conditional compilation outside kernels/: " $0)
        }
        END { exit bad }'
}

# The headers inside one backend and those of the tests have one language each: C here, CUDA's are compiled with their .cu.
headers() {
    sources h | grep -v '^kernels/cuda/' | xargs -P "$jobs" -n 4 bash -c '
        status=0
        for h; do
            ${CC:-cc} -std=c17 -fopenmp -fsyntax-only -Werror -I. -D_GNU_SOURCE -x c "$h" || status=1
            case $h in tests/* | kernels/cpu/*) continue ;; esac
            ${CXX:-c++} -std=c++17 -fsyntax-only -Werror -I. -D_GNU_SOURCE -x c++ "$h" || status=1
        done
        exit $status' headers
}

# Not trusted: uninitvar (does not see that a counter guards an array; gcc and the sanitizers do), internalAstError ((type){0} after "?").
lint() {
    mkdir -p "$build/cppcheck"
    sources c | grep -v '^tests/' | xargs cppcheck -j "$jobs" --quiet --cppcheck-build-dir="$build/cppcheck" --std=c17 --language=c \
        --enable=warning,portability --inline-suppr --error-exitcode=1 -I. -D_GNU_SOURCE --suppress=missingInclude \
        --suppress=unmatchedSuppression --suppress=uninitvar --suppress=internalAstError
}

status=0
floors >"$log" 2>&1 || status=1
verdict "includes go down the floors" $status

status=0
headers >"$log" 2>&1 || status=1
verdict "every header compiles alone, as C17 and C++17" $status

# Versions of clang-format disagree about details, those of cppcheck about what is suspicious: only the ones that the sources were written
# with can judge them.
version=$(clang-format --version 2>/dev/null | sed -n 's/.*version \([0-9]*\).*/\1/p' || true)
if [ "$version" = 14 ]; then
    status=0
    sources c h cc cu cuh | xargs clang-format --dry-run -Werror >"$log" 2>&1 || status=1
    verdict "clang-format" $status
else
    skip clang-format "version 14 is not installed (found: ${version:-none})"
fi

version=$(cppcheck --version 2>/dev/null | sed -n 's/^Cppcheck \([0-9]*\.[0-9]*\).*/\1/p' || true)
if [ "$version" = 2.10 ]; then
    status=0
    lint >"$log" 2>&1 || status=1
    verdict cppcheck $status
else
    skip cppcheck "version 2.10 is not installed (found: ${version:-none})"
fi

echo "check: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
