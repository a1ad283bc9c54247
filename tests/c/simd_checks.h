/* simd_checks.h -- what test_simd.c and simd_memory.h share: counting, inputs, and memory with a wall. */
#ifndef SIMD_CHECKS_H
#define SIMD_CHECKS_H
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "formats/bf16.h"
#include "formats/f16.h"
#if !defined(_WIN32)
#include <sys/mman.h>
#include <unistd.h>
#endif

static long checks, failures;

static void check(bool ok, const char *what, double detail)
{
    ++checks;
    if (ok) return;
    if (failures++ < 40) printf("FAILED: %s (%.9g)\n", what, detail);
}

static inline uint32_t random_bits(void)
{
    static uint64_t state = 0x9e3779b97f4a7c15;
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (uint32_t)(state >> 32);
}

/* Zeros, subnormals, ties, the edges of each integer and float type, infinities, NaNs quiet and signaling. */
static const uint32_t special_floats[] = {
    0x00000000, 0x80000000, 0x00000001, 0x80000001, 0x007fffff, 0x00800000, 0x33000000, 0x33000001, 0x38800000,
    0x3effffff, 0x3f000000, 0xbf000000, 0x3f800000, 0xbf800000, 0x3fc00000, 0x40200000, 0xc0200000, 0x3dcccccd,
    0x42feffff, 0x42ff0000, 0xc3008000, 0x477fefff, 0x477ff000, 0x4afffffd, 0xcb000001, 0x4effffff, 0xcf000000,
    0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00000, 0x7f800001, 0xffbfffff, 0x7fabcdef};
static const int32_t special_integers[] = {
    0,     1,     -1,    3,     7,      8,      15,     16,    127,   128,       -128,      -129,     255,       256,
    32767, 32768, 32639, 32640, -32768, -32769, -32641, 65535, 65536, INT32_MAX, INT32_MIN, 16777217, 2147483520};
enum {
    FLOATS = sizeof special_floats / sizeof *special_floats,
    INTEGERS = sizeof special_integers / sizeof *special_integers
};

static float any_float(void)
{
    return pqk_f32_from_bits(random_bits() % 3 ? random_bits() : special_floats[random_bits() % FLOATS]);
}
static int32_t any_integer(void)
{
    const uint32_t kind = random_bits() % 3;
    return kind == 0   ? special_integers[random_bits() % INTEGERS]
           : kind == 1 ? (int32_t)random_bits()
                       : (int32_t)(random_bits() % 1024) - 512;
}

/* ---- memory: bytes that end at a page without access, or before a canary ---- */

enum { ARENA = 1024, CANARY = 0xa5 };
static unsigned char *wall; /* just past the arena */

static void build_wall(void)
{
#if defined(_WIN32)
    static unsigned char arena[ARENA];
    wall = arena + ARENA;
#else
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED || mprotect(pages + page, page, PROT_NONE)) abort();
    wall = pages + page;
#endif
}
/* `bytes` bytes, with a gap of 0 or a few to the wall; the rest of the arena is canary. */
static unsigned char *take(size_t bytes, size_t gap)
{
    memset(wall - ARENA, CANARY, ARENA);
    return wall - gap - bytes;
}
static void check_bytes(const unsigned char *p, const void *want, size_t bytes, const char *what)
{
    bool same = !bytes || !memcmp(p, want, bytes), quiet = true;
    for (const unsigned char *c = wall - ARENA; c < wall; ++c) quiet &= (c >= p && c < p + bytes) || *c == CANARY;
    check(same, what, (double)bytes);
    check(quiet, what, -1.0 - (double)bytes); /* a negative detail: wrote elsewhere */
}

#endif
