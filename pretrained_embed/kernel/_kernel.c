/* The hot loops of pretrained_embed.  kernel/_reference.py defines what each function
 * means; this file gives the same results, bit for bit.
 *
 * Portable C11 over CPython's stable ABI (3.11).  No files, no threads, no global
 * state, no printing.  Every function takes its memory from its caller, reads only
 * between the bounds it is given, and releases the GIL while it works.
 *
 *   Buffers         arrays, packed tokens
 *   Token index     wanted tokens, an open-addressing table
 *   Scanning        text, binary
 *   Measuring       the lines of a text
 *   Placing         hits into rows, first come first served; rows copied and averaged
 *   Hashes          of tokens, and tokens found by an index of them
 *   Module
 */
#include "_index.h"
#include "_paths.h"

enum {
    PE_EMPTY = 1,
    PE_SHORT,
    PE_NO_TOKEN,
    PE_BAD_NUMBER,
    PE_WIDE,
    PE_LONG,
    PE_ODD_TOKEN
};
enum { PE_HIT_COLUMNS = 4, PE_FAULT_COLUMNS = 4, PE_DOUBT_NUMBERS = 16 };
enum { PE_RANK_SHIFT = 56 };
static const int64_t PE_POSITIONS = (int64_t)1 << PE_RANK_SHIFT; /* all are below */

/* ---------------------------------------------------------------- Buffers ------ */

/* Borrow a C-contiguous buffer of the given item type: "f", "B", "I" (any uint32), "q"
 * (any int64) or "Q" (any uint64). */
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
    if (view->itemsize == 4 && *type == 'I') also = 'L'; /* and where it has 32 */
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
#ifdef Py_GIL_DISABLED
    PyObject *list = PySequence_List(tokens); /* ours alone: no other thread changes it */
#else
    PyObject *list = PyList_Check(tokens) ? Py_NewRef(tokens) : PySequence_List(tokens);
#endif
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

/* Whether a token holds the numbers of a row, but for the last, which may be glued to
 * what follows: two lines stand in one. */
static int holds_row(const byte *line, const byte *end, const Layout *layout) {
    size_t numbers = 0;
    float value;
    if (layout->dim < 2) return 0;
    for (const byte *field = line, *p = line; p <= end; p++) {
        if (p < end && *p != layout->separator && *p != layout->delimiter) continue;
        const int good = field > line && field < p &&
                         number_in_full(field, p, &value) != NUMBER_BAD;
        numbers = good ? numbers + 1 : 0;
        if (numbers >= layout->dim - 1 && p < end) return 1;
        field = p + 1;
    }
    return 0;
}

/* Whether a token begins with a byte order mark, and has more. */
static int is_odd(const byte *token, const byte *end) {
    return end - token > 3 && token[0] == 0xef && token[1] == 0xbb && token[2] == 0xbf;
}

/* As split_line, where the last delimiter shows where the vector begins. */
static int split_apart(const byte *line, const byte *end, const Layout *layout,
                       size_t count, const byte **token_end, int64_t *found) {
    *token_end = last_of(line, end, layout->delimiter);
    const byte *vector = *token_end ? *token_end + 1 : line;
    const size_t all = count;
    for (const byte *p = line; p < vector; p++) count -= *p == layout->separator;
    const size_t before = all - count;
    count += vector < end;
    *found = (int64_t)count;
    if (count != layout->dim) return count < layout->dim ? PE_SHORT : PE_LONG;
    *found = (int64_t)(before + 1 + layout->dim);
    if (before + 2 > layout->dim && before && holds_row(line, *token_end, layout))
        return PE_WIDE;
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
        if (count - layout->dim >= layout->dim && holds_row(line, at, layout))
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
    const Path *path = fastest_path();

    PyThreadState *thread = PyEval_SaveThread();
    const int ahead = scan.index && scan.index->keys >= PE_MANY_KEYS;
    while (p < limit && scan.hit_count < scan.hit_room && fault_count < fault_room) {
        size_t count = 0;
        const byte *lf = path->line_end(p, limit, layout.separator, &count);
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
        if (fault == 0 && is_odd(p, token_end)) {
            fault = PE_ODD_TOKEN;
            found = 0;
        }
        if (fault == 0 || fault == PE_WIDE || fault == PE_ODD_TOKEN) {
            size_t length = (size_t)(token_end - p);
            int64_t key = scan.index ? find_key(scan.index, p, length) : -1;
            if (key >= 0 || !scan.index) {
                Py_ssize_t bad =
                    path->read_vector(base + scan.start, token_end + 1, end, limit,
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
    fastest_path()->measure_lines(&measure, p);
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
    PyObject *weights_object, *sums_object, *result = NULL;
    Py_buffer source, rows, targets, out, weights, sums;
    if (!PyArg_ParseTuple(args, "OOOOOO:gather", &source_object, &rows_object,
                          &targets_object, &out_object, &weights_object, &sums_object))
        return NULL;
    const int summed = weights_object != Py_None;
    if (borrow(source_object, &source, "f", 2, 0, "source")) return NULL;
    if (borrow(rows_object, &rows, "q", 1, 0, "rows")) goto without_rows;
    if (borrow(targets_object, &targets, "q", 1, 0, "targets")) goto without_targets;
    if (borrow(out_object, &out, "f", 2, 1, "out")) goto without_out;
    if (summed && borrow(weights_object, &weights, "I", 1, 0, "weights"))
        goto without_weights;
    if (summed && borrow(sums_object, &sums, "I", 1, 1, "sums")) goto without_sums;

    const int64_t *row = rows.buf, *target = targets.buf;
    const Path *path = fastest_path();
    size_t bytes = (size_t)source.shape[1] * sizeof(float);
    int fits = rows.shape[0] == targets.shape[0] && source.shape[1] == out.shape[1];
    if (summed)
        fits = fits && weights.shape[0] == source.shape[1] &&
               sums.shape[0] == rows.shape[0];
    PyThreadState *thread = PyEval_SaveThread();
    for (Py_ssize_t i = 0; fits && i < rows.shape[0]; i++) {
        int64_t from = row[i], to = target[i]; /* read once: checked is what is used */
        fits = from >= 0 && from < source.shape[0] && to >= 0 && to < out.shape[0];
        if (!fits) break;
        byte *copy = (byte *)out.buf + (size_t)to * bytes;
        const byte *copied = (const byte *)source.buf + (size_t)from * bytes;
        if (summed)
            ((uint32_t *)sums.buf)[i] =
                path->copy_row(copy, copied, weights.buf, source.shape[1]);
        else if (bytes)
            memcpy(copy, copied, bytes);
    }
    PyEval_RestoreThread(thread);
    if (fits)
        result = Py_NewRef(Py_None);
    else
        PyErr_SetString(PyExc_ValueError, "rows or targets do not fit source or out");
    if (summed) PyBuffer_Release(&sums);
without_sums:
    if (summed) PyBuffer_Release(&weights);
without_weights:
    PyBuffer_Release(&out);
without_out:
    PyBuffer_Release(&targets);
without_targets:
    PyBuffer_Release(&rows);
without_rows:
    PyBuffer_Release(&source);
    return result;
}

/* Rows lie anywhere: while one is added, the next one is on its way from memory. */
static void add_row(float *restrict sum, const float *restrict row,
                    const float *next, Py_ssize_t dim) {
    for (Py_ssize_t i = 0; next && i < dim; i += 16) prefetch(next + i);
    for (Py_ssize_t i = 0; i < dim; i++) sum[i] += row[i];
}

static PyObject *average(PyObject *Py_UNUSED(module), PyObject *args) {
    PyObject *vectors_object, *rows_object, *offsets_object, *out_object;
    PyObject *result = NULL;
    Py_buffer vectors, rows, offsets, out;
    if (!PyArg_ParseTuple(args, "OOOO:average", &vectors_object, &rows_object,
                          &offsets_object, &out_object))
        return NULL;
    if (borrow(vectors_object, &vectors, "f", 2, 0, "vectors")) return NULL;
    if (borrow(rows_object, &rows, "q", 1, 0, "rows")) goto without_rows;
    if (borrow(offsets_object, &offsets, "q", 1, 0, "offsets")) goto without_offsets;
    if (borrow(out_object, &out, "f", 2, 1, "out")) goto without_out;

    const int64_t *row = rows.buf, *offset = offsets.buf;
    const Py_ssize_t dim = out.shape[1];
    int fits = offsets.shape[0] == out.shape[0] + 1 && vectors.shape[1] == dim &&
               offset[0] >= 0 && offset[0] <= rows.shape[0];
    PyThreadState *thread = PyEval_SaveThread();
    for (Py_ssize_t i = 0; fits && i < out.shape[0]; i++) {
        int64_t begin = offset[i], end = offset[i + 1];
        fits = begin >= 0 && begin <= end && end <= rows.shape[0];
        if (!fits || begin == end) continue;
        float *sum = (float *)out.buf + i * dim;
        memset(sum, 0, (size_t)dim * sizeof(float));
        for (int64_t k = begin; fits && k < end; k++) {
            int64_t from = row[k];
            fits = from >= 0 && from < vectors.shape[0];
            if (!fits) break;
            const float *base = vectors.buf, *next = NULL;
            if (k + 1 < rows.shape[0] && row[k + 1] >= 0 &&
                row[k + 1] < vectors.shape[0])
                next = base + row[k + 1] * dim;
            add_row(sum, base + from * dim, next, dim);
        }
        const float share = (float)(1.0 / (double)(end - begin));
        for (Py_ssize_t k = 0; k < dim; k++) sum[k] *= share;
    }
    PyEval_RestoreThread(thread);
    if (fits)
        result = Py_NewRef(Py_None);
    else
        PyErr_SetString(PyExc_ValueError, "rows or offsets do not fit vectors or out");
    PyBuffer_Release(&out);
without_out:
    PyBuffer_Release(&offsets);
without_offsets:
    PyBuffer_Release(&rows);
without_rows:
    PyBuffer_Release(&vectors);
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

PyDoc_STRVAR(gather_doc, "gather(source, rows, targets, out, weights, sums)\n--\n\n"
                         "Copy rows of source to rows of out, and sum their bits up.");
PyDoc_STRVAR(average_doc, "average(vectors, rows, offsets, out)\n--\n\n"
                          "Write the mean of some rows to each row of out.");
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
    {"average", average, METH_VARARGS, average_doc},
    {"hash_tokens", hash_tokens, METH_VARARGS, hash_tokens_doc},
    {"look_up", look_up, METH_VARARGS, look_up_doc},
    {NULL, NULL, 0, NULL}};

static int module_exec(PyObject *module) {
    State *state = PyModule_GetState(module);
    PyObject *type = PyType_FromModuleAndSpec(module, &index_spec, NULL);
    if (!type) return -1;
    state->index_type = (PyTypeObject *)type; /* the state owns this reference */
    if (PyModule_AddObjectRef(module, "TokenIndex", type)) return -1;
    if (PyModule_AddStringConstant(module, "PATH", fastest_path()->name)) return -1;
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

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
#if defined(Py_GIL_DISABLED) && !defined(Py_LIMITED_API)
    {Py_mod_gil, Py_MOD_GIL_NOT_USED}, /* an index never changes once it is made */
#endif
    {0, NULL}};

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
