#!/usr/bin/env bash
# scripts/install_deps.sh - installs what the build and the tests need and this machine lacks (Debian 12, Ubuntu 24.04). CUDA is not among it:
# install the CUDA toolkit (12 or later) and cuDNN (9.15 or later) yourself for `make BACKEND=cuda`.
set -euo pipefail
packages=(gcc g++ make pkg-config libdnnl-dev libjansson-dev libsentencepiece-dev libzstd-dev zlib1g-dev libsnappy-dev libxxhash-dev libssl-dev libseccomp-dev bubblewrap python3 python3-numpy libmpc-dev libmpfr-dev libgmp-dev libcurl4-openssl-dev zstd libopenmpi-dev openmpi-bin)

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    if command -v cc >/dev/null && command -v make >/dev/null; then
        echo "install_deps: no apt here; the build needs your system's packages of: ${packages[*]}" >&2
        exit 0 # they may be there: the build says what it misses
    fi
    echo "install_deps: no apt here; install your system's packages of: ${packages[*]}, then run again" >&2
    exit 1
fi

missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "install_deps: missing ${missing[*]}; install them as root, then run again" >&2; exit 1; }
    as_root=(sudo)
fi
echo "install_deps: installing ${missing[*]}" >&2
# The package lists may be old or absent: a second try after fetching them.
install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}")
"${install[@]}" >&2 || { "${as_root[@]}" apt-get update -q >&2 && "${install[@]}" >&2; }
