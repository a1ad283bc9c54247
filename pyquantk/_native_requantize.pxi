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
