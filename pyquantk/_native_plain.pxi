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


cdef int plain_axis(cnp.ndarray x, object axis, object block_size) except -2:
    """The one axis along which parameters vary, -1 where that is not plain to see."""
    cdef int ndim = cnp.PyArray_NDIM(x), at = -1
    if axis is not None and type(axis) is not int or block_size is not None and type(block_size) is not int:
        return -1
    if axis is not None:
        if not -ndim <= axis < ndim:
            return -1
        at = axis
    if block_size is not None and not 0 < block_size < 1 << 62:
        return -1
    return at if at >= 0 else max(at + ndim, -1)


cdef bint plain_block(PlainParams *to, cnp.ndarray x, cnp.ndarray scale, object axis, object block_size) except -1:
    """The block of a float32 scale array that fits x exactly."""
    cdef int i, ndim = cnp.PyArray_NDIM(x), at = plain_axis(x, axis, block_size)
    cdef int64_t size = 1, n
    if at < 0:
        return False
    if block_size is None:
        if cnp.PyArray_NDIM(scale) != 1 or cnp.PyArray_DIM(scale, 0) != cnp.PyArray_DIM(x, at):
            return False
    else:
        if cnp.PyArray_NDIM(scale) != ndim:
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


cdef bint plain_mask(pqk_array *to, object mask, cnp.ndarray x, cnp.ndarray out):
    """A writeable array of bool, of the shape of x, that shares no byte with x or out?"""
    if type(mask) is not cnp.ndarray:
        return False
    cdef cnp.ndarray kept = <cnp.ndarray>mask
    if cnp.PyArray_TYPE(kept) != cnp.NPY_BOOL or not plain(kept) or not cnp.PyArray_ISWRITEABLE(kept):
        return False
    to.data = cnp.PyArray_DATA(kept)
    to.type = PQK_U8
    to.ndim = cnp.PyArray_NDIM(kept)
    to.shape = <const int64_t *>cnp.PyArray_DIMS(kept)
    to.strides = NULL
    return same_shape(x, kept) and apart(x, kept) and apart(out, kept)


def fake_quantize_plain(object x, object scale, object zero_point, object out, object mask, int convention,
                        object axis, object block_size, int quant_min, int quant_max):
    """fake_quantize() likewise; mask: an array of bool for it, or None. out may be x."""
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
        if not plain_mask(&kept, mask, <cnp.ndarray>x, <cnp.ndarray>out) or not params_apart(
                &params, scale, zero_point, <cnp.ndarray>mask):
            return False
        mask_view = &kept
    with nogil:
        status = pqk_fake_quantize(&from_, &params.c, <pqk_convention>convention, quant_min, quant_max, &to,
                                   mask_view, NULL)
    return status == PQK_OK


cdef enum:
    MAX_DIMS = 64  # of NumPy


def observe_plain(object x, object axis, object block_size):
    """(min, max, nan_count, inf_count) of pyquantk.observe() where it is plain, or None."""
    cdef pqk_array from_
    cdef pqk_statistics out
    cdef pqk_status status
    cdef int64_t block[MAX_DIMS]
    cdef cnp.npy_intp shape[MAX_DIMS]
    cdef int i, at, ndim = 0
    cdef bint whole = axis is None and block_size is None
    if not plain_view(&from_, x) or cnp.PyArray_SIZE(<cnp.ndarray>x) == 0:
        return None
    if not whole:
        at = plain_axis(<cnp.ndarray>x, axis, block_size)
        if at < 0:
            return None
        for i in range(from_.ndim):
            block[i] = from_.shape[i] if block_size is None else 1
            shape[i] = <cnp.npy_intp>from_.shape[i]
        if block_size is None:
            block[at] = 1
            shape[0] = shape[at]
            ndim = 1
        else:
            block[at] = min(<int64_t>block_size, from_.shape[at])
            shape[at] = <cnp.npy_intp>((from_.shape[at] - 1) // block[at] + 1)
            ndim = from_.ndim
    low = cnp.PyArray_SimpleNew(ndim, shape, cnp.NPY_FLOAT32)
    high = cnp.PyArray_SimpleNew(ndim, shape, cnp.NPY_FLOAT32)
    nans = cnp.PyArray_SimpleNew(ndim, shape, cnp.NPY_INT64)
    infs = cnp.PyArray_SimpleNew(ndim, shape, cnp.NPY_INT64)
    out.min = <float *>cnp.PyArray_DATA(<cnp.ndarray>low)
    out.max = <float *>cnp.PyArray_DATA(<cnp.ndarray>high)
    out.nan_count = <int64_t *>cnp.PyArray_DATA(<cnp.ndarray>nans)
    out.inf_count = <int64_t *>cnp.PyArray_DATA(<cnp.ndarray>infs)
    with nogil:
        status = pqk_observe(&from_, NULL if whole else block, &out)
    return (low, high, nans, infs) if status == PQK_OK else None


# --- from ranges to parameters ---------------------------------------------------------------------------------

def total(cnp.ndarray counts):
    """The sum of a C-contiguous int64 array."""
    cdef const int64_t *n = <const int64_t *>cnp.PyArray_DATA(counts)
    cdef int64_t sum = 0
    cdef Py_ssize_t i
    for i in range(cnp.PyArray_SIZE(counts)):
        sum += n[i]
    return sum


@cython.cdivision(True)
cdef void symmetric_scales(const float *low, const float *high, Py_ssize_t count, int top, float *scale) noexcept nogil:
    cdef Py_ssize_t i
    cdef float absmax
    for i in range(count):
        absmax = max(fabsf(low[i]), fabsf(high[i])) if low[i] <= high[i] else 0
        scale[i] = 1 if absmax == 0 else max(absmax / <float>top, FLT_MIN)


@cython.cdivision(True)
cdef void asymmetric_scales(const float *low, const float *high, Py_ssize_t count, int quant_min, int quant_max,
                            float *scale, int32_t *zero_point) noexcept nogil:
    cdef Py_ssize_t i
    cdef int steps = quant_max - quant_min
    cdef float least, most, step, point
    for i in range(count):
        least = min(low[i], <float>0)
        most = max(high[i], <float>0)
        if low[i] > high[i] or least == most:
            scale[i] = 1
            zero_point[i] = quant_min
            continue
        step = (most - least) / <float>steps
        if isinf(step):
            step = <float>((<double>most - <double>least) / steps)
        step = max(step, FLT_MIN)
        point = <float>quant_min - least / step
        scale[i] = step
        zero_point[i] = <int32_t>rintf(min(max(point, <float>quant_min), <float>quant_max))


def choose(cnp.ndarray low, cnp.ndarray high, int quant_min, int quant_max, bint symmetric):
    """(scale, zero_point or None) of rule "pyquantk" in pyquantk.rules.

    low, high: float32, C-contiguous, of one shape, no NaN and no infinity but low > high where there is nothing.
    """
    cdef pqk_float_environment found
    cdef Py_ssize_t count = cnp.PyArray_SIZE(low)
    cdef const float *least = <const float *>cnp.PyArray_DATA(low)
    cdef const float *most = <const float *>cnp.PyArray_DATA(high)
    cdef int middle = (quant_max - quant_min + 1) // 2 if quant_min == 0 else 0
    cdef Py_ssize_t i
    scale = cnp.PyArray_SimpleNew(cnp.PyArray_NDIM(low), cnp.PyArray_DIMS(low), cnp.NPY_FLOAT32)
    cdef float *scales = <float *>cnp.PyArray_DATA(<cnp.ndarray>scale)
    cdef int32_t *points = NULL
    point = None
    if middle or not symmetric:
        point = cnp.PyArray_SimpleNew(cnp.PyArray_NDIM(low), cnp.PyArray_DIMS(low), cnp.NPY_INT32)
        points = <int32_t *>cnp.PyArray_DATA(<cnp.ndarray>point)
    with nogil:
        pqk_float_environment_enter(&found)
        if symmetric:
            symmetric_scales(least, most, count, middle - 1 if middle else quant_max, scales)
            if middle:
                for i in range(count):
                    points[i] = middle
        else:
            asymmetric_scales(least, most, count, quant_min, quant_max, scales, points)
        pqk_float_environment_leave(&found)
    return scale, point
