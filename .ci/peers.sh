#!/usr/bin/env bash
# tests/peers with torch beside onnxruntime, onnx and gguf, or why not
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
torch=torch==2.13.0
build_wheel
fresh_venv peers "${wheel}[test]"
copy_tree "$work/tree-peers"
# Without its dependencies, of which some builds have gigabytes for GPUs: what the CPU part imports is named here.
if ! { "$venv/bin/pip" install -q --no-deps "$torch" \
    && "$venv/bin/pip" install -q filelock typing-extensions sympy networkx jinja2 fsspec 'setuptools>=77' \
    && "$venv/bin/python" -c 'import torch'; } > "$work/torch.log" 2>&1; then
    skip "peers: torch" "pip install $torch: $(tail -n 1 "$work/torch.log")"
    "$venv/bin/pip" uninstall -q -y torch
fi
cd "$work/tree-peers"
"$venv/bin/pytest" tests/peers 2>&1 | tee "$work/peers.log"
summary_line peers "$work/peers.log"
