"""Errors: each names the argument, says what must hold and what was given, and leaves `out` as it was."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import pyquantk as qk

X = np.ones((2, 3), np.float32)
Q = np.ones((2, 3), np.int8)
HELD = np.ones((2, 2), np.uint8)
NAMES = (
    "int8, uint8, int16, uint16, int4, uint4, int2, uint2, float8_e4m3fn, float8_e5m2, float8_e4m3fnuz, "
    "float8_e5m2fnuz, float8_e4m3b11fnuz, float8_e4m3, float8_e3m4, float6_e2m3fn, float6_e3m2fn, float4_e2m1fn"
)
PACKED = "int4, uint4, int2, uint2, float6_e2m3fn, float6_e3m2fn, float4_e2m1fn"


def case(error, message, function, *arguments, **keywords):
    return pytest.param(error, message, function, arguments, keywords, id=f"{function.__name__}: {message}"[:110])


# What must hold whichever function is called, as arguments to quantize or fake_quantize on X, dequantize on Q.
COMMON = [
    # scale
    (TypeError, "scale must be real numbers, not <U1", ["1"], {}),
    (TypeError, "scale must be real numbers, not complex128", [1j], {}),
    (TypeError, "scale must be real numbers, not object", [None], {}),
    (TypeError, "scale must be real numbers, not bool", [True], {}),
    (TypeError, "scale must be real numbers, not", [np.zeros(2, "f4,f4")], {"axis": 0}),
    (
        ValueError,
        r"scale must be a single number \(give axis or block_size for more\), not of shape \(2,\)",
        [[1, 2]],
        {},
    ),
    (ValueError, r"scale must be of shape \(2,\), not of shape \(3,\)", [[1, 2, 3]], {"axis": 0}),
    (ValueError, r"scale must be of shape \(3,\), not of shape \(\)", [1.0], {"axis": -1}),
    (ValueError, r"scale must be of shape \(2, 2\), not of shape \(2, 3\)", [np.ones((2, 3))], {"block_size": 2}),
    (ValueError, r"scale must be of shape \(1, 3\), not of shape \(2,\)", [[1, 2]], {"axis": 0, "block_size": 9}),
    # zero_point
    (TypeError, "zero_point must be integers, not float64", [1.0, 0.5], {}),
    (TypeError, "zero_point must be integers, not bool", [1.0, True], {}),
    (TypeError, "zero_point must be integers, not <U1", [1.0, "0"], {}),
    (ValueError, r"zero_point must be in \[-128, 127\], not 128", [1.0, 128], {}),
    (ValueError, r"zero_point must be in \[-128, 127\], not -129", [1.0, -129], {}),
    (ValueError, r"zero_point must be in \[-128, 127\], not ", [1.0, 2**63], {}),
    (ValueError, r"zero_point must be in \[-128, 127\], not ", [1.0, 10**30], {}),
    (ValueError, r"zero_point must be in \[-128, 127\], not 300", [[1.0, 1.0], [0, 300]], {"axis": 0}),
    (ValueError, r"zero_point must be a number or have the shape of scale, \(\), not \(2,\)", [1.0, [0, 0]], {}),
    (
        ValueError,
        r"zero_point must be a number or have the shape of scale, \(2,\), not \(3,\)",
        [[1.0, 1.0], [0, 0, 0]],
        {"axis": 0},
    ),
    (
        ValueError,
        r"zero_point must be a number or have the shape of scale, \(2,\), not \(1, 2\)",
        [[1.0, 1.0], [[0, 0]]],
        {"axis": 0},
    ),
    # axis and block_size
    (TypeError, "axis must be an integer, not 0.0", [[1, 1]], {"axis": 0.0}),
    (TypeError, "axis must be an integer, not 'rows'", [[1, 1]], {"axis": "rows"}),
    (TypeError, r"axis must be an integer, not \[0\]", [[1, 1]], {"axis": [0]}),
    (ValueError, r"axis must be in \[-2, 2\) for an array of 2 axes, not 2", [[1, 1]], {"axis": 2}),
    (ValueError, r"axis must be in \[-2, 2\) for an array of 2 axes, not -3", [[1, 1]], {"axis": -3}),
    (ValueError, r"axis must name different axes, not \(0, -2\)", [1.0], {"axis": (0, -2), "block_size": (1, 1)}),
    (TypeError, "block_size must be an integer, not 2.0", [1.0], {"block_size": 2.0}),
    (TypeError, "block_size must be an integer, not '2'", [1.0], {"block_size": "2"}),
    (ValueError, "block_size must be at least 1, not 0", [1.0], {"block_size": 0}),
    (ValueError, "block_size must be at least 1, not -4", [1.0], {"axis": 0, "block_size": -4}),
    (ValueError, r"block_size must have one entry for each axis of \(0, 1\)", [1.0], {"axis": (0, 1), "block_size": 2}),
    (ValueError, "block_size must have one entry for each axis of 0", [1.0], {"axis": 0, "block_size": (2, 2)}),
]


@pytest.mark.parametrize("function", [qk.quantize, qk.dequantize, qk.fake_quantize])
@pytest.mark.parametrize(
    ("error", "message", "arguments", "keywords"), COMMON, ids=[f"{c[1]} {i}"[:90] for i, c in enumerate(COMMON)]
)
def test_parameters(function, error, message, arguments, keywords):
    x = Q if function is qk.dequantize else X
    out = np.full((2, 3), 77, np.int8 if function is qk.quantize else np.float32)
    for options in ({}, {"out": out}):
        with pytest.raises(error, match=message):
            function(x, *arguments, **keywords, **options)
    assert (out == 77).all()


def test_axis_of_a_number():
    for function in (qk.quantize, qk.fake_quantize):
        with pytest.raises(ValueError, match=r"axis must be in \[0, 0\) for an array of 0 axes, not 0"):
            function(np.float32(1), [1.0], axis=0)
    with pytest.raises(ValueError, match="axis must be in"):
        qk.observe(np.float32(1), block_size=4)


OTHERS = [
    # x and q
    case(
        TypeError, "x must have one of the dtypes float32, float16, bfloat16, not float64", qk.quantize, np.ones(3), 1.0
    ),
    case(TypeError, "x must have one of the dtypes .*, not object", qk.observe, object()),
    case(TypeError, "x must have one of the dtypes .*, not <U3", qk.quantize, "abc", 1.0),
    case(TypeError, "x must have one of the dtypes .*, not object", qk.fake_quantize, None, 1.0),
    case(TypeError, "q must have one of the dtypes int8, .*, not float32", qk.dequantize, X, 1.0),
    case(TypeError, "q must have one of the dtypes uint8, not int8", qk.dequantize, Q, 1.0, packed="int4"),
    # dtype
    case(TypeError, f"dtype must be one of {NAMES}, not 'int7'", qk.quantize, X, 1.0, dtype="int7"),
    case(TypeError, f"dtype must be one of {NAMES}, not 'float32'", qk.quantize, X, 1.0, dtype="float32"),
    case(TypeError, f"dtype must be one of {NAMES}, not 8", qk.quantize, X, 1.0, dtype=8),
    case(TypeError, f"dtype must be one of {NAMES}, not <class 'int'>", qk.quantize, X, 1.0, dtype=int),
    case(
        TypeError,
        "dtype must be one of float32, float16, bfloat16, not 'float64'",
        qk.dequantize,
        Q,
        1.0,
        dtype="float64",
    ),
    case(TypeError, "dtype must be one of float32, float16, bfloat16, not None", qk.dequantize, Q, 1.0, dtype=None),
    # convention
    case(
        ValueError,
        "convention must be one of onnx, torch, .*, not 'tensorrt'",
        qk.quantize,
        X,
        1.0,
        convention="tensorrt",
    ),
    case(ValueError, "convention must be one of onnx, torch, .*, not None", qk.fake_quantize, X, 1.0, convention=None),
    case(
        ValueError,
        r"convention must be one of onnx, torch, .*, not \['onnx'\]",
        qk.quantize,
        X,
        1.0,
        convention=["onnx"],
    ),
    # ranges
    case(ValueError, r"zero_point must be in \[0, 255\], not -1", qk.quantize, X, 1.0, -1, dtype="uint8"),
    case(ValueError, r"zero_point must be in \[-8, 7\], not 8", qk.quantize, X, 1.0, 8, dtype="int4"),
    case(ValueError, r"zero_point must be in \[0, 3\], not 4", qk.quantize, X, 1.0, 4, dtype="uint2"),
    case(ValueError, r"zero_point must be in \[0, 15\], not -1", qk.dequantize, HELD, 1.0, -1, packed="uint4"),
    case(
        ValueError,
        "quant_min and quant_max must be in order, within .* and at most 65535 apart, not 1 and 0",
        qk.fake_quantize,
        X,
        1.0,
        quant_min=1,
        quant_max=0,
    ),
    case(
        ValueError,
        "quant_min and quant_max must be in order, within .* and at most 65535 apart, not 0 and 65536",
        qk.fake_quantize,
        X,
        1.0,
        quant_min=0,
        quant_max=65536,
    ),
    case(
        ValueError,
        "quant_min and quant_max must be in order, .*, not -4294967296 and -4294967295",
        qk.fake_quantize,
        X,
        1.0,
        quant_min=-(2**32),
        quant_max=-(2**32) + 1,
    ),
    case(TypeError, "quant_min must be an integer, not 0.5", qk.fake_quantize, X, 1.0, quant_min=0.5),
    case(TypeError, "quant_max must be an integer, not '7'", qk.fake_quantize, X, 1.0, quant_max="7"),
    case(ValueError, r"zero_point must be in \[1, 8\], not 0", qk.fake_quantize, X, 1.0, quant_min=1, quant_max=8),
    # packing
    case(
        TypeError,
        f"packed results must have one of the dtypes {PACKED}, not int8",
        qk.quantize,
        X,
        1.0,
        packed=True,
    ),
    case(
        ValueError,
        "block_size must be a multiple of 2 along a packed axis, not 1?3",
        qk.quantize,
        np.ones((2, 9), np.float32),
        np.ones((2, 3)),
        dtype="int4",
        packed=True,
        block_size=3,
    ),
    case(
        ValueError,
        "block_size must be a multiple of 4 along a packed axis, not 6",
        qk.dequantize,
        HELD,
        np.ones((2, 2)),
        packed="uint2",
        block_size=6,
    ),
    case(
        ValueError,
        "axis along which its elements are packed",
        qk.quantize,
        np.float32(1),
        1.0,
        dtype="int4",
        packed=True,
    ),
    case(ValueError, "axis along which its elements are packed", qk.dequantize, np.uint8(1), 1.0, packed="int4"),
    case(TypeError, f"packed must be one of {PACKED}, not 'int8'", qk.dequantize, HELD, 1.0, packed="int8"),
    case(TypeError, "packed must be given with shape", qk.dequantize, HELD, 1.0, shape=(2, 4)),
    case(
        ValueError,
        r"shape must fit the bytes of q, of shape \(2, 2\), with 4-bit elements; not \(2, 5\)",
        qk.dequantize,
        HELD,
        1.0,
        packed="int4",
        shape=(2, 5),
    ),
    case(
        ValueError,
        r"shape must fit the bytes of q, .* not \(2, -4\)",
        qk.dequantize,
        HELD,
        1.0,
        packed="int4",
        shape=(2, -4),
    ),
    case(
        ValueError, r"shape must fit the bytes of q, .* not \(4,\)", qk.dequantize, HELD, 1.0, packed="int4", shape=(4,)
    ),
    case(ValueError, r"shape must fit the bytes of q", qk.dequantize, HELD, 1.0, packed="int4", shape=(2, 2**70)),
    case(TypeError, "shape must be a tuple of integers, not 4", qk.dequantize, HELD, 1.0, packed="int4", shape=4),
    case(
        TypeError,
        r"shape must be a tuple of integers, not \(2, 4.0\)",
        qk.dequantize,
        HELD,
        1.0,
        packed="int4",
        shape=(2, 4.0),
    ),
    case(
        ValueError,
        "out must be contiguous along its last axis",
        qk.quantize,
        np.ones((2, 8), np.float32),
        1.0,
        dtype="int4",
        packed=True,
        out=np.zeros((2, 8), np.uint8)[:, ::2],
    ),
    # out
    case(TypeError, "out must be a numpy.ndarray, not list", qk.quantize, X, 1.0, out=[[0] * 3] * 2),
    case(TypeError, "out must have dtype int8 in native byte order, not uint8", qk.quantize, X, 1.0, out=HELD),
    case(
        TypeError,
        "out must have dtype float32 in native byte order, not >f4",
        qk.dequantize,
        Q,
        1.0,
        out=np.zeros((2, 3), ">f4"),
    ),
    case(
        TypeError,
        "out must have dtype float16 in native byte order, not float32",
        qk.fake_quantize,
        X.astype(np.float16),
        1.0,
        out=np.zeros((2, 3), np.float32),
    ),
    case(ValueError, r"out must have shape \(2, 3\), not \(3, 2\)", qk.quantize, X, 1.0, out=np.zeros((3, 2), np.int8)),
    case(
        ValueError,
        r"out must have shape \(2, 2\), not \(2, 3\)",
        qk.quantize,
        X,
        1.0,
        dtype="int4",
        packed=True,
        out=np.zeros((2, 3), np.uint8),
    ),
]


@pytest.mark.parametrize(("error", "message", "function", "arguments", "keywords"), OTHERS)
def test_one_function(error, message, function, arguments, keywords):
    with pytest.raises(error, match=message):
        function(*arguments, **keywords)


class Unhelpful:
    """A tensor that lives elsewhere."""

    def __dlpack__(self, **options):
        raise BufferError("device memory")

    def __dlpack_device__(self):
        return (2, 0)


def test_dlpack_from_another_device():
    with pytest.raises(
        TypeError, match="x must be an array that NumPy can view; the DLPack export of Unhelpful failed"
    ):
        qk.quantize(Unhelpful(), 1.0)


@pytest.mark.parametrize("ragged", [[[1.0], [1.0, 2.0]], [1.0, "a"], [[], [], 1.0], [1.0, 1j], [10**400]])
def test_lists_that_are_no_arrays(ragged):
    with pytest.raises((TypeError, ValueError), match=r"^x must be"):
        qk.quantize(ragged, 1.0)


def test_errors_in_the_plain_way_in():
    """Contiguous arrays, numbers and out= take a shorter way; what is wrong must not pass there either."""
    x, q = np.ones(9, np.float32), np.full(9, 77, np.int8)
    for zero_point in (128, -129, 2**31, 2**64, -(2**64)):
        with pytest.raises(ValueError, match=r"zero_point must be in \[-128, 127\]"):
            qk.quantize(x, 1.0, zero_point, out=q)
    with pytest.raises(ValueError, match="out must have shape"):
        qk.quantize(x[:8], 1.0, out=q)
    with pytest.raises(TypeError, match="x must have one of the dtypes"):
        qk.quantize(x.astype(np.float64), 1.0, out=q)
    with pytest.raises(ValueError, match="convention must be one of"):
        qk.quantize(x, 1.0, convention="none", out=q)
    for out in (x, x.view(np.int32).view(np.int8)[:9]):
        with pytest.raises((TypeError, ValueError), match=r"^out must"):
            qk.quantize(x, 1.0, out=out)
    y = np.full(9, 77, np.float32)
    with pytest.raises(ValueError, match=r"zero_point must be in \[-128, 127\]"):
        qk.dequantize(q, 1.0, 200, out=y)
    with pytest.raises(TypeError, match="q must have one of the dtypes"):
        qk.dequantize(x, 1.0, out=y)
    with pytest.raises(TypeError, match="out must have dtype float32"):
        qk.dequantize(q, 1.0, out=y.view(np.int32))
    for number in (0.5, 2**40, "1", None):
        for name in ("quant_min", "quant_max"):
            with pytest.raises((TypeError, ValueError), match=r"^quant_min|^quant_max"):
                qk.fake_quantize(x, 1.0, out=y, **{name: number})
    points = np.full(9, 200, np.int32)
    for axis, wrong in ((0, points), (1, None), (-2, None), (10**30, None)):
        with pytest.raises(ValueError, match=r"^axis must be|^zero_point must be"):
            qk.quantize(x, np.ones(9, np.float32), wrong, axis=axis, out=q)
        with pytest.raises(ValueError, match=r"^axis must be|^zero_point must be"):
            qk.fake_quantize(x, np.ones(9, np.float32), wrong, axis=axis, out=y)
    assert (q == 77).all()
    assert (y == 77).all()
    assert (x == 1).all()


def test_unknown_keywords():
    for function in (qk.quantize, qk.dequantize, qk.fake_quantize, qk.observe, qk.choose_params):
        with pytest.raises(TypeError, match="unexpected keyword argument 'axes'"):
            function(X, axes=0)


def test_types_of_this_library_alone_are_listed():
    with pytest.raises(TypeError, match=f"dtype must be one of {NAMES}, not <class 'ml_dtypes.float8_e8m0fnu'>"):
        qk.quantize(X, 1.0, dtype=ml_dtypes.float8_e8m0fnu)
