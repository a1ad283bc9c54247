# The float product: matrices of few bits that floats are multiplied by. A part of _native.pyx.

cdef extern from *:
    """
    void pqk_weights_unpack(const pqk_weights *w, char *b); /* csrc/gemm_float/weights.h, not public */
    """
    void pqk_weights_unpack(const pqk_weights *w, char *b) nogil


cdef class Weights:
    """B (K, N) and its scales as pqk_float_matmul reads them, on every layer alike."""
    cdef pqk_weights *made
    cdef int64_t k, n
    # Of the elements of b; and what was given, of the shape that `block` gives.
    cdef readonly object dtype, scale, zero_point, block

    def __cinit__(self, cnp.ndarray b, object scale, object zero_point, object block):
        """scale: float32, zero_point: int32, C-contiguous, of the shape that `block` gives; or None, all of them."""
        cdef pqk_array from_
        cdef Params params
        cdef const pqk_params *given = NULL
        cdef pqk_status status
        view(&from_, b, None, NULL)
        if scale is not None:
            parameters(&params, scale, zero_point, None, block)
            given = &params.c
        with nogil:
            status = pqk_weights_pack(&from_, given, &self.made)
        check(status)
        self.k, self.n = from_.shape[0], from_.shape[1]
        self.dtype = b.dtype
        self.scale, self.zero_point, self.block = scale, zero_point, block

    def __dealloc__(self):
        pqk_weights_free(self.made)

    @property
    def shape(self):
        """(K, N)."""
        return self.k, self.n

    @property
    def nbytes(self):
        """Bytes of memory held."""
        cdef pqk_weights_info info
        pqk_weights_describe(self.made, &info)
        return info.bytes

    def unpack_into(self, cnp.ndarray b):
        """b[...] = the plain (K, N) matrix; b is C-contiguous and has the type that was packed."""
        cdef char *to = <char *>cnp.PyArray_DATA(b)
        with nogil:
            pqk_weights_unpack(self.made, to)


def float_matmul(cnp.ndarray a, Weights b not None, cnp.ndarray c, object a_scale=None, object b_scale=None,
                 object bias=None, object activation=None, float out_scale=0.0, int32_t out_zero_point=0):
    """c[...] = a b, as pqk_epilogue says; a (M, K) and c (M, N) of any strides, parameters as in matmul()."""
    cdef pqk_array from_, to
    cdef pqk_epilogue e
    cdef pqk_status status
    view(&from_, a, None, NULL)
    view(&to, c, None, NULL)
    complete_epilogue(&e, None, None, a_scale, b_scale, 0, bias, activation, out_scale, out_zero_point, None, None, 0)
    with nogil:
        status = pqk_float_matmul(&from_, b.made, &e, &to, NULL)
    check(status)
