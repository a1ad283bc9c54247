/* guard.h -- memory between two pages that nobody may touch: one byte too far is a fault, not a guess. */
#ifndef HARNESS_GUARD_H
#define HARNESS_GUARD_H
#include <stddef.h>
#include <stdint.h>

/* Usable bytes are [low, high); the page before and the page after are inaccessible. */
struct guard {
    char *low, *high;
};

/* At least `bytes` usable bytes, never given back.  Ends the program where there is no memory. */
struct guard guard_make(size_t bytes);

/* Address space only: pages come to life, zeroed, when touched.  NULL where the system does not do that. */
char *guard_reserve(uint64_t bytes);
void guard_release(char *reserved, uint64_t bytes);

#endif
