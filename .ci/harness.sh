#!/usr/bin/env bash
# the C programs of tests/c: plain, and under ASan + UBSan by GCC
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

echo "-- plain"
each_c --flag=-Werror
build_c harness --flag=-Werror
"$program"

echo "-- ASan and UBSan"
each_c --sanitize address,undefined
build_c harness --sanitize address,undefined
"$program" --quick
