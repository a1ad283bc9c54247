#!/usr/bin/env bash
# ruff, mypy --strict, clang-format, shellcheck: versions pinned in lint-requirements.txt
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
fresh_venv lint -r .ci/lint-requirements.txt
bin=$venv/bin

"$bin/ruff" check .
"$bin/ruff" format --check .
"$bin/mypy"
git ls-files -z -- '*.c' '*.h' 2> /dev/null | xargs -0 -r "$bin/clang-format" --dry-run --Werror
"$bin/shellcheck" --external-sources --source-path=SCRIPTDIR .ci/run .ci/*.sh
