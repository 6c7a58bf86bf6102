/* The path of every other processor: eight bytes in a number of 64 bits, a flag the
 * highest bit of its byte.  _loops.h says what each means. */
typedef uint64_t scalar_vector;
enum { scalar_width = 8 };
static const uint64_t SCALAR_ONES = 0x0101010101010101u;
static const uint64_t SCALAR_FLAGS = 0x8080808080808080u;

static inline scalar_vector scalar_load(const byte *p) { return load64(p); }

static inline scalar_vector scalar_all(int c) { return (byte)c * SCALAR_ONES; }

static inline scalar_vector scalar_same(scalar_vector a, scalar_vector b) {
    uint64_t x = a ^ b;
    return ~(((x | SCALAR_FLAGS) - SCALAR_ONES) | x) & SCALAR_FLAGS;
}

static inline scalar_vector scalar_at_most(scalar_vector a, scalar_vector most) {
    return ~(((a & ~SCALAR_FLAGS) + (~SCALAR_FLAGS - most)) | a) & SCALAR_FLAGS;
}

static inline scalar_vector scalar_or(scalar_vector a, scalar_vector b) {
    return a | b;
}

static inline scalar_vector scalar_xor(scalar_vector a, scalar_vector b) {
    return a ^ b;
}

static inline int scalar_first(scalar_vector flags) {
    return flags ? lowest_bit(flags) / 8 : scalar_width;
}

static inline int scalar_any(scalar_vector flags) { return flags != 0; }

static inline uint64_t scalar_bits(const scalar_vector *flags) {
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++) /* the flag of byte k goes to bit 56 + k */
        bits |= (flags[i] >> 7) * 0x0102040810204080u >> 56 << 8 * i;
    return bits;
}

static inline scalar_vector scalar_tally(scalar_vector counts, scalar_vector flags) {
    return counts + (flags >> 7);
}

static inline size_t scalar_sum(scalar_vector counts) {
    const uint64_t even = 0x00ff00ff00ff00ffu;
    uint64_t pairs = (counts & even) + (counts >> 8 & even);
    return (size_t)(pairs * 0x0001000100010001u >> 48);
}

static inline int scalar_count(uint64_t bits) { return count_bits(bits); }

static inline int scalar_lowest(uint64_t bits) {
    return lowest_bit(bits | (uint64_t)1 << 63);
}
