/* Bytes, bits and numbers of 32 and 64 bits: what all other files of the kernel use. */
#ifndef PE_BYTES_H
#define PE_BYTES_H

#include <pyconfig.h>
/* Python without a GIL has no stable ABI: there the kernel is built for one version. */
#if !defined(Py_GIL_DISABLED) && !defined(Py_LIMITED_API)
#define Py_LIMITED_API 0x030B0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <float.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(_MSC_VER)
#include <intrin.h>
#endif

typedef unsigned char byte;

/* Little-endian loads. */
#if PY_BIG_ENDIAN
static uint32_t load32(const byte *p) {
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static uint64_t load64(const byte *p) {
    return (uint64_t)load32(p + 4) << 32 | load32(p);
}
#else
static uint64_t load64(const byte *p) {
    uint64_t x;
    memcpy(&x, p, 8);
    return x;
}

static uint32_t load32(const byte *p) {
    uint32_t x;
    memcpy(&x, p, 4);
    return x;
}
#endif

/* Index of the lowest set bit; x is not zero. */
static int lowest_bit(uint64_t x) {
#if defined(__GNUC__)
    return __builtin_ctzll(x);
#elif defined(_MSC_VER) && defined(_WIN64)
    unsigned long i;
    _BitScanForward64(&i, x);
    return (int)i;
#else
    int i = 0;
    for (; !(x & 1); x >>= 1) i++;
    return i;
#endif
}

/* Index of the highest set bit; x is not zero. */
static int highest_bit(uint64_t x) {
#if defined(__GNUC__)
    return 63 - __builtin_clzll(x);
#elif defined(_MSC_VER) && defined(_WIN64)
    unsigned long i;
    _BitScanReverse64(&i, x);
    return (int)i;
#else
    int i = 0;
    for (; x >>= 1;) i++;
    return i;
#endif
}

/* How many bits are set; processors with an instruction for it use that (see paths). */
static inline int count_bits(uint64_t x) {
    x -= x >> 1 & 0x5555555555555555u;
    x = (x & 0x3333333333333333u) + (x >> 2 & 0x3333333333333333u);
    x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fu;
    return (int)(x * 0x0101010101010101u >> 56);
}

/* The bits up to the given one. */
static uint64_t bits_to(int last) { return UINT64_MAX >> (63 - last); }

/* Ask for memory that is soon to be looked at. */
static void prefetch(const void *p) {
#if defined(__GNUC__)
    __builtin_prefetch(p);
#elif defined(_M_X64)
    _mm_prefetch((const char *)p, _MM_HINT_T0);
#else
    (void)p;
#endif
}

static const byte *last_of(const byte *begin, const byte *end, byte wanted) {
    while (end > begin)
        if (*--end == wanted) return end;
    return NULL;
}

#endif
