#!/usr/bin/env bash
# arm64 in qemu-user: the C harness, selftest on three CPUs, the pytest suite
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
need qemu-aarch64 qemu-user
need aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu libc6-dev-arm64-cross
arm=$work/arm64
root_arm=$arm/root
site=$arm/site

# CPython 3.11 for arm64: Debian's packages, unpacked beside the system by an APT that knows only this folder.
if [[ ! -x $root_arm/usr/bin/python3.11 ]]; then
    echo "-- unpacking arm64 CPython"
    rm -rf "$arm" && mkdir -p "$arm"/apt/{state/lists/partial,cache/archives/partial} "$root_arm"
    : > "$arm/apt/status"
    cat > "$arm/apt/apt.conf" << EOF
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Install-Recommends "false";
APT::Sandbox::User "$(id -un)";
Acquire::Languages "none";
Debug::NoLocking "true";
Dir::Cache "$arm/apt/cache";
Dir::State "$arm/apt/state";
Dir::State::status "$arm/apt/status";
EOF
    export APT_CONFIG=$arm/apt/apt.conf
    apt-get -qq update
    apt-get -qq -y --download-only install python3.11 libpython3.11-dev libstdc++6 > /dev/null
    for deb in "$arm"/apt/cache/archives/*.deb; do dpkg-deb -x "$deb" "$root_arm"; done
    unset APT_CONFIG
    rm -rf "$arm/apt"
fi

# sys.executable of the emulated Python, so that tests can start another: the name it is called by, not the host's.
run=$root_arm/usr/bin/python-under-qemu
cat > "$run" << EOF
#!/bin/sh
export PYTHONPATH="\${PYTHONPATH:-$site}" # also for a test that clears the environment
exec $(command -v qemu-aarch64) -cpu "\${PYQUANTK_QEMU_CPU:-max}" -L "$root_arm" -0 "\$0" "$root_arm/usr/bin/python3.11" "\$@"
EOF
chmod +x "$run"

echo "-- arm64 wheels, and pyquantk cross-compiled"
fresh_venv arm64 'setuptools>=77.0.3' 'cython>=3.3,<4' 'numpy>=2.0'
rm -rf "$site" "$arm/wheel"
platforms=()
for glibc in 28 27 24 17; do platforms+=(--platform "manylinux_2_${glibc}_aarch64"); done
# Not onnxruntime, which crashes under emulation; the tests that want it say so and are skipped.
"$venv/bin/pip" install -q --target "$site" --python-version 3.11 --implementation cp --abi cp311 --abi abi3 --abi none \
    "${platforms[@]}" --platform manylinux2014_aarch64 --only-binary :all: \
    numpy ml_dtypes pytest pytest-xdist hypothesis threadpoolctl tqdm onnx gguf
copy_tree "$arm/tree"
_PYTHON_HOST_PLATFORM=linux-aarch64 CC=aarch64-linux-gnu-gcc LDSHARED="aarch64-linux-gnu-gcc -shared" \
    CFLAGS="-I$root_arm/usr/include/python3.11 -I$root_arm/usr/include -I$site/numpy/_core/include" \
    "$venv/bin/pip" wheel -q --no-build-isolation --no-deps -w "$arm/wheel" "$arm/tree"
"$venv/bin/pip" install -q --no-deps --target "$site" --platform linux_aarch64 --python-version 3.11 \
    --only-binary :all: "$arm"/wheel/*.whl

echo "-- the harness on max"
build_c harness --target aarch64-linux-gnu --flag=-Werror
qemu-aarch64 -cpu max -L "$root_arm" "$program" --quick --only kernels --random 50

export PYTHONPATH=$site PYTHONDONTWRITEBYTECODE=1
export PYTHONSAFEPATH=1 # the installed package, not the folder beside tests/
export HYPOTHESIS_PROFILE=quick PYQUANTK_EMULATED=1 # emulation is some thirty times slower
cd "$arm/tree"
for cpu in max neoverse-n1 cortex-a57; do
    echo "-- selftest on $cpu"
    PYQUANTK_QEMU_CPU=$cpu "$run" -m pyquantk selftest
done
echo "-- pytest on max"
# Peers are compared natively: some of them do not survive emulation. Of the harness, which has just been run and whose
# tests want a compiler for the machine they are on, nothing more.
"$run" -m pytest -q -n "$(nproc)" -p no:cacheprovider --ignore=tests/peers --ignore=tests/test_harness.py 2>&1 | tee "$arm/pytest.log"
summary_line arm64 "$arm/pytest.log"
