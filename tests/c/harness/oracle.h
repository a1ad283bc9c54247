/* oracle.h -- what each result must be, from conventions and formats alone: no code, no table and no factor is
 * shared with csrc/.  Arithmetic is double, wide enough that every float operation can be rounded exactly once. */
#ifndef HARNESS_ORACLE_H
#define HARNESS_ORACLE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "include/pyquantk.h"

/* One element's parameters: what pqk_params says at its place. */
struct oracle_params {
    pqk_convention convention;
    bool per_tensor;
    float scale;
    const float *inverse; /* NULL: not given */
    int32_t zero_point, quant_min, quant_max;
};

int32_t oracle_quantize(double x, const struct oracle_params *p);
double oracle_dequantize(int32_t q, const struct oracle_params *p); /* a float32 value */
double oracle_fake_quantize(double x, const struct oracle_params *p, bool *mask);

void oracle_range(pqk_type type, int32_t *lowest, int32_t *highest);
int oracle_type_bits(pqk_type type);

/* Element i of a row; padding and unused bits of a byte are not looked at. */
double oracle_load_float(const char *row, size_t i, pqk_type type);
int32_t oracle_load_integer(const char *row, size_t i, pqk_type type);
/* Writes element i, and nothing else but unused bits of its own byte, which become 0 (one element a byte). */
void oracle_store_float(char *row, size_t i, double x,
                        pqk_type type); /* x is a float32 value; NaN: the canonical one */
void oracle_store_integer(char *row, size_t i, int32_t q, pqk_type type);

#endif
