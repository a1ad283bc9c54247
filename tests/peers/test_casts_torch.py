"""PyTorch's casts on the CPU: float8 types both ways, float16 and bfloat16."""

from __future__ import annotations

import numpy as np
import pytest

import pyquantk as qk

torch = pytest.importorskip("torch", reason="torch is not installed")

RELEASE = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
SOURCES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
#: Its types, and the `saturate` that gives its treatment of what is too large.
TARGETS = {
    "float8_e4m3fn": (torch.float8_e4m3fn, RELEASE >= (2, 12)),
    "float8_e5m2": (torch.float8_e5m2, False),
    "float8_e4m3fnuz": (torch.float8_e4m3fnuz, False),
    "float8_e5m2fnuz": (torch.float8_e5m2fnuz, False),
}


def values(name):
    if name != "float32":
        return torch.arange(1 << 16, dtype=torch.int32).to(torch.int16).view(SOURCES[name])
    rng = np.random.default_rng(1)
    exponents = np.repeat(np.arange(512, dtype=np.uint32) << 23, 128)
    steps = np.tile(np.arange(128, dtype=np.uint32) << 16, 512) + rng.integers(-1, 2, exponents.size).astype(np.uint32)
    noise = rng.integers(0, 1 << 32, 1 << 16, dtype=np.uint32)
    return torch.from_numpy(np.concatenate([exponents + steps, noise]).view(np.float32))


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("name", TARGETS)
def test_to_float8(name, source):
    kind, saturate = TARGETS[name]
    if name == "float8_e4m3fn" and not saturate:
        pytest.skip("before 2.12 torch's e4m3fn overflows at a limit of its own")
    x = values(source)
    nan = torch.isnan(x).numpy()
    wanted = x.to(kind).view(torch.uint8).numpy()
    got = qk.cast(x, name, saturate=saturate).view(np.uint8)
    np.testing.assert_array_equal(got[~nan], wanted[~nan])


@pytest.mark.parametrize("target", SOURCES)
@pytest.mark.parametrize("name", TARGETS)
def test_from_float8(name, target):
    codes = np.arange(256, dtype=np.uint8)
    wanted = torch.from_numpy(codes).view(TARGETS[name][0]).to(SOURCES[target]).float().numpy()
    got = qk.cast(codes.view(qk.cast([1.0], name).dtype), target).astype(np.float32)
    np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_to_sixteen_bits(name):
    x = values("float32")
    wanted = x.to(SOURCES[name]).view(torch.int16).numpy().view(np.uint16)
    known = ~torch.isnan(x).numpy()
    np.testing.assert_array_equal(qk.cast(x, name).view(np.uint16)[known], wanted[known])
