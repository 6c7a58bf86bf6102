/* The path of every x86-64: registers of 16 bytes.  _loops.h says what each means. */
#include <emmintrin.h>

typedef __m128i sse2_vector;
enum { sse2_width = 16 };

static inline sse2_vector sse2_load(const byte *p) {
    return _mm_loadu_si128((const __m128i *)p);
}

static inline sse2_vector sse2_all(int c) { return _mm_set1_epi8((char)c); }

static inline sse2_vector sse2_same(sse2_vector a, sse2_vector b) {
    return _mm_cmpeq_epi8(a, b);
}

static inline sse2_vector sse2_at_most(sse2_vector a, sse2_vector most) {
    return _mm_cmpeq_epi8(_mm_min_epu8(a, most), a);
}

static inline sse2_vector sse2_or(sse2_vector a, sse2_vector b) {
    return _mm_or_si128(a, b);
}

static inline sse2_vector sse2_xor(sse2_vector a, sse2_vector b) {
    return _mm_xor_si128(a, b);
}

static inline int sse2_first(sse2_vector flags) {
    unsigned bits = (unsigned)_mm_movemask_epi8(flags);
    return bits ? lowest_bit(bits) : sse2_width;
}

static inline int sse2_any(sse2_vector flags) { return _mm_movemask_epi8(flags) != 0; }

static inline uint64_t sse2_bits(const sse2_vector *flags) {
    uint64_t low = (unsigned)_mm_movemask_epi8(flags[0]) |
                   (unsigned)_mm_movemask_epi8(flags[1]) << 16;
    uint64_t high = (unsigned)_mm_movemask_epi8(flags[2]) |
                    (unsigned)_mm_movemask_epi8(flags[3]) << 16;
    return low | high << 32;
}

static inline sse2_vector sse2_tally(sse2_vector counts, sse2_vector flags) {
    return _mm_sub_epi8(counts, flags);
}

static inline size_t sse2_sum(sse2_vector counts) {
    __m128i sums = _mm_sad_epu8(counts, _mm_setzero_si128());
    return (size_t)_mm_cvtsi128_si32(_mm_add_epi32(sums, _mm_srli_si128(sums, 8)));
}

static inline int sse2_count(uint64_t bits) { return count_bits(bits); }

static inline int sse2_lowest(uint64_t bits) {
    return lowest_bit(bits | (uint64_t)1 << 63);
}
