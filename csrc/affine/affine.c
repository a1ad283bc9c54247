/* affine.c -- from the name of a convention to its factors (affine.h). */
#include "affine/affine.h"

pqk_status pqk_affine_convention(struct pqk_affine *a, pqk_convention convention, bool per_tensor)
{
    a->away = convention == PQK_TFLITE || convention == PQK_GGML;
    a->infinite_is_zero = convention == PQK_GGML || convention == PQK_BITSANDBYTES;
    a->numerator = convention == PQK_BITSANDBYTES ? 127.0f : 1.0f;
    switch (convention) {
    case PQK_ONNX:
    case PQK_TFLITE:
        a->quotient = PQK_DIVIDE;
        return PQK_OK;
    case PQK_TORCH:
        a->quotient = per_tensor ? PQK_FUSED : PQK_MULTIPLY_ADD;
        return PQK_OK;
    case PQK_TORCH_DECOMPOSED_GROUP:
        a->quotient = PQK_MULTIPLY_ADD;
        return PQK_OK;
    case PQK_TORCH_DECOMPOSED:
    case PQK_TORCH_FAKE_QUANTIZE:
    case PQK_GGML:
    case PQK_BITSANDBYTES:
        a->quotient = PQK_MULTIPLY;
        return PQK_OK;
    }
    return PQK_ERROR_CONVENTION;
}

bool pqk_affine_zero_points_valid(const struct pqk_affine *a, size_t count)
{
    if (!a->zero_point) return a->quant_min <= 0 && 0 <= a->quant_max;
    int32_t low = INT32_MAX, high = INT32_MIN;
    for (size_t i = 0; i < count; ++i) {
        const int32_t z = a->zero_point[i];
        low = z < low ? z : low;
        high = z > high ? z : high;
    }
    return count == 0 || (a->quant_min <= low && high <= a->quant_max);
}
