# What only `pyquantk bench` calls, a part of _native.pyx.

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


cdef extern from "../csrc/roofline/roofline_dot.h" nogil:
    double pqk_roofline_dot(size_t steps)
    double pqk_roofline_fma(size_t steps)


def roofline_dot(size_t steps):
    """The multiplications and additions of `steps` through the registers of each thread: csrc/roofline/roofline_dot.h."""
    cdef double operations
    with nogil:
        operations = pqk_roofline_dot(steps)
    return operations


def roofline_fma(size_t steps):
    """The same for the fused multiply-adds of float32."""
    cdef double operations
    with nogil:
        operations = pqk_roofline_fma(steps)
    return operations
