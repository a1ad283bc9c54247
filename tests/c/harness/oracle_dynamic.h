/* oracle_dynamic.h -- what a row quantized by its own range must become: the rules of scale_rule.h over numbers, in
 * double; no bit of a float is looked at, and nothing is shared with csrc/. */
#ifndef HARNESS_ORACLE_DYNAMIC_H
#define HARNESS_ORACLE_DYNAMIC_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "include/pyquantk.h"

struct oracle_dynamic {
    pqk_type from, to;
    pqk_scale_mode mode;
    float global_scale;
};

/* From n elements: the scale as it is returned (4 bytes or 1) and the elements, packed as `to` says, with zeros in the
 * rest of the last byte. */
void oracle_dynamic_row(const struct oracle_dynamic *how, const char *x, size_t n, unsigned char *scale,
                        unsigned char *q);

#endif
