/* gemm_avxvnni_evex_avx512vnni.c -- csrc/gemm/ukr_avxvnni.c, with its instruction in the encoding of AVX512VNNI: few
 * CPUs have AVX-VNNI, and this tests the file on the others (build.py gives this one the flags of avx512vnni). */
#define pqk_gemm_s8_avxvnni gemm_avxvnni_evex
#include "gemm/ukr_avxvnni.c"
