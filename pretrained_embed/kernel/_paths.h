/* Paths: the loops of _loops.h over the registers of each kind of processor.  All give
 * the same results, bit for bit; what they differ in stands in the _path_*.h files. */
#ifndef PE_PATHS_H
#define PE_PATHS_H

#include "_numbers.h"
#include "_shapes.h"

#if defined(PE_NO_VECTORS) /* as if for other processors, to try their path */
#elif defined(__SSE2__) || defined(_M_X64)
#define PE_SSE2 1
#if defined(__GNUC__) && defined(__x86_64__) && !defined(PE_NO_AVX2)
#define PE_AVX2 1 /* compiled beside the rest, chosen when it runs */
#endif
#elif (defined(__aarch64__) && defined(__ARM_NEON) && !PY_BIG_ENDIAN) || \
    defined(_M_ARM64)
#define PE_NEON 1
#endif

#define PE_JOIN_NAMES(path, name) path##_##name
#define PE_JOIN(path, name) PE_JOIN_NAMES(path, name)
#define PE_TEXT_OF(name) #name
#define PE_TEXT(name) PE_TEXT_OF(name)
#if defined(__GNUC__) && !defined(__clang__)
#define PE_UNROLL _Pragma("GCC unroll 8")
#else
#define PE_UNROLL
#endif

typedef struct {
    const char *name;
    const byte *(*line_end)(const byte *, const byte *, byte, size_t *);
    Py_ssize_t (*read_vector)(const byte *, const byte *, const byte *, const byte *,
                              byte, Py_ssize_t, float *);
    void (*measure_lines)(Measure *, const byte *);
    uint32_t (*copy_row)(byte *restrict, const byte *restrict, const uint32_t *restrict,
                         Py_ssize_t);
} Path;

enum { PE_BATCH = 64, PE_AT_ONCE = 8 };

/* Find the next separators, PE_BATCH of them, if there are so many before end. */
static int find_each(const byte **from, const byte *end, byte separator,
                     const byte **found) {
    int n = 0;
    const byte *p = *from;
    for (; n < PE_BATCH && p < end; p++)
        if (*p == separator) found[n++] = p;
    *from = p;
    return n;
}

#if defined(PE_AVX2) || defined(PE_NEON)
/* A field seen as the 16 bytes that end where it ends.  The digits of one of
 * short_number's form are moved together, without their point, which goes to the front
 * and, of others, does not; read as a whole number, they are to be divided. */
typedef struct {
    signed char digits[16];
    double divisor, unused;
} Form;

#define PE_OTHER \
    {{-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1}, 1, 0}
/* by the number of digits behind the point */
#define PE_SHORT_NUMBERS(sign) \
    {{14, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 13, 15}, sign 1e1, 0}, \
    {{13, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 12, 14, 15}, sign 1e2, 0}, \
    {{12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 11, 13, 14, 15}, sign 1e3, 0}, \
    {{11, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 10, 12, 13, 14, 15}, sign 1e4, 0}, \
    {{10, -1, -1, -1, -1, -1, -1, -1, -1, -1,  9, 11, 12, 13, 14, 15}, sign 1e5, 0}, \
    {{ 9, -1, -1, -1, -1, -1, -1, -1, -1,  8, 10, 11, 12, 13, 14, 15}, sign 1e6, 0}, \
    {{ 8, -1, -1, -1, -1, -1, -1, -1,  7,  9, 10, 11, 12, 13, 14, 15}, sign 1e7, 0}, \
    {{ 7, -1, -1, -1, -1, -1, -1,  6,  8,  9, 10, 11, 12, 13, 14, 15}, sign 1e8, 0}
/* by whether there is a minus sign, and by length; 15 stands for all that are longer */
static const Form FORMS[2][16] = {
    {PE_OTHER, PE_OTHER, PE_OTHER, PE_SHORT_NUMBERS(+), PE_OTHER, PE_OTHER, PE_OTHER,
     PE_OTHER, PE_OTHER},
    {PE_OTHER, PE_OTHER, PE_OTHER, PE_OTHER, PE_SHORT_NUMBERS(-), PE_OTHER, PE_OTHER,
     PE_OTHER, PE_OTHER}};

static inline const Form *form_of(const byte *field, const byte *end) {
    size_t length = (size_t)(end - field);
    return &FORMS[*field == '-'][length < 15 ? length : 15];
}

/* The most that a byte of digits may be: nothing is left of the point at the front. */
static const byte MOST_DIGITS[16] = {0, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9};
#endif

#ifdef PE_AVX2
#define PE_PATH avx2
#define PE_TARGET __attribute__((target("avx2,popcnt,bmi")))
#include "_path_avx2.h"
#include "_loops.h"
#endif

#if defined(PE_SSE2)
#define PE_PATH sse2
#define PE_TARGET
#include "_path_sse2.h"
#include "_loops.h"
#define PE_BASE_PATH sse2_path
#elif defined(PE_NEON)
#define PE_PATH neon
#define PE_TARGET
#include "_path_neon.h"
#include "_loops.h"
#define PE_BASE_PATH neon_path
#else
#define PE_PATH scalar
#define PE_TARGET
#include "_path_scalar.h"
#include "_loops.h"
#define PE_BASE_PATH scalar_path
#endif

static const Path *fastest_path(void) {
#ifdef PE_AVX2
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt") &&
        __builtin_cpu_supports("bmi"))
        return &avx2_path;
#endif
    return &PE_BASE_PATH;
}

#endif
