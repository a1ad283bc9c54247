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
    PQK_ERROR_LAYER       /* no such layer, or this CPU cannot run it */
} pqk_status;
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
    PQK_U2X4
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

/* x: F32, F16, BF16.  q: any integer type but S32, same shape as x.  x and q must not overlap. */
PQK_API pqk_status pqk_quantize(const pqk_array *x, const pqk_params *params, pqk_convention convention,
                                const pqk_array *q, const pqk_exec *exec);

/* y = (float)(q - zp) * scale, one rounding, then one more to F16 or BF16.  q: any integer type; y: F32, F16,
 * BF16, same shape.  q and y must not overlap. */
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
