#!/usr/bin/env bash
# sdist, the wheel built from it, and what twine, abi3audit and check-wheel-contents say of them
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
rm -rf "$work/dist-package"
copy_tree "$work/tree-package"
fresh_venv package build twine abi3audit check-wheel-contents
"$venv/bin/python" -m build -o "$work/dist-package" "$work/tree-package" > "$work/package.log" 2>&1 ||
    { tail -n 50 "$work/package.log"; exit 1; }
"$venv/bin/twine" check --strict "$work"/dist-package/*
"$venv/bin/check-wheel-contents" "$work"/dist-package/*.whl
"$venv/bin/abi3audit" --strict "$work"/dist-package/*.whl
