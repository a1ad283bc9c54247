#!/usr/bin/env bash
# the README's first command, word for word, in a clean copy and a new virtual environment
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
command=$(readme_command "pip install '.[cli]'")
copy_tree "$work/tree-demo"
fresh_venv demo
cd "$work/tree-demo"
# shellcheck source=/dev/null
source "$venv/bin/activate"
echo "+ $command"
bash -c "$command"
