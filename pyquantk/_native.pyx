# cython: language_level=3, boundscheck=False, wraparound=False, freethreading_compatible=True
"""The C library, one thin function per entry point.

Nothing here chooses, converts or allocates arrays: they arrive checked, of the right dtype and shape, with the
parameters already float32 and int32; that is the work of the Python modules.  What stays here is what only C can do
or get wrong: the view of an array, the GIL, and the fast way in for the plainest calls.
"""
cimport cython
cimport numpy as cnp
from libc.float cimport FLT_MIN
from libc.math cimport fabsf, isinf, rintf
from libc.stdint cimport int8_t, int32_t, int64_t, uintptr_t
from libc.string cimport memset

import os
import threading

import ml_dtypes
import numpy as np

cnp.import_array()

cdef extern from *:
    """
    #if defined(__clang__)
    #define PQK_COMPILER "Clang " __clang_version__
    #elif defined(__GNUC__)
    #define PQK_COMPILER "GCC " __VERSION__
    #elif defined(_MSC_VER)
    #define PQK_STRING_(x) #x
    #define PQK_STRING(x) PQK_STRING_(x)
    #define PQK_COMPILER "MSVC " PQK_STRING(_MSC_FULL_VER)
    #else
    #define PQK_COMPILER "unknown"
    #endif
    #if defined(__x86_64__) || defined(_M_X64)
    #define PQK_MACHINE "x86_64"
    #elif defined(__aarch64__) || defined(_M_ARM64)
    #define PQK_MACHINE "arm64"
    #else
    #define PQK_MACHINE "other"
    #endif
    """
    const char *PQK_COMPILER
    const char *PQK_MACHINE

cdef object float32 = np.float32

cdef extern from *:
    """
    #include "pyquantk.h"
    /* Volatile, so that the conversion stays between the two calls. */
    static float pqk_to_float(double x)
    {
        pqk_float_environment found;
        volatile double from = x;
        pqk_float_environment_enter(&found);
        volatile float to = (float)from;
        pqk_float_environment_leave(&found);
        return to;
    }
    """
    float pqk_to_float(double x)

# pqk_type of a NumPy type number: ml_dtypes' numbers are given out at import, so this is filled here.
cdef enum:
    TYPES = 2048
cdef int8_t type_of_number[TYPES]
cdef int8_t packed_type_of_number[TYPES]


def _register(dtype, int type, int packed):
    cdef int number = np.dtype(dtype).num
    if 0 <= number < TYPES:
        type_of_number[number] = <int8_t>type
        packed_type_of_number[number] = <int8_t>packed


_register(np.float32, PQK_F32, 0)
_register(np.float16, PQK_F16, 0)
_register(ml_dtypes.bfloat16, PQK_BF16, 0)
_register(np.int8, PQK_S8, 0)
_register(np.uint8, PQK_U8, 0)
_register(np.int16, PQK_S16, 0)
_register(np.uint16, PQK_U16, 0)
_register(np.int32, PQK_S32, 0)
_register(ml_dtypes.int4, PQK_S4, PQK_S4X2)
_register(ml_dtypes.uint4, PQK_U4, PQK_U4X2)
_register(ml_dtypes.int2, PQK_S2, PQK_S2X4)
_register(ml_dtypes.uint2, PQK_U2, PQK_U2X4)

CONVENTIONS = {
    "onnx": PQK_ONNX,
    "torch": PQK_TORCH,
    "torch_fake_quantize": PQK_TORCH_FAKE_QUANTIZE,
    "torch_decomposed": PQK_TORCH_DECOMPOSED,
    "tflite": PQK_TFLITE,
    "ggml": PQK_GGML,
    "bitsandbytes": PQK_BITSANDBYTES,
}
TORCH_DECOMPOSED_GROUP = PQK_TORCH_DECOMPOSED_GROUP


cdef int check(pqk_status status) except -1:
    if status == PQK_OK:
        return 0
    message = pqk_status_message(status).decode()
    if status == PQK_ERROR_MEMORY:
        raise MemoryError(message)
    if status == PQK_ERROR_TYPE:
        raise TypeError(message)
    raise ValueError(message)


cdef inline int type_of(cnp.ndarray a):
    cdef int number = cnp.PyArray_TYPE(a)
    return type_of_number[number] if 0 <= number < TYPES else 0


cdef int view(pqk_array *to, cnp.ndarray a, object packed_dtype, const int64_t *shape) except -1:
    """to = the memory of a; packed_dtype: what its bytes hold, with `shape` elements, or None."""
    to.data = cnp.PyArray_DATA(a)
    to.ndim = cnp.PyArray_NDIM(a)
    to.strides = <const int64_t *>cnp.PyArray_STRIDES(a)
    if packed_dtype is None:
        to.shape = <const int64_t *>cnp.PyArray_DIMS(a)
        to.type = <pqk_type>type_of(a)
    else:
        to.shape = shape
        to.type = <pqk_type>packed_type_of_number[(<cnp.dtype>packed_dtype).type_num]
    return 0


cdef struct Shape:
    int64_t n[64]


cdef int sizes(Shape *to, object numbers) except -1:
    cdef int i = 0
    if len(numbers) > PQK_MAX_NDIM:
        raise ValueError(f"an array must have at most {PQK_MAX_NDIM} axes, not {len(numbers)}")
    for n in numbers:
        to.n[i] = n
        i += 1
    return 0


cdef inline const float *floats(object a) except? NULL:
    return NULL if a is None else <const float *>cnp.PyArray_DATA(<cnp.ndarray>a)


cdef struct Params:
    pqk_params c
    Shape block


cdef int parameters(Params *to, object scale, object zero_point, object inverse, object block) except -1:
    to.c.scale = floats(scale)
    to.c.zero_point = NULL if zero_point is None else <const int32_t *>cnp.PyArray_DATA(<cnp.ndarray>zero_point)
    to.c.inverse = floats(inverse)
    to.c.block = NULL
    if block is not None:
        sizes(&to.block, block)
        to.c.block = to.block.n
    return 0


def quantize(cnp.ndarray x, cnp.ndarray q, object packed_dtype, object scale, object zero_point, object inverse,
             object block, int convention):
    """q[...] = quantized x.  scale, inverse: float32, zero_point: int32, C-contiguous, of the shape that `block`
    gives; packed_dtype: the 4- or 2-bit dtype that the bytes of q pack, or None."""
    cdef pqk_array from_, to
    cdef Params params
    cdef Shape shape
    cdef pqk_status status
    parameters(&params, scale, zero_point, inverse, block)
    view(&from_, x, None, NULL)
    sizes(&shape, (<object>x).shape)
    view(&to, q, packed_dtype, shape.n)
    with nogil:
        status = pqk_quantize(&from_, &params.c, <pqk_convention>convention, &to, NULL)
    check(status)


def dequantize(cnp.ndarray q, object packed_dtype, object shape_of_q, cnp.ndarray y, object scale,
               object zero_point, object block):
    """y[...] = real values of q; arguments as in quantize()."""
    cdef pqk_array from_, to
    cdef Params params
    cdef Shape shape
    cdef pqk_status status
    parameters(&params, scale, zero_point, None, block)
    sizes(&shape, shape_of_q)
    view(&from_, q, packed_dtype, shape.n)
    view(&to, y, None, NULL)
    with nogil:
        status = pqk_dequantize(&from_, &params.c, &to, NULL)
    check(status)


def fake_quantize(cnp.ndarray x, cnp.ndarray y, object mask, object scale, object zero_point, object inverse,
                  object block, int convention, int quant_min, int quant_max):
    """y[...] = x quantized and dequantized; mask: uint8 array of the same shape, or None."""
    cdef pqk_array from_, to, kept
    cdef Params params
    cdef pqk_status status
    cdef const pqk_array *mask_view = NULL
    parameters(&params, scale, zero_point, inverse, block)
    view(&from_, x, None, NULL)
    view(&to, y, None, NULL)
    if mask is not None:
        view(&kept, <cnp.ndarray>mask, None, NULL)
        mask_view = &kept
    with nogil:
        status = pqk_fake_quantize(&from_, &params.c, <pqk_convention>convention, quant_min, quant_max, &to,
                                   mask_view, NULL)
    check(status)


def observe(cnp.ndarray x, object block, cnp.ndarray low, cnp.ndarray high, cnp.ndarray nans, cnp.ndarray infs):
    """low, high (float32), nans, infs (int64): statistics of x per block, C-contiguous."""
    cdef pqk_array from_
    cdef Shape shape
    cdef const int64_t *blocks = NULL
    cdef pqk_statistics out
    cdef pqk_status status
    view(&from_, x, None, NULL)
    if block is not None:
        sizes(&shape, block)
        blocks = shape.n
    out.min = <float *>cnp.PyArray_DATA(low)
    out.max = <float *>cnp.PyArray_DATA(high)
    out.nan_count = <int64_t *>cnp.PyArray_DATA(nans)
    out.inf_count = <int64_t *>cnp.PyArray_DATA(infs)
    with nogil:
        status = pqk_observe(&from_, blocks, &out)
    check(status)


def in_float_environment(function):
    """function() under round-to-nearest with subnormals, whatever the caller's environment is."""
    cdef pqk_float_environment found
    pqk_float_environment_enter(&found)
    try:
        return function()
    finally:
        pqk_float_environment_leave(&found)


# --- layers, threads, build ------------------------------------------------------------------------------------

def layers():
    """[(name, whether this CPU can run it), ...] from plain to special."""
    cdef int i = 0
    found = []
    while pqk_layer_name(i) != NULL:
        found.append((pqk_layer_name(i).decode(), bool(pqk_layer_supported(i))))
        i += 1
    return found


def active_layer():
    """The name of the layer in use."""
    return pqk_layer_name(pqk_active_layer()).decode()


def use_layer(name):
    """Run no kernel above the layer of this name, in the whole process."""
    cdef int i = 0
    wanted = name.encode()
    while pqk_layer_name(i) != NULL:
        if pqk_layer_name(i) == wanted:
            check(pqk_use_layer(i))
            return
        i += 1
    check(PQK_ERROR_LAYER)


def operations():
    """[(operation, layer that serves it now), ...]"""
    cdef int i = 0
    found = []
    while pqk_operation_name(i) != NULL:
        found.append((pqk_operation_name(i).decode(), pqk_operation_layer(i).decode()))
        i += 1
    return found


def get_num_threads():
    return pqk_get_num_threads()


def set_num_threads(int n):
    if pqk_set_num_threads(n):
        raise ValueError(f"n must be in [1, 1024], not {n}")


def set_thread_limit(int n):
    cdef int old = pqk_set_thread_limit(n)
    if old < 0:
        raise ValueError(f"n must be in [0, 1024], not {n}")
    return old


def build_info():
    return {"compiler": PQK_COMPILER.decode(), "machine": PQK_MACHINE.decode(), "abi": pqk_abi_version()}


# --- the other parts of this module, one subject each -----------------------------------------------------------

include "_native_plain.pxi"
include "_native_casts.pxi"
include "_native_mx.pxi"
include "_native_weights.pxi"
include "_native_gemm.pxi"
include "_native_requantize.pxi"
include "_native_bench.pxi"
