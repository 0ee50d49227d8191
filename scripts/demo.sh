#!/usr/bin/env bash
# scripts/demo.sh - the main job on a bare machine: installs what is missing, builds, and runs `make demo`.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install_deps.sh
make -j "$(nproc)"
make demo
