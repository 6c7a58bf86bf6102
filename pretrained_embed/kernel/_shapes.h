/* What a line of text is like: its numbers, and the gaps between its fields.  See
 * measure_text in _reference.py for what each means. */
#ifndef PE_SHAPES_H
#define PE_SHAPES_H

#include "_numbers.h"

enum { PE_SHAPE_COLUMNS = 12 };
enum { PE_NO_GAP, PE_SPACE, PE_TAB, PE_SPACES, PE_TABS, PE_MIXED_SPACE, PE_MIXED_TAB };

/* Return the first byte from p on that is no digit, or end; what lies before limit may
 * be looked at. */
static const byte *skip_digits(const byte *p, const byte *end, const byte *limit) {
    for (; limit - p >= 8; p += 8) {
        uint64_t x = load64(p) ^ 0x3030303030303030u;
        x = ((x + 0x7676767676767676u) | x) & 0x8080808080808080u;
        if (x) {
            p += lowest_bit(x) / 8;
            break;
        }
    }
    if (p > end) return end;
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

#endif
