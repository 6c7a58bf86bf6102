/* The loops over text, written once and compiled for each path.
 *
 * A path is a table of operations on a vector, a register of `width` bytes.  A
 * comparison gives flags: all or the highest bit of each byte for which it holds.
 *
 *   load(p)              the bytes from p on
 *   all(c)               c in every byte
 *   same(a, b)           flags: equal
 *   at_most(a, most)     flags: not above; most is below 128
 *   or(a, b)             of flags or bytes
 *   xor(a, b)            of bytes
 *   first(flags)         the first byte that has its flag, or width
 *   any(flags)           whether a byte has
 *   bits(flags)          a bit for each of 64 bytes
 *   tally(counts, flags) one more in each byte that has its flag
 *   sum(counts)          of all bytes
 *   count(bits)          how many are set
 *   lowest(bits)         the lowest that is set; of none, any number up to 64
 *
 * and, where PE_FIELDS_AT_ONCE says so, on four fields of a line:
 *
 *   digits(ends, forms)  16 bytes of each, moved as its form says
 *   fits(fields)         16 bits for each, all of them set where it is of that form
 *   divide(fields, forms, out)  their values
 *
 * PE_PATH names the path, PE_TARGET what its functions are compiled for. */
#define V(name) PE_JOIN(PE_PATH, name)

enum { V(vectors) = 64 / V(width), V(turns) = 255 / V(vectors) };

/* A bit for each of the 64 bytes from p on that is wanted. */
PE_TARGET static inline uint64_t V(where)(const byte *p, V(vector) wanted) {
    V(vector) flags[V(vectors)];
    PE_UNROLL for (int i = 0; i < V(vectors); i++)
        flags[i] = V(same)(V(load)(p + i * V(width)), wanted);
    return V(bits)(flags);
}

/* Return the first LF in [p, end), or end.  *count grows by the separators before it.
 * One pass does both: the count is what makes every row's structure checked, and
 * memchr alone would leave a second pass for it. */
PE_TARGET static const byte *V(line_end)(const byte *p, const byte *end, byte separator,
                                         size_t *count) {
    const V(vector) lf = V(all)('\n'), wanted = V(all)(separator);
    size_t n = *count;
    while (end - p >= 64) {
        V(vector) counts = V(all)(0); /* before a byte of it is full, it is summed up */
        for (int turn = 0; turn < V(turns) && end - p >= 64; turn++, p += 64) {
            V(vector) found = V(same)(V(load)(p), lf);
            PE_UNROLL for (int i = 1; i < V(vectors); i++)
                found = V(or)(found, V(same)(V(load)(p + i * V(width)), lf));
            if (V(any)(found)) {
                int at = lowest_bit(V(where)(p, lf));
                uint64_t before = V(where)(p, wanted) & (((uint64_t)1 << at) - 1);
                *count = n + V(sum)(counts) + (size_t)V(count)(before);
                return p + at;
            }
            PE_UNROLL for (int i = 0; i < V(vectors); i++)
                counts = V(tally)(counts, V(same)(V(load)(p + i * V(width)), wanted));
        }
        n += V(sum)(counts);
    }
    for (; p < end && *p != '\n'; p++) n += *p == separator;
    *count = n;
    return p;
}

/* Find the next separators, PE_BATCH and up to 63 more, if there are so many before
 * end.  Known beforehand, they let the numbers between them be read side by side.  The
 * 64 bytes before end may be looked at. */
PE_TARGET static int V(find_separators)(const byte **from, const byte *end,
                                        byte separator, const byte **found) {
    const V(vector) wanted = V(all)(separator);
    const byte *p = *from;
    int n = 0;
    for (; n < PE_BATCH && p < end; p += 64) {
        int done = 0; /* the last bytes come with some that were looked at already */
        if (end - p < 64) {
            done = (int)(64 - (end - p));
            p = end - 64;
        }
        uint64_t mask = V(where)(p, wanted) >> done << done;
        int count = V(count)(mask);
        /* most often there are no more: no branch hangs on how many there are */
        PE_UNROLL for (int i = 0; i < PE_AT_ONCE; i++, mask &= mask - 1)
            found[n + i] = p + V(lowest)(mask);
        for (int i = PE_AT_ONCE; i < count; i++, mask &= mask - 1)
            found[n + i] = p + V(lowest)(mask);
        n += count;
    }
    *from = p;
    return n;
}

#ifdef PE_FIELDS_AT_ONCE
/* read_each of at least four fields, four side by side, as short_number reads one; what
 * lies 16 bytes before the end of a field may be looked at. */
PE_TARGET static Py_ssize_t V(read_fields)(const byte **ends, int n, float *out) {
    for (int next = 0; next < n; next += 4) {
        int i = next <= n - 4 ? next : n - 4; /* some twice at the end */
        const Form *forms[4];
        PE_UNROLL for (int k = 0; k < 4; k++)
            forms[k] = form_of(ends[i + k] + 1, ends[i + k + 1]);
        V(fields) fields = V(digits)(ends + i + 1, forms);
        V(divide)(fields, forms, out + i);
        uint64_t fits = V(fits)(fields);
        if (fits == UINT64_MAX) continue;
        for (int k = 0; k < 4; k++) {
            if ((uint16_t)(fits >> 16 * k) == UINT16_MAX) continue;
            int status =
                number_in_full(ends[i + k] + 1, ends[i + k + 1], out + i + k);
            if (status != NUMBER_OK) return status == NUMBER_BAD ? i + k + 1 : -1;
        }
    }
    return 0;
}
#endif

/* Read dim numbers from [p, end), single separators between them; what lies between
 * begin and limit may be looked at.  Returns 0, the 1-based place of the first bad one,
 * or -1 with an exception set. */
PE_TARGET static Py_ssize_t V(read_vector)(const byte *begin, const byte *p,
                                           const byte *end, const byte *limit,
                                           byte separator, Py_ssize_t dim, float *out) {
    const byte *from = p, *ends[1 + PE_BATCH + 63 + PE_AT_ONCE];
    /* 64 bytes before end, and one behind it, are looked at */
    const int at_edge = p - begin < 64 || end == limit;
    ends[0] = p - 1;
    for (Py_ssize_t done = 0; done < dim;) {
        int n = at_edge ? find_each(&from, end, separator, ends + 1)
                        : V(find_separators)(&from, end, separator, ends + 1);
        /* the caller counted the separators: there is one for each number but the last */
        if (n >= dim - done - 1) {
            n = (int)(dim - done);
            ends[n] = end;
        } else if (!n) {
            return done + 1; /* only if the buffer changed since they were counted */
        }
        Py_ssize_t bad;
#ifdef PE_FIELDS_AT_ONCE
        if (n >= 4 && !at_edge)
            bad = V(read_fields)(ends, n, out + done);
        else
#endif
            bad = read_each(ends, n, limit, out + done);
        if (bad) return bad < 0 ? bad : done + bad;
        ends[0] = ends[n];
        done += n;
    }
    return 0;
}

/* Take the numbers from p on that have the gap of those before them: all but a few that
 * are written in a seldom way.  64 bytes are looked at side by side, a bit for each.
 * Return the first byte not taken. */
PE_TARGET static const byte *V(measure_numbers)(Measure *measure, const byte *p) {
    Shape *shape = &measure->shape;
    const char blank = shape->between == PE_TAB ? '\t' : ' ';
    if (shape->numbers < 2 || shape->between > PE_TAB || shape->end + 1 != p ||
        p[-1] != blank)
        return p;
    while (measure->limit - p >= 64) {
        V(vector) are[5][V(vectors)];
        PE_UNROLL for (int i = 0; i < V(vectors); i++) {
            const V(vector) x = V(load)(p + i * V(width));
            are[0][i] = V(at_most)(V(xor)(x, V(all)('0')), V(all)(9));
            are[1][i] = V(or)(V(same)(x, V(all)('-')), V(same)(x, V(all)('+')));
            are[2][i] = V(same)(V(or)(x, V(all)(0x20)), V(all)('e'));
            are[3][i] = V(same)(x, V(all)('.'));
            are[4][i] = V(same)(x, V(all)(blank));
        }
        uint64_t digits = V(bits)(are[0]), signs = V(bits)(are[1]);
        uint64_t letters = V(bits)(are[2]), points = V(bits)(are[3]);
        uint64_t gaps = V(bits)(are[4]);
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
                              V(count)(gaps & bits_to(lowest_bit(not_whole)));
            shape->right =
                shape->numbers + V(count)(gaps & bits_to(highest_bit(not_whole)));
        }
        int count = V(count)(gaps);
        shape->numbers += count;
        shape->alike += count;
        shape->end = p + last;
        p += last + 1;
    }
    measure->field = p;
    return p;
}
/* Return the first blank, tab or LF from p on, or limit. */
PE_TARGET static const byte *V(next_mark)(const byte *p, const byte *limit) {
    for (; limit - p >= V(width); p += V(width)) {
        const V(vector) x = V(load)(p);
        int at = V(first)(V(or)(V(same)(x, V(all)('\n')),
                                V(or)(V(same)(x, V(all)(' ')), V(same)(x, V(all)('\t')))));
        if (at < V(width)) return p + at;
    }
    while (p < limit && *p != ' ' && *p != '\t' && *p != '\n') p++;
    return p;
}

/* Take all marks from p on, as far as there is room. */
PE_TARGET static void V(measure_lines)(Measure *measure, const byte *p) {
    while (measure->rows < measure->room) {
        p = V(measure_numbers)(measure, p);
        p = V(next_mark)(p, measure->limit);
        if (p == measure->limit) return;
        measure_mark(measure, p, *p == '\n');
        p++;
    }
}

/* Copy dim numbers of four bytes.  Return the sum of their bits, as whole numbers, each
 * times the weight of its place: compilers make vectors of it. */
PE_TARGET static uint32_t V(copy_row)(byte *restrict to, const byte *restrict from,
                                      const uint32_t *restrict weights,
                                      Py_ssize_t dim) {
    uint32_t sum = 0;
    for (Py_ssize_t i = 0; i < dim; i++) {
        uint32_t bits;
        memcpy(&bits, from + 4 * i, 4);
        memcpy(to + 4 * i, &bits, 4);
        sum += bits * weights[i];
    }
    return sum;
}

static const Path V(path) = {PE_TEXT(PE_PATH), V(line_end), V(read_vector),
                             V(measure_lines), V(copy_row)};

#undef PE_FIELDS_AT_ONCE
#undef PE_TARGET
#undef PE_PATH
#undef V
