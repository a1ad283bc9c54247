/* oracle_convert.h -- what a cast must return, from the published tables of values: exact arithmetic in double, no code
 * and no table shared with csrc/. */
#ifndef HARNESS_ORACLE_CONVERT_H
#define HARNESS_ORACLE_CONVERT_H
#include <stdbool.h>
#include <stdint.h>
#include "include/pyquantk.h"

/* The value of a code of any float type, and whether it is NaN; F32 too. */
double oracle_float_value(uint32_t code, pqk_type type, bool *nan);

/* The code of the float32 with bits x in any other float type.  random: of PQK_STOCHASTIC. */
uint32_t oracle_cast(uint32_t x, pqk_type to, pqk_rounding rounding, bool saturate, uint32_t random);

/* Philox4x32-10, the first word. */
uint32_t oracle_philox(uint64_t seed, uint64_t counter);

/* The least magnitude whose code is at least `code`, under half to even: between them all codes are known. */
double oracle_first_of_code(uint32_t code, pqk_type to);

struct oracle_format {
    pqk_type type;
    int exponent_bits, mantissa_bits, bias;
    double greatest;        /* finite number */
    uint32_t overflow, nan; /* magnitude codes; overflow = 0: there is nothing beyond the greatest number */
    bool nan_signed;
};
const struct oracle_format *oracle_format_of(pqk_type type);           /* packed types: as one a byte; NULL: e8m0 */
double oracle_magnitude(uint32_t code, const struct oracle_format *f); /* as if no code were special */
uint32_t oracle_greatest_code(const struct oracle_format *f);

#endif
