"""ml_dtypes: the narrow floats that pyquantk reads and writes convert as ml_dtypes and NumPy convert them."""

from __future__ import annotations

import numpy as np
import pytest

import pyquantk as qk

from . import inputs

CONVENTIONS = ["onnx", "torch", "torch_fake_quantize", "torch_decomposed", "tflite", "ggml", "bitsandbytes"]
NARROW = {"float16": inputs.F16, "bfloat16": inputs.BF16}


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("name", NARROW)
def test_every_narrow_input_counts_as_the_float32_of_its_value(isa, name, convention):
    x = np.arange(65536, dtype=np.uint16).view(NARROW[name])
    with np.errstate(invalid="ignore"):  # signaling NaN
        wide = x.astype(np.float32)
    rng = inputs.generator("narrow", name, convention)
    for kind in inputs.SCALES:
        scale = inputs.scales(rng, kind)
        for dtype in ("int8", "uint8", "int16", "uint4"):
            options = {"dtype": dtype, "convention": convention}
            np.testing.assert_array_equal(qk.quantize(x, scale, 3, **options), qk.quantize(wide, scale, 3, **options))


@pytest.mark.parametrize("name", NARROW)
def test_results_round_once(isa, name):
    """Every product of a 16-bit integer and a scale: float32 first, then the rounding of the narrow type."""
    q = np.arange(-32768, 32768).astype(np.int16)
    rng = inputs.generator("narrow results", name)
    for kind in inputs.SCALES:
        for _ in range(4):
            scale = inputs.scales(rng, kind)
            for zero_point in (0, -32768, 32767, 17):
                with np.errstate(over="ignore", under="ignore"):
                    product = (q.astype(np.int32) - zero_point).astype(np.float32) * scale
                    expected = product.astype(NARROW[name])
                inputs.same_bits(qk.dequantize(q, scale, zero_point, dtype=name), expected)
