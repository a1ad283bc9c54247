"""pyquantk: quantization kernels for CPUs, the same bits on every one of them.

Functions take arrays; objects bundle them. ``import pyquantk as qk``.
"""

from __future__ import annotations

__version__ = "0.1.0.dev0"

from pathlib import Path as _Path

from . import cpu, parallel
from .affine import dequantize, fake_quantize, quantize
from .calibration import Statistics, observe
from .casts import cast
from .delayed_scaling import DelayedScaling
from .dynamic import quantize_dynamic
from .gemm import PackedMatrix, matmul, pack, qmatmul
from .linear import QuantizedLinear
from .microscaling import MXArray, quantize_mx
from .parallel import get_num_threads, set_num_threads, thread_limit
from .params import QuantParams, choose_params
from .requantization import FixedPointMultiplier, requantize

__all__ = [
    "DelayedScaling",
    "FixedPointMultiplier",
    "MXArray",
    "PackedMatrix",
    "QuantParams",
    "QuantizedLinear",
    "Statistics",
    "cast",
    "choose_params",
    "cpu",
    "dequantize",
    "fake_quantize",
    "get_include",
    "get_num_threads",
    "matmul",
    "observe",
    "pack",
    "parallel",
    "qmatmul",
    "quantize",
    "quantize_dynamic",
    "quantize_mx",
    "requantize",
    "set_num_threads",
    "show_config",
    "thread_limit",
]

cpu.use_environment()


def get_include() -> str:
    """The folder of pyquantk.h, for C and Cython users."""
    return str(_Path(__file__).parent / "include")


def show_config() -> None:
    """Print versions, compiler, layers, threads and caches, as ``pyquantk info`` does."""
    from .info import show

    show()
