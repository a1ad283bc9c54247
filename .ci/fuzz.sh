#!/usr/bin/env bash
# long: libFuzzer on the C entries, atheris (or random mutations) on checkpoints and the Python functions, 60 s each
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
seconds=${PYQUANTK_FUZZ_SECONDS:-60}
need_clang

for source in tests/c/fuzz_*.c; do
    name=$(basename -s .c "$source")
    echo "-- $name"
    build_c "$name" --cc "$clang" --sanitize fuzzer,address,undefined
    mkdir -p "$work/fuzz/$name"
    (cd "$work/fuzz" && "$program" -max_len=600 -max_total_time="$seconds" -print_final_stats=1 "$name" 2> "$name.log") ||
        { tail -n 60 "$work/fuzz/$name.log"; exit 1; }
    grep -E '^stat::(number_of_executed_units|peak_rss_mb)' "$work/fuzz/$name.log"
done

build_wheel
fresh_venv fuzz "$wheel"
# It has wheels for some versions of CPython on Linux and macOS only.
"$venv/bin/pip" install -q --only-binary :all: atheris 2> /dev/null || skip "fuzz: atheris" "no wheel for this Python"
for target in checkpoint calls; do
    echo "-- $target"
    log_here=$work/fuzz/$target.log
    (cd "$work/fuzz" && "$venv/bin/python" "$root/tests/fuzz/run.py" "$target" --seconds "$seconds" > "$log_here" 2>&1) ||
        { tail -n 60 "$log_here"; exit 1; }
    tail -n 5 "$log_here"
done
