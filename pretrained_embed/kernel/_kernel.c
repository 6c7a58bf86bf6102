/* The hot loops of pretrained_embed.  kernel/_reference.py defines what each function
 * means; this file gives the same results, bit for bit.
 *
 * Portable C11 over CPython's stable ABI (3.11).  No files, no threads, no global
 * state, no printing.  Every function takes its memory from its caller, reads only
 * between the bounds it is given, and releases the GIL while it works.
 *
 *   Bytes           loads, bit counts
 *   Lines           find the end of a line and count its separators
 *   Numbers         decimal text to binary32
 *   Buffers         arrays, packed tokens
 *   Token index     wanted tokens, an open-addressing table
 *   Scanning        text, binary
 *   Measuring       the lines of a text
 *   Placing         hits into rows, first come first served
 *   Hashes          rows copied by number, tokens found by an index of their hashes
 *   Module
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <float.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(_MSC_VER)
#include <intrin.h>
#endif
#if defined(__SSE2__) || defined(_M_X64)
#define PE_SSE2 1
#include <emmintrin.h>
#endif
#if defined(PE_SSE2) && defined(__GNUC__) && defined(__x86_64__) && !defined(PE_NO_AVX2)
#define PE_AVX2 1 /* compiled beside the rest, chosen when it runs */
#define PE_FOR_AVX2 __attribute__((target("avx2,popcnt,bmi")))
#include <immintrin.h>
#endif
/* Whether an operation on doubles rounds once, to a double.  The x87 unit of 32-bit PCs
 * keeps more digits and rounds again. */
#if !defined(FLT_EVAL_METHOD) || FLT_EVAL_METHOD == 0 || FLT_EVAL_METHOD == 1
#define PE_ROUNDS_ONCE 1
#else
#define PE_ROUNDS_ONCE 0
#endif

/* The largest number that is kept in 32 bits.  A smaller one tries the other way. */
#if !defined(PE_NARROW)
#define PE_NARROW UINT32_MAX
#endif

typedef unsigned char byte;

enum { PE_EMPTY = 1, PE_SHORT, PE_NO_TOKEN, PE_BAD_NUMBER, PE_WIDE, PE_LONG };
enum { PE_HIT_COLUMNS = 4, PE_FAULT_COLUMNS = 4, PE_DOUBT_NUMBERS = 16 };
enum { PE_RANK_SHIFT = 56, PE_LAST_RANK = 127 };
static const int64_t PE_POSITIONS = (int64_t)1 << PE_RANK_SHIFT; /* all are below */

/* ------------------------------------------------------------------ Bytes ------ */

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

#ifdef PE_SSE2
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
#endif

/* Ask for memory that is soon to be looked at. */
static void prefetch(const void *p) {
#if defined(__GNUC__)
    __builtin_prefetch(p);
#elif defined(PE_SSE2)
    _mm_prefetch((const char *)p, _MM_HINT_T0);
#else
    (void)p;
#endif
}

/* ------------------------------------------------------------------ Lines ------ */

/* Return the first LF in [p, end), or end.  *count grows by the separators before it.
 * One pass does both: the count is what makes every row's structure checked, and
 * memchr alone would leave a second pass for it. */
static const byte *line_end(const byte *p, const byte *end, byte separator,
                            size_t *count) {
    size_t n = 0;
#ifdef PE_SSE2
    const __m128i lf = _mm_set1_epi8('\n'), sep = _mm_set1_epi8((char)separator);
    const __m128i zero = _mm_setzero_si128();
    __m128i total = zero;
    int found = 0;
    while (!found && end - p >= 64) {
        __m128i lanes = zero; /* each byte counts to 4 a turn: 63 turns fit in it */
        for (int turn = 0; turn < 63 && end - p >= 64; turn++, p += 64) {
            __m128i a = _mm_loadu_si128((const __m128i *)p);
            __m128i b = _mm_loadu_si128((const __m128i *)(p + 16));
            __m128i c = _mm_loadu_si128((const __m128i *)(p + 32));
            __m128i d = _mm_loadu_si128((const __m128i *)(p + 48));
            __m128i any = _mm_or_si128(
                _mm_or_si128(_mm_cmpeq_epi8(a, lf), _mm_cmpeq_epi8(b, lf)),
                _mm_or_si128(_mm_cmpeq_epi8(c, lf), _mm_cmpeq_epi8(d, lf)));
            if (_mm_movemask_epi8(any)) {
                found = 1;
                break;
            }
            __m128i ab = _mm_add_epi8(_mm_cmpeq_epi8(a, sep), _mm_cmpeq_epi8(b, sep));
            __m128i cd = _mm_add_epi8(_mm_cmpeq_epi8(c, sep), _mm_cmpeq_epi8(d, sep));
            lanes = _mm_sub_epi8(lanes, _mm_add_epi8(ab, cd));
        }
        total = _mm_add_epi64(total, _mm_sad_epu8(lanes, zero));
    }
    while (end - p >= 16) {
        __m128i a = _mm_loadu_si128((const __m128i *)p);
        unsigned ends = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(a, lf));
        __m128i seps = _mm_cmpeq_epi8(a, sep);
        if (ends) {
            int at = lowest_bit(ends);
            unsigned before = (unsigned)_mm_movemask_epi8(seps) & ((1u << at) - 1);
            for (; before; before &= before - 1) n++;
            p += at;
            end = p; /* nothing is left for the loop below */
            break;
        }
        total = _mm_add_epi64(total, _mm_sad_epu8(_mm_sub_epi8(zero, seps), zero));
        p += 16;
    }
    uint64_t halves[2];
    _mm_storeu_si128((__m128i *)halves, total);
    n += (size_t)(halves[0] + halves[1]);
#endif
    for (; p < end && *p != '\n'; p++) n += *p == separator;
    *count += n;
    return p;
}

#ifdef PE_AVX2
/* The same with registers of twice the width, on processors that have them. */
PE_FOR_AVX2 static const byte *line_end_avx2(
    const byte *p, const byte *end, byte separator, size_t *count) {
    const __m256i lf = _mm256_set1_epi8('\n');
    const __m256i sep = _mm256_set1_epi8((char)separator);
    size_t n = 0;
    for (; end - p >= 64; p += 64) {
        __m256i a = _mm256_loadu_si256((const __m256i *)p);
        __m256i b = _mm256_loadu_si256((const __m256i *)(p + 32));
        uint64_t seps =
            (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(a, sep)) |
            (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(b, sep)) << 32;
        __m256i in_a = _mm256_cmpeq_epi8(a, lf), in_b = _mm256_cmpeq_epi8(b, lf);
        if (_mm256_movemask_epi8(_mm256_or_si256(in_a, in_b))) {
            uint64_t ends = (uint32_t)_mm256_movemask_epi8(in_a) |
                            (uint64_t)(uint32_t)_mm256_movemask_epi8(in_b) << 32;
            int at = lowest_bit(ends);
            seps &= ((uint64_t)1 << at) - 1;
            *count += n + (size_t)__builtin_popcountll(seps);
            return p + at;
        }
        n += (size_t)__builtin_popcountll(seps);
    }
    *count += n;
    return line_end(p, end, separator, count);
}
#endif

typedef const byte *(*LineEnd)(const byte *, const byte *, byte, size_t *);

#ifdef PE_AVX2
static int has_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt") &&
           __builtin_cpu_supports("bmi");
}
#endif

static LineEnd fastest_line_end(void) {
#ifdef PE_AVX2
    if (has_avx2()) return line_end_avx2;
#endif
    return line_end;
}

static const byte *last_of(const byte *begin, const byte *end, byte wanted) {
    while (end > begin)
        if (*--end == wanted) return end;
    return NULL;
}

/* ---------------------------------------------------------------- Numbers ------ */

/* Up to 10**22 these are exact; beyond, within half a unit in the last place. */
static const double POWERS[] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11, 1e12,
    1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22, 1e23, 1e24, 1e25,
    1e26, 1e27, 1e28, 1e29, 1e30, 1e31, 1e32, 1e33, 1e34, 1e35, 1e36, 1e37, 1e38,
    1e39, 1e40, 1e41, 1e42, 1e43, 1e44, 1e45, 1e46, 1e47, 1e48, 1e49, 1e50, 1e51,
    1e52, 1e53, 1e54, 1e55, 1e56, 1e57, 1e58, 1e59, 1e60, 1e61, 1e62, 1e63, 1e64};
enum { EXACT_POWER = 22, LAST_POWER = 64, MANY_DIGITS = 19 };
static const uint64_t EXACT_MANTISSA = (uint64_t)1 << 53;
/* Beyond this no number of leading or trailing zeros makes up for an exponent. */
static const int64_t FAR_POWER = (int64_t)1 << 56;

enum { NUMBER_OK, NUMBER_BAD, NUMBER_ERROR };

static float with_sign(float value, int negative) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    bits |= (uint32_t)negative << 31;
    memcpy(&value, &bits, 4);
    return value;
}

static int same_word(const byte *p, const byte *end, const char *word) {
    for (; p < end && *word; p++, word++)
        if ((*p | 0x20) != (byte)*word) return 0;
    return p == end && !*word;
}

/* A number already known to be well formed, by CPython's own correctly rounding
 * reader, which needs the GIL and a terminating NUL. */
static int number_by_python(const byte *p, const byte *end, float *out) {
    char local[128];
    size_t length = (size_t)(end - p);
    char *copy = length < sizeof local ? local : malloc(length + 1);
    int status = NUMBER_ERROR;
    PyGILState_STATE gil = PyGILState_Ensure();
    if (!copy) {
        PyErr_NoMemory();
    } else {
        memcpy(copy, p, length);
        copy[length] = 0;
        double value = PyOS_string_to_double(copy, NULL, NULL);
        if (!(value == -1.0 && PyErr_Occurred())) {
            *out = (float)value;
            status = NUMBER_OK;
        }
    }
    PyGILState_Release(gil);
    if (copy != local) free(copy);
    return status;
}

/* Any field at all. */
static int number_in_full(const byte *p, const byte *end, float *out) {
    const byte *field = p;
    int negative = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+')) p++;
    if (p < end && (*p | 0x20) >= 'i') {
        uint32_t bits = 0x7f800000; /* infinity */
        if (same_word(p, end, "nan"))
            bits = 0x7fc00000;
        else if (!same_word(p, end, "inf") && !same_word(p, end, "infinity"))
            return NUMBER_BAD;
        memcpy(out, &bits, 4);
        *out = with_sign(*out, negative);
        return NUMBER_OK;
    }

    uint64_t mantissa = 0; /* of the first 19 digits that count */
    int digits = 0, any = 0, point = 0;
    int64_t exponent = 0;
    for (; p < end; p++) {
        if (*p >= '0' && *p <= '9') {
            any = 1;
            if (digits < MANY_DIGITS) {
                mantissa = mantissa * 10 + (uint64_t)(*p - '0');
                digits += mantissa != 0;
                exponent -= point;
            } else {
                exponent += !point;
            }
        } else if (*p == '.' && !point) {
            point = 1;
        } else {
            break;
        }
    }
    if (!any) return NUMBER_BAD;
    if (p < end && (*p | 0x20) == 'e') {
        int64_t power = 0;
        int below = ++p < end && *p == '-';
        if (p < end && (*p == '-' || *p == '+')) p++;
        if (p == end) return NUMBER_BAD;
        for (; p < end && *p >= '0' && *p <= '9'; p++)
            if (power < FAR_POWER) power = power * 10 + (*p - '0');
        exponent += below ? -power : power;
    }
    if (p != end) return NUMBER_BAD;

    if (!mantissa) {
        *out = with_sign(0.0f, negative);
        return NUMBER_OK;
    }
    if (exponent < -LAST_POWER || exponent > LAST_POWER)
        return number_by_python(field, end, out);
    double value = (double)mantissa;
    value = exponent < 0 ? value / POWERS[-exponent] : value * POWERS[exponent];
    if (PE_ROUNDS_ONCE && mantissa < EXACT_MANTISSA && exponent >= -EXACT_POWER &&
        exponent <= EXACT_POWER) { /* Clinger: one rounding; no digit was cut off */
        *out = with_sign((float)value, negative);
        return NUMBER_OK;
    }
    /* value is off by less than 2**-51 of itself: three roundings, and less than one
     * in 10**18 for cut digits.  Rounding never changes order, so where both ends of
     * that interval give one float, the true value gives it too. */
    float low = (float)(value * (1.0 - 0x1p-50));
    float high = (float)(value * (1.0 + 0x1p-50));
    if (low != high) return number_by_python(field, end, out);
    *out = with_sign(low, negative);
    return NUMBER_OK;
}

#if !PY_BIG_ENDIAN && PE_ROUNDS_ONCE
/* x below 2**52 as a double: put into the mantissa of 2**52, which is then taken off.
 * The conversion instruction would wait for the number before, whose register it
 * writes to only in part. */
static double small_integer(uint64_t x) {
    double value;
    x |= 0x4330000000000000u;
    memcpy(&value, &x, 8);
    return value - 0x1p52;
}
#endif

/* Numbers such as -0.071549: a digit, the point, 1 to 8 digits.  The 8 bytes behind the
 * point may be looked at as long as they lie before limit; no branch hangs on the sign
 * or the length.  Returns 0 for any other field. */
static int short_number(const byte *p, const byte *end, const byte *limit,
                        float *out) {
#if !PY_BIG_ENDIAN && PE_ROUNDS_ONCE
    if (limit - p < 11) return 0;
    int negative = *p == '-';
    p += negative;
    unsigned digit = (unsigned)*p - '0';
    uint64_t count = (uint64_t)(end - p) - 2;
    if (digit > 9 || p[1] != '.' || count - 1 > 7) return 0;
    static const uint32_t TENS[] = {1,      10,      100,      1000,     10000,
                                    100000, 1000000, 10000000, 100000000};
    uint64_t x = (load64(p + 2) ^ 0x3030303030303030u) << (64 - 8 * count);
    if (((x + 0x7676767676767676u) | x) & 0x8080808080808080u) return 0;
    x = (x * 10 + (x >> 8)) & 0x00ff00ff00ff00ffu;
    x = (x * 100 + (x >> 16)) & 0x0000ffff0000ffffu;
    x = (x * 10000 + (x >> 32)) & 0xffffffffu;
    x += (uint64_t)digit * TENS[count];
    *out = with_sign((float)(small_integer(x) / POWERS[count]), negative);
    return 1;
#else
    (void)p, (void)end, (void)limit, (void)out;
    return 0;
#endif
}

enum { PE_BATCH = 64 };

/* Find the next separators, PE_BATCH and up to 63 more, if there are so many before
 * end.  Known beforehand, they let the numbers between them be read side by side. */
static int find_separators(const byte **from, const byte *end, byte separator,
                           const byte **found) {
    const byte *p = *from;
    int n = 0;
#ifdef PE_SSE2
    const __m128i sep = _mm_set1_epi8((char)separator);
    for (; n < PE_BATCH && end - p >= 64; p += 64) {
        uint64_t mask = 0; /* a bit for each of 64 bytes: few loops, so few surprises */
        for (int i = 0; i < 64; i += 16) {
            __m128i bytes = _mm_loadu_si128((const __m128i *)(p + i));
            __m128i equal = _mm_cmpeq_epi8(bytes, sep);
            mask |= (uint64_t)(unsigned)_mm_movemask_epi8(equal) << i;
        }
        for (; mask; mask &= mask - 1) found[n++] = p + lowest_bit(mask);
    }
#endif
    for (; n < PE_BATCH && p < end; p++)
        if (*p == separator) found[n++] = p;
    *from = p;
    return n;
}

/* Read dim numbers from [p, end), single separators between them; what lies between
 * begin and limit may be looked at.  Returns 0, the 1-based place of the first bad one,
 * or -1 with an exception set. */
static Py_ssize_t read_vector(const byte *begin, const byte *p, const byte *end,
                              const byte *limit, byte separator, Py_ssize_t dim,
                              float *out) {
    (void)begin;
    const byte *from = p, *found[PE_BATCH + 63];
    int n = 0, k = 0;
    for (Py_ssize_t i = 0; i < dim; i++) {
        if (k == n && i + 1 < dim) {
            n = find_separators(&from, end, separator, found);
            k = 0;
            if (!n) return i + 1; /* only if the buffer changed since they were counted */
        }
        /* the caller counted the separators: there is one for each number but the last */
        const byte *stop = i + 1 < dim ? found[k++] : end;
        if (!short_number(p, stop, limit, out + i)) {
            int status = number_in_full(p, stop, out + i);
            if (status != NUMBER_OK) return status == NUMBER_BAD ? i + 1 : -1;
        }
        p = stop + 1;
    }
    return 0;
}

#if defined(PE_AVX2) && PE_ROUNDS_ONCE
enum { PE_LANES = 4, PE_AT_ONCE = 8 };

/* find_separators, most of it without a branch that hangs on where they are.  The 64
 * bytes before end may be looked at. */
PE_FOR_AVX2 static int find_separators_avx2(
    const byte **from, const byte *end, byte separator, const byte **found) {
    const __m256i sep = _mm256_set1_epi8((char)separator);
    const byte *p = *from;
    int n = 0;
    for (; n < PE_BATCH && p < end; p += 64) {
        int done = 0; /* the last bytes come with some that were looked at already */
        if (end - p < 64) {
            done = (int)(64 - (end - p));
            p = end - 64;
        }
        __m256i a = _mm256_loadu_si256((const __m256i *)p);
        __m256i b = _mm256_loadu_si256((const __m256i *)(p + 32));
        uint64_t mask =
            (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(a, sep)) |
            (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(b, sep)) << 32;
        mask = mask >> done << done;
        int count = (int)_mm_popcnt_u64(mask);
        for (int i = 0; i < PE_AT_ONCE; i++, mask &= mask - 1) /* of none, the 64th */
            found[n + i] = p + _tzcnt_u64(mask);
        for (int i = PE_AT_ONCE; i < count; i++, mask &= mask - 1)
            found[n + i] = p + _tzcnt_u64(mask);
        n += count;
    }
    *from = p;
    return n;
}

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
/* by whether there is a minus sign, and by length */
static const Form FORMS[2][13] = {
    {PE_OTHER, PE_OTHER, PE_OTHER, PE_SHORT_NUMBERS(+), PE_OTHER, PE_OTHER},
    {PE_OTHER, PE_OTHER, PE_OTHER, PE_OTHER, PE_SHORT_NUMBERS(-), PE_OTHER}};
enum { PE_LONGER = 12 }; /* or this length */

/* 16 bytes at each of two addresses. */
PE_FOR_AVX2 static __m256i load_two(const void *low, const void *high) {
    __m128i first = _mm_loadu_si128((const __m128i *)low);
    __m128i second = _mm_loadu_si128((const __m128i *)high);
    return _mm256_inserti128_si256(_mm256_castsi128_si256(first), second, 1);
}

/* Read four fields side by side, as short_number reads one; ends[0] is one byte before
 * the first, ends[k + 1] the end of field k.  Returns the 32 bytes that say which of
 * them were of its form, as two masks: of fields 0 and 2, and of 1 and 3. */
PE_FOR_AVX2 static uint64_t read_four(const byte **ends, float *out) {
    const __m256i zeros = _mm256_set1_epi8('0');
    const __m256i point = _mm256_set_epi64x(0, '.' ^ '0', 0, '.' ^ '0');
    const __m256i most = _mm256_set_epi64x( /* nothing is left of a point */
        0x0909090909090909, 0x0909090909090900, 0x0909090909090909, 0x0909090909090900);
    const __m256i tens = _mm256_set1_epi16(0x010a);
    const __m256i hundreds = _mm256_set1_epi32(0x00010064);
    const __m256i myriads = _mm256_set1_epi64x(0x0001271000010000);
    const __m256i hundred_millions = _mm256_set1_epi64x(100000000);
    const __m256d two_52 = _mm256_set1_pd(0x1p52);
    const Form *form[PE_LANES];
    for (int k = 0; k < PE_LANES; k++) {
        const byte *field = ends[k] + 1;
        uint64_t length = (uint64_t)(ends[k + 1] - field);
        length = length < PE_LONGER ? length : PE_LONGER;
        form[k] = &FORMS[*field == '-'][length];
    }
    /* even fields, then odd ones: packing brings them back into their order */
    __m256i x = _mm256_xor_si256(load_two(ends[1] - 16, ends[3] - 16), zeros);
    __m256i y = _mm256_xor_si256(load_two(ends[2] - 16, ends[4] - 16), zeros);
    x = _mm256_shuffle_epi8(x, load_two(form[0]->digits, form[2]->digits));
    y = _mm256_shuffle_epi8(y, load_two(form[1]->digits, form[3]->digits));
    x = _mm256_xor_si256(x, point);
    y = _mm256_xor_si256(y, point);
    __m256i x_fits = _mm256_cmpeq_epi8(_mm256_min_epu8(x, most), x);
    __m256i y_fits = _mm256_cmpeq_epi8(_mm256_min_epu8(y, most), y);
    x = _mm256_madd_epi16(_mm256_maddubs_epi16(x, tens), hundreds);
    y = _mm256_madd_epi16(_mm256_maddubs_epi16(y, tens), hundreds);
    x = _mm256_madd_epi16(_mm256_packus_epi32(x, y), myriads);
    x = _mm256_add_epi64(_mm256_mul_epu32(x, hundred_millions),
                         _mm256_srli_epi64(x, 32));
    __m256d mantissa = _mm256_sub_pd( /* as in small_integer */
        _mm256_or_pd(_mm256_castsi256_pd(x), two_52), two_52);
    __m256d divisors = _mm256_set_pd(form[3]->divisor, form[2]->divisor,
                                      form[1]->divisor, form[0]->divisor);
    _mm_storeu_ps(out, _mm256_cvtpd_ps(_mm256_div_pd(mantissa, divisors)));
    return (uint32_t)_mm256_movemask_epi8(x_fits) |
           (uint64_t)(uint32_t)_mm256_movemask_epi8(y_fits) << 32;
}

/* Read n fields: at least four, of which ends tells as above.  Returns 0, the 1-based
 * place of the first bad one, or -1 with an exception set. */
PE_FOR_AVX2 static Py_ssize_t read_batch(const byte **ends, int n, float *out) {
    for (int next = 0; next < n; next += PE_LANES) {
        int i = next <= n - PE_LANES ? next : n - PE_LANES; /* some twice at the end */
        uint64_t fits = read_four(ends + i, out + i);
        if (fits == UINT64_MAX) continue;
        for (int k = 0; k < PE_LANES; k++) {
            int place = k / 2 * 16 + k % 2 * 32;
            if ((uint16_t)(fits >> place) == UINT16_MAX) continue;
            int status =
                number_in_full(ends[i + k] + 1, ends[i + k + 1], out + i + k);
            if (status != NUMBER_OK) return status == NUMBER_BAD ? i + k + 1 : -1;
        }
    }
    return 0;
}

/* read_vector on processors with registers that hold four doubles. */
PE_FOR_AVX2 static Py_ssize_t read_vector_avx2(const byte *begin, const byte *p,
                                             const byte *end, const byte *limit,
                                             byte separator, Py_ssize_t dim,
                                             float *out) {
    const byte *from = p, *ends[1 + PE_BATCH + 64];
    /* 64 bytes before end, 16 before that of a field, and one at the beginning of each,
     * even one that is empty, are looked at */
    if (p - begin < 64 || end == limit)
        return read_vector(begin, p, end, limit, separator, dim, out);
    ends[0] = p - 1;
    for (Py_ssize_t done = 0; done < dim;) {
        int n = find_separators_avx2(&from, end, separator, ends + 1);
        if (n >= dim - done - 1) {
            n = (int)(dim - done);
            ends[n] = end;
        } else if (!n) {
            return done + 1; /* as in read_vector */
        }
        Py_ssize_t bad = n < PE_LANES
                             ? read_vector(begin, ends[0] + 1, ends[n], limit,
                                           separator, n, out + done)
                             : read_batch(ends, n, out + done);
        if (bad) return bad < 0 ? bad : done + bad;
        ends[0] = ends[n];
        done += n;
    }
    return 0;
}
#endif

typedef Py_ssize_t (*ReadVector)(const byte *, const byte *, const byte *, const byte *,
                                 byte, Py_ssize_t, float *);

static ReadVector fastest_read_vector(void) {
#if defined(PE_AVX2) && PE_ROUNDS_ONCE
    if (has_avx2()) return read_vector_avx2;
#endif
    return read_vector;
}

/* ---------------------------------------------------------------- Buffers ------ */

/* Borrow a C-contiguous buffer of the given item type: "f", "B", "q" (any int64) or "Q"
 * (any uint64). */
static int borrow(PyObject *object, Py_buffer *view, const char *type, int ndim,
                  int writable, const char *name) {
    int flags = PyBUF_ND | PyBUF_C_CONTIGUOUS | PyBUF_FORMAT;
    if (PyObject_GetBuffer(object, view, flags | (writable ? PyBUF_WRITABLE : 0)))
        return -1;
    const char *format = view->format ? view->format : "B";
    if (*format == '=' || *format == '@' || *format == (PY_BIG_ENDIAN ? '>' : '<'))
        format++;
    char also = *type; /* what a long is called where it has these 64 bits */
    if (view->itemsize == 8) also = *type == 'q' ? 'l' : *type == 'Q' ? 'L' : *type;
    int right = *format == *type || *format == also;
    int aligned = (uintptr_t)view->buf % (uintptr_t)view->itemsize == 0;
    if (right && !format[1] && view->ndim == ndim && aligned) return 0;
    PyErr_Format(PyExc_TypeError, "%s is not an aligned %d-d array of type '%s'", name,
                 ndim, type);
    PyBuffer_Release(view);
    return -1;
}

/* Packed tokens: token i is data[offsets[i]] to data[offsets[i + 1]]. */
typedef struct {
    Py_buffer data, offsets;
    Py_ssize_t count;
} Tokens;

static int tokens_begin(Tokens *tokens, PyObject *data, PyObject *offsets) {
    if (PyObject_GetBuffer(data, &tokens->data, PyBUF_SIMPLE)) return -1;
    if (borrow(offsets, &tokens->offsets, "q", 1, 0, "offsets")) {
        PyBuffer_Release(&tokens->data);
        return -1;
    }
    tokens->count = tokens->offsets.shape[0] ? tokens->offsets.shape[0] - 1 : 0;
    return 0;
}

static void tokens_release(Tokens *tokens) {
    PyBuffer_Release(&tokens->offsets);
    PyBuffer_Release(&tokens->data);
}

/* Return the bytes of a token and how many there are, or NULL if there is none. */
static const byte *token_at(const Tokens *tokens, int64_t i, size_t *n) {
    const int64_t *offset = tokens->offsets.buf;
    if (i < 0 || i >= tokens->count) return NULL;
    int64_t begin = offset[i], end = offset[i + 1];
    if (begin < 0 || end < begin || end > tokens->data.len) return NULL;
    *n = (size_t)(end - begin);
    return (const byte *)tokens->data.buf + begin;
}

/* ------------------------------------------------------------ Token index ------ */

/* Numbers of 32 bits, where none of them needs more. */
typedef struct {
    uint32_t *narrow; /* or NULL, and then */
    uint64_t *wide;
} Column;

static int column_new(Column *column, size_t count, uint64_t largest) {
    if (largest <= PE_NARROW)
        column->narrow = malloc((count + 1) * sizeof(uint32_t));
    else
        column->wide = malloc((count + 1) * sizeof(uint64_t));
    return column->narrow || column->wide ? 0 : -1;
}

static void column_shrink(Column *column, size_t count) {
    void *narrow = NULL, *wide = NULL;
    if (column->narrow)
        narrow = realloc(column->narrow, count * sizeof(uint32_t));
    else
        wide = realloc(column->wide, count * sizeof(uint64_t));
    if (narrow) column->narrow = narrow;
    if (wide) column->wide = wide;
}

static void column_free(Column *column) {
    free(column->narrow);
    free(column->wide);
}

static uint64_t column_get(const Column *column, size_t i) {
    return column->narrow ? column->narrow[i] : column->wide[i];
}

static void column_set(Column *column, size_t i, uint64_t number) {
    if (column->narrow)
        column->narrow[i] = (uint32_t)number;
    else
        column->wide[i] = number;
}

static size_t column_bytes(const Column *column, size_t count) {
    return count * (column->narrow ? sizeof(uint32_t) : sizeof(uint64_t));
}

/* The slots are an open-addressing table, three quarters full where no token was given
 * twice.  A slot is 0 (empty), or a key plus one in the bits of key_mask; the other
 * bits are the token's tag, from the high half of its hash: most misses end there. */
typedef struct {
    PyObject_HEAD
    uint32_t *slots;
    uint64_t slot_count;
    uint32_t key_mask;
    byte *filter;         /* a bit set for the hash of each token */
    uint64_t filter_size; /* in bytes: two for each token */
    uint32_t keys;        /* distinct tokens */
    byte *arena;          /* their bytes, in order of key */
    Column starts;        /* (keys + 1,) offsets into arena */
    uint32_t *firsts;     /* (keys + 1,) into rows and ranks; NULL: one for each key */
    Column rows;          /* one for each token given, grouped by key */
    byte *ranks;          /* as rows; NULL: all are 0 */
    int64_t last_row;     /* highest of rows, or -1 */
} TokenIndex;

/* So that the slots can be addressed by 32 bits of a hash. */
static const uint64_t PE_MOST_TOKENS = (uint64_t)3 << 30;

static uint64_t mix(uint64_t h, uint64_t x) {
    h = (h ^ x) * 0x9fb21c651e98df25u;
    return h ^ h >> 32;
}

/* Is written to disk: equal on all machines, and never to be changed. */
static uint64_t hash_token(const byte *p, size_t n) {
    uint64_t h = 0x9e3779b97f4a7c15u * (n + 1);
    if (n >= 8) {
        const byte *last = p + n - 8;
        for (; p < last; p += 8) h = mix(h, load64(p));
        h = mix(h, load64(last));
    } else if (n >= 4) {
        h = mix(h, load32(p) | (uint64_t)load32(p + n - 4) << 32);
    } else if (n) {
        h = mix(h, p[0] | (uint64_t)p[n / 2] << 8 | (uint64_t)p[n - 1] << 16);
    }
    return mix(h, h >> 29);
}

/* The token of a key. */
static const byte *token_of(const TokenIndex *index, uint32_t key, size_t *n) {
    uint64_t start = column_get(&index->starts, key);
    *n = (size_t)(column_get(&index->starts, (size_t)key + 1) - start);
    return index->arena + start;
}

/* Where the rows of a key begin; those of the next one begin behind them. */
static size_t first_of(const TokenIndex *index, size_t key) {
    return index->firsts ? index->firsts[key] : key;
}

static byte rank_at(const TokenIndex *index, size_t i) {
    return index->ranks ? index->ranks[i] : 0;
}

/* Where the search for a token begins. */
static uint32_t *home_slot(const TokenIndex *index, uint64_t hash) {
    return index->slots + ((hash & UINT32_MAX) * index->slot_count >> 32);
}

/* Return the token's slot: its own, or the empty one where it would go. */
static uint32_t *find_slot(const TokenIndex *index, const byte *token, size_t n,
                           uint64_t hash) {
    const uint32_t key_mask = index->key_mask;
    const uint32_t tag = (uint32_t)(hash >> 32) & ~key_mask;
    const uint32_t *end = index->slots + index->slot_count;
    for (uint32_t *slot = home_slot(index, hash);;) {
        if (!*slot) return slot;
        if ((*slot & ~key_mask) == tag) {
            size_t length;
            const byte *own = token_of(index, (*slot & key_mask) - 1, &length);
            if (length == n && memcmp(own, token, n) == 0) return slot;
        }
        if (++slot == end) slot = index->slots;
    }
}

static byte *filter_byte(const TokenIndex *index, uint64_t hash) {
    return index->filter + ((hash >> 32) * index->filter_size >> 32);
}

static byte filter_bit(uint64_t hash) { return (byte)(1u << (hash & 7)); }

/* Most tokens of a file are not wanted.  The filter tells so of 15 in 16 of them, and
 * is small enough for a first- or second-level cache. */
static int64_t find_key(const TokenIndex *index, const byte *token, size_t n) {
    uint64_t hash = hash_token(token, n);
    if (!(*filter_byte(index, hash) & filter_bit(hash))) return -1;
    return (int64_t)(*find_slot(index, token, n, hash) & index->key_mask) - 1;
}

static void prefetch_key(const TokenIndex *index, uint64_t hash) {
    prefetch(home_slot(index, hash));
    prefetch(filter_byte(index, hash));
}

/* Bytes of a bytes or str object; *held keeps them alive and is the caller's. */
static const byte *token_bytes(PyObject *token, Py_ssize_t *n, PyObject **held) {
    *held = NULL;
    if (PyUnicode_Check(token)) {
        const char *text = PyUnicode_AsUTF8AndSize(token, n);
        if (text) return (const byte *)text;
        if (!PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) return NULL;
        PyErr_Clear();
        *held = PyUnicode_AsEncodedString(token, "utf-8", "surrogateescape");
        if (!*held) return NULL;
        token = *held;
    } else if (!PyBytes_Check(token)) {
        PyErr_SetString(PyExc_TypeError, "a token is neither bytes nor str");
        return NULL;
    }
    *n = PyBytes_Size(token);
    return (const byte *)PyBytes_AsString(token);
}

/* What an index is built of.  The arena is the index's own: it holds the tokens one
 * behind another, and later the distinct ones alone. */
typedef struct {
    const int64_t *offsets; /* (count + 1,) of the tokens, from begin on */
    int64_t begin;
    uint64_t size; /* of all of them */
    size_t count;
    const int64_t *rows;
    const byte *ranks;
} Given;

enum { BUILT, NO_MEMORY, BAD_OFFSETS, BAD_ROW };

/* Return the key of a token, a new one if it is new. */
static uint32_t index_add(TokenIndex *index, const byte *token, size_t n,
                          uint64_t hash) {
    uint32_t *slot = find_slot(index, token, n, hash);
    if (!*slot) {
        uint64_t start = column_get(&index->starts, index->keys);
        if (index->arena + start != token) memmove(index->arena + start, token, n);
        index->keys++;
        column_set(&index->starts, index->keys, start + n);
        *slot = ((uint32_t)(hash >> 32) & ~index->key_mask) | index->keys;
        *filter_byte(index, hash) |= filter_bit(hash);
    }
    return (*slot & index->key_mask) - 1;
}

enum { PE_ADDED_AT_ONCE = 64 };

/* Add all tokens; write the key of each.  Hashes come first, some at once, so that the
 * slots they lead to are on their way from memory together. */
static int index_add_tokens(TokenIndex *index, const Given *given, uint32_t *keys) {
    uint64_t hashes[PE_ADDED_AT_ONCE], ends[PE_ADDED_AT_ONCE], begin = 0;
    for (size_t done = 0, some; done < given->count; done += some) {
        some = given->count - done;
        if (some > PE_ADDED_AT_ONCE) some = PE_ADDED_AT_ONCE;
        uint64_t from = begin;
        for (size_t k = 0; k < some; from = ends[k++]) {
            ends[k] = (uint64_t)given->offsets[done + k + 1] - (uint64_t)given->begin;
            if (ends[k] < from || ends[k] > given->size) return BAD_OFFSETS;
            hashes[k] = hash_token(index->arena + from, (size_t)(ends[k] - from));
            prefetch_key(index, hashes[k]);
        }
        for (size_t k = 0; k < some; begin = ends[k++])
            keys[done + k] = index_add(index, index->arena + begin,
                                       (size_t)(ends[k] - begin), hashes[k]);
    }
    return BUILT;
}

/* Group rows and ranks by key. */
static int index_add_rows(TokenIndex *index, const Given *given, const uint32_t *keys) {
    size_t count = given->count, room = (size_t)index->keys + 2;
    int64_t last_row = -1;
    byte any_rank = 0;
    for (size_t i = 0; i < count; i++) {
        if (given->rows[i] > last_row) last_row = given->rows[i];
        any_rank |= given->ranks[i];
    }
    index->last_row = last_row;
    if (column_new(&index->rows, count, (uint64_t)(last_row + 1))) return NO_MEMORY;
    if (any_rank && !(index->ranks = malloc(count))) return NO_MEMORY;
    uint32_t *firsts = NULL;
    if (index->keys < count) {
        index->firsts = firsts = calloc(room, sizeof(uint32_t));
        if (!firsts) return NO_MEMORY;
        /* counted two ahead, so that filling ends right */
        for (size_t i = 0; i < count; i++) firsts[keys[i] + (size_t)2]++;
        for (size_t k = 2; k < room; k++) firsts[k] += firsts[k - 1];
    }
    for (size_t i = 0; i < count; i++) {
        int64_t row = given->rows[i]; /* once more: checked is what is used */
        byte rank = given->ranks[i];
        if (row < 0 || row > last_row || rank > (any_rank ? PE_LAST_RANK : 0))
            return BAD_ROW;
        size_t at = firsts ? firsts[keys[i] + (size_t)1]++ : i;
        column_set(&index->rows, at, (uint64_t)row);
        if (any_rank) index->ranks[at] = rank;
    }
    return BUILT;
}

/* Give back what tokens given twice, or not yet known, were thought to need. */
static void index_shrink(TokenIndex *index) {
    byte *arena =
        realloc(index->arena, (size_t)column_get(&index->starts, index->keys) + 1);
    if (arena) index->arena = arena;
    column_shrink(&index->starts, (size_t)index->keys + 1);
}

/* Needs no GIL. */
static int index_build(TokenIndex *index, const Given *given) {
    size_t count = given->count;
    index->slot_count = (uint64_t)count + count / 3 + 8;
    index->filter_size = 2 * (uint64_t)count + 8;
    index->key_mask = 1;
    while (index->key_mask < count) index->key_mask = index->key_mask << 1 | 1;
    index->slots = calloc((size_t)index->slot_count, sizeof(uint32_t));
    index->filter = calloc((size_t)index->filter_size, 1);
    uint32_t *keys = malloc((count + 1) * sizeof(uint32_t));
    int status = NO_MEMORY;
    if (index->slots && index->filter && keys &&
        !column_new(&index->starts, count + 1, given->size)) {
        column_set(&index->starts, 0, 0);
        status = index_add_tokens(index, given, keys);
        if (status == BUILT) status = index_add_rows(index, given, keys);
        if (status == BUILT) index_shrink(index);
    }
    free(keys);
    return status;
}

static int index_result(int status) {
    if (status == BUILT) return 0;
    if (status == NO_MEMORY)
        PyErr_NoMemory();
    else
        PyErr_SetString(PyExc_ValueError,
                        status == BAD_OFFSETS
                            ? "offsets do not ascend within the data"
                            : "a row is negative or a rank above 127");
    return -1;
}

static int has_length(const Given *given, Py_ssize_t count) {
    if (count >= 0 && (size_t)count == given->count) return 1;
    PyErr_SetString(PyExc_ValueError, "tokens, rows and ranks differ in length");
    return 0;
}

static int index_from_packed(TokenIndex *index, Given *given, PyObject *packed) {
    Tokens tokens;
    int result = -1;
    PyObject *data = PyObject_GetAttrString(packed, "data");
    PyObject *offsets = data ? PyObject_GetAttrString(packed, "offsets") : NULL;
    if (!offsets || tokens_begin(&tokens, data, offsets)) goto without_tokens;
    if (has_length(given, tokens.count)) {
        int64_t begin = 0, end = 0;
        if (tokens.offsets.shape[0]) {
            given->offsets = tokens.offsets.buf;
            begin = given->offsets[0];
            end = given->offsets[tokens.count];
        }
        int status = BAD_OFFSETS;
        if (begin >= 0 && begin <= end && end <= tokens.data.len) {
            given->begin = begin;
            given->size = (uint64_t)(end - begin);
            Py_BEGIN_ALLOW_THREADS
            index->arena = malloc((size_t)given->size + 1);
            status = NO_MEMORY;
            if (index->arena) {
                if (given->size)
                    memcpy(index->arena, (const byte *)tokens.data.buf + begin,
                           (size_t)given->size);
                status = index_build(index, given);
            }
            Py_END_ALLOW_THREADS
        }
        result = index_result(status);
    }
    tokens_release(&tokens);
without_tokens:
    Py_XDECREF(offsets);
    Py_XDECREF(data);
    return result;
}

/* Make room for n more bytes in the arena. */
static int arena_reserve(TokenIndex *index, size_t *room, size_t used, size_t n) {
    if (n < *room - used) return 0;
    size_t need = used + n;
    *room = need < PY_SSIZE_T_MAX / 2 ? 2 * need + 64 : PY_SSIZE_T_MAX;
    byte *arena = realloc(index->arena, *room);
    if (!arena) return -1;
    index->arena = arena;
    return 0;
}

/* Put the bytes of all tokens of a list one behind another into the arena. */
static int join(TokenIndex *index, PyObject *list, size_t count, int64_t *offsets) {
    size_t used = 0, room = 0;
    offsets[0] = 0;
    for (size_t i = 0; i < count; i++) {
        PyObject *held, *token = PyList_GetItem(list, (Py_ssize_t)i);
        Py_ssize_t n;
        const byte *bytes = token ? token_bytes(token, &n, &held) : NULL;
        if (!bytes) return -1;
        int failed = arena_reserve(index, &room, used, (size_t)n);
        if (!failed) memcpy(index->arena + used, bytes, (size_t)n);
        Py_XDECREF(held);
        if (failed) {
            PyErr_NoMemory();
            return -1;
        }
        used += (size_t)n;
        offsets[i + 1] = (int64_t)used;
    }
    return 0;
}

static int index_from_list(TokenIndex *index, Given *given, PyObject *list) {
    int result = -1;
    if (!has_length(given, PyList_Size(list))) return -1;
    int64_t *offsets = malloc((given->count + 1) * sizeof(int64_t));
    if (!offsets) {
        PyErr_NoMemory();
    } else if (!join(index, list, given->count, offsets)) {
        given->offsets = offsets;
        given->size = (uint64_t)offsets[given->count];
        int status;
        Py_BEGIN_ALLOW_THREADS
        status = index_build(index, given);
        Py_END_ALLOW_THREADS
        result = index_result(status);
    }
    free(offsets);
    return result;
}

static int index_fill(TokenIndex *index, Given *given, PyObject *tokens) {
    if (given->count > PE_MOST_TOKENS) {
        PyErr_SetString(PyExc_ValueError, "more tokens than an index can hold");
        return -1;
    }
    if (PyObject_HasAttrString(tokens, "offsets"))
        return index_from_packed(index, given, tokens);
    PyObject *list = PyList_Check(tokens) ? Py_NewRef(tokens) : PySequence_List(tokens);
    if (!list) return -1;
    int result = index_from_list(index, given, list);
    Py_DECREF(list);
    return result;
}

static PyObject *index_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"tokens", "rows", "ranks", NULL};
    PyObject *tokens, *rows_object, *ranks_object;
    Py_buffer rows, ranks;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOO:TokenIndex", names, &tokens,
                                     &rows_object, &ranks_object))
        return NULL;
    if (borrow(rows_object, &rows, "q", 1, 0, "rows")) return NULL;
    if (borrow(ranks_object, &ranks, "B", 1, 0, "ranks")) {
        PyBuffer_Release(&rows);
        return NULL;
    }
    TokenIndex *self = NULL;
    Given given = {
        .count = (size_t)rows.shape[0], .rows = rows.buf, .ranks = ranks.buf};
    if (has_length(&given, ranks.shape[0])) {
        allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
        self = (TokenIndex *)alloc(type, 0); /* zeroed: freeing it is safe any time */
        if (self && index_fill(self, &given, tokens)) {
            Py_DECREF(self);
            self = NULL;
        }
    }
    PyBuffer_Release(&rows);
    PyBuffer_Release(&ranks);
    return (PyObject *)self;
}

static void index_dealloc(TokenIndex *self) {
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    free(self->slots);
    free(self->filter);
    free(self->arena);
    column_free(&self->starts);
    free(self->firsts);
    column_free(&self->rows);
    free(self->ranks);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static Py_ssize_t index_len(TokenIndex *self) { return (Py_ssize_t)self->keys; }

static PyObject *index_key(TokenIndex *self, PyObject *token) {
    if (!PyBytes_Check(token)) {
        PyErr_SetString(PyExc_TypeError, "a token is looked up as bytes");
        return NULL;
    }
    return PyLong_FromLongLong(find_key(self, (const byte *)PyBytes_AsString(token),
                                        (size_t)PyBytes_Size(token)));
}

static PyObject *index_wanted(TokenIndex *self, PyObject *argument) {
    Py_ssize_t key = PyLong_AsSsize_t(argument);
    if (key == -1 && PyErr_Occurred()) return NULL;
    if (key < 0 || key >= (Py_ssize_t)self->keys) {
        PyErr_SetString(PyExc_IndexError, "no such key");
        return NULL;
    }
    PyObject *list = PyList_New(0);
    size_t stop = first_of(self, (size_t)key + 1);
    for (size_t i = first_of(self, (size_t)key); list && i < stop; i++) {
        PyObject *pair = Py_BuildValue("Ki", (long long)column_get(&self->rows, i),
                                       (int)rank_at(self, i));
        if (!pair || PyList_Append(list, pair)) Py_CLEAR(list);
        Py_XDECREF(pair);
    }
    return list;
}

static PyObject *index_row_count(TokenIndex *self, void *Py_UNUSED(closure)) {
    return PyLong_FromLongLong(self->last_row + 1);
}

static PyObject *index_nbytes(TokenIndex *self, void *Py_UNUSED(closure)) {
    size_t keys = self->keys, given = first_of(self, keys);
    size_t bytes = sizeof *self + (size_t)self->slot_count * sizeof(uint32_t) +
                   (size_t)self->filter_size;
    bytes += (size_t)column_get(&self->starts, keys);
    bytes += column_bytes(&self->starts, keys + 1) + column_bytes(&self->rows, given);
    if (self->firsts) bytes += (keys + 2) * sizeof(uint32_t);
    if (self->ranks) bytes += given;
    return PyLong_FromSize_t(bytes);
}

static PyGetSetDef index_attributes[] = {
    {"row_count", (getter)index_row_count, NULL,
     "One more than the highest row that is wanted.", NULL},
    {"nbytes", (getter)index_nbytes, NULL, "Bytes of memory the index takes.", NULL},
    {NULL, NULL, NULL, NULL, NULL}};

static PyMethodDef index_methods[] = {
    {"key", (PyCFunction)index_key, METH_O, "Return the token's key, or -1."},
    {"wanted", (PyCFunction)index_wanted, METH_O,
     "Return the (row, rank) pairs of a key, in the order given."},
    {NULL, NULL, 0, NULL}};

static PyType_Slot index_slots[] = {
    {Py_tp_doc, "Wanted tokens and the rows they are wanted for."},
    {Py_tp_new, index_new},
    {Py_tp_dealloc, index_dealloc},
    {Py_tp_methods, index_methods},
    {Py_tp_getset, index_attributes},
    {Py_sq_length, index_len},
    {0, NULL}};

static PyType_Spec index_spec = {"pretrained_embed.kernel._kernel.TokenIndex",
                                 sizeof(TokenIndex), 0, Py_TPFLAGS_DEFAULT,
                                 index_slots};

/* --------------------------------------------------------------- Scanning ------ */

typedef struct {
    PyTypeObject *index_type;
} State;

/* What the scans share: the index (or NULL for all rows) and where hits go. */
typedef struct {
    const TokenIndex *index;
    Py_buffer data, hits, vectors;
    Py_ssize_t start, stop, dim;
    int64_t *hit;
    float *vector;
    Py_ssize_t hit_count, hit_room;
} Scan;

static const TokenIndex *as_index(State *state, PyObject *object, int optional) {
    if (optional && object == Py_None) return NULL;
    if (Py_TYPE(object) == state->index_type) return (TokenIndex *)object;
    PyErr_SetString(PyExc_TypeError, "index is not a TokenIndex of this kernel");
    return NULL;
}

static void scan_release(Scan *scan) {
    PyBuffer_Release(&scan->data);
    PyBuffer_Release(&scan->hits);
    PyBuffer_Release(&scan->vectors);
}

/* Borrow all buffers and check that they fit each other. */
static int scan_begin(Scan *scan, State *state, PyObject *index, PyObject *data,
                      PyObject *hits, PyObject *vectors) {
    scan->index = as_index(state, index, 1);
    if (!scan->index && PyErr_Occurred()) return -1;
    if (PyObject_GetBuffer(data, &scan->data, PyBUF_SIMPLE)) return -1;
    if (borrow(hits, &scan->hits, "q", 2, 1, "hits")) {
        PyBuffer_Release(&scan->data);
        return -1;
    }
    if (borrow(vectors, &scan->vectors, "f", 2, 1, "vectors")) {
        PyBuffer_Release(&scan->hits);
        PyBuffer_Release(&scan->data);
        return -1;
    }
    scan->hit = scan->hits.buf;
    scan->vector = scan->vectors.buf;
    scan->hit_count = 0;
    scan->hit_room = scan->hits.shape[0];
    if (scan->dim < 1 || scan->vectors.shape[1] != scan->dim ||
        scan->hits.shape[1] != PE_HIT_COLUMNS ||
        scan->vectors.shape[0] < scan->hit_room || scan->start < 0 ||
        scan->stop < scan->start || scan->stop > scan->data.len) {
        PyErr_SetString(PyExc_ValueError, "buffers, bounds and dim do not fit");
        scan_release(scan);
        return -1;
    }
    return 0;
}

static void add_hit(Scan *scan, Py_ssize_t row, const byte *token, size_t length,
                    int64_t key) {
    int64_t *hit = scan->hit + PE_HIT_COLUMNS * scan->hit_count++;
    hit[0] = row;
    hit[1] = token - (const byte *)scan->data.buf;
    hit[2] = (int64_t)length;
    hit[3] = key;
}

/* How lines are built. */
typedef struct {
    byte separator, delimiter;
    size_t dim;
} Layout;

/* A separator is no line end and no part of a number. */
static int separates(int c) {
    return c >= 0 && c <= 255 && c != '\n' && c != '+' && c != '-' && c != '.' &&
           !(c >= '0' && c <= '9') && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* As split_line, where the last delimiter shows where the vector begins. */
static int split_apart(const byte *line, const byte *end, const Layout *layout,
                       size_t count, const byte **token_end, int64_t *found) {
    *token_end = last_of(line, end, layout->delimiter);
    const byte *vector = *token_end ? *token_end + 1 : line;
    for (const byte *p = line; p < vector; p++) count -= *p == layout->separator;
    count += vector < end;
    *found = (int64_t)count;
    if (count != layout->dim) return count < layout->dim ? PE_SHORT : PE_LONG;
    *found = 0;
    return vector - line > 1 ? 0 : PE_NO_TOKEN;
}

/* Find the token's end in a trimmed line of count separators.  Returns the kind of
 * fault, or 0; *found is what a fault reports. */
static int split_line(const byte *line, const byte *end, const Layout *layout,
                      size_t count, const byte **token_end, int64_t *found) {
    *found = (int64_t)count;
    if (line == end) {
        *found = 0;
        return PE_EMPTY;
    }
    if (layout->delimiter != layout->separator)
        return split_apart(line, end, layout, count, token_end, found);
    if (count < layout->dim) return PE_SHORT;
    const byte *at;
    if (count == layout->dim) { /* tokens are short: no call is worth its price here */
        for (at = line; at < end && *at != layout->separator; at++) {}
    } else {
        at = end;
        for (size_t n = layout->dim; n && at; n--)
            at = last_of(line, at, layout->separator);
    }
    if (!at || at == line) {
        *found = 0;
        return PE_NO_TOKEN;
    }
    *token_end = at;
    if (count > layout->dim) {
        const byte *last = last_of(line, at, layout->separator);
        float value;
        last = last ? last + 1 : line;
        if (last == at || number_in_full(last, at, &value) != NUMBER_BAD)
            return PE_WIDE;
    }
    return 0;
}

enum { PE_MANY_KEYS = 100000, PE_LOOK_AHEAD = 64 };

/* Look at a line before its turn, so that what a large index says of its token is on
 * its way from memory meanwhile. */
static void look_ahead(const TokenIndex *index, const byte *line, const byte *limit,
                       byte delimiter) {
    const byte *end = line;
    if (limit - line > PE_LOOK_AHEAD) limit = line + PE_LOOK_AHEAD;
    while (end < limit && *end != delimiter) end++;
    prefetch_key(index, hash_token(line, (size_t)(end - line)));
}

static PyObject *scan_text(PyObject *module, PyObject *args) {
    State *state = PyModule_GetState(module);
    PyObject *index, *data, *hits, *vectors, *faults_object, *result = NULL;
    int final, separator, delimiter;
    Scan scan;
    Py_buffer faults;
    if (!PyArg_ParseTuple(args, "OOnnpniiOOO:scan_text", &index, &data, &scan.start,
                          &scan.stop, &final, &scan.dim, &separator, &delimiter,
                          &hits, &vectors, &faults_object))
        return NULL;
    if (scan_begin(&scan, state, index, data, hits, vectors)) return NULL;
    if (borrow(faults_object, &faults, "q", 2, 1, "faults")) {
        scan_release(&scan);
        return NULL;
    }
    if (faults.shape[1] != PE_FAULT_COLUMNS) {
        PyErr_SetString(PyExc_ValueError, "faults does not have 4 columns");
        goto done;
    }
    if (!separates(separator) || !separates(delimiter)) {
        PyErr_SetString(PyExc_ValueError,
                        "a separator is no byte, a line end or part of a number");
        goto done;
    }

    Layout layout = {(byte)separator, (byte)delimiter, (size_t)scan.dim};
    int64_t *fault_out = faults.buf;
    Py_ssize_t fault_room = faults.shape[0], fault_count = 0, row = 0;
    const byte *base = scan.data.buf;
    const byte *p = base + scan.start, *limit = base + scan.stop;
    LineEnd find_end = fastest_line_end();
    ReadVector read = fastest_read_vector();

    PyThreadState *thread = PyEval_SaveThread();
    const int ahead = scan.index && scan.index->keys >= PE_MANY_KEYS;
    while (p < limit && scan.hit_count < scan.hit_room && fault_count < fault_room) {
        size_t count = 0;
        const byte *lf = find_end(p, limit, layout.separator, &count);
        if (lf == limit && !final) break;
        if (ahead && lf < limit)
            look_ahead(scan.index, lf + 1, limit, layout.delimiter);
        const byte *end = lf;
        for (; end > p && end[-1] == '\r'; end--) count -= layout.separator == '\r';
        for (; end > p && (end[-1] == ' ' || end[-1] == layout.separator); end--)
            count -= end[-1] == layout.separator;

        const byte *token_end = p;
        int64_t found = 0;
        int fault = split_line(p, end, &layout, count, &token_end, &found);
        if (fault == 0 || fault == PE_WIDE) {
            size_t length = (size_t)(token_end - p);
            int64_t key = scan.index ? find_key(scan.index, p, length) : -1;
            if (key >= 0 || !scan.index) {
                Py_ssize_t bad =
                    read(base + scan.start, token_end + 1, end, limit,
                         layout.separator, scan.dim,
                         scan.vector + scan.dim * scan.hit_count);
                if (bad < 0) break;
                if (bad) {
                    fault = PE_BAD_NUMBER;
                    found = bad;
                } else {
                    add_hit(&scan, row, p, length, key);
                }
            }
        }
        if (fault) {
            int64_t *out = fault_out + PE_FAULT_COLUMNS * fault_count++;
            out[0] = row;
            out[1] = fault;
            out[2] = found;
            out[3] = p - base;
        }
        row++;
        p = lf < limit ? lf + 1 : limit;
    }
    PyEval_RestoreThread(thread);

    if (!PyErr_Occurred()) /* a number that Python read can run out of memory */
        result = Py_BuildValue("nnnn", (Py_ssize_t)(p - base), row, scan.hit_count,
                               fault_count);
done:
    PyBuffer_Release(&faults);
    scan_release(&scan);
    return result;
}

static void copy_floats(float *out, const byte *p, Py_ssize_t count) {
    memcpy(out, p, (size_t)count * 4);
#if PY_BIG_ENDIAN
    byte *b = (byte *)out;
    for (Py_ssize_t i = 0; i < count; i++, b += 4) {
        byte t = b[0];
        b[0] = b[3];
        b[3] = t;
        t = b[1];
        b[1] = b[2];
        b[2] = t;
    }
#endif
}

/* Whether a vector begins with text up to a blank, or is all text, and has a number
 * among its first whose binary exponent is none of those from low to high. */
static int is_doubtful(const byte *vector, Py_ssize_t dim, int low, int high) {
    const byte *p = vector, *end = vector + 4 * dim;
    while (p < end && *p != ' ' && (*p > 0x1f || *p == '\t') && *p != 0x7f) p++;
    if (p < end && *p != ' ') return 0;
    if (dim > PE_DOUBT_NUMBERS) dim = PE_DOUBT_NUMBERS;
    for (p = vector; dim > 0; dim--, p += 4) {
        int exponent = (p[3] & 0x7f) << 1 | p[2] >> 7;
        int zero = !(p[0] | p[1] | p[2] | (p[3] & 0x7f));
        if (!zero && (exponent < low || exponent > high)) return 1;
    }
    return 0;
}

static PyObject *scan_binary(PyObject *module, PyObject *args) {
    State *state = PyModule_GetState(module);
    PyObject *index, *data, *hits, *vectors;
    Py_ssize_t known;
    int low, high, doubt = 0;
    Scan scan;
    if (!PyArg_ParseTuple(args, "OOnnnniiOO:scan_binary", &index, &data, &scan.start,
                          &scan.stop, &scan.dim, &known, &low, &high, &hits, &vectors))
        return NULL;
    if (scan_begin(&scan, state, index, data, hits, vectors)) return NULL;
    if (known >= 0 && (known < scan.start || known >= scan.stop)) {
        PyErr_SetString(PyExc_ValueError, "no token ends outside of the data");
        scan_release(&scan);
        return NULL;
    }

    const byte *base = scan.data.buf;
    const byte *p = base + scan.start, *limit = base + scan.stop;
    Py_ssize_t row = 0;
    PyThreadState *thread = PyEval_SaveThread();
    while (p < limit && scan.hit_count < scan.hit_room) {
        const byte *token = p, *until = known < 0 ? limit : base + known;
        while (token < until && *token == '\n') token++;
        const byte *space =
            known < 0 ? memchr(token, ' ', (size_t)(limit - token)) : until;
        /* a quotient, not a product: dim may be anything */
        if (!space || (limit - space - 1) / 4 < scan.dim) break;
        if (known < 0 && is_doubtful(space + 1, scan.dim, low, high)) {
            doubt = 1;
            break;
        }
        known = -1;
        size_t length = (size_t)(space - token);
        int64_t key = scan.index ? find_key(scan.index, token, length) : -1;
        if (key >= 0 || !scan.index) {
            copy_floats(scan.vector + scan.dim * scan.hit_count, space + 1, scan.dim);
            add_hit(&scan, row, token, length, key);
        }
        row++;
        p = space + 1 + 4 * scan.dim;
    }
    PyEval_RestoreThread(thread);

    PyObject *result =
        Py_BuildValue("nnni", (Py_ssize_t)(p - base), row, scan.hit_count, doubt);
    scan_release(&scan);
    return result;
}

static PyObject *number(PyObject *module, PyObject *field) {
    Py_buffer view;
    float value = 0;
    (void)module;
    if (PyObject_GetBuffer(field, &view, PyBUF_SIMPLE)) return NULL;
    const byte *p = view.buf;
    int status = number_in_full(p, p + view.len, &value);
    PyBuffer_Release(&view);
    if (status == NUMBER_ERROR) return NULL;
    if (status == NUMBER_BAD) Py_RETURN_NONE;
    return PyFloat_FromDouble((double)value);
}

/* -------------------------------------------------------------- Measuring ------ */

enum { PE_SHAPE_COLUMNS = 12 };
enum { PE_NO_GAP, PE_SPACE, PE_TAB, PE_SPACES, PE_TABS, PE_MIXED_SPACE, PE_MIXED_TAB };

/* Return the first byte from p on that is no digit, or end; what lies before limit may
 * be looked at. */
static const byte *skip_digits(const byte *p, const byte *end, const byte *limit) {
#ifdef PE_SSE2
    for (; limit - p >= 8; p += 8) {
        uint64_t x = load64(p) ^ 0x3030303030303030u;
        x = ((x + 0x7676767676767676u) | x) & 0x8080808080808080u;
        if (x) {
            p += lowest_bit(x) / 8;
            break;
        }
    }
    if (p > end) return end;
#else
    (void)limit;
#endif
    while (p < end && *p >= '0' && *p <= '9') p++;
    return p;
}

/* Return 0 for a field that is no number, 1 for a whole number (digits alone), 2 for
 * any other number. */
static int number_kind(const byte *p, const byte *end, const byte *limit) {
    if (p < end && (*p == '-' || *p == '+')) p++;
    const byte *at = skip_digits(p, end, limit);
    int any = at > p;
    if (at == end) return any;
    if (*at == '.') {
        const byte *behind = ++at;
        at = skip_digits(at, end, limit);
        any |= at > behind;
        if (at == end) return any ? 2 : 0;
    } else if (!any) {
        return same_word(p, end, "nan") || same_word(p, end, "inf") ||
                       same_word(p, end, "infinity")
                   ? 2
                   : 0;
    }
    if (!any || (*at | 0x20) != 'e') return 0;
    at++;
    if (at < end && (*at == '-' || *at == '+')) at++;
    return at < end && skip_digits(at, end, limit) == end ? 2 : 0;
}

static int gap_kind(const byte *p, const byte *end) {
    if (p == end) return PE_NO_GAP;
    int last = end[-1] == '\t';
    if (end - p == 1) return last ? PE_TAB : PE_SPACE;
    for (const byte *q = p; q < end; q++)
        if (*q != end[-1]) return last ? PE_MIXED_TAB : PE_MIXED_SPACE;
    return last ? PE_TABS : PE_SPACES;
}

/* What is known of a line, from its start to the last field. */
typedef struct {
    const byte *start, *end, *front, *front_end;
    int64_t numbers, alike, odd, left, right;
    int between, before, outer, lead;
} Shape;

static void shape_field(Shape *shape, const byte *field, const byte *end,
                        const byte *limit) {
    int gap = gap_kind(shape->end, field), kind = number_kind(field, end, limit);
    shape->end = end;
    if (gap == PE_NO_GAP) shape->lead = kind;
    if (gap == PE_NO_GAP || !kind) {
        shape->front = field;
        shape->front_end = end;
        shape->numbers = shape->alike = shape->odd = shape->left = shape->right = 0;
        shape->between = shape->before = shape->outer = 0;
        return;
    }
    shape->numbers++;
    if (shape->numbers == 1) {
        shape->alike = 1;
        shape->before = shape->outer = gap;
    } else {
        if (shape->numbers == 2 || gap == shape->between) {
            shape->alike++;
        } else {
            shape->alike = 2;
            shape->before = shape->between;
        }
        shape->between = gap;
        shape->odd += gap > PE_TAB;
    }
    if (kind > 1) {
        if (!shape->left) shape->left = shape->numbers;
        shape->right = shape->numbers;
    }
}

static void shape_begin(Shape *shape, const byte *line) {
    *shape = (Shape){.start = line, .end = line, .front = line, .front_end = line};
}

static void shape_write(const Shape *shape, const byte *base, int64_t *out) {
    out[0] = shape->start - base;
    out[1] = shape->end - base;
    out[2] = shape->numbers;
    out[3] = shape->alike;
    out[4] = shape->between;
    out[5] = shape->before;
    out[6] = shape->left ? shape->numbers + 1 - shape->right : 0;
    out[7] = shape->left ? shape->numbers + 1 - shape->left : 0;
    out[8] = shape->front - base;
    out[9] = shape->front_end - base;
    out[10] = shape->lead;
    out[11] = (int64_t)shape->outer << 32 | shape->odd;
}

/* A run over lines: the byte at which the field begins that is not yet ended. */
typedef struct {
    Shape shape;
    const byte *base, *limit, *field;
    int64_t *out;
    Py_ssize_t rows, room;
} Measure;

/* Take the blank, tab or LF at p, or the end of the data. */
static void measure_mark(Measure *measure, const byte *p, int ends_line) {
    const byte *end = p;
    if (ends_line)
        while (end > measure->field && end[-1] == '\r') end--;
    if (end > measure->field)
        shape_field(&measure->shape, measure->field, end, measure->limit);
    measure->field = p + 1;
    if (ends_line) {
        shape_write(&measure->shape, measure->base,
                    measure->out + PE_SHAPE_COLUMNS * measure->rows++);
        shape_begin(&measure->shape, p + 1);
    }
}

#ifdef PE_SSE2
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

static int count_bits(uint64_t x) {
    x -= x >> 1 & 0x5555555555555555u;
    x = (x & 0x3333333333333333u) + (x >> 2 & 0x3333333333333333u);
    x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fu;
    return (int)(x * 0x0101010101010101u >> 56);
}

/* The bits up to the given one. */
static uint64_t bits_to(int last) { return UINT64_MAX >> (63 - last); }

/* Take the numbers from p on that have the gap of those before them: all but a few that
 * are written in a seldom way.  64 bytes are looked at side by side, a bit for each.
 * Return the first byte not taken. */
static const byte *measure_numbers(Measure *measure, const byte *p) {
    Shape *shape = &measure->shape;
    const char blank = shape->between == PE_TAB ? '\t' : ' ';
    if (shape->numbers < 2 || shape->between > PE_TAB || shape->end + 1 != p ||
        p[-1] != blank)
        return p;
    const __m128i gap = _mm_set1_epi8(blank);
    const __m128i zero = _mm_set1_epi8('0'), nine = _mm_set1_epi8(9);
    const __m128i plus = _mm_set1_epi8('+'), minus = _mm_set1_epi8('-');
    const __m128i point = _mm_set1_epi8('.'), letter = _mm_set1_epi8('e');
    const __m128i small = _mm_set1_epi8(0x20);
    while (measure->limit - p >= 64) {
        uint64_t digits = 0, points = 0, letters = 0, signs = 0, gaps = 0;
        for (int i = 0; i < 64; i += 16) {
            __m128i bytes = _mm_loadu_si128((const __m128i *)(p + i));
            __m128i values = _mm_sub_epi8(bytes, zero);
            __m128i are_digits = _mm_cmpeq_epi8(_mm_min_epu8(values, nine), values);
            __m128i are_signs = _mm_or_si128(_mm_cmpeq_epi8(bytes, minus),
                                             _mm_cmpeq_epi8(bytes, plus));
            __m128i are_letters = _mm_cmpeq_epi8(_mm_or_si128(bytes, small), letter);
            __m128i are_points = _mm_cmpeq_epi8(bytes, point);
            __m128i are_gaps = _mm_cmpeq_epi8(bytes, gap);
            digits |= (uint64_t)(unsigned)_mm_movemask_epi8(are_digits) << i;
            signs |= (uint64_t)(unsigned)_mm_movemask_epi8(are_signs) << i;
            letters |= (uint64_t)(unsigned)_mm_movemask_epi8(are_letters) << i;
            points |= (uint64_t)(unsigned)_mm_movemask_epi8(are_points) << i;
            gaps |= (uint64_t)(unsigned)_mm_movemask_epi8(are_gaps) << i;
        }
        const uint64_t parts = points | letters, between = ~(parts | gaps);
        /* a carry runs from each point or letter to the next one, or to the gap */
        const uint64_t reached = (between + (parts << 1)) & ~between;
        const uint64_t powers = (between + (letters << 1)) & ~between;
        uint64_t odd = ~(digits | signs | parts | gaps);
        odd |= signs & ~(gaps << 1 | letters << 1 | 1);
        odd |= (gaps | letters) & ~(digits << 1); /* what ends in no digit */
        odd |= (reached & points) | (powers & letters);
        if (odd) gaps &= ((uint64_t)1 << lowest_bit(odd)) - 1;
        if (!gaps) break;
        int last = highest_bit(gaps);
        uint64_t not_whole = reached & gaps; /* that a point or letter is before */
        if (not_whole) {
            if (!shape->left)
                shape->left = shape->numbers +
                              count_bits(gaps & bits_to(lowest_bit(not_whole)));
            shape->right =
                shape->numbers + count_bits(gaps & bits_to(highest_bit(not_whole)));
        }
        int count = count_bits(gaps);
        shape->numbers += count;
        shape->alike += count;
        shape->end = p + last;
        p += last + 1;
    }
    measure->field = p;
    return p;
}
#endif

/* Return the first blank, tab or LF from p on, or limit. */
static const byte *next_mark(const byte *p, const byte *limit) {
#ifdef PE_SSE2
    const __m128i space = _mm_set1_epi8(' '), tab = _mm_set1_epi8('\t');
    const __m128i lf = _mm_set1_epi8('\n');
    for (; limit - p >= 16; p += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)p);
        __m128i marks = _mm_or_si128(
            _mm_or_si128(_mm_cmpeq_epi8(bytes, space), _mm_cmpeq_epi8(bytes, tab)),
            _mm_cmpeq_epi8(bytes, lf));
        unsigned mask = (unsigned)_mm_movemask_epi8(marks);
        if (mask) return p + lowest_bit(mask);
    }
#endif
    while (p < limit && *p != ' ' && *p != '\t' && *p != '\n') p++;
    return p;
}

/* Take all marks from p on, as far as there is room. */
static void measure_lines(Measure *measure, const byte *p) {
    while (measure->rows < measure->room) {
#ifdef PE_SSE2
        p = measure_numbers(measure, p);
#endif
        p = next_mark(p, measure->limit);
        if (p == measure->limit) return;
        measure_mark(measure, p, *p == '\n');
        p++;
    }
}

static PyObject *measure_text(PyObject *Py_UNUSED(module), PyObject *args) {
    PyObject *data_object, *shapes_object, *result = NULL;
    Py_ssize_t start, stop;
    int final;
    Py_buffer data, shapes;
    if (!PyArg_ParseTuple(args, "OnnpO:measure_text", &data_object, &start, &stop,
                          &final, &shapes_object))
        return NULL;
    if (PyObject_GetBuffer(data_object, &data, PyBUF_SIMPLE)) return NULL;
    if (borrow(shapes_object, &shapes, "q", 2, 1, "shapes")) goto without_shapes;
    if (start < 0 || stop < start || stop > data.len ||
        shapes.shape[1] != PE_SHAPE_COLUMNS) {
        PyErr_SetString(PyExc_ValueError, "bounds or shapes do not fit");
        goto done;
    }
    const byte *base = data.buf, *p = base + start;
    Measure measure = {.base = base, .limit = base + stop, .field = p,
                       .out = shapes.buf, .room = shapes.shape[0]};
    shape_begin(&measure.shape, p);
    Py_BEGIN_ALLOW_THREADS
    measure_lines(&measure, p);
    if (final && measure.rows < measure.room && measure.shape.start < measure.limit) {
        measure_mark(&measure, measure.limit, 1);
        measure.shape.start = measure.limit;
    }
    Py_END_ALLOW_THREADS
    result = Py_BuildValue("nn", (Py_ssize_t)(measure.shape.start - base), measure.rows);
done:
    PyBuffer_Release(&shapes);
without_shapes:
    PyBuffer_Release(&data);
    return result;
}

/* ---------------------------------------------------------------- Placing ------ */

/* What place and find_rows write their claims to. */
typedef struct {
    const TokenIndex *index;
    Py_buffer best, seen;
} Claims;

static void claims_release(Claims *claims) {
    PyBuffer_Release(&claims->best);
    PyBuffer_Release(&claims->seen);
}

static int claims_begin(Claims *claims, State *state, PyObject *index, int64_t base,
                        PyObject *best, PyObject *seen) {
    claims->index = as_index(state, index, 0);
    if (!claims->index) return -1;
    if (base < 0 || base >= PE_POSITIONS) {
        PyErr_SetString(PyExc_ValueError, "base is negative or too large");
        return -1;
    }
    if (borrow(best, &claims->best, "q", 1, 1, "best")) return -1;
    if (borrow(seen, &claims->seen, "B", 1, 1, "seen")) {
        PyBuffer_Release(&claims->best);
        return -1;
    }
    if (claims->best.shape[0] <= claims->index->last_row ||
        claims->seen.shape[0] != (Py_ssize_t)claims->index->keys) {
        PyErr_SetString(PyExc_ValueError, "best or seen does not fit the index");
        claims_release(claims);
        return -1;
    }
    return 0;
}

/* Claim every row that key is wanted for; copy vector to the rows of out that it wins. */
static void claim(Claims *claims, int64_t key, int64_t position, const float *vector,
                  size_t bytes, byte *out, int64_t out_rows) {
    const TokenIndex *index = claims->index;
    int64_t *best = claims->best.buf;
    ((byte *)claims->seen.buf)[key] = 1;
    size_t stop = first_of(index, (size_t)key + 1);
    for (size_t i = first_of(index, (size_t)key); i < stop; i++) {
        int64_t row = (int64_t)column_get(&index->rows, i);
        int64_t rank = rank_at(index, i), bid = rank << PE_RANK_SHIFT | position;
        if (bid < best[row]) {
            best[row] = bid;
            if (row < out_rows) memcpy(out + (size_t)row * bytes, vector, bytes);
        }
    }
}

static PyObject *place(PyObject *module, PyObject *args) {
    PyObject *index, *hits_object, *vectors_object, *best, *seen, *out_object;
    PyObject *result = NULL;
    Py_ssize_t count;
    long long base;
    Claims claims;
    Py_buffer hits, vectors, out;
    if (!PyArg_ParseTuple(args, "OOnOLOOO:place", &index, &hits_object, &count,
                          &vectors_object, &base, &best, &seen, &out_object))
        return NULL;
    if (claims_begin(&claims, PyModule_GetState(module), index, base, best, seen))
        return NULL;
    if (borrow(hits_object, &hits, "q", 2, 0, "hits")) goto without_hits;
    if (borrow(vectors_object, &vectors, "f", 2, 0, "vectors")) goto without_vectors;
    if (borrow(out_object, &out, "f", 2, 1, "out")) goto without_out;
    if (count < 0 || count > hits.shape[0] || count > vectors.shape[0] ||
        hits.shape[1] != PE_HIT_COLUMNS || vectors.shape[1] != out.shape[1] ||
        out.shape[0] > claims.best.shape[0]) {
        PyErr_SetString(PyExc_ValueError, "hits, vectors and out do not fit");
        goto done;
    }
    const int64_t *hit = hits.buf;
    size_t bytes = (size_t)out.shape[1] * 4;
    int fits = 1;
    PyThreadState *thread = PyEval_SaveThread();
    for (Py_ssize_t i = 0; i < count; i++, hit += PE_HIT_COLUMNS) {
        int64_t row = hit[0], key = hit[3];
        fits = row >= 0 && row < PE_POSITIONS - base && key >= 0 &&
               key < (int64_t)claims.index->keys;
        if (!fits) break;
        claim(&claims, key, base + row, (const float *)vectors.buf + i * out.shape[1],
              bytes, out.buf, out.shape[0]);
    }
    PyEval_RestoreThread(thread);
    if (fits)
        result = Py_NewRef(Py_None);
    else
        PyErr_SetString(PyExc_ValueError, "a hit is not one of this index");
done:
    PyBuffer_Release(&out);
without_out:
    PyBuffer_Release(&vectors);
without_vectors:
    PyBuffer_Release(&hits);
without_hits:
    claims_release(&claims);
    return result;
}

static PyObject *spread(PyObject *module, PyObject *args) {
    PyObject *index_object, *hits_object, *pairs_object, *result = NULL;
    Py_ssize_t count;
    Py_buffer hits, pairs;
    if (!PyArg_ParseTuple(args, "OOnO:spread", &index_object, &hits_object, &count,
                          &pairs_object))
        return NULL;
    const TokenIndex *index = as_index(PyModule_GetState(module), index_object, 0);
    if (!index || borrow(hits_object, &hits, "q", 2, 0, "hits")) return NULL;
    if (borrow(pairs_object, &pairs, "q", 2, 1, "pairs")) goto without_pairs;
    if (count < 0 || count > hits.shape[0] || hits.shape[1] != PE_HIT_COLUMNS ||
        pairs.shape[1] != 2) {
        PyErr_SetString(PyExc_ValueError, "hits and pairs do not fit");
        goto done;
    }
    const int64_t *hit = hits.buf;
    int64_t *pair = pairs.buf;
    Py_ssize_t total = 0;
    int fits = 1;
    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t i = 0; i < count; i++, hit += PE_HIT_COLUMNS) {
        int64_t row = hit[0], key = hit[3];
        fits = row >= 0 && key >= 0 && key < (int64_t)index->keys;
        if (!fits) break;
        size_t stop = first_of(index, (size_t)key + 1);
        for (size_t k = first_of(index, (size_t)key); k < stop; k++, total++) {
            if (total >= pairs.shape[0]) continue;
            *pair++ = i;
            *pair++ = (int64_t)column_get(&index->rows, k);
        }
    }
    Py_END_ALLOW_THREADS
    if (fits)
        result = PyLong_FromSsize_t(total);
    else
        PyErr_SetString(PyExc_ValueError, "a hit is not one of this index");
done:
    PyBuffer_Release(&pairs);
without_pairs:
    PyBuffer_Release(&hits);
    return result;
}

static PyObject *pack(PyObject *Py_UNUSED(module), PyObject *args) {
    PyObject *data_object, *hits_object, *out_object, *result = NULL;
    Py_ssize_t count;
    Py_buffer data, hits, out;
    if (!PyArg_ParseTuple(args, "OOnO:pack", &data_object, &hits_object, &count,
                          &out_object))
        return NULL;
    if (PyObject_GetBuffer(data_object, &data, PyBUF_SIMPLE)) return NULL;
    if (borrow(hits_object, &hits, "q", 2, 0, "hits")) goto without_hits;
    if (borrow(out_object, &out, "B", 1, 1, "out")) goto without_out;
    int fits = count >= 0 && count <= hits.shape[0] && hits.shape[1] == PE_HIT_COLUMNS;
    const int64_t *hit = hits.buf;
    Py_ssize_t written = 0;
    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t i = 0; fits && i < count; i++, hit += PE_HIT_COLUMNS) {
        int64_t start = hit[1], length = hit[2];
        fits = start >= 0 && start <= data.len && length >= 0 &&
               length <= data.len - start && length <= out.len - written;
        if (!fits) break;
        memcpy((byte *)out.buf + written, (const byte *)data.buf + start,
               (size_t)length);
        written += (Py_ssize_t)length;
    }
    Py_END_ALLOW_THREADS
    if (fits)
        result = PyLong_FromSsize_t(written);
    else
        PyErr_SetString(PyExc_ValueError, "hits do not fit the data, or out");
    PyBuffer_Release(&out);
without_out:
    PyBuffer_Release(&hits);
without_hits:
    PyBuffer_Release(&data);
    return result;
}

static PyObject *find_rows(PyObject *module, PyObject *args) {
    PyObject *index, *data_object, *offsets_object, *best, *seen;
    PyObject *result = NULL;
    long long base;
    Claims claims;
    Py_buffer data, offsets;
    if (!PyArg_ParseTuple(args, "OOOLOO:find_rows", &index, &data_object,
                          &offsets_object, &base, &best, &seen))
        return NULL;
    if (claims_begin(&claims, PyModule_GetState(module), index, base, best, seen))
        return NULL;
    if (PyObject_GetBuffer(data_object, &data, PyBUF_SIMPLE)) goto without_data;
    if (borrow(offsets_object, &offsets, "q", 1, 0, "offsets")) goto without_offsets;

    const int64_t *offset = offsets.buf;
    Py_ssize_t count = offsets.shape[0] - 1, found = 0;
    int fits = 1;
    PyThreadState *thread = PyEval_SaveThread();
    for (Py_ssize_t i = 0; i < count; i++) {
        int64_t begin = offset[i], end = offset[i + 1];
        if (begin < 0 || end < begin || end > data.len || i >= PE_POSITIONS - base) {
            fits = 0;
            break;
        }
        int64_t key = find_key(claims.index, (const byte *)data.buf + begin,
                               (size_t)(end - begin));
        if (key < 0) continue;
        found++;
        claim(&claims, key, base + i, NULL, 0, NULL, 0);
    }
    PyEval_RestoreThread(thread);
    if (fits)
        result = PyLong_FromSsize_t(found);
    else
        PyErr_SetString(PyExc_ValueError, "offsets do not fit the data, or base");
    PyBuffer_Release(&offsets);
without_offsets:
    PyBuffer_Release(&data);
without_data:
    claims_release(&claims);
    return result;
}

static PyObject *gather(PyObject *Py_UNUSED(module), PyObject *args) {
    PyObject *source_object, *rows_object, *targets_object, *out_object;
    PyObject *result = NULL;
    Py_buffer source, rows, targets, out;
    if (!PyArg_ParseTuple(args, "OOOO:gather", &source_object, &rows_object,
                          &targets_object, &out_object))
        return NULL;
    if (borrow(source_object, &source, "f", 2, 0, "source")) return NULL;
    if (borrow(rows_object, &rows, "q", 1, 0, "rows")) goto without_rows;
    if (borrow(targets_object, &targets, "q", 1, 0, "targets")) goto without_targets;
    if (borrow(out_object, &out, "f", 2, 1, "out")) goto without_out;

    const int64_t *row = rows.buf, *target = targets.buf;
    size_t bytes = (size_t)source.shape[1] * sizeof(float);
    int fits = rows.shape[0] == targets.shape[0] && source.shape[1] == out.shape[1];
    PyThreadState *thread = PyEval_SaveThread();
    for (Py_ssize_t i = 0; fits && i < rows.shape[0]; i++) {
        int64_t from = row[i], to = target[i]; /* read once: checked is what is used */
        fits = from >= 0 && from < source.shape[0] && to >= 0 && to < out.shape[0];
        if (fits && bytes)
            memcpy((byte *)out.buf + (size_t)to * bytes,
                   (const byte *)source.buf + (size_t)from * bytes, bytes);
    }
    PyEval_RestoreThread(thread);
    if (fits)
        result = Py_NewRef(Py_None);
    else
        PyErr_SetString(PyExc_ValueError, "rows or targets do not fit source or out");
    PyBuffer_Release(&out);
without_out:
    PyBuffer_Release(&targets);
without_targets:
    PyBuffer_Release(&rows);
without_rows:
    PyBuffer_Release(&source);
    return result;
}

/* ----------------------------------------------------------------- Hashes ------ */

static PyObject *hash_tokens(PyObject *Py_UNUSED(module), PyObject *args) {
    PyObject *data, *offsets, *out_object;
    Tokens tokens;
    Py_buffer out;
    if (!PyArg_ParseTuple(args, "OOO:hash_tokens", &data, &offsets, &out_object))
        return NULL;
    if (tokens_begin(&tokens, data, offsets)) return NULL;
    if (borrow(out_object, &out, "Q", 1, 1, "out")) {
        tokens_release(&tokens);
        return NULL;
    }
    int fits = out.shape[0] == tokens.count;
    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t i = 0; fits && i < tokens.count; i++) {
        size_t n;
        const byte *token = token_at(&tokens, i, &n);
        fits = token != NULL;
        if (fits) ((uint64_t *)out.buf)[i] = hash_token(token, n);
    }
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&out);
    tokens_release(&tokens);
    if (fits) Py_RETURN_NONE;
    PyErr_SetString(PyExc_ValueError, "offsets do not fit the data, or out");
    return NULL;
}

/* An index of packed tokens: see look_up in _reference.py. */
typedef struct {
    Py_buffer starts, hashes, rows;
    Py_ssize_t count;
    int shift; /* of a hash, to get the number of its bucket */
} Buckets;

static int buckets_begin(Buckets *buckets, PyObject *starts, PyObject *hashes,
                         PyObject *rows) {
    if (borrow(starts, &buckets->starts, "q", 1, 0, "starts")) return -1;
    if (borrow(hashes, &buckets->hashes, "Q", 1, 0, "hashes")) goto without_hashes;
    if (borrow(rows, &buckets->rows, "q", 1, 0, "rows")) goto without_rows;
    buckets->count = buckets->hashes.shape[0];
    buckets->shift = 63;
    while (buckets->shift && ((uint64_t)1 << (64 - buckets->shift)) + 1 <
                                 (uint64_t)buckets->starts.shape[0])
        buckets->shift--;
    if (((uint64_t)1 << (64 - buckets->shift)) + 1 ==
            (uint64_t)buckets->starts.shape[0] &&
        buckets->rows.shape[0] == buckets->count)
        return 0;
    PyErr_SetString(PyExc_ValueError, "starts, hashes and rows do not fit each other");
    PyBuffer_Release(&buckets->rows);
without_rows:
    PyBuffer_Release(&buckets->hashes);
without_hashes:
    PyBuffer_Release(&buckets->starts);
    return -1;
}

static void buckets_release(Buckets *buckets) {
    PyBuffer_Release(&buckets->rows);
    PyBuffer_Release(&buckets->hashes);
    PyBuffer_Release(&buckets->starts);
}

/* One wanted token on its way through the buckets. */
typedef struct {
    uint64_t hash;
    Py_ssize_t at, stop; /* what is left of its bucket, from an equal hash on */
} Search;

enum { PE_SEARCHES = 64 };

/* Move on to the next equal hash. */
static void next_equal(const Buckets *buckets, Search *search) {
    const uint64_t *hash = buckets->hashes.buf;
    while (search->at < search->stop && hash[search->at] != search->hash) search->at++;
}

/* The number of the token that a search has come to, or -1. */
static int64_t position_of(const Buckets *buckets, const Search *search) {
    const int64_t *row = buckets->rows.buf;
    return search->at < search->stop ? row[search->at] : -1;
}

/* Look count keys up from the first on.  Return how many rows were found, or -1 if the
 * index does not fit the tokens.  Each step is done for all keys before the next one,
 * so that the memory which that one waits for comes for all of them at once. */
static Py_ssize_t look_up_some(Claims *claims, const Buckets *buckets,
                               const Tokens *tokens, uint32_t first, uint32_t count) {
    Search searches[PE_SEARCHES];
    const TokenIndex *index = claims->index;
    const int64_t *start = buckets->starts.buf, *row = buckets->rows.buf;
    const int64_t *offset = tokens->offsets.buf;
    const uint64_t *hash = buckets->hashes.buf;
    Py_ssize_t found = 0;
    for (uint32_t k = 0; k < count; k++) {
        size_t n;
        const byte *wanted = token_of(index, first + k, &n);
        searches[k].hash = hash_token(wanted, n);
        prefetch(start + (searches[k].hash >> buckets->shift));
    }
    for (uint32_t k = 0; k < count; k++) {
        int64_t at = start[searches[k].hash >> buckets->shift];
        int64_t stop = start[(searches[k].hash >> buckets->shift) + 1];
        if (at < 0 || stop < at || stop > buckets->count) return -1;
        searches[k] = (Search){searches[k].hash, (Py_ssize_t)at, (Py_ssize_t)stop};
        prefetch(hash + at);
    }
    for (uint32_t k = 0; k < count; k++) {
        next_equal(buckets, searches + k);
        prefetch(row + searches[k].at);
    }
    for (uint32_t k = 0; k < count; k++) {
        int64_t position = position_of(buckets, searches + k);
        if (position >= 0 && position < tokens->count) prefetch(offset + position);
    }
    for (uint32_t k = 0; k < count; k++) {
        size_t n;
        prefetch(token_at(tokens, position_of(buckets, searches + k), &n));
    }
    for (uint32_t k = 0; k < count; k++) {
        Search *search = searches + k;
        size_t n, length;
        const byte *wanted = token_of(index, first + k, &n);
        for (; search->at < search->stop; search->at++, next_equal(buckets, search)) {
            int64_t position = position_of(buckets, search);
            const byte *token = token_at(tokens, position, &length);
            if (!token || position >= PE_POSITIONS) return -1;
            if (length == n && memcmp(token, wanted, n) == 0) {
                found++;
                claim(claims, first + k, position, NULL, 0, NULL, 0);
            }
        }
    }
    return found;
}

static PyObject *look_up(PyObject *module, PyObject *args) {
    PyObject *index, *starts, *hashes, *rows, *data, *offsets, *best, *seen;
    PyObject *result = NULL;
    Claims claims;
    Tokens tokens;
    Buckets buckets;
    if (!PyArg_ParseTuple(args, "OOOOOOOO:look_up", &index, &starts, &hashes, &rows,
                          &data, &offsets, &best, &seen))
        return NULL;
    if (claims_begin(&claims, PyModule_GetState(module), index, 0, best, seen))
        return NULL;
    if (tokens_begin(&tokens, data, offsets)) goto without_tokens;
    if (buckets_begin(&buckets, starts, hashes, rows)) goto without_buckets;

    uint32_t keys = claims.index->keys, count;
    Py_ssize_t found = 0, more = 0;
    PyThreadState *thread = PyEval_SaveThread();
    for (uint32_t first = 0; more >= 0 && first < keys; first += count) {
        count = keys - first < PE_SEARCHES ? keys - first : PE_SEARCHES;
        more = look_up_some(&claims, &buckets, &tokens, first, count);
        found += more;
    }
    PyEval_RestoreThread(thread);
    if (more >= 0)
        result = PyLong_FromSsize_t(found);
    else
        PyErr_SetString(PyExc_ValueError, "starts, rows or offsets do not fit");
    buckets_release(&buckets);
without_buckets:
    tokens_release(&tokens);
without_tokens:
    claims_release(&claims);
    return result;
}

/* ----------------------------------------------------------------- Module ------ */

PyDoc_STRVAR(scan_text_doc,
             "scan_text(index, data, start, stop, final, dim, separator, delimiter, "
             "hits, vectors, faults)\n--\n\n"
             "Scan the lines that lie whole in data[start:stop].");
PyDoc_STRVAR(scan_binary_doc,
             "scan_binary(index, data, start, stop, dim, known, low, high, hits, "
             "vectors)\n--\n\n"
             "Scan the word2vec rows that lie whole in data[start:stop].");
PyDoc_STRVAR(measure_text_doc,
             "measure_text(data, start, stop, final, shapes)\n--\n\n"
             "Measure the lines that lie whole in data[start:stop].");
PyDoc_STRVAR(number_doc, "number(field)\n--\n\n"
                         "Return the binary32 value of a number, or None.");
PyDoc_STRVAR(place_doc,
             "place(index, hits, count, vectors, base, best, seen, out)\n--\n\n"
             "Write the first count hits into the rows of out they win.");
PyDoc_STRVAR(spread_doc, "spread(index, hits, count, pairs)\n--\n\n"
                         "Write (number of the hit, row) for each row hits are for.");
PyDoc_STRVAR(pack_doc, "pack(data, hits, count, out)\n--\n\n"
                       "Copy the tokens of the first count hits one behind another.");
PyDoc_STRVAR(find_rows_doc, "find_rows(index, data, offsets, base, best, seen)\n--\n\n"
                            "Claim rows for a list of tokens.");

PyDoc_STRVAR(gather_doc, "gather(source, rows, targets, out)\n--\n\n"
                         "Copy rows of source to rows of out.");
PyDoc_STRVAR(hash_tokens_doc, "hash_tokens(data, offsets, out)\n--\n\n"
                              "Write the hash of each packed token to out.");
PyDoc_STRVAR(look_up_doc,
             "look_up(index, starts, hashes, rows, data, offsets, best, seen)\n--\n\n"
             "Claim rows for packed tokens, found by an index of their hashes.");

static PyMethodDef methods[] = {
    {"scan_text", scan_text, METH_VARARGS, scan_text_doc},
    {"scan_binary", scan_binary, METH_VARARGS, scan_binary_doc},
    {"measure_text", measure_text, METH_VARARGS, measure_text_doc},
    {"number", number, METH_O, number_doc},
    {"place", place, METH_VARARGS, place_doc},
    {"spread", spread, METH_VARARGS, spread_doc},
    {"pack", pack, METH_VARARGS, pack_doc},
    {"find_rows", find_rows, METH_VARARGS, find_rows_doc},
    {"gather", gather, METH_VARARGS, gather_doc},
    {"hash_tokens", hash_tokens, METH_VARARGS, hash_tokens_doc},
    {"look_up", look_up, METH_VARARGS, look_up_doc},
    {NULL, NULL, 0, NULL}};

static int module_exec(PyObject *module) {
    State *state = PyModule_GetState(module);
    PyObject *type = PyType_FromModuleAndSpec(module, &index_spec, NULL);
    if (!type) return -1;
    state->index_type = (PyTypeObject *)type; /* the state owns this reference */
    if (PyModule_AddObjectRef(module, "TokenIndex", type)) return -1;
    return PyModule_AddStringConstant(module, "IMPLEMENTATION", "native");
}

static int module_traverse(PyObject *module, visitproc visit, void *arg) {
    State *state = PyModule_GetState(module);
    Py_VISIT(state->index_type);
    return 0;
}

static int module_clear(PyObject *module) {
    State *state = PyModule_GetState(module);
    Py_CLEAR(state->index_type);
    return 0;
}

static void module_free(void *module) { (void)module_clear(module); }

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, module_exec}, {0, NULL}};

static struct PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT,
    "_kernel",
    "The hot loops of pretrained_embed; _reference.py says what they mean.",
    sizeof(State),
    methods,
    module_slots,
    module_traverse,
    module_clear,
    module_free};

PyMODINIT_FUNC PyInit__kernel(void) { return PyModuleDef_Init(&module_def); }
