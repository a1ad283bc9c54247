# Requantization, a part of _native.pyx.

#: What rounding= calls them.
FIXED_ROUNDINGS = {"single": PQK_SINGLE, "double": PQK_DOUBLE, "rndnu": PQK_RNDNU}


cdef inline const int32_t *integers(object a) except? NULL:
    return NULL if a is None else <const int32_t *>cnp.PyArray_DATA(<cnp.ndarray>a)


def requantize(cnp.ndarray acc, cnp.ndarray q, object packed_dtype, object real, object m0, object shift,
               object zero_point, object block, int rounding):
    """q[...] = requantized acc.  real: float32; or real None, and m0, shift: int32; zero_point: int32 or None: all
    C-contiguous, of the shape that `block` gives; packed_dtype as in quantize()."""
    cdef pqk_array from_, to
    cdef pqk_multiplier multiplier
    cdef Shape blocks, shape
    cdef pqk_status status
    multiplier.real = floats(real)
    multiplier.m0 = integers(m0)
    multiplier.shift = integers(shift)
    multiplier.zero_point = integers(zero_point)
    multiplier.rounding = <pqk_fixed_rounding>rounding
    multiplier.block = NULL
    if block is not None:
        sizes(&blocks, block)
        multiplier.block = blocks.n
    view(&from_, acc, None, NULL)
    sizes(&shape, (<object>acc).shape)
    view(&to, q, packed_dtype, shape.n)
    with nogil:
        status = pqk_requantize(&from_, &multiplier, &to, NULL)
    check(status)


cdef bint plain_fixed_point(PlainParams *to, object acc, cnp.ndarray m0, object zero_point, object axis,
                            object block_size) except -1:
    """Block and zero points of fixed-point multipliers: a number for a number, an int32 array for an array."""
    to.c.block = NULL
    to.c.zero_point = NULL
    if axis is None and block_size is None:
        if cnp.PyArray_SIZE(m0) != 1:
            return False
        if zero_point is not None:
            if type(zero_point) is not int or not -65536 <= zero_point <= 65536:
                return False
            to.zero_point = zero_point
            to.c.zero_point = &to.zero_point
        return True
    if not plain_block(to, <cnp.ndarray>acc, m0, axis, block_size):
        return False
    if zero_point is None:
        return True
    if type(zero_point) is not cnp.ndarray or type_of(<cnp.ndarray>zero_point) != PQK_S32:
        return False
    to.c.zero_point = <const int32_t *>cnp.PyArray_DATA(<cnp.ndarray>zero_point)
    return plain(<cnp.ndarray>zero_point) and same_shape(<cnp.ndarray>zero_point, m0)


def requantize_plain(object acc, object real, object m0, object shift, object zero_point, object out, int rounding,
                     object axis, object block_size):
    """requantize() by the fast way (_native_plain.pxi): by `real`, or where that is None by the int32 arrays m0 and
    shift of a FixedPointMultiplier."""
    cdef pqk_array from_, to
    cdef PlainParams params
    cdef pqk_multiplier multiplier
    cdef pqk_status status
    if not plain_pair(acc, out, &from_, &to):
        return False
    if real is None:
        if not plain_fixed_point(&params, acc, <cnp.ndarray?>m0, zero_point, axis, block_size):
            return False
        multiplier.real = NULL
    else:
        if not plain_params(&params, acc, real, zero_point, axis, block_size):
            return False
        multiplier.real = params.c.scale
    if not params_apart(&params, real, zero_point, <cnp.ndarray>out):
        return False
    multiplier.m0 = integers(m0)
    multiplier.shift = integers(shift)
    multiplier.zero_point = params.c.zero_point
    multiplier.block = params.c.block
    multiplier.rounding = <pqk_fixed_rounding>rounding
    with nogil:
        status = pqk_requantize(&from_, &multiplier, &to, NULL)
    return status == PQK_OK
