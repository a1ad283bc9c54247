#!/usr/bin/env bash
# the C library compiled and linked for Windows, macOS and musl, x86-64 and ARM, with zig cc
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
fresh_venv cross ziglang==0.17.0
for target in {x86_64,aarch64}-{linux-musl,macos,windows-gnu}; do
    echo "-- $target"
    "$venv/bin/python" tests/c/build.py --target "$target" --shared --flag=-Werror -o "$work/cross/$target/pyquantk"
done
