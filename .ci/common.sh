# shellcheck shell=bash
# What the stages share; sourced, never run.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=${PYQUANTK_CI_WORK:-$root/build/ci}
log=${PYQUANTK_CI_LOG:-/dev/null}
mkdir -p "$work"
cd "$root"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
unset PYTHONPATH PYQUANTK_ISA PYQUANTK_NUM_THREADS

die() { echo "error: $*" >&2; exit 1; }

# skip WHAT WHY: say so now and again at the end.
skip() { echo "SKIPPED $1: $2" | tee -a "$log"; }

# apt_need PACKAGE...: install those that are missing.
apt_need() {
    local missing=() package as_root=()
    for package in "$@"; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null) == installed ]] || missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    command -v apt-get > /dev/null || die "this stage needs ${missing[*]} (names of Debian packages) and there is no apt-get"
    if ((EUID)); then
        as_root=(sudo -n)
        "${as_root[@]}" true 2> /dev/null || die "this stage needs root once: apt-get install --no-install-recommends ${missing[*]}"
    fi
    export DEBIAN_FRONTEND=noninteractive
    "${as_root[@]}" apt-get -qq update
    "${as_root[@]}" apt-get -qq install -y --no-install-recommends "${missing[@]}" > /dev/null
}

# need COMMAND PACKAGE...: install the packages unless the command is there, from wherever.
need() { command -v "$1" > /dev/null || apt_need "${@:2}"; }

# The first Python that is new enough and can make virtual environments and extensions.
find_python() {
    local candidate
    for candidate in ${PYTHON-} python3 python3.14 python3.13 python3.12 python3.11; do
        "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null || continue
        if ! "$candidate" -c 'import ensurepip, pathlib, sysconfig, sys
sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists())' 2> /dev/null; then
            apt_need python3-venv python3-dev
        fi
        python=$(command -v "$candidate")
        return
    done
    die "no Python >= 3.11 found; name one with PYTHON=..."
}
find_python
need cc gcc libc6-dev

# tree_files: the files of this checkout that are not ignored, committed or not.
tree_files() {
    if git -C "$root" rev-parse --is-inside-work-tree > /dev/null 2>&1; then
        git -C "$root" ls-files -z --cached --others --exclude-standard --deduplicate
    else
        find . \( -path ./build -o -path ./.git \) -prune -o -type f -printf '%P\0'
    fi
}

# copy_tree DIR: a clean copy, so that no build folder of a developer decides a result, nor ours theirs.
copy_tree() {
    rm -rf "$1"
    mkdir -p "$1"
    local file
    tree_files | while IFS= read -r -d '' file; do
        [[ ! -f $file ]] || printf '%s\0' "$file" # deleted but not yet committed
    done | tar --create --null --files-from=- --file=- | tar --extract --file=- --directory="$1"
}

# fresh_venv NAME [REQUIREMENT...]: sets $venv.
fresh_venv() {
    venv=$work/venv-$1
    "$python" -m venv --clear "$venv"
    (($# == 1)) || "$venv/bin/pip" install -q "${@:2}"
}

# build_wheel: sets $wheel, built once for each state of the tree.
build_wheel() {
    local state
    state=$(tree_files | sort -z | xargs -0 sha256sum 2> /dev/null | sha256sum | cut -c1-16) || true
    wheel=$(echo "$work/wheel-$state"/*.whl)
    if [[ ! -f $wheel ]]; then
        copy_tree "$work/tree-wheel"
        "$python" -m pip wheel -q --no-deps -w "$work/wheel-$state" "$work/tree-wheel"
        wheel=$(echo "$work/wheel-$state"/*.whl)
    fi
}

# readme_command START: the line of README.md that begins so.
readme_command() {
    local line
    line=$(grep -m 1 -F -- "$1" README.md) || die "README.md has no line with: $1"
    line=${line#"${line%%[![:space:]]*}"}
    echo "${line#\$ }"
}

# summary_line NAME FILE: keep pytest's last line for the end of the run.
summary_line() { printf '%-8s %s\n' "$1" "$(tail -n 1 "$2")" >> "$log"; }

# ---- the C programs of tests/c: one file test_*.c each, or the folder harness

c_out=$work/c
# What the programs expect of sanitizers: forked children may start threads, absurd sizes give NULL as without them.
export TSAN_OPTIONS=die_after_fork=0:allocator_may_return_null=1
export ASAN_OPTIONS=detect_stack_use_after_return=1:allocator_may_return_null=1

# build_c NAME OPTION...: tests/c/NAME.c or the folder tests/c/NAME, with these options of build.py; sets $program.
build_c() {
    local sources=("tests/c/$1.c")
    [[ ! -d tests/c/$1 ]] || sources=("tests/c/$1"/*.c)
    program=$c_out/$1
    "$python" tests/c/build.py -D PQK_TESTING -o "$program" "${@:2}" "${sources[@]}"
}

# each_c OPTION...: build and run every small program.  Those that enumerate take a sample under a sanitizer, which
# sees no more in the rest.
each_c() {
    local source name arguments
    for source in tests/c/test_*.c; do
        name=$(basename -s .c "$source")
        arguments=()
        if [[ " $* " == *" --sanitize "* ]] && grep -q -- '"--quick"' "$source"; then arguments=(--quick); fi
        echo "   $name ${arguments[*]}"
        build_c "$name" "$@"
        "$program" "${arguments[@]}"
    done
}

# need_clang: sets $clang; with the libraries of its sanitizers and of libFuzzer.
need_clang() {
    local version=19
    clang=clang-$version
    need "$clang" "$clang"
    mkdir -p "$work"
    echo 'int main(void) { return 0; }' | "$clang" -fsanitize=memory -x c - -o "$work/probe" 2> /dev/null ||
        apt_need "libclang-rt-$version-dev"
}
