#!/usr/bin/env bash
# selftest on x86-64 CPUs without AVX-512 (Haswell) and without AVX (Nehalem), emulated
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
[[ $(uname -m) == x86_64 ]] || { skip x86 "this machine is $(uname -m)"; exit 0; }
need qemu-x86_64 qemu-user
build_wheel
fresh_venv x86 "$wheel"
cd "$work"
for cpu in Haswell Nehalem; do
    echo "-- $cpu"
    # A kernel that dispatch should not have chosen dies here of an illegal instruction.
    qemu-x86_64 -cpu "$cpu" "$venv/bin/python" -m pyquantk selftest
done
