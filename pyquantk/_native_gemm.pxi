# Matrix products: matrices packed for a layer, products, and linear layers. Included by _native.pyx.

cdef extern from "../csrc/core/atomics.h" nogil:
    ctypedef size_t pqk_atomic_size
    size_t pqk_load_size(pqk_atomic_size *p)
    void pqk_store_size(pqk_atomic_size *p, size_t x)

cdef enum:
    LAYERS = 16  # PQK_MAX_LAYERS in csrc/dispatch/dispatch.h
    ATTEMPTS = 100

# The numbers of pqk_activation, with what "relu" and "relu6" clamp to.
CLAMP = PQK_CLAMP
ACTIVATIONS = {
    "relu": (PQK_CLAMP, 0.0, float("inf")),
    "relu6": (PQK_CLAMP, 0.0, 6.0),
    "gelu": (PQK_GELU, 0.0, 0.0),
    "gelu_tanh": (PQK_GELU_TANH, 0.0, 0.0),
    "silu": (PQK_SILU, 0.0, 0.0),
}
LINEAR_DYNAMIC = PQK_LINEAR_DYNAMIC
LINEAR_STATIC = PQK_LINEAR_STATIC

cdef object repack_lock = threading.Lock()


def _new_lock():
    """In the child of a fork: whoever held the lock is not there to release it."""
    global repack_lock
    repack_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock)


cdef class Packed:
    """B in the order of the kernels of each layer that has used it so far.

    `slot[layer]` is the matrix as the kernels in use at that layer read it, or 0; several layers may share one.
    Matrices are made under the lock, then published, and live as long as this object.
    """
    cdef pqk_atomic_size slot[LAYERS]
    cdef pqk_packed *owned[LAYERS]
    cdef int count
    cdef int64_t k, n
    cdef int64_t group_size
    cdef int type
    # What the caller's b_zero_point is where they give none.
    cdef readonly object zero_point
    cdef pqk_integers zero

    def __cinit__(self, cnp.ndarray b, int64_t group_size, object zero_point):
        cdef pqk_array from_
        cdef pqk_packed *made = NULL
        cdef pqk_status status
        cdef int layer = pqk_active_layer()
        view(&from_, b, None, NULL)
        with nogil:
            status = pqk_pack(&from_, group_size, &made)
        check(status)
        self.owned[0] = made
        self.count = 1
        self.k, self.n = from_.shape[0], from_.shape[1]
        self.group_size = group_size
        self.type = from_.type
        self.zero_point = zero_point
        if zero_point is not None:
            integer_vector(&self.zero, zero_point)
        if pqk_active_layer() == layer:
            pqk_store_size(&self.slot[layer], <size_t>made)

    def __dealloc__(self):
        cdef int i
        for i in range(self.count):
            pqk_packed_free(self.owned[i])

    @property
    def shape(self):
        """(K, N)."""
        return self.k, self.n

    @property
    def is_unsigned(self):
        return self.type == PQK_U8

    @property
    def rows_in_group(self):
        """How many rows share a scale; 0 where all do."""
        return self.group_size

    @property
    def nbytes(self):
        """Bytes of memory held: one packed matrix for each kind of kernel that has used it."""
        cdef pqk_packed_info info
        total = 0
        for i in range(self.count):
            pqk_packed_describe(self.owned[i], &info)
            total += info.bytes
        return total

    @property
    def layer(self):
        """The layer whose kernels read the matrix now."""
        cdef pqk_packed_info info
        pqk_packed_describe(packed_now(self), &info)
        return pqk_layer_name(info.layer).decode()

    def unpack_into(self, cnp.ndarray b):
        """b[...] = the plain (K, N) matrix; b has the type that was packed."""
        cdef pqk_array to
        cdef pqk_status status
        view(&to, b, None, NULL)
        with nogil:
            status = pqk_unpack(self.owned[0], &to)
        check(status)


cdef const pqk_packed *packed_now(Packed b) except NULL:
    """b for the layer in use."""
    cdef int layer = pqk_active_layer()
    cdef size_t found = pqk_load_size(&b.slot[layer])
    return <const pqk_packed *>found if found else repacked(b, layer)


cdef const pqk_packed *repacked(Packed b, int layer) except NULL:
    """b packed anew for the layer in use, or for the one that another thread switches to meanwhile."""
    cdef pqk_packed *made = NULL
    cdef pqk_packed_info info, other
    cdef pqk_array plain_b
    cdef cnp.npy_intp shape[2]
    cdef pqk_status status
    cdef int i
    cdef cnp.ndarray buffer
    with repack_lock:
        if pqk_load_size(&b.slot[layer]):
            return <const pqk_packed *>pqk_load_size(&b.slot[layer])
        shape[0], shape[1] = b.k, b.n
        buffer = cnp.PyArray_EMPTY(2, shape, cnp.NPY_INT8 if b.type == PQK_S8 else cnp.NPY_UINT8, 0)
        view(&plain_b, buffer, None, NULL)
        with nogil:
            status = pqk_unpack(b.owned[0], &plain_b)
            if status == PQK_OK:
                status = pqk_pack(&plain_b, b.group_size, &made)
        check(status)
        pqk_packed_describe(made, &info)
        for i in range(b.count):
            pqk_packed_describe(b.owned[i], &other)
            if other.layer == info.layer:
                pqk_packed_free(made)
                made = b.owned[i]
                break
        else:
            b.owned[b.count] = made
            b.count += 1
        if pqk_active_layer() == layer:
            pqk_store_size(&b.slot[layer], <size_t>made)
        return made


cdef int forget(Packed b) except -1:
    """The matrix in the slot is not what the kernels in use read: the layer was switched while it was being made."""
    with repack_lock:
        pqk_store_size(&b.slot[pqk_active_layer()], 0)
    return 0


# --- arguments -------------------------------------------------------------------------------------------------


cdef struct Product:
    pqk_array a, b, c
    pqk_epilogue e
    float a_scale, b_scale
    int32_t a_zero, b_zero


cdef int integer_vector(pqk_integers *to, object array) except -1:
    """array: int32, C-contiguous, one number or one for each row (column); or None."""
    to.data = NULL
    to.step = 0
    if array is not None:
        to.data = <const int32_t *>cnp.PyArray_DATA(<cnp.ndarray>array)
        to.step = cnp.PyArray_SIZE(<cnp.ndarray>array) != 1
    return 0


cdef int float_vector(pqk_floats *to, object array) except -1:
    """array: float32, C-contiguous, one number or one for each row (column); or None."""
    to.data = NULL
    to.step = 0
    if array is not None:
        to.data = <const float *>cnp.PyArray_DATA(<cnp.ndarray>array)
        to.step = cnp.PyArray_SIZE(<cnp.ndarray>array) != 1
    return 0


cdef pqk_status multiply(Product *p, Packed packed, bint with_epilogue) except? PQK_ERROR_LAYER:
    """p.c = p.a p.b, or p.a packed."""
    cdef const pqk_packed *handle = NULL
    cdef const pqk_epilogue *e = &p.e if with_epilogue else NULL
    cdef pqk_status status
    cdef int attempt
    if packed is None:
        with nogil:
            status = pqk_matmul(&p.a, &p.b, NULL, e, &p.c, NULL)
        return status
    for attempt in range(ATTEMPTS):
        handle = packed_now(packed)
        with nogil:
            status = pqk_matmul(&p.a, NULL, handle, e, &p.c, NULL)
        if status != PQK_ERROR_LAYER:
            return status
        forget(packed)
    check(PQK_ERROR_LAYER)


cdef bint operand(pqk_array *to, object array):
    """A plain int8 or uint8 matrix?"""
    return plain_view(to, array) and to.ndim == 2 and (to.type == PQK_S8 or to.type == PQK_U8)


cdef bint operands(Product *p, object a, object b):
    """Plain matrices whose shapes fit?"""
    if not operand(&p.a, a):
        return False
    if isinstance(b, Packed):
        return p.a.shape[1] == (<Packed>b).k
    return operand(&p.b, b) and p.a.shape[1] == p.b.shape[0]


cdef int64_t columns_of(Product *p, object b):
    return (<Packed>b).n if isinstance(b, Packed) else p.b.shape[1]


cdef object target(Product *p, object a, object b, int number, object out):
    """`out`, or a fresh array, if it is where a plain product of this NumPy type can go; else None."""
    cdef cnp.npy_intp shape[2]
    shape[0], shape[1] = p.a.shape[0], columns_of(p, b)
    if out is None:
        out = cnp.PyArray_EMPTY(2, shape, number, 0)
        plain_view(&p.c, out)
        return out
    if type(out) is not cnp.ndarray or cnp.PyArray_TYPE(<cnp.ndarray>out) != number or not plain_view(&p.c, out):
        return None
    if p.c.ndim != 2 or p.c.shape[0] != shape[0] or p.c.shape[1] != shape[1]:
        return None
    if not cnp.PyArray_ISWRITEABLE(<cnp.ndarray>out) or not apart(<cnp.ndarray>a, <cnp.ndarray>out):
        return None
    if not isinstance(b, Packed) and not apart(<cnp.ndarray>b, <cnp.ndarray>out):
        return None
    return out


cdef bint plain_numbers(object array, int wanted, int64_t count, cnp.ndarray out):
    """A plain, aligned array of `count` numbers apart from the result?"""
    if type(array) is not cnp.ndarray:
        return False
    cdef cnp.ndarray numbers = <cnp.ndarray>array
    return (plain(numbers) and type_of(numbers) == wanted and cnp.PyArray_ISALIGNED(numbers)
            and cnp.PyArray_NDIM(numbers) == 1 and cnp.PyArray_DIM(numbers, 0) == count and apart(numbers, out))


cdef bint plain_zero(pqk_integers *to, int32_t *room, object value, int64_t count, cnp.ndarray out) except -1:
    """A zero point that is None, a small int or an int32 array."""
    to.data = NULL
    to.step = 0
    if value is None:
        return True
    if type(value) is int:
        if not -128 <= value <= 255:
            return False
        room[0] = value
        to.data = room if room[0] else NULL
        return True
    if not plain_numbers(value, PQK_S32, count, out):
        return False
    to.data = <const int32_t *>cnp.PyArray_DATA(<cnp.ndarray>value)
    to.step = 1
    return True


cdef bint plain_scale(pqk_floats *to, float *room, object value, int64_t count, cnp.ndarray out) except -1:
    """A scale that is a float or a float32 array."""
    to.data = room
    to.step = 0
    if isinstance(value, float):
        room[0] = pqk_to_float(value)
        return True
    if type(value) is float32:
        cnp.PyArray_ScalarAsCtype(value, room)
        return True
    if not plain_numbers(value, PQK_F32, count, out):
        return False
    to.data = <const float *>cnp.PyArray_DATA(<cnp.ndarray>value)
    to.step = 1
    return True


cdef bint plain_group_scale(Product *p, object b, object scale, cnp.ndarray out):
    """Scales by group and column, where K is a whole number of groups."""
    if type(scale) is not cnp.ndarray or cnp.PyArray_NDIM(<cnp.ndarray>scale) != 2:
        return False
    cdef cnp.ndarray scales = <cnp.ndarray>scale
    cdef int64_t groups = cnp.PyArray_DIM(scales, 0), k = p.a.shape[1]
    if not plain(scales) or type_of(scales) != PQK_F32 or not cnp.PyArray_ISALIGNED(scales) or not apart(scales, out):
        return False
    if groups < 1 or k < 1 or k % groups or cnp.PyArray_DIM(scales, 1) != columns_of(p, b):
        return False
    if isinstance(b, Packed) and (<Packed>b).group_size and (<Packed>b).group_size != k // groups:
        return False
    p.e.group_size = k // groups
    p.e.b_scale.data = <const float *>cnp.PyArray_DATA(scales)
    p.e.b_scale.step = 1
    return True


cdef bint plain_zeros(Product *p, object b, object a_zero_point, object b_zero_point, cnp.ndarray out) except -1:
    if not plain_zero(&p.e.a_zero_point, &p.a_zero, a_zero_point, p.a.shape[0], out):
        return False
    if isinstance(b, Packed) and (<Packed>b).zero_point is not None:
        p.e.b_zero_point = (<Packed>b).zero
        return b_zero_point is None
    return plain_zero(&p.e.b_zero_point, &p.b_zero, b_zero_point, columns_of(p, b), out)


# --- products --------------------------------------------------------------------------------------------------


def matmul_plain(object a, object b, object a_zero_point, object b_zero_point, object out):
    """matmul() of plain matrices, b perhaps Packed: the result; None, and nothing done, where it is not plain."""
    cdef Product p
    if not operands(&p, a, b):
        return None
    result = target(&p, a, b, cnp.NPY_INT32, out)
    if result is None:
        return None
    memset(&p.e, 0, sizeof(p.e))
    if not plain_zeros(&p, b, a_zero_point, b_zero_point, <cnp.ndarray>result):
        return None
    return result if multiply(&p, <Packed>b if isinstance(b, Packed) else None, True) == PQK_OK else None


def qmatmul_plain(object a, object b, object a_scale, object b_scale, object a_zero_point, object b_zero_point,
                  object bias, object activation, int number, object out_scale, object out_zero_point, object out):
    """qmatmul() likewise; activation: an entry of ACTIVATIONS or None, number: the NumPy type of the result."""
    cdef Product p
    cdef int64_t n
    if not operands(&p, a, b):
        return None
    result = target(&p, a, b, number, out)
    if result is None:
        return None
    cdef cnp.ndarray c = <cnp.ndarray>result
    memset(&p.e, 0, sizeof(p.e))
    n = columns_of(&p, b)
    if not plain_zeros(&p, b, a_zero_point, b_zero_point, c):
        return None
    if not plain_scale(&p.e.a_scale, &p.a_scale, a_scale, p.a.shape[0], c):
        return None
    if not plain_scale(&p.e.b_scale, &p.b_scale, b_scale, n, c) and not plain_group_scale(&p, b, b_scale, c):
        return None
    if bias is not None:
        if not plain_numbers(bias, PQK_F32, n, c):
            return None
        p.e.bias.data = <const float *>cnp.PyArray_DATA(<cnp.ndarray>bias)
        p.e.bias.step = 1
    if activation is not None:
        p.e.activation = <pqk_activation><int>activation[0]
        p.e.low, p.e.high = activation[1], activation[2]
    if p.c.type == PQK_F32 or p.c.type == PQK_F16 or p.c.type == PQK_BF16:
        if out_scale is not None or out_zero_point is not None:
            return None
    else:
        if not isinstance(out_scale, float):
            return None
        p.e.out_scale = pqk_to_float(out_scale)
        if out_zero_point is not None:
            if type(out_zero_point) is not int or not -32768 <= out_zero_point <= 32767:
                return None
            p.e.out_zero_point = out_zero_point
    return result if multiply(&p, <Packed>b if isinstance(b, Packed) else None, True) == PQK_OK else None


cdef int complete_epilogue(pqk_epilogue *e, object a_zero_point, object b_zero_point, object a_scale, object b_scale,
                           int64_t group_size, object bias, object activation, float out_scale,
                           int32_t out_zero_point, object m0, object shift, int rounding) except -1:
    memset(e, 0, sizeof(e[0]))
    integer_vector(&e.a_zero_point, a_zero_point)
    integer_vector(&e.b_zero_point, b_zero_point)
    float_vector(&e.a_scale, a_scale)
    float_vector(&e.b_scale, b_scale)
    e.group_size = group_size
    if group_size:
        e.b_scale.step = 1
    float_vector(&e.bias, bias)
    if activation is not None:
        e.activation = <pqk_activation><int>activation[0]
        e.low, e.high = activation[1], activation[2]
    e.out_scale = out_scale
    e.out_zero_point = out_zero_point
    integer_vector(&e.m0, m0)
    integer_vector(&e.shift, shift)
    e.rounding = <pqk_fixed_rounding>rounding
    return 0


def matmul(cnp.ndarray a, object b, cnp.ndarray c, object a_zero_point, object b_zero_point, object a_scale=None,
           object b_scale=None, int64_t group_size=0, object bias=None, object activation=None,
           float out_scale=0.0, int32_t out_zero_point=0, object m0=None, object shift=None, int rounding=0):
    """c[...] = a b, as pqk_epilogue says.  a (..., M, K), b (..., K, N) or Packed and c (..., M, N) have the same batch
    axes; parameters are int32 and float32 arrays, C-contiguous, of one number or one for each row (column) or group."""
    cdef Product p
    view(&p.a, a, None, NULL)
    view(&p.c, c, None, NULL)
    complete_epilogue(&p.e, a_zero_point, b_zero_point, a_scale, b_scale, group_size, bias, activation, out_scale,
                      out_zero_point, m0, shift, rounding)
    if isinstance(b, Packed):
        check(multiply(&p, <Packed>b, True))
    else:
        view(&p.b, <cnp.ndarray?>b, None, NULL)
        check(multiply(&p, None, True))


# --- linear layers ---------------------------------------------------------------------------------------------


cdef class Linear:
    """y = x w with everything but x decided: what a call needs, ready for C."""
    cdef Packed packed    # x becomes integers,
    cdef Weights weights  # or the weights become floats
    cdef int64_t k, n
    cdef object kept  # the arrays that `e` points into
    cdef pqk_epilogue e
    cdef pqk_linear_input input

    def __cinit__(self, object weight not None, object scale, int64_t group_size, object bias, object activation,
                  int mode=0, object like=None, float input_scale=0.0, int32_t input_zero_point=0):
        """weight: Packed, or Weights, which have their scales and take no argument after activation; like: an array of
        the type that x is quantized to; other arguments as in matmul()."""
        zero_point = None
        if isinstance(weight, Packed):
            self.packed = weight
            zero_point = self.packed.zero_point
            self.input.mode = <pqk_linear_mode>mode
            self.input.type = <pqk_type>type_of(<cnp.ndarray?>like)
            self.input.scale = input_scale
            self.input.zero_point = input_zero_point
        else:
            self.weights = <Weights?>weight
        self.k, self.n = weight.shape
        self.kept = (scale, bias, zero_point)
        complete_epilogue(&self.e, None, zero_point, None, scale, group_size, bias, activation, 0.0, 0, None, None, 0)

    cdef pqk_status run(self, pqk_array *x, pqk_array *y) except? PQK_ERROR_LAYER:
        cdef const pqk_packed *handle
        cdef const pqk_weights *weights
        cdef pqk_status status
        cdef int attempt
        if self.weights is not None:
            weights = self.weights.made
            with nogil:
                status = pqk_float_matmul(x, weights, &self.e, y, NULL)
            return status
        for attempt in range(ATTEMPTS):
            handle = packed_now(self.packed)
            with nogil:
                status = pqk_linear(x, &self.input, handle, &self.e, y, NULL)
            if status != PQK_ERROR_LAYER:
                return status
            forget(self.packed)
        check(PQK_ERROR_LAYER)

    def plain(self, object x, object out):
        """The result for a C-contiguous x (..., K); None, and nothing done, where it or `out` is not plain."""
        cdef pqk_array from_, to
        cdef cnp.npy_intp shape[64]
        cdef int64_t matrix_x[2]
        cdef int64_t matrix_y[2]
        cdef int i, last
        if not plain_view(&from_, x) or from_.type > PQK_BF16 or from_.ndim < 1:
            return None
        last = from_.ndim - 1
        if from_.shape[last] != self.k:
            return None
        matrix_x[0] = matrix_y[0] = 1
        for i in range(last):
            shape[i] = from_.shape[i]
            matrix_x[0] *= from_.shape[i]
        shape[last] = self.n
        matrix_x[1] = self.k
        matrix_y[0] = matrix_x[0]
        matrix_y[1] = self.n
        if out is None:
            out = cnp.PyArray_EMPTY(from_.ndim, shape, cnp.PyArray_TYPE(<cnp.ndarray>x), 0)
            plain_view(&to, out)
        else:
            if not plain_view(&to, out) or to.type > PQK_BF16 or to.ndim != from_.ndim:
                return None
            for i in range(last + 1):
                if to.shape[i] != shape[i]:
                    return None
            if not cnp.PyArray_ISWRITEABLE(<cnp.ndarray>out) or not apart(<cnp.ndarray>x, <cnp.ndarray>out):
                return None
        from_.shape, from_.ndim = matrix_x, 2
        to.shape, to.ndim = matrix_y, 2
        return out if self.run(&from_, &to) == PQK_OK else None

    def into(self, cnp.ndarray x, cnp.ndarray y):
        """y[...] = the result for x (M, K), any strides."""
        cdef pqk_array from_, to
        view(&from_, x, None, NULL)
        view(&to, y, None, NULL)
        check(self.run(&from_, &to))
