/* The path of x86-64 with AVX2: registers of 32 bytes, four doubles at once.  _loops.h
 * says what each means. */
#include <immintrin.h>

typedef __m256i avx2_vector;
enum { avx2_width = 32 };

PE_TARGET static inline avx2_vector avx2_load(const byte *p) {
    return _mm256_loadu_si256((const __m256i *)p);
}

PE_TARGET static inline avx2_vector avx2_all(int c) {
    return _mm256_set1_epi8((char)c);
}

PE_TARGET static inline avx2_vector avx2_same(avx2_vector a, avx2_vector b) {
    return _mm256_cmpeq_epi8(a, b);
}

PE_TARGET static inline avx2_vector avx2_at_most(avx2_vector a, avx2_vector most) {
    return _mm256_cmpeq_epi8(_mm256_min_epu8(a, most), a);
}

PE_TARGET static inline avx2_vector avx2_or(avx2_vector a, avx2_vector b) {
    return _mm256_or_si256(a, b);
}

PE_TARGET static inline avx2_vector avx2_xor(avx2_vector a, avx2_vector b) {
    return _mm256_xor_si256(a, b);
}

PE_TARGET static inline int avx2_first(avx2_vector flags) {
    uint64_t beyond = (uint64_t)1 << avx2_width;
    return (int)_tzcnt_u64(beyond | (uint32_t)_mm256_movemask_epi8(flags));
}

PE_TARGET static inline int avx2_any(avx2_vector flags) {
    return !_mm256_testz_si256(flags, flags);
}

PE_TARGET static inline uint64_t avx2_bits(const avx2_vector *flags) {
    return (uint32_t)_mm256_movemask_epi8(flags[0]) |
           (uint64_t)(uint32_t)_mm256_movemask_epi8(flags[1]) << 32;
}

PE_TARGET static inline avx2_vector avx2_tally(avx2_vector counts, avx2_vector flags) {
    return _mm256_sub_epi8(counts, flags);
}

PE_TARGET static inline size_t avx2_sum(avx2_vector counts) {
    __m256i sums = _mm256_sad_epu8(counts, _mm256_setzero_si256());
    __m128i two = _mm_add_epi32(_mm256_castsi256_si128(sums),
                                _mm256_extracti128_si256(sums, 1));
    return (size_t)_mm_cvtsi128_si32(_mm_add_epi32(two, _mm_srli_si128(two, 8)));
}

PE_TARGET static inline int avx2_count(uint64_t bits) {
    return (int)_mm_popcnt_u64(bits);
}

PE_TARGET static inline int avx2_lowest(uint64_t bits) {
    return (int)_tzcnt_u64(bits);
}

#define PE_FIELDS_AT_ONCE 1
typedef struct {
    __m256i low, high; /* fields 0 and 1, 2 and 3 */
} avx2_fields;

PE_TARGET static inline __m256i avx2_two(const void *low, const void *high) {
    __m128i first = _mm_loadu_si128((const __m128i *)low);
    __m128i second = _mm_loadu_si128((const __m128i *)high);
    return _mm256_inserti128_si256(_mm256_castsi128_si256(first), second, 1);
}

PE_TARGET static inline avx2_fields avx2_digits(const byte *const *ends,
                                                const Form *const *forms) {
    const __m256i zeros = _mm256_set1_epi8('0');
    const __m256i point = _mm256_set_epi64x(0, '.' ^ '0', 0, '.' ^ '0');
    __m256i low = _mm256_xor_si256(avx2_two(ends[0] - 16, ends[1] - 16), zeros);
    __m256i high = _mm256_xor_si256(avx2_two(ends[2] - 16, ends[3] - 16), zeros);
    low = _mm256_shuffle_epi8(low, avx2_two(forms[0]->digits, forms[1]->digits));
    high = _mm256_shuffle_epi8(high, avx2_two(forms[2]->digits, forms[3]->digits));
    return (avx2_fields){_mm256_xor_si256(low, point), _mm256_xor_si256(high, point)};
}

PE_TARGET static inline uint64_t avx2_fits(avx2_fields x) {
    const __m256i most = avx2_two(MOST_DIGITS, MOST_DIGITS);
    avx2_vector flags[] = {avx2_at_most(x.low, most), avx2_at_most(x.high, most)};
    return avx2_bits(flags);
}

PE_TARGET static inline void avx2_divide(avx2_fields x, const Form *const *forms,
                                         float *out) {
    const __m256i tens = _mm256_set1_epi16(0x010a);
    const __m256i hundreds = _mm256_set1_epi32(0x00010064);
    const __m256i myriads = _mm256_set1_epi64x(0x0001271000010000);
    const __m256d two_52 = _mm256_set1_pd(0x1p52);
    __m256i low = _mm256_madd_epi16(_mm256_maddubs_epi16(x.low, tens), hundreds);
    __m256i high = _mm256_madd_epi16(_mm256_maddubs_epi16(x.high, tens), hundreds);
    /* packing takes the lower halves first: fields 0, 2, 1, 3 */
    __m256i packed = _mm256_madd_epi16(_mm256_packus_epi32(low, high), myriads);
    packed = _mm256_add_epi64(_mm256_mul_epu32(packed, _mm256_set1_epi64x(100000000)),
                              _mm256_srli_epi64(packed, 32));
    __m256d mantissas = _mm256_sub_pd( /* as in small_integer */
        _mm256_or_pd(_mm256_castsi256_pd(packed), two_52), two_52);
    __m256d divisors = _mm256_set_pd(forms[3]->divisor, forms[1]->divisor,
                                     forms[2]->divisor, forms[0]->divisor);
    __m128 values = _mm256_cvtpd_ps(_mm256_div_pd(mantissas, divisors));
    _mm_storeu_ps(out, _mm_shuffle_ps(values, values, _MM_SHUFFLE(3, 1, 2, 0)));
}
