#!/usr/bin/env bash
# scripts/test.sh - the whole test suite on a bare machine: installs what is missing, builds, tests. With the CUDA toolkit, the CUDA programs
# and tests are compiled and linked too, and run when there is a GPU. The last line sums up; exit 1 if a test failed.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install_deps.sh
jobs=$(nproc)

if command -v nvcc >/dev/null || [ -x /usr/local/cuda/bin/nvcc ]; then
    PATH=$PATH:/usr/local/cuda/bin
    make -j "$jobs" BACKEND=cuda tests
    if nvidia-smi -L >/dev/null 2>&1; then
        make BACKEND=cuda test
    else
        echo "no GPU: the CUDA tests were built and linked, and are not run" >&2
    fi
else
    echo "no nvcc: only the CPU build is tested" >&2
fi
make -j "$jobs" tests
make test
