# cython: language_level=3, boundscheck=False, wraparound=False, freethreading_compatible=True
"""The C library, one thin function per entry point.

Nothing here chooses, converts or allocates arrays: they arrive checked, of the right dtype and shape, with the
parameters already float32 and int32; that is the work of the Python modules.  What stays here is what only C can do
or get wrong: the view of an array, the GIL, and the fast way in for the plainest calls.
"""
cimport numpy as cnp
from libc.stdint cimport int8_t, int32_t, int64_t, uintptr_t

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


# --- the fast way in -------------------------------------------------------------------------------------------
#
# The calls that frameworks make most: C-contiguous arrays into C-contiguous arrays, with Python numbers or float32
# arrays for parameters. No intermediate object; False, and nothing done, where this is not such a call or it is wrong,
# so that the thorough way can say why.

cdef inline bint plain(cnp.ndarray a):
    """C-contiguous and native: one run of elements."""
    return cnp.PyArray_IS_C_CONTIGUOUS(a) and cnp.PyArray_ISNOTSWAPPED(a)


cdef inline bint same_shape(cnp.ndarray a, cnp.ndarray b):
    cdef int i, ndim = cnp.PyArray_NDIM(a)
    if ndim != cnp.PyArray_NDIM(b):
        return False
    for i in range(ndim):
        if cnp.PyArray_DIM(a, i) != cnp.PyArray_DIM(b, i):
            return False
    return True


cdef inline bint apart(cnp.ndarray a, cnp.ndarray b):
    cdef uintptr_t pa = <uintptr_t>cnp.PyArray_DATA(a), pb = <uintptr_t>cnp.PyArray_DATA(b)
    return pa + <uintptr_t>cnp.PyArray_NBYTES(a) <= pb or pb + <uintptr_t>cnp.PyArray_NBYTES(b) <= pa


cdef inline bint plain_view(pqk_array *to, object array):
    if type(array) is not cnp.ndarray or not plain(<cnp.ndarray>array):
        return False
    cdef cnp.ndarray a = <cnp.ndarray>array
    to.data = cnp.PyArray_DATA(a)
    to.type = <pqk_type>type_of(a)
    to.ndim = cnp.PyArray_NDIM(a)
    to.shape = <const int64_t *>cnp.PyArray_DIMS(a)
    to.strides = NULL
    return to.type != 0


cdef bint plain_pair(object x, object out, pqk_array *from_, pqk_array *to):
    """An input and a writeable output of one shape that share no byte?"""
    return (plain_view(from_, x) and plain_view(to, out) and cnp.PyArray_ISWRITEABLE(<cnp.ndarray>out)
            and same_shape(<cnp.ndarray>x, <cnp.ndarray>out) and apart(<cnp.ndarray>x, <cnp.ndarray>out))


cdef struct PlainParams:
    pqk_params c
    float scale
    int32_t zero_point
    int64_t block[64]


cdef bint plain_block(PlainParams *to, cnp.ndarray x, cnp.ndarray scale, object axis, object block_size) except -1:
    """The block of a float32 scale array that fits x exactly."""
    cdef int i, ndim = cnp.PyArray_NDIM(x)
    cdef int64_t at = -1, size = 1, n
    if axis is not None and type(axis) is not int or block_size is not None and type(block_size) is not int:
        return False
    if axis is not None:
        if not -ndim <= axis < ndim:
            return False
        at = axis
    if at < 0:
        at += ndim
    if at < 0:
        return False
    if block_size is None:
        if cnp.PyArray_NDIM(scale) != 1 or cnp.PyArray_DIM(scale, 0) != cnp.PyArray_DIM(x, <int>at):
            return False
    else:
        if not 0 < block_size < 1 << 62 or cnp.PyArray_NDIM(scale) != ndim:
            return False
        size = block_size
    for i in range(ndim):
        n = cnp.PyArray_DIM(x, i)
        to.block[i] = size if i == at else (n if block_size is None else 1)
        if block_size is not None and cnp.PyArray_DIM(scale, i) != (n if i != at else n // size + (n % size != 0)):
            return False
    to.c.block = to.block
    return True


cdef bint plain_params(PlainParams *to, object x, object scale, object zero_point, object axis,
                       object block_size) except -1:
    to.c.inverse = NULL
    to.c.block = NULL
    to.c.zero_point = NULL
    if isinstance(scale, float) or type(scale) is float32:
        if axis is not None or block_size is not None:
            return False
        if type(scale) is float32:
            cnp.PyArray_ScalarAsCtype(scale, &to.scale)
        else:
            to.scale = pqk_to_float(scale)
        to.c.scale = &to.scale
        if zero_point is None:
            return True
        if type(zero_point) is not int or not -2147483648 <= zero_point <= 2147483647:
            return False
        to.zero_point = zero_point
        to.c.zero_point = &to.zero_point if to.zero_point else NULL
        return True
    if type(scale) is not cnp.ndarray or (axis is None and block_size is None):
        return False
    cdef cnp.ndarray scales = <cnp.ndarray>scale
    if not plain(scales) or type_of(scales) != PQK_F32 or not plain_block(to, <cnp.ndarray>x, scales, axis, block_size):
        return False
    to.c.scale = <const float *>cnp.PyArray_DATA(scales)
    if zero_point is None:
        return True
    if type(zero_point) is not cnp.ndarray:
        return False
    cdef cnp.ndarray points = <cnp.ndarray>zero_point
    if not plain(points) or type_of(points) != PQK_S32 or not same_shape(points, scales):
        return False
    to.c.zero_point = <const int32_t *>cnp.PyArray_DATA(points)
    return True


cdef bint params_apart(PlainParams *to, object scale, object zero_point, cnp.ndarray out):
    """No parameter array is where the result goes?"""
    return ((type(scale) is not cnp.ndarray or apart(<cnp.ndarray>scale, out))
            and (type(zero_point) is not cnp.ndarray or apart(<cnp.ndarray>zero_point, out)))


def quantize_plain(object x, object scale, object zero_point, object out, int convention, object axis,
                   object block_size):
    """quantize() where it is plain: see above."""
    cdef pqk_array from_, to
    cdef PlainParams params
    cdef pqk_status status
    if not plain_pair(x, out, &from_, &to) or not plain_params(&params, x, scale, zero_point, axis, block_size):
        return False
    if not params_apart(&params, scale, zero_point, <cnp.ndarray>out):
        return False
    with nogil:
        status = pqk_quantize(&from_, &params.c, <pqk_convention>convention, &to, NULL)
    return status == PQK_OK


def dequantize_plain(object q, object scale, object zero_point, object out, object axis, object block_size):
    """dequantize() likewise."""
    cdef pqk_array from_, to
    cdef PlainParams params
    cdef pqk_status status
    if not plain_pair(q, out, &from_, &to) or not plain_params(&params, q, scale, zero_point, axis, block_size):
        return False
    if not params_apart(&params, scale, zero_point, <cnp.ndarray>out):
        return False
    with nogil:
        status = pqk_dequantize(&from_, &params.c, &to, NULL)
    return status == PQK_OK


def fake_quantize_plain(object x, object scale, object zero_point, object out, object mask, int convention,
                        object axis, object block_size, int quant_min, int quant_max):
    """fake_quantize() likewise; mask: a plain uint8 array of the shape of x, or None. out may be x."""
    cdef pqk_array from_, to, kept
    cdef PlainParams params
    cdef pqk_status status
    cdef const pqk_array *mask_view = NULL
    if not plain_view(&from_, x) or not plain_params(&params, x, scale, zero_point, axis, block_size):
        return False
    if out is x:
        to = from_
        if not cnp.PyArray_ISWRITEABLE(<cnp.ndarray>x):
            return False
    elif not plain_pair(x, out, &from_, &to):
        return False
    if not params_apart(&params, scale, zero_point, <cnp.ndarray>out):
        return False
    if mask is not None:
        view(&kept, <cnp.ndarray>mask, None, NULL)
        mask_view = &kept
    with nogil:
        status = pqk_fake_quantize(&from_, &params.c, <pqk_convention>convention, quant_min, quant_max, &to,
                                   mask_view, NULL)
    return status == PQK_OK


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


# --- for `pyquantk bench` --------------------------------------------------------------------------------------

cdef extern from "../csrc/roofline/roofline.h" nogil:
    int pqk_roofline(int read, int write, int extra, const void *in_, void *out, void *out2, size_t elements,
                     int way, int repeat)


def roofline(int read, int write, int extra, cnp.ndarray x, cnp.ndarray out, object out2, Py_ssize_t elements,
             int way, int repeat):
    """The loads and stores of a kernel without its arithmetic, `repeat` times: csrc/roofline/roofline.h.

    read, write, extra: bits an element; way: 0 to 3, pqk_roofline_way; x, out, out2: C-contiguous arrays at
    addresses divisible by 64 with room for them, out2 None where extra is 0.  A read-only pattern (write 0) needs
    a byte an element of out.
    """
    cdef void *second = NULL
    cdef int failed
    cdef bint room = elements >= 0 and repeat >= 0
    room = room and cnp.PyArray_NBYTES(x) * 8 >= elements * read
    room = room and cnp.PyArray_NBYTES(out) * 8 >= elements * (write or 8)
    if out2 is not None:
        room = room and cnp.PyArray_NBYTES(<cnp.ndarray?>out2) * 8 >= elements * extra
        second = cnp.PyArray_DATA(<cnp.ndarray>out2)
    if not room:
        raise ValueError(f"the arrays must have room for {elements} elements of {read}, {write} and {extra} bits")
    with nogil:
        failed = pqk_roofline(read, write, extra, cnp.PyArray_DATA(x), cnp.PyArray_DATA(out), second,
                              <size_t>elements, way, repeat)
    if failed:
        raise ValueError(f"no pattern of {read}, {write} and {extra} bits or way {way}, or an address is not a "
                         f"multiple of 64, or elements = {elements} is not a multiple of 1024")
