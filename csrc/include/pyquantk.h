/* pyquantk.h -- the public C interface of pyquantk (C11 and C++).
 *
 * Every function returns the same bits on every instruction set and for any number of threads, works under
 * round-to-nearest whatever the caller's floating-point environment is, and reads and writes no byte outside
 * the arrays it is given.  An error leaves every output untouched.
 */
#ifndef PYQUANTK_H
#define PYQUANTK_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define PQK_API __declspec(dllexport)
#elif defined(__GNUC__)
#define PQK_API __attribute__((visibility("default")))
#else
#define PQK_API
#endif

/* Grows whenever a struct or a signature below changes; new functions alone do not change it. */
#define PQK_ABI_VERSION 1
PQK_API int pqk_abi_version(void);

typedef enum pqk_status {
    PQK_OK = 0,
    PQK_ERROR_TYPE,       /* an array's type is not one that the function takes */
    PQK_ERROR_SHAPE,      /* shapes differ, ndim is out of range, or a size overflows */
    PQK_ERROR_BLOCK,      /* a block is < 1, or cuts a byte of a packed type in two */
    PQK_ERROR_ZERO_POINT, /* a zero point is outside [quant_min, quant_max] */
    PQK_ERROR_RANGE,      /* quant_min > quant_max, wider than 16 bits, or beyond +-2^23 */
    PQK_ERROR_CONVENTION, /* no such convention, or not for this function */
    PQK_ERROR_PART,       /* part is not in [0, parts) */
    PQK_ERROR_MEMORY,     /* scratch memory could not be had */
    PQK_ERROR_LAYER,      /* no such layer, this CPU cannot run it, or B was packed for another one */
    PQK_ERROR_MULTIPLIER, /* m0 is not 0 or in [2^30, 2^31), or shift not in [-31, 30] */
    PQK_ERROR_OPTION,     /* see below */
    PQK_ERROR_OVERLAP     /* the output shares memory with an input */
} pqk_status;
/* PQK_ERROR_OPTION, by function:
 *   pqk_cast, pqk_requantize   a rounding that is not one
 *   pqk_quantize_dynamic       a mode that is not one
 *   pqk_matmul                 both b and packed, or neither
 *   pqk_linear                 a mode that is not one; DYNAMIC to S32 or with m0
 *   pqk_float_matmul           an epilogue with a_zero_point, b_zero_point, m0 or groups
 * and where there is an epilogue: an activation or rounding that is not one; low > high or NaN with PQK_CLAMP; groups
 * without a b_scale of step 1; out_scale not positive and finite for S8, U8 or S16 without m0; m0 or shift for a float
 * c; anything but zero points for S32; scales, bias, activation or groups beside m0. */
PQK_API const char *pqk_status_message(pqk_status status);

/* Element types.  S4, U4, S2, U2 keep one element in a byte (as ml_dtypes does); S4X2 ... U2X4 pack elements
 * along the last axis, the first in the low bits, each row padded with zero bits to a whole byte. */
typedef enum pqk_type {
    PQK_F32 = 1,
    PQK_F16,
    PQK_BF16,
    PQK_S8,
    PQK_U8,
    PQK_S16,
    PQK_U16,
    PQK_S32,
    PQK_S4,
    PQK_U4,
    PQK_S2,
    PQK_U2,
    PQK_S4X2,
    PQK_U4X2,
    PQK_S2X4,
    PQK_U2X4,
    PQK_E4M3FN, /* 8-, 6- and 4-bit floats, one a byte, named as in ml_dtypes and ONNX */
    PQK_E5M2,
    PQK_E4M3FNUZ,
    PQK_E5M2FNUZ,
    PQK_E4M3B11FNUZ,
    PQK_E4M3,
    PQK_E3M4,
    PQK_E2M3FN,
    PQK_E3M2FN,
    PQK_E2M1FN,
    PQK_E8M0FNU,
    PQK_E2M3FNX4, /* four 6-bit elements in three bytes, the first in the low bits */
    PQK_E3M2FNX4,
    PQK_E2M1FNX2
} pqk_type;

enum { PQK_MAX_NDIM = 64 };

/* A view of memory.  strides are in bytes and may be negative or zero; NULL means C-contiguous.  shape counts
 * elements also for packed types, whose last axis must be contiguous. */
typedef struct pqk_array {
    void *data;
    pqk_type type;
    int ndim;
    const int64_t *shape;
    const int64_t *strides;
} pqk_array;

/* Affine parameters: real = (q - zero_point) * scale.
 *
 * block[d] consecutive elements along axis d of the array share a parameter, the last block may be shorter, so
 * the parameters form a C-contiguous array of shape ceil(shape[d] / block[d]).  block = NULL is one parameter
 * for all; per channel is block[axis] = 1 and block[d] = shape[d] elsewhere.  Any scale is allowed; the result
 * follows the formula of the convention in IEEE arithmetic, then saturates, with NaN as quant_min. */
typedef struct pqk_params {
    const float *scale;
    const int32_t *zero_point; /* same shape as scale; NULL is 0 */
    const float *inverse;      /* what a multiplying convention uses for 1 / scale; NULL computes it in float32 */
    const int64_t *block;
} pqk_params;

/* Rounding conventions of the named systems.  c = quotient, zp = zero point, rne = half to even, rha = half away
 * from zero; each saturates.  ONNX: rne(x / s) + zp.  TORCH: per tensor rne(fma(x, 1/s, zp)), otherwise
 * rne(x * (1/s) + zp).  TORCH_FAKE_QUANTIZE and TORCH_DECOMPOSED (whose 1/s is taken in double: pass inverse):
 * rne(x * (1/s)) + zp.  TORCH_DECOMPOSED_GROUP, its per-token and per-group form: rne(x * (1/s) + zp).  TFLITE: rha(x /
 * s) + zp.  GGML: rha(x * (1/s)).  BITSANDBYTES: rne(x * (127 * (1/s))), s the row's absmax.  In the last two a
 * reciprocal that overflows counts as 0, so that an all-zero block gives zeros. */
typedef enum pqk_convention {
    PQK_ONNX = 0,
    PQK_TORCH,
    PQK_TORCH_FAKE_QUANTIZE,
    PQK_TORCH_DECOMPOSED,
    PQK_TORCH_DECOMPOSED_GROUP,
    PQK_TFLITE,
    PQK_GGML,
    PQK_BITSANDBYTES
} pqk_convention;

/* Who does the work.  NULL, or parts = 0: pyquantk's own threads.  Otherwise the calling thread does piece
 * `part` of `parts`, so that another framework's threads can share one call; every piece must be run. */
typedef struct pqk_exec {
    int32_t part;
    int32_t parts;
} pqk_exec;

/* x: F32, F16, BF16.  q: any integer type but S32, same shape as x; or a narrow float type, which takes no zero point
 * and only PQK_ONNX: x / s, then rounded half to even, saturating.  x and q must not overlap. */
PQK_API pqk_status pqk_quantize(const pqk_array *x, const pqk_params *params, pqk_convention convention,
                                const pqk_array *q, const pqk_exec *exec);

/* y = (float)(q - zp) * scale, one rounding, then one more to F16 or BF16.  q: any integer type, or a narrow float type
 * without zero points; y: F32, F16, BF16, same shape.  q and y must not overlap. */
PQK_API pqk_status pqk_dequantize(const pqk_array *q, const pqk_params *params, const pqk_array *y,
                                  const pqk_exec *exec);

/* y = (clamp(quantized x, quant_min, quant_max) - zp) * scale, and mask (U8 or NULL) = 1 where the clamp changed
 * nothing.  x, y: F32, F16, BF16 of one type and shape; y may be x itself, but may not overlap it otherwise. */
PQK_API pqk_status pqk_fake_quantize(const pqk_array *x, const pqk_params *params, pqk_convention convention,
                                     int32_t quant_min, int32_t quant_max, const pqk_array *y, const pqk_array *mask,
                                     const pqk_exec *exec);

/* What observers need, one pass over x; each output has the shape that params.scale would have.  min and max
 * ignore NaN (an empty or all-NaN block gives +inf and -inf) and a zero among them is +0.  Any may be NULL. */
typedef struct pqk_statistics {
    float *min, *max;
    int64_t *nan_count, *inf_count;
} pqk_statistics;
PQK_API pqk_status pqk_observe(const pqk_array *x, const int64_t *block, const pqk_statistics *out);

/* ---- Requantization: int32 accumulators to integers ---- */

/* How a fixed-point multiplier m0 * 2^(shift - 31) rounds: SINGLE as ruy and TFLite's single rounding, DOUBLE as
 * gemmlowp (SaturatingRoundingDoublingHighMul, then RoundingDivideByPOT), RNDNU as XNNPACK. */
typedef enum pqk_fixed_rounding { PQK_SINGLE = 0, PQK_DOUBLE, PQK_RNDNU } pqk_fixed_rounding;

/* q = sat(round(acc * M) + zero_point).  M is `real` (float product, half to even, zero point outside: ONNX Runtime,
 * XNNPACK fp32), or m0 * 2^(shift - 31) with m0 in [2^30, 2^31) or 0 and shift in [-31, 30].  Exactly one of real and
 * m0 is not NULL; all arrays have the shape that `block` gives (pqk_params). */
typedef struct pqk_multiplier {
    const float *real;
    const int32_t *m0, *shift;
    const int32_t *zero_point; /* NULL is 0 */
    const int64_t *block;
    pqk_fixed_rounding rounding;
} pqk_multiplier;

/* acc: S32; q: any integer type but S32, same shape. */
PQK_API pqk_status pqk_requantize(const pqk_array *acc, const pqk_multiplier *multiplier, const pqk_array *q,
                                  const pqk_exec *exec);

/* ---- Integer matrix product ---- */

/* Element i is data[i * step]: step 0 is one number for all, step 1 an array.  data = NULL is the neutral element. */
typedef struct pqk_floats {
    const float *data;
    int64_t step;
} pqk_floats;
typedef struct pqk_integers {
    const int32_t *data;
    int64_t step;
} pqk_integers;

/* CLAMP is clamp(y, low, high), also for relu (0, inf) and relu6 (0, 6).  GELU is y/2 (1 + erf(y / sqrt 2)), GELU_TANH
 * its tanh form, SILU y / (1 + exp(-y)): each one polynomial that every layer evaluates in the same order. */
typedef enum pqk_activation { PQK_NO_ACTIVATION = 0, PQK_CLAMP, PQK_GELU, PQK_GELU_TANH, PQK_SILU } pqk_activation;

/* What becomes of acc = sum over p of (a[i][p] - a_zero_point[i]) (b[p][j] - b_zero_point[j]), an int32 (modulo 2^32).
 *
 *   c S32              acc
 *   c F32, F16, BF16   y = activation(fma((float)acc, a_scale[i] * b_scale[j], bias[j])), then rounded to c's type
 *   with groups        y = activation(fma(sum, a_scale[i], bias[j])), sum the float32 result of
 *                      fma((float)acc_g, b_scale[g][j], sum) over the groups g of group_size consecutive p, in order
 *   c S8, U8, S16      by a float: with m = fl(fl(a_scale[i] * b_scale[j]) / out_scale) and beta = bias[j] / out_scale,
 *                      sat(rne(clamp(fma((float)acc, m, beta), low / out_scale, high / out_scale)) + out_zero_point);
 *                      GELU*, SILU and groups: y as above, then sat(rne(y / out_scale) + out_zero_point)
 *                      by m0 and shift, without scales, bias, activation and groups: as pqk_requantize
 */
typedef struct pqk_epilogue {
    pqk_integers a_zero_point, b_zero_point; /* by row, by column; in the range of a's and of b's type */
    pqk_floats a_scale, b_scale;             /* by row; by column, with groups (ceil(K / group_size), N) and step 1 */
    int64_t group_size;                      /* 0: no groups */
    pqk_floats bias;                         /* by column */
    pqk_activation activation;
    float low, high; /* of PQK_CLAMP */
    float out_scale;
    int32_t out_zero_point;
    pqk_integers m0, shift; /* by column; NULL: float requantization */
    pqk_fixed_rounding rounding;
} pqk_epilogue;

/* B in the order in which the micro-kernels of the layer that packed it read it, with its column sums.  Immutable:
 * any number of threads may use it.  group_size: 0, or the groups that it will be multiplied with (other groups work,
 * and take one more pass over it). */
typedef struct pqk_packed pqk_packed;
typedef struct pqk_packed_info {
    int64_t k, n, group_size;
    pqk_type type;
    size_t bytes; /* of memory held */
    int layer;    /* the layer whose kernels read this layout */
} pqk_packed_info;
/* b: S8 or U8, shape (K, N), any strides. */
PQK_API pqk_status pqk_pack(const pqk_array *b, int64_t group_size, pqk_packed **packed);
PQK_API void pqk_packed_free(pqk_packed *packed); /* NULL is allowed */
PQK_API void pqk_packed_describe(const pqk_packed *packed, pqk_packed_info *info);
/* Writes the plain (K, N) matrix back; b has the type that was packed. */
PQK_API pqk_status pqk_unpack(const pqk_packed *packed, const pqk_array *b);

/* Who does the work of a product.  NULL: all of c, with pyquantk's threads.  Otherwise the calling thread computes rows
 * [row, row_end) and columns [column, column_end) of each matrix of the batch, so that another framework's threads can
 * share one call. */
typedef struct pqk_range {
    int64_t row, row_end, column, column_end;
} pqk_range;

/* c = a b as `epilogue` says (NULL: plain int32).  a (..., M, K) and b (..., K, N): S8 or U8 in any mix, any strides,
 * with the batch axes of c (..., M, N); a stride of 0 broadcasts.  c must not overlap the others.  Either b, or packed
 * (which has no batch axes) and b = NULL. */
PQK_API pqk_status pqk_matmul(const pqk_array *a, const pqk_array *b, const pqk_packed *packed,
                              const pqk_epilogue *epilogue, const pqk_array *c, const pqk_range *range);

/* How pqk_linear quantizes x.  DYNAMIC: each row by its own range, scale = absmax / 127 (at least the least normal
 * number; 1 for a row of zeros), s8, no zero point.  STATIC: by scale and zero_point to `type`, S8 or U8.  Both round
 * as PQK_ONNX.  Weights with a float x: pqk_float_matmul. */
typedef enum pqk_linear_mode { PQK_LINEAR_DYNAMIC = 0, PQK_LINEAR_STATIC } pqk_linear_mode;
typedef struct pqk_linear_input {
    pqk_linear_mode mode;
    pqk_type type;
    float scale;
    int32_t zero_point;
} pqk_linear_input;
/* y (M, N) = x (M, K) w (K, N): x is F32, F16 or BF16, quantized on the way; the epilogue's a_scale and a_zero_point
 * are not read. */
PQK_API pqk_status pqk_linear(const pqk_array *x, const pqk_linear_input *input, const pqk_packed *w,
                              const pqk_epilogue *epilogue, const pqk_array *y, const pqk_range *range);

/* ---- Float product with a B of few bits ---- */

/* B (K, N) and its scales, packed for pqk_float_matmul; immutable, the same layout on every layer.  b: S8, U8, S4, U4,
 * S2, U2 (one element a byte) or a float type of one byte an element, any strides.  params: what pqk_dequantize would
 * take (block of K and N), or NULL: scale 1. */
typedef struct pqk_weights pqk_weights;
typedef struct pqk_weights_info {
    int64_t k, n, group_size; /* rows that share a scale */
    pqk_type type;
    size_t bytes; /* of memory held */
} pqk_weights_info;
PQK_API pqk_status pqk_weights_pack(const pqk_array *b, const pqk_params *params, pqk_weights **weights);
PQK_API void pqk_weights_free(pqk_weights *weights); /* NULL is allowed */
PQK_API void pqk_weights_describe(const pqk_weights *weights, pqk_weights_info *info);

/* c = activation(fma(sum, a_scale[i] * b_scale[j], bias[j])), where sum is the float32 result of
 * fma(a[i][p], w[p][j], sum) over p in order, from 0, and w what pqk_dequantize makes of the weights in float32 (a
 * float type without params: its exact value).  So the bits are those of no blocking and no thread count.  a (M, K):
 * F32, F16, BF16 or a float type of one byte an element; c (M, N): F32, F16, BF16, or S8, U8, S16 with out_scale, as
 * pqk_epilogue has it for GELU.  epilogue (NULL: none) has neither zero points of a and b, nor groups, nor m0.  c must
 * not overlap a. */
PQK_API pqk_status pqk_float_matmul(const pqk_array *a, const pqk_weights *weights, const pqk_epilogue *epilogue,
                                    const pqk_array *c, const pqk_range *range);

/* ---- Casts between float types ---- */

typedef enum pqk_rounding {
    PQK_NEAREST_EVEN = 0,
    PQK_NEAREST_AWAY,
    PQK_TOWARD_ZERO,
    PQK_UP,
    PQK_DOWN,
    PQK_STOCHASTIC
} pqk_rounding;

/* saturate, of a narrow y: too large and infinite become the largest finite number; otherwise infinity, or NaN where
 * the type has no infinity (E2M3FN, E3M2FN and E2M1FN have neither and always saturate).  F32, F16 and BF16 never
 * saturate.  E8M0FNU follows ONNX with it (the sign is dropped, 0 gives 2^-127) and ml_dtypes without (zero and
 * negative numbers give NaN); infinity gives NaN in both.
 *
 * seed: of PQK_STOCHASTIC, Philox4x32-10 with the flat index of the element (C order) as its counter. */
typedef struct pqk_cast_options {
    pqk_rounding rounding;
    int saturate;
    uint64_t seed;
} pqk_cast_options;

/* y = x correctly rounded, once.  x, y: float types, one of them F32, F16 or BF16 (between two narrow ones:
 * PQK_ERROR_TYPE; go through F32, which holds all of them), same shape; options NULL: half to even, saturating. */
PQK_API pqk_status pqk_cast(const pqk_array *x, const pqk_cast_options *options, const pqk_array *y,
                            const pqk_exec *exec);

/* ---- Quantization by each block's own range ---- */

/* How a block's scale follows from its greatest magnitude.  ABSMAX: a float32, absmax / the greatest number of q's type
 * (127 for S8, 7 for S4), 1 where that is 0.  FLOOR ... EVEN: a power of two as e8m0 code (OCP Microscaling 1.0; NaN
 * where the block has a NaN), for a narrow float type or S8, which then counts in units of 2^-6.  NVFP4: an e4m3fn code
 * that counts times global_scale, for E2M1FN.  csrc/dynamic/scale_rule.h has the formulas. */
typedef enum pqk_scale_mode {
    PQK_SCALE_ABSMAX = 0,
    PQK_SCALE_FLOOR,
    PQK_SCALE_RCEIL,
    PQK_SCALE_CEIL,
    PQK_SCALE_EVEN,
    PQK_SCALE_NVFP4
} pqk_scale_mode;
typedef struct pqk_dynamic {
    pqk_scale_mode mode;
    const int64_t *block; /* as in pqk_params */
    float global_scale;   /* of PQK_SCALE_NVFP4 */
} pqk_dynamic;

/* What pqk_observe, the scale and pqk_quantize with PQK_ONNX would give one after the other, in one pass over x where
 * blocks fit the caches.  NaNs do not count for a range.  x: F32, F16, BF16; q: S8, S4, S4X2 or a narrow float type,
 * same shape, no overlap; scale: float for ABSMAX, otherwise uint8_t, C-contiguous, of the shape that block gives. */
PQK_API pqk_status pqk_quantize_dynamic(const pqk_array *x, const pqk_dynamic *how, const pqk_array *q, void *scale);

/* Instruction-set layers of this build, from plain to special; name is NULL past the end. */
PQK_API const char *pqk_layer_name(int layer);
PQK_API int pqk_layer_supported(int layer);
PQK_API int pqk_active_layer(void);
PQK_API pqk_status pqk_use_layer(int layer); /* run no kernel above `layer`; process-wide */
/* For each operation slot: its name, and the layer that serves it now.  NULL past the end. */
PQK_API const char *pqk_operation_name(int operation);
PQK_API const char *pqk_operation_layer(int operation);

/* What every function here does for itself, for callers that compute parameters: between the two calls this thread
 * rounds to nearest, keeps subnormals and masks exceptions; the second restores what the first found. */
typedef struct pqk_float_environment {
    uint64_t state[16];
} pqk_float_environment;
PQK_API void pqk_float_environment_enter(pqk_float_environment *found);
PQK_API void pqk_float_environment_leave(const pqk_float_environment *found);

/* Threads.  The default comes from PYQUANTK_NUM_THREADS, else OMP_NUM_THREADS, else affinity and cgroup quota. */
PQK_API int pqk_get_num_threads(void);
PQK_API int pqk_set_num_threads(int n);  /* nonzero where n is not in [1, 1024] */
PQK_API int pqk_set_thread_limit(int n); /* for calls from this thread; 0 is none; returns the old limit */

#ifdef __cplusplus
}
#endif
#endif
