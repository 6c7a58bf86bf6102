/* Wanted tokens and the rows they are wanted for: an open-addressing table. */
#ifndef PE_INDEX_H
#define PE_INDEX_H

#include "_bytes.h"

/* The largest number that is kept in 32 bits.  A smaller one tries the other way. */
#if !defined(PE_NARROW)
#define PE_NARROW UINT32_MAX
#endif

enum { PE_LAST_RANK = 127 };

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

#endif
