"""Microscaling as gguf (MXFP4) and torchao (MX and NVFP4) have it."""

from __future__ import annotations

import warnings

import ml_dtypes
import numpy as np
import pytest

import pyquantk as qk

from . import inputs

ELEMENTS = {
    "mxfp8_e4m3": "float8_e4m3fn",
    "mxfp8_e5m2": "float8_e5m2",
    "mxfp6_e2m3": "fp6_e2m3",
    "mxfp6_e3m2": "fp6_e3m2",
    "mxfp4": "float4_e2m1fn_x2",
}
GREATEST = {name: np.float32(greatest) for name, greatest in zip(ELEMENTS, (448, 57344, 7.5, 28, 6), strict=True)}


def blocks(rng, size=32):
    """Blocks of every magnitude, powers of two and their neighbours in front."""
    x = (rng.normal(size=(600, 4 * size)) * np.exp2(rng.uniform(-100, 100, (600, 1)))).astype(np.float32)
    powers = np.exp2(rng.integers(-100, 100, (600, 4))).astype(np.float32)
    near = np.nextafter(powers, rng.choice(np.array([0, np.inf], np.float32), powers.shape))
    x[:, ::size] = np.where(rng.random(powers.shape) < 0.3, powers, np.where(rng.random(powers.shape) < 0.5, near, 0))
    x[::50] = 0
    return x


@pytest.fixture(scope="module")
def torch():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("torchao.prototype.mx_formats.mx_tensor", reason="torchao with MX formats is not installed")
    return pytest.importorskip("torch", reason="torch is not installed")


class TestTorchao:
    @pytest.mark.parametrize("kind", ["float32", "bfloat16"])
    @pytest.mark.parametrize("mode", ["floor", "ceil", "even", "rceil"])
    @pytest.mark.parametrize("name", ELEMENTS)
    def test_to_mx(self, isa, torch, name, mode, kind):
        from torchao.prototype.mx_formats import config, constants, mx_tensor

        element = getattr(torch, ELEMENTS[name], None) or getattr(constants, f"DTYPE_{ELEMENTS[name].upper()}")
        x = blocks(inputs.generator("mx", name, mode))
        if kind == "bfloat16":
            x = x.astype(ml_dtypes.bfloat16)
        given = torch.from_numpy(x.view(np.int16)).view(torch.bfloat16) if kind == "bfloat16" else torch.from_numpy(x)
        how = config.ScaleCalculationMode(mode)
        scale, data = mx_tensor.to_mx(given, element, 32, how)
        scale, data = scale.view(torch.uint8).numpy(), data.view(torch.uint8).numpy()

        m = qk.quantize_mx(x, name, scale_mode=mode, packed=name == "mxfp4")
        codes, elements = m.scales.view(np.uint8), m.elements.view(np.uint8)
        same = np.ones(codes.shape, bool)
        if mode == "rceil":  # a float32 logarithm takes what is just above a power of two for it; we never do
            absmax = np.abs(x.astype(np.float32)).reshape(*codes.shape, 32).max(-1)
            fraction = (absmax / GREATEST[name]).view(np.uint32) & 0x7FFFFF
            same = (fraction == 0) | (fraction > 256)
            assert (codes[~same] - scale[~same] <= 1).all()
        assert same.mean() > 0.8
        np.testing.assert_array_equal(codes[same], scale[same])
        each = np.repeat(same & (codes > 0), elements.shape[-1] // codes.shape[-1], -1)
        np.testing.assert_array_equal(elements[each], data[each])
        assert (elements[np.repeat(codes == 0, elements.shape[-1] // codes.shape[-1], -1)] == 0).all()

    def test_not_a_number(self, isa, torch):
        from torchao.prototype.mx_formats import config, mx_tensor

        x = np.ones((3, 32), np.float32)
        x[0, 4], x[1, 5] = np.nan, np.inf
        for mode in ("floor", "ceil", "even", "rceil"):
            how = config.ScaleCalculationMode(mode)
            scale, data = mx_tensor.to_mx(torch.from_numpy(x), torch.float8_e4m3fn, 32, how)
            m = qk.quantize_mx(x, scale_mode=mode)
            np.testing.assert_array_equal(m.scales.view(np.uint8), scale.view(torch.uint8).numpy())
            np.testing.assert_array_equal(m.elements.view(np.uint8)[1:], data.view(torch.uint8).numpy()[1:])

    @pytest.mark.parametrize("scale", [1.0, 2.0**-9, None])
    def test_nvfp4(self, isa, torch, scale):
        """Scales of any block; elements where their reciprocal, with which torchao multiplies, is exact."""
        from torchao.prototype.mx_formats import nvfp4_tensor

        rng = inputs.generator("nvfp4")
        x = (rng.normal(size=(64, 160)) * np.exp2(rng.integers(-6, 6, (64, 1)))).astype(np.float32)
        if scale is not None:
            x[:, ::16] = 6 * np.exp2(rng.integers(-6, 8, (64, 10))) * scale  # a power of two for each block's scale
            x = np.clip(x, -np.repeat(x[:, ::16], 16, 1), np.repeat(x[:, ::16], 16, 1))
        m = qk.quantize_mx(x, "nvfp4", global_scale=scale, packed=True)
        whole = (
            nvfp4_tensor.per_tensor_amax_to_scale(torch.from_numpy(x).abs().max())
            if scale is None
            else torch.tensor(scale)
        )
        theirs, data = nvfp4_tensor.nvfp4_quantize(torch.from_numpy(x), 16, whole)
        assert m.global_scale == whole.numpy()
        np.testing.assert_array_equal(m.scales.view(np.uint8), theirs.view(torch.uint8).numpy())
        if scale is not None:
            np.testing.assert_array_equal(m.elements, data.view(torch.uint8).numpy())


class TestGguf:
    """17 bytes a block: the scale, then nibbles, element j and j + 16 in a byte; its e8m0 counts doubled elements."""

    @pytest.fixture
    def gguf(self):
        return pytest.importorskip("gguf", reason="gguf is not installed")

    def test_reads_what_we_write(self, isa, gguf):
        x = blocks(inputs.generator("gguf mx"))[:, :64] * np.float32(2.0**-20)
        m = qk.quantize_mx(x, "mxfp4")
        codes = m.elements.view(np.uint8).reshape(len(x), 2, 2, 16)
        raw = np.concatenate([m.scales.view(np.uint8)[..., None], codes[:, :, 0] | codes[:, :, 1] << 4], -1)
        theirs = gguf.quants.dequantize(raw.reshape(len(x), 34), gguf.GGMLQuantizationType.MXFP4)
        np.testing.assert_array_equal(m.dequantize(), theirs)

    def test_scales(self, isa, gguf):
        x = blocks(inputs.generator("gguf mx scales"))[:, :64]
        absmax = np.abs(x).reshape(len(x), 2, 32).max(-1)
        below = (absmax.view(np.uint32) & 0x7FFFFF) > 0x7FFFFF - 256  # a power of two, to its float32 logarithm
        x = x[(~below & (absmax > 2.0**-90)).all(-1)]
        assert len(x) > 400
        raw = gguf.quants.quantize(x, gguf.GGMLQuantizationType.MXFP4).reshape(len(x), 2, 17)
        m = qk.quantize_mx(x, "mxfp4")
        np.testing.assert_array_equal(m.scales.view(np.uint8), raw[..., 0])
