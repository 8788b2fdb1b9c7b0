/* See listing.h.
 *
 * Reads rows of `catalog` as vfs/entry_row.py checks them (the specification), but takes only what is plain: a row with
 * anything about it that needs a thought is left to Python, which says what it is or which rule it breaks.
 */
#include "listing.h"
#include <errno.h>
#include <string.h>

/* The columns, in the order of entry_row.COLUMNS. */
enum column {
    MD5PATH_1, MD5PATH_2, PARENT_1, PARENT_2, HARDLINKS, HASH, SIZE, MODE, MTIME, MTIMENS, FLAGS, NAME, SYMLINK,
    UID, GID, COLUMNS
};

#define KEY_BYTES 16
#define HASH_BYTES 20
#define TARGET_LIMIT 4095
#define BILLION 1000000000L

typedef struct {
    PyObject_HEAD
    PyObject *index; /* keeps the writer alive */
    PyObject *kinds; /* {mode << 32 | flags: shown mode << 32 | rights}, or None where such rows are not plain */
    struct writer *writer;
    struct draft draft;
    int claimed; /* whose everything is, whatever the rows say */
    u32 uid, gid;
    u64 last_key, last_kind; /* of `kinds`: most rows of a directory are alike */
} Listing;

static PyObject *listing_type;

/* A whole number from `low` to `high` in a column: 1, or 0 for everything else. */
static int number(PyObject *row, enum column column, long long low, long long high, long long *value)
{
    PyObject *item = PyTuple_GetItem(row, column);
    int overflow = 0;
    if (!PyLong_CheckExact(item))
        return 0;
    *value = PyLong_AsLongLongAndOverflow(item, &overflow);
    return !overflow && *value >= low && *value <= high;
}

static int text(PyObject *row, enum column column, const char **value, u32 *length)
{
    PyObject *item = PyTuple_GetItem(row, column);
    char *bytes;
    Py_ssize_t size;
    if (!PyBytes_CheckExact(item) || PyBytes_AsStringAndSize(item, &bytes, &size) < 0 || size > TARGET_LIMIT)
        return 0;
    *value = bytes;
    *length = (u32)size;
    return 1;
}

/* Mode and rights as they are shown: 1; 0: rows with these are not plain, or nobody has said yet; -1: an exception. */
static int look_up_kind(Listing *self, u64 mode, u64 flags, struct described *what)
{
    u64 wanted = mode << 32 | flags;
    if (wanted != self->last_key) {
        PyObject *key = PyLong_FromUnsignedLongLong(wanted);
        PyObject *kind = key ? PyDict_GetItemWithError(self->kinds, key) : NULL;
        Py_XDECREF(key);
        if (!kind || kind == Py_None)
            return PyErr_Occurred() ? -1 : 0;
        self->last_kind = PyLong_AsUnsignedLongLong(kind);
        if (PyErr_Occurred())
            return -1;
        self->last_key = wanted;
    }
    what->mode = (u32)(self->last_kind >> 32);
    what->rights = (u32)self->last_kind;
    return 1;
}

static int is_key(PyObject *row, const char *key)
{
    long long first, second;
    long long wanted[2];
    memcpy(wanted, key, sizeof wanted);
    return number(row, MD5PATH_1, wanted[0], wanted[0], &first) && number(row, MD5PATH_2, wanted[1], wanted[1], &second);
}

static int is_name(const char *name, u32 length)
{
    return length && length <= NAME_LIMIT && !dots(name, length) && !memchr(name, '/', length) &&
           !memchr(name, 0, length);
}

/* The target of a link that is followed as it stands: no variable in it. */
static int is_plain_target(const char *target, u32 length)
{
    return length && !memchr(target, '$', length) && !memchr(target, 0, length);
}

/* A hash is there, or need not be: only files have content. */
static int is_hash(PyObject *row, u64 mode, u64 size)
{
    PyObject *hash = PyTuple_GetItem(row, HASH);
    if (hash == Py_None)
        return (mode & 0170000) != 0100000 || !size;
    return PyBytes_CheckExact(hash) && PyBytes_Size(hash) == HASH_BYTES;
}

static int describe_link(PyObject *row, struct described *what)
{
    if (!text(row, SYMLINK, &what->link, &what->link_length) || !is_plain_target(what->link, what->link_length))
        return 0;
    what->size = what->link_length;
    return 1;
}

static int describe_numbers(const Listing *self, PyObject *row, struct described *what)
{
    long long links, size, mtime, nanoseconds = 0, uid, gid;
    if (!number(row, HARDLINKS, 0, 0xffffffffL, &links) || !number(row, SIZE, 0, INT64_MAX, &size) ||
        !number(row, MTIME, INT64_MIN, INT64_MAX, &mtime) || !number(row, UID, 0, 0xffffffffL, &uid) ||
        !number(row, GID, 0, 0xffffffffL, &gid))
        return 0;
    if (PyTuple_GetItem(row, MTIMENS) != Py_None && !number(row, MTIMENS, 0, BILLION - 1, &nanoseconds))
        return 0;
    what->nlink = links ? (u32)links : 1;
    what->size = (u64)size;
    what->mtime = mtime;
    what->mtime_ns = (u32)nanoseconds;
    what->uid = self->claimed ? self->uid : (u32)uid;
    what->gid = self->claimed ? self->gid : (u32)gid;
    return 1;
}

/* What a plain row says: 1; 0: it is not plain; -1: an exception. */
static int describe(Listing *self, PyObject *row, const char *key, struct described *what)
{
    long long mode, flags;
    if (!PyTuple_CheckExact(row) || PyTuple_Size(row) != COLUMNS)
        return 0;
    if (!is_key(row, key) || !number(row, MODE, 0, 0xffff, &mode) || !number(row, FLAGS, 0, 0xffffffffL, &flags))
        return 0;
    if (!text(row, NAME, &what->name, &what->length) || !is_name(what->name, what->length))
        return 0;
    int known = look_up_kind(self, (u64)mode, (u64)flags, what);
    if (known <= 0)
        return known;
    if (!describe_numbers(self, row, what) || !is_hash(row, (u64)mode, what->size))
        return 0;
    return (mode & 0170000) != 0120000 || describe_link(row, what);
}

static int leave(PyObject *left, Py_ssize_t i)
{
    PyObject *place = PyLong_FromSsize_t(i);
    int r = place ? PyList_Append(left, place) : -1;
    Py_XDECREF(place);
    return r;
}

/* Enters rows[i], or leaves it: 0, or -1 with an exception. */
static int add_row(Listing *self, PyObject *rows, const char *keys, Py_ssize_t i, PyObject *left)
{
    struct described what = {0};
    int plain = describe(self, PyList_GetItem(rows, i), keys + i * KEY_BYTES, &what);
    if (plain < 0)
        return -1;
    if (plain && draft_enter(self->writer, &self->draft, &what) == 0)
        return 0;
    if (plain && errno == ENOMEM) {
        PyErr_NoMemory();
        return -1;
    }
    return leave(left, i);
}

/* add(rows, keys) -> the places of those rows that are not plain, or for which there is no room */
static PyObject *listing_add(PyObject *object, PyObject *args)
{
    Listing *self = (Listing *)object;
    PyObject *rows, *left = PyList_New(0);
    const char *keys;
    Py_ssize_t keys_length;
    if (!left || !PyArg_ParseTuple(args, "Oy#", &rows, &keys, &keys_length) || !PyList_Check(rows))
        goto failed;
    Py_ssize_t count = PyList_Size(rows);
    if (keys_length != count * KEY_BYTES)
        keys = NULL; /* no keys: none of the rows can be looked at here */
    writer_reserve(self->writer, keys ? (u64)count : 0);
    for (Py_ssize_t i = 0; i < count; i++)
        if ((keys ? add_row(self, rows, keys, i, left) : leave(left, i)) < 0)
            goto failed;
    return left;
failed:
    Py_XDECREF(left);
    return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_TypeError, "add(rows, keys): a list of tuples, and bytes");
}

/* put(name, number, mode): one more child, which has its name or will have none */
static PyObject *listing_put(PyObject *object, PyObject *args)
{
    Listing *self = (Listing *)object;
    const char *name;
    Py_ssize_t length;
    unsigned long inode;
    unsigned int mode;
    if (!PyArg_ParseTuple(args, "y#kI", &name, &length, &inode, &mode))
        return NULL;
    if (draft_add(self->writer, &self->draft, name, (u32)length, inode, mode) < 0)
        return errno == ENOMEM ? PyErr_NoMemory() : raise_full();
    Py_RETURN_NONE;
}

/* publish(complete) */
static PyObject *listing_publish(PyObject *object, PyObject *args)
{
    Listing *self = (Listing *)object;
    int complete;
    if (!PyArg_ParseTuple(args, "p", &complete))
        return NULL;
    if (draft_publish(self->writer, &self->draft, complete) < 0)
        return raise_full();
    Py_RETURN_NONE;
}

PyObject *new_listing(PyObject *index, struct writer *writer, u64 directory_at, u64 limit, PyObject *owner,
                      PyObject *kinds)
{
    unsigned int uid = 0, gid = 0;
    if (owner != Py_None && !PyArg_ParseTuple(owner, "II", &uid, &gid))
        return NULL;
    allocfunc allocate = (allocfunc)PyType_GetSlot((PyTypeObject *)listing_type, Py_tp_alloc);
    Listing *self = (Listing *)allocate((PyTypeObject *)listing_type, 0);
    if (!self)
        return NULL;
    self->index = Py_NewRef(index);
    self->kinds = Py_NewRef(kinds);
    self->writer = writer;
    self->draft.directory_at = directory_at;
    self->draft.limit = limit;
    self->claimed = owner != Py_None;
    self->uid = uid;
    self->gid = gid;
    self->last_key = ~0UL;
    return (PyObject *)self;
}

static void listing_dealloc(PyObject *object)
{
    Listing *self = (Listing *)object;
    PyTypeObject *type = Py_TYPE(object);
    draft_free(&self->draft);
    Py_XDECREF(self->index);
    Py_XDECREF(self->kinds);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

static PyMethodDef listing_methods[] = {
    {"add", listing_add, METH_VARARGS, "add(rows, keys) -> places of rows that are left"},
    {"put", listing_put, METH_VARARGS, "put(name, number, mode)"},
    {"publish", listing_publish, METH_VARARGS, "publish(complete)"},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot listing_slots[] = {
    {Py_tp_dealloc, listing_dealloc},
    {Py_tp_methods, listing_methods},
    {Py_tp_doc, "A directory on its way into the index; made by Index.listing."},
    {0, NULL},
};
static PyType_Spec listing_spec = {
    "hepwrap.vfs.index._index.Listing", sizeof(Listing), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    listing_slots,
};

int add_listing_type(PyObject *module)
{
    listing_type = PyType_FromSpec(&listing_spec);
    return listing_type ? PyModule_AddObject(module, "Listing", Py_NewRef(listing_type)) : -1;
}
