#!/usr/bin/env bash
# the C programs of tests/c: plain, and under ASan + UBSan by GCC
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
out=$work/harness
mkdir -p "$out"

# A program is one file tests/c/test_*.c, or the folder tests/c/harness.
mapfile -t small < <(basename -s .c -a tests/c/test_*.c)
# What test programs expect of each other: forked children may start threads.
export TSAN_OPTIONS=die_after_fork=0:allocator_may_return_null=1 ASAN_OPTIONS=detect_stack_use_after_return=1:allocator_may_return_null=1

# build NAME OPTION...: sets $program.
build() {
    local sources=("tests/c/$1.c")
    [[ ! -d tests/c/$1 ]] || sources=("tests/c/$1"/*.c)
    program=$out/$1
    "$python" tests/c/build.py -o "$program" "${@:2}" "${sources[@]}"
}

# each OPTION...: build and run the small programs with these options of build.py.
each() {
    local name
    for name in "${small[@]}"; do
        echo "   $name"
        build "$name" "$@"
        "$program"
    done
}

echo "-- plain"
each --flag=-Werror
build harness --flag=-Werror
"$program"

echo "-- ASan and UBSan"
each --sanitize address,undefined
build harness --sanitize address,undefined
"$program" --quick
