# The C interface of pyquantk (csrc/include/pyquantk.h) for this module and for other Cython packages:
#
#     from pyquantk._native cimport pqk_array, pqk_params, PQK_ONNX
#
# declares the types; link against the functions through pyquantk.get_include() and your own build.
from libc.stdint cimport int32_t, int64_t, uint64_t

cdef extern from "pyquantk.h" nogil:
    ctypedef enum pqk_status:
        PQK_OK
        PQK_ERROR_TYPE
        PQK_ERROR_SHAPE
        PQK_ERROR_BLOCK
        PQK_ERROR_ZERO_POINT
        PQK_ERROR_RANGE
        PQK_ERROR_CONVENTION
        PQK_ERROR_PART
        PQK_ERROR_MEMORY
        PQK_ERROR_LAYER
        PQK_ERROR_MULTIPLIER
        PQK_ERROR_OPTION
        PQK_ERROR_OVERLAP

    ctypedef enum pqk_type:
        PQK_F32
        PQK_F16
        PQK_BF16
        PQK_S8
        PQK_U8
        PQK_S16
        PQK_U16
        PQK_S32
        PQK_S4
        PQK_U4
        PQK_S2
        PQK_U2
        PQK_S4X2
        PQK_U4X2
        PQK_S2X4
        PQK_U2X4
        PQK_E4M3FN
        PQK_E5M2
        PQK_E4M3FNUZ
        PQK_E5M2FNUZ
        PQK_E4M3B11FNUZ
        PQK_E4M3
        PQK_E3M4
        PQK_E2M3FN
        PQK_E3M2FN
        PQK_E2M1FN
        PQK_E8M0FNU
        PQK_E2M3FNX4
        PQK_E3M2FNX4
        PQK_E2M1FNX2

    ctypedef enum pqk_convention:
        PQK_ONNX
        PQK_TORCH
        PQK_TORCH_FAKE_QUANTIZE
        PQK_TORCH_DECOMPOSED
        PQK_TORCH_DECOMPOSED_GROUP
        PQK_TFLITE
        PQK_GGML
        PQK_BITSANDBYTES

    ctypedef struct pqk_array:
        void *data
        pqk_type type
        int ndim
        const int64_t *shape
        const int64_t *strides

    ctypedef struct pqk_params:
        const float *scale
        const int32_t *zero_point
        const float *inverse
        const int64_t *block

    ctypedef struct pqk_exec:
        int32_t part
        int32_t parts

    ctypedef struct pqk_statistics:
        float *min
        float *max
        int64_t *nan_count
        int64_t *inf_count

    ctypedef struct pqk_float_environment:
        pass

    void pqk_float_environment_enter(pqk_float_environment *found)
    void pqk_float_environment_leave(const pqk_float_environment *found)
    int PQK_MAX_NDIM
    int PQK_ABI_VERSION
    int pqk_abi_version()
    const char *pqk_status_message(pqk_status status)
    pqk_status pqk_quantize(const pqk_array *x, const pqk_params *params, pqk_convention convention,
                            const pqk_array *q, const pqk_exec *exec)
    pqk_status pqk_dequantize(const pqk_array *q, const pqk_params *params, const pqk_array *y,
                              const pqk_exec *exec)
    pqk_status pqk_fake_quantize(const pqk_array *x, const pqk_params *params, pqk_convention convention,
                                 int32_t quant_min, int32_t quant_max, const pqk_array *y,
                                 const pqk_array *mask, const pqk_exec *exec)
    pqk_status pqk_observe(const pqk_array *x, const int64_t *block, const pqk_statistics *out)

    # Requantization.
    ctypedef enum pqk_fixed_rounding:
        PQK_SINGLE
        PQK_DOUBLE
        PQK_RNDNU

    ctypedef struct pqk_multiplier:
        const float *real
        const int32_t *m0
        const int32_t *shift
        const int32_t *zero_point
        const int64_t *block
        pqk_fixed_rounding rounding

    pqk_status pqk_requantize(const pqk_array *acc, const pqk_multiplier *multiplier, const pqk_array *q,
                              const pqk_exec *exec)

    # The integer matrix product.
    ctypedef struct pqk_floats:
        const float *data
        int64_t step

    ctypedef struct pqk_integers:
        const int32_t *data
        int64_t step

    ctypedef enum pqk_activation:
        PQK_NO_ACTIVATION
        PQK_CLAMP
        PQK_GELU
        PQK_GELU_TANH
        PQK_SILU

    ctypedef struct pqk_epilogue:
        pqk_integers a_zero_point
        pqk_integers b_zero_point
        pqk_floats a_scale
        pqk_floats b_scale
        int64_t group_size
        pqk_floats bias
        pqk_activation activation
        float low
        float high
        float out_scale
        int32_t out_zero_point
        pqk_integers m0
        pqk_integers shift
        pqk_fixed_rounding rounding

    ctypedef struct pqk_packed:
        pass

    ctypedef struct pqk_packed_info:
        int64_t k
        int64_t n
        int64_t group_size
        pqk_type type
        size_t bytes
        int layer

    ctypedef struct pqk_range:
        int64_t row
        int64_t row_end
        int64_t column
        int64_t column_end

    ctypedef enum pqk_linear_mode:
        PQK_LINEAR_DYNAMIC
        PQK_LINEAR_STATIC

    ctypedef struct pqk_linear_input:
        pqk_linear_mode mode
        pqk_type type
        float scale
        int32_t zero_point

    pqk_status pqk_pack(const pqk_array *b, int64_t group_size, pqk_packed **packed)
    void pqk_packed_free(pqk_packed *packed)
    void pqk_packed_describe(const pqk_packed *packed, pqk_packed_info *info)
    pqk_status pqk_unpack(const pqk_packed *packed, const pqk_array *b)
    pqk_status pqk_matmul(const pqk_array *a, const pqk_array *b, const pqk_packed *packed,
                          const pqk_epilogue *epilogue, const pqk_array *c, const pqk_range *range)
    pqk_status pqk_linear(const pqk_array *x, const pqk_linear_input *input, const pqk_packed *w,
                          const pqk_epilogue *epilogue, const pqk_array *y, const pqk_range *range)

    # The float product.
    ctypedef struct pqk_weights:
        pass

    ctypedef struct pqk_weights_info:
        int64_t k
        int64_t n
        int64_t group_size
        pqk_type type
        size_t bytes

    pqk_status pqk_weights_pack(const pqk_array *b, const pqk_params *params, pqk_weights **weights)
    void pqk_weights_free(pqk_weights *weights)
    void pqk_weights_describe(const pqk_weights *weights, pqk_weights_info *info)
    pqk_status pqk_float_matmul(const pqk_array *a, const pqk_weights *weights, const pqk_epilogue *epilogue,
                                const pqk_array *c, const pqk_range *range)

    ctypedef enum pqk_rounding:
        PQK_NEAREST_EVEN
        PQK_NEAREST_AWAY
        PQK_TOWARD_ZERO
        PQK_UP
        PQK_DOWN
        PQK_STOCHASTIC

    ctypedef struct pqk_cast_options:
        pqk_rounding rounding
        int saturate
        uint64_t seed

    pqk_status pqk_cast(const pqk_array *x, const pqk_cast_options *options, const pqk_array *y,
                        const pqk_exec *exec)

    ctypedef enum pqk_scale_mode:
        PQK_SCALE_ABSMAX
        PQK_SCALE_FLOOR
        PQK_SCALE_RCEIL
        PQK_SCALE_CEIL
        PQK_SCALE_EVEN
        PQK_SCALE_NVFP4

    ctypedef struct pqk_dynamic:
        pqk_scale_mode mode
        const int64_t *block
        float global_scale

    pqk_status pqk_quantize_dynamic(const pqk_array *x, const pqk_dynamic *how, const pqk_array *q, void *scale)

    const char *pqk_layer_name(int layer)
    int pqk_layer_supported(int layer)
    int pqk_active_layer()
    pqk_status pqk_use_layer(int layer)
    const char *pqk_operation_name(int operation)
    const char *pqk_operation_layer(int operation)
    int pqk_get_num_threads()
    int pqk_set_num_threads(int n)
    int pqk_set_thread_limit(int n)
