#!/usr/bin/env bash
# the README's second command, word for word, in a clean copy and a new virtual environment
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
command=$(readme_command "pip install '.[test]'")
copy_tree "$work/tree-tests"
fresh_venv tests
cd "$work/tree-tests"
# shellcheck source=/dev/null
source "$venv/bin/activate"
echo "+ $command"
bash -c "$command" 2>&1 | tee "$work/tests.log"
# Kept apart: .ci/run prints it last.
tail -n 1 "$work/tests.log" > "$work/tests.summary"
