#!/usr/bin/env bash
# long: the C programs of tests/c under Clang's ASan, UBSan, MSan and TSan, and under valgrind
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
out=$work/harness
llvm=19
need valgrind valgrind libc6-dbg
need clang-$llvm clang-$llvm
has_runtime() { echo 'int main(void) { return 0; }' | clang-$llvm -fsanitize=memory -x c - -o "$out/probe" 2> /dev/null; }
mkdir -p "$out"
has_runtime || apt_need libclang-rt-$llvm-dev

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

echo "-- ASan and UBSan"
each --cc clang-$llvm --sanitize address,undefined
build harness --cc clang-$llvm --sanitize address,undefined
"$program" --quick

echo "-- MSan"
build harness --cc clang-$llvm --sanitize memory
"$program" --quick

echo "-- TSan"
each --cc clang-$llvm --sanitize thread

echo "-- valgrind, which knows instructions up to AVX2 and says so to the CPU detection"
build harness --flag=-Werror
valgrind -q --error-exitcode=1 "$program" --quick --random 20 --only kernels
