#!/usr/bin/env bash
# long: the C programs of tests/c under Clang's ASan, UBSan, MSan and TSan, and under valgrind
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
need valgrind valgrind libc6-dbg
need_clang

echo "-- ASan and UBSan"
each_c --cc "$clang" --sanitize address,undefined
build_c harness --cc "$clang" --sanitize address,undefined
"$program" --quick

echo "-- MSan"
build_c harness --cc "$clang" --sanitize memory
"$program" --quick

echo "-- TSan"
each_c --cc "$clang" --sanitize thread

echo "-- valgrind, which knows instructions up to AVX2 and says so to the CPU detection"
build_c harness --flag=-Werror
valgrind -q --error-exitcode=1 "$program" --quick --random 20 --only kernels
