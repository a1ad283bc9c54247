# Casts between float types, a part of _native.pyx.
from libc.stdint cimport uint64_t

_register(ml_dtypes.float8_e4m3fn, PQK_E4M3FN, 0)
_register(ml_dtypes.float8_e5m2, PQK_E5M2, 0)
_register(ml_dtypes.float8_e4m3fnuz, PQK_E4M3FNUZ, 0)
_register(ml_dtypes.float8_e5m2fnuz, PQK_E5M2FNUZ, 0)
_register(ml_dtypes.float8_e4m3b11fnuz, PQK_E4M3B11FNUZ, 0)
_register(ml_dtypes.float8_e4m3, PQK_E4M3, 0)
_register(ml_dtypes.float8_e3m4, PQK_E3M4, 0)
_register(ml_dtypes.float6_e2m3fn, PQK_E2M3FN, PQK_E2M3FNX4)
_register(ml_dtypes.float6_e3m2fn, PQK_E3M2FN, PQK_E3M2FNX4)
_register(ml_dtypes.float4_e2m1fn, PQK_E2M1FN, PQK_E2M1FNX2)
_register(ml_dtypes.float8_e8m0fnu, PQK_E8M0FNU, 0)

#: What rounding= calls them.
ROUNDINGS = {
    "nearest_even": PQK_NEAREST_EVEN,
    "nearest_away": PQK_NEAREST_AWAY,
    "toward_zero": PQK_TOWARD_ZERO,
    "up": PQK_UP,
    "down": PQK_DOWN,
    "stochastic": PQK_STOCHASTIC,
}


def cast(cnp.ndarray x, object packed_x, cnp.ndarray y, object packed_y, object shape, int rounding, bint saturate,
         uint64_t seed):
    """y[...] = x rounded.  packed_x, packed_y: the dtype that the bytes of x, of y pack, or None; shape: of the
    elements."""
    cdef pqk_array from_, to
    cdef pqk_cast_options options
    cdef Shape elements
    cdef pqk_status status
    sizes(&elements, shape)
    view(&from_, x, packed_x, elements.n)
    view(&to, y, packed_y, elements.n)
    options.rounding = <pqk_rounding>rounding
    options.saturate = saturate
    options.seed = seed
    with nogil:
        status = pqk_cast(&from_, &options, &to, NULL)
    check(status)


def cast_plain(object x, object out, bint saturate):
    """cast() to nearest even where it is plain: see _native_plain.pxi."""
    cdef pqk_array from_, to
    cdef pqk_cast_options options
    cdef pqk_status status
    if not plain_pair(x, out, &from_, &to):
        return False
    options.rounding = PQK_NEAREST_EVEN
    options.saturate = saturate
    options.seed = 0
    with nogil:
        status = pqk_cast(&from_, &options, &to, NULL)
    return status == PQK_OK
