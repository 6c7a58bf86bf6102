/* The path of arm64: registers of 16 bytes, of which every such processor has 32.
 * _loops.h says what each means. */
#if defined(_MSC_VER) && !defined(__clang__)
#include <arm64_neon.h>
#else
#include <arm_neon.h>
#endif

typedef uint8x16_t neon_vector;
enum { neon_width = 16 };

static inline neon_vector neon_load(const byte *p) { return vld1q_u8(p); }

static inline neon_vector neon_all(int c) { return vdupq_n_u8((uint8_t)c); }

static inline neon_vector neon_same(neon_vector a, neon_vector b) {
    return vceqq_u8(a, b);
}

static inline neon_vector neon_at_most(neon_vector a, neon_vector most) {
    return vcleq_u8(a, most);
}

static inline neon_vector neon_or(neon_vector a, neon_vector b) {
    return vorrq_u8(a, b);
}

static inline neon_vector neon_xor(neon_vector a, neon_vector b) {
    return veorq_u8(a, b);
}

/* Four bits for each byte. */
static inline uint64_t neon_nibbles(neon_vector flags) {
    uint8x8_t narrow = vshrn_n_u16(vreinterpretq_u16_u8(flags), 4);
    return vget_lane_u64(vreinterpret_u64_u8(narrow), 0);
}

static inline int neon_first(neon_vector flags) {
    uint64_t nibbles = neon_nibbles(flags);
    return nibbles ? lowest_bit(nibbles) / 4 : neon_width;
}

static inline int neon_any(neon_vector flags) { return neon_nibbles(flags) != 0; }

static inline uint64_t neon_bits(const neon_vector *flags) {
    static const byte BITS[16] = {1, 2, 4, 8, 16, 32, 64, 128,
                                  1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x16_t bit = vld1q_u8(BITS);
    uint8x16_t low = vpaddq_u8(vandq_u8(flags[0], bit), vandq_u8(flags[1], bit));
    uint8x16_t high = vpaddq_u8(vandq_u8(flags[2], bit), vandq_u8(flags[3], bit));
    low = vpaddq_u8(low, high);
    low = vpaddq_u8(low, low);
    return vgetq_lane_u64(vreinterpretq_u64_u8(low), 0);
}

static inline neon_vector neon_tally(neon_vector counts, neon_vector flags) {
    return vsubq_u8(counts, flags);
}

static inline size_t neon_sum(neon_vector counts) { return vaddlvq_u8(counts); }

static inline int neon_count(uint64_t bits) {
    return vaddv_u8(vcnt_u8(vcreate_u8(bits)));
}

static inline int neon_lowest(uint64_t bits) {
    return lowest_bit(bits | (uint64_t)1 << 63);
}

#define PE_FIELDS_AT_ONCE 1
typedef struct {
    uint8x16_t of[4];
} neon_fields;

static inline neon_fields neon_digits(const byte *const *ends,
                                      const Form *const *forms) {
    static const byte POINT[16] = {'.' ^ '0'};
    const uint8x16_t zeros = vdupq_n_u8('0'), point = vld1q_u8(POINT);
    neon_fields x;
    for (int k = 0; k < 4; k++) {
        uint8x16_t order = vreinterpretq_u8_s8(vld1q_s8(forms[k]->digits));
        uint8x16_t field = veorq_u8(vld1q_u8(ends[k] - 16), zeros);
        x.of[k] = veorq_u8(vqtbl1q_u8(field, order), point);
    }
    return x;
}

static inline uint64_t neon_fits(neon_fields x) {
    const uint8x16_t most = vld1q_u8(MOST_DIGITS);
    uint8x16_t low = vpminq_u8(vcleq_u8(x.of[0], most), vcleq_u8(x.of[1], most));
    uint8x16_t high = vpminq_u8(vcleq_u8(x.of[2], most), vcleq_u8(x.of[3], most));
    return neon_nibbles(vpminq_u8(low, high));
}

/* Digits of two fields, by pairs: 8 numbers below 100 of each. */
static inline uint8x16_t neon_pairs(uint8x16_t a, uint8x16_t b) {
    const uint8x16_t tens = vreinterpretq_u8_u16(vdupq_n_u16(0x010a));
    return vpaddq_u8(vmulq_u8(a, tens), vmulq_u8(b, tens));
}

/* And by eights: the first ones of each field, and the last ones. */
static inline uint32x4_t neon_eights(uint8x16_t pairs) {
    const uint8x16_t hundreds = vreinterpretq_u8_u16(vdupq_n_u16(0x0164));
    const uint32x4_t myriads = vdupq_n_u32(0x00012710);
    uint16x8_t four = vpaddq_u16(
        vmull_u8(vget_low_u8(pairs), vget_low_u8(hundreds)),
        vmull_high_u8(pairs, hundreds));
    uint16x8_t weights = vreinterpretq_u16_u32(myriads);
    return vpaddq_u32(vmull_u16(vget_low_u16(four), vget_low_u16(weights)),
                      vmull_high_u16(four, weights));
}

static inline void neon_divide(neon_fields x, const Form *const *forms, float *out) {
    uint32x4_t low = neon_eights(neon_pairs(x.of[0], x.of[1]));
    uint32x4_t high = neon_eights(neon_pairs(x.of[2], x.of[3]));
    /* nine digits at most: the first eights are below ten */
    uint32x4_t mantissas =
        vmlaq_n_u32(vuzp2q_u32(low, high), vuzp1q_u32(low, high), 100000000);
    float64x2_t a = vcvtq_f64_u64(vmovl_u32(vget_low_u32(mantissas)));
    float64x2_t b = vcvtq_f64_u64(vmovl_high_u32(mantissas));
    a = vdivq_f64(a, vcombine_f64(vld1_f64(&forms[0]->divisor),
                                  vld1_f64(&forms[1]->divisor)));
    b = vdivq_f64(b, vcombine_f64(vld1_f64(&forms[2]->divisor),
                                  vld1_f64(&forms[3]->divisor)));
    vst1q_f32(out, vcvt_high_f32_f64(vcvt_f32_f64(a), b));
}
