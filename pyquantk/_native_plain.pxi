# The fast way in, a part of _native.pyx.
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
