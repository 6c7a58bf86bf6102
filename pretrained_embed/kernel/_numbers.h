/* Decimal text to binary32, correctly rounded; one number at a time, on any machine. */
#ifndef PE_NUMBERS_H
#define PE_NUMBERS_H

#include "_bytes.h"

/* Whether an operation on doubles rounds once, to a double.  The x87 unit of 32-bit PCs
 * keeps more digits and rounds again. */
#if !defined(FLT_EVAL_METHOD) || FLT_EVAL_METHOD == 0 || FLT_EVAL_METHOD == 1
#define PE_ROUNDS_ONCE 1
#else
#define PE_ROUNDS_ONCE 0
#endif

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

#if PE_ROUNDS_ONCE
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
#if PE_ROUNDS_ONCE
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

/* Read n fields one after another; ends[0] is one byte before the first, ends[k + 1]
 * the end of field k.  What lies before limit may be looked at.  Returns 0, the 1-based
 * place of the first bad one, or -1 with an exception set. */
static Py_ssize_t read_each(const byte **ends, int n, const byte *limit, float *out) {
    for (int k = 0; k < n; k++) {
        const byte *field = ends[k] + 1;
        if (short_number(field, ends[k + 1], limit, out + k)) continue;
        int status = number_in_full(field, ends[k + 1], out + k);
        if (status != NUMBER_OK) return status == NUMBER_BAD ? k + 1 : -1;
    }
    return 0;
}

#endif
