"""Known answers: calls with results that were worked out by hand from the formulas, not by any program."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

__all__ = ["wrong_answers"]

_TIES = np.array(
    [0.5, 1.5, 2.5, -0.5, -1.5, 0.49999997, np.nan, np.inf, -np.inf, -0.0, 126.5, 127.5, -128.5], np.float32
)
_EVEN = [0, 2, 2, 0, -2, 0, -128, 127, -128, 0, 126, 127, -128]
_AWAY = [1, 2, 3, -1, -2, 0, -128, 127, -128, 0, 127, 127, -128]

#: convention -> _TIES with scale 1.
_ROUNDED = {
    "onnx": _EVEN,
    "torch": _EVEN,
    "torch_fake_quantize": _EVEN,
    "torch_decomposed": _EVEN,
    "tflite": _AWAY,
    "ggml": _AWAY,
}


def wrong_answers() -> list[str]:
    """The calls whose result is not the one below, each with what it gave; empty where all is well."""
    import pyquantk as qk

    wrong = []

    def expect(call: str, found: Any, expected: Any) -> None:
        found = np.asarray(found)
        if found.tolist() != expected:
            wrong.append(f"{call} gave {found.tolist()}, not {expected}")

    for convention, answer in _ROUNDED.items():
        expect(f"quantize(..., 1.0, convention={convention!r})", qk.quantize(_TIES, 1.0, convention=convention), answer)
    expect(
        "quantize(..., 127.0, convention='bitsandbytes')", qk.quantize(_TIES, 127.0, convention="bitsandbytes"), _EVEN
    )
    # The zero point is added after rounding, or before it, where it turns 0.5 + 1 into 1.5, which is 2.
    half = np.array([0.5, 1.5], np.float32)
    expect("quantize([0.5, 1.5], 1.0, 1)", qk.quantize(half, 1.0, 1), [1, 3])
    expect("quantize([0.5, 1.5], 1.0, 1, convention='torch')", qk.quantize(half, 1.0, 1, convention="torch"), [2, 2])
    # Elements 1, -2, 7 in 4 bits are 0x1, 0xe, 0x7: the first in the low half of its byte.
    packed = qk.quantize(np.array([1.0, -2.0, 7.0], np.float32), 1.0, dtype="int4", packed=True)
    expect("quantize([1, -2, 7], 1.0, dtype='int4', packed=True)", packed, [0xE1, 0x07])
    expect("dequantize(packed)", qk.dequantize(packed, 0.5, packed="int4", shape=(3,)), [0.5, -1.0, 3.5])
    expect("dequantize([-128, 127], 0.25, 1)", qk.dequantize(np.array([-128, 127], np.int8), 0.25, 1), [-32.25, 31.5])
    y, mask = qk.fake_quantize(np.array([0.26, 100.0, np.nan], np.float32), 0.125, return_mask=True)
    expect("fake_quantize([0.26, 100, nan], 0.125)", y, [0.25, 15.875, -16.0])
    expect("its mask", mask, [True, False, False])
    acc = np.array([6, 10, -6, -10, 2**31 - 1], np.int32)  # by 1/4: ties, which each way takes elsewhere
    quarter = qk.FixedPointMultiplier(2**30, -1)
    expect("requantize(acc, 0.25)", qk.requantize(acc, 0.25), [2, 2, -2, -2, 127])
    expect("requantize(acc, quarter)", qk.requantize(acc, quarter), [2, 3, -1, -2, 127])
    expect("requantize(acc, quarter, 'double')", qk.requantize(acc, quarter, rounding="double"), [2, 3, -2, -3, 127])
    # 3 * 255 * -128 with every sign mix's extremes: an instruction that saturates at 16 bits gives something else.
    low, high = np.full((1, 3), -128, np.int8), np.full((3, 1), 255, np.uint8)
    expect("matmul([-128] * 3, [255] * 3)", qk.matmul(low, high), [[-97920]])
    expect("matmul(..., b_zero_point=255)", qk.matmul(low, qk.pack(high, zero_point=255)), [[0]])
    # -97920 * 0.5 * 2**-8 + 1.25 = -190; -97920 / 1024 = -95.625 rounds to -96.
    qmatmul = partial(qk.qmatmul, low, high, a_scale=0.5, b_scale=2.0**-8)
    expect("qmatmul(..., bias=[1.25])", qmatmul(bias=[1.25]), [[-190.0]])
    expect("qmatmul(..., 'relu')", qmatmul(activation="relu"), [[0.0]])
    expect("qmatmul(..., 'int8')", qmatmul(dtype="int8", out_scale=2.0), [[-96]])
    # absmax 254 gives the step 2, and -1 / 2 is a tie that goes to 0: 127 * 2 * 1 + 0.5.
    layer = qk.QuantizedLinear(np.array([[1.0, 1.0]], np.float32), [0.5])
    expect("QuantizedLinear([[1, 1]], [0.5])([[254, -1]])", layer(np.array([[254.0, -1.0]], np.float32)), [[254.5]])
    seen = qk.observe(np.array([3.0, np.nan, -np.inf, -2.0], np.float32))
    expect(
        "observe([3, nan, -inf, -2])", [seen.min, seen.max, seen.nan_count, seen.inf_count], [-np.inf, 3.0, 1.0, 1.0]
    )
    return wrong
