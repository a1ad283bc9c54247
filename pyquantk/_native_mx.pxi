# Quantization by each block's own range, a part of _native.pyx.

#: Modes of quantize_dynamic(); the middle four are what scale_mode= calls them.
SCALE_ABSMAX = PQK_SCALE_ABSMAX
SCALE_MODES = {
    "floor": PQK_SCALE_FLOOR,
    "rceil": PQK_SCALE_RCEIL,
    "ceil": PQK_SCALE_CEIL,
    "even": PQK_SCALE_EVEN,
}
SCALE_NVFP4 = PQK_SCALE_NVFP4


def quantize_dynamic(cnp.ndarray x, cnp.ndarray q, object packed_dtype, cnp.ndarray scale, object block, int mode,
                     float global_scale):
    """q[...] = quantized x, scale[...] = its scales: float32, or uint8 codes for a mode of powers of two or NVFP4,
    C-contiguous, of the shape that `block` gives; packed_dtype: what the bytes of q pack, or None."""
    cdef pqk_array from_, to
    cdef pqk_dynamic how
    cdef Shape blocks, shape
    cdef pqk_status status
    how.mode = <pqk_scale_mode>mode
    how.global_scale = global_scale
    how.block = NULL
    if block is not None:
        sizes(&blocks, block)
        how.block = blocks.n
    view(&from_, x, None, NULL)
    sizes(&shape, (<object>x).shape)
    view(&to, q, packed_dtype, shape.n)
    cdef void *scales = cnp.PyArray_DATA(scale)
    with nogil:
        status = pqk_quantize_dynamic(&from_, &how, &to, scales)
    check(status)
