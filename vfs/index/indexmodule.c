/* hepwrap.vfs.index._index: the writer of the shared index, and the same lookup that the runtime uses, for Python.
 *
 * Only translates: writer.c places and publishes, lookup.h finds, description.c hands the layout over, and Python packs
 * the records.  Every function is called with the GIL held, which makes it the one writer.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <string.h>
#include "description.h"
#include "listing.h"
#include "window.h"

typedef struct {
    PyObject_HEAD
    struct writer writer;
} Index;

static PyObject *full_error;

static struct writer *writer_of(PyObject *object)
{
    return &((Index *)object)->writer;
}

PyObject *raise_full(void)
{
    if (errno != ENOBUFS)
        return PyErr_SetFromErrno(full_error);
    PyErr_SetString(full_error, "the index is full");
    return NULL;
}

/* append(data, align=8) -> offset of a copy of `data`, followed by a NUL */
static PyObject *index_append(PyObject *object, PyObject *args)
{
    struct writer *writer = writer_of(object);
    const char *data;
    Py_ssize_t length;
    unsigned long align = 8;
    if (!PyArg_ParseTuple(args, "y#|k", &data, &length, &align))
        return NULL;
    u64 offset = writer_append(writer, data, (u64)length, align);
    return offset ? PyLong_FromUnsignedLong(offset) : raise_full();
}

/* store(offset, width, value): one release store of 4 or 8 bytes */
static PyObject *index_store(PyObject *object, PyObject *args)
{
    struct writer *writer = writer_of(object);
    unsigned long offset, width;
    long long value;
    if (!PyArg_ParseTuple(args, "kkL", &offset, &width, &value))
        return NULL;
    if (offset + width > writer->header->used)
        return PyErr_Format(PyExc_ValueError, "offset %lu lies outside the index", offset);
    if (width == 4)
        __atomic_store_n((u32 *)writer_pointer(writer, offset), (u32)value, __ATOMIC_RELEASE);
    else
        __atomic_store_n((u64 *)writer_pointer(writer, offset), (u64)value, __ATOMIC_RELEASE);
    Py_RETURN_NONE;
}

/* load(offset, length) -> bytes */
static PyObject *index_load(PyObject *object, PyObject *args)
{
    struct writer *writer = writer_of(object);
    unsigned long offset, length;
    if (!PyArg_ParseTuple(args, "kk", &offset, &length))
        return NULL;
    if (offset > writer->header->used || length > writer->header->used - offset)
        return PyErr_Format(PyExc_ValueError, "offset %lu lies outside the index", offset);
    return PyBytes_FromStringAndSize(writer_pointer(writer, offset), (Py_ssize_t)length);
}

/* enter(key, follow, nofollow, itself=0) -> True where the key is new; else what is known is filled in (0: leave) */
static PyObject *index_enter(PyObject *object, PyObject *args)
{
    const char *key;
    Py_ssize_t length;
    unsigned long follow, nofollow, itself = 0;
    if (!PyArg_ParseTuple(args, "y#kk|k", &key, &length, &follow, &nofollow, &itself))
        return NULL;
    int new = writer_enter(writer_of(object), key, (u64)length, follow, nofollow, itself);
    return new < 0 ? raise_full() : PyBool_FromLong(new);
}

/* itself(path) -> offset of the inode whose canonical path that is, or 0 */
static PyObject *index_itself(PyObject *object, PyObject *args)
{
    const char *path;
    Py_ssize_t length;
    if (!PyArg_ParseTuple(args, "y#", &path, &length))
        return NULL;
    const struct entry *entry = writer_find(writer_of(object), path, (u64)length);
    return PyLong_FromUnsignedLong(entry ? (u64)entry->itself * RECORD_ALIGN : 0);
}

/* key_of(path) -> offset of an entered path's text, which its inode may share; 0 where it has not been entered */
static PyObject *index_key_of(PyObject *object, PyObject *args)
{
    struct writer *writer = writer_of(object);
    const char *path;
    Py_ssize_t length;
    if (!PyArg_ParseTuple(args, "y#", &path, &length))
        return NULL;
    const struct entry *entry = writer_find(writer, path, (u64)length);
    return PyLong_FromUnsignedLong(entry ? writer_offset(writer, entry->key) : 0);
}

/* number() -> an inode number that nothing has */
static PyObject *index_number(PyObject *object, PyObject *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLong(++writer_of(object)->number);
}

/* listing(directory, limit, owner, kinds) -> a Listing; see listing.c */
static PyObject *index_listing(PyObject *object, PyObject *args)
{
    unsigned long directory_at, limit;
    PyObject *owner, *kinds;
    if (!PyArg_ParseTuple(args, "kkOO!", &directory_at, &limit, &owner, &PyDict_Type, &kinds))
        return NULL;
    return new_listing(object, writer_of(object), directory_at, limit, owner, kinds);
}

/* narrow(bytes) -> whether no more than these will be used from now on; what the tracer does for a small program */
static PyObject *index_narrow(PyObject *object, PyObject *args)
{
    unsigned long bytes;
    if (!PyArg_ParseTuple(args, "k", &bytes))
        return NULL;
    return PyBool_FromLong(window_narrow(writer_of(object)->header, bytes));
}

/* identify(device, inode, offset): whose stand-in that is; a number used again gets its new meaning */
static PyObject *index_identify(PyObject *object, PyObject *args)
{
    unsigned long device, inode, target;
    if (!PyArg_ParseTuple(args, "kkk", &device, &inode, &target))
        return NULL;
    if (writer_identify(writer_of(object), device, inode, target) < 0)
        return raise_full();
    Py_RETURN_NONE;
}

/* whose(device, inode) -> offset of the inode, or 0 */
static PyObject *index_whose(PyObject *object, PyObject *args)
{
    const struct header *header = writer_of(object)->header;
    unsigned long device, inode;
    if (!PyArg_ParseTuple(args, "kk", &device, &inode))
        return NULL;
    const struct inode *found = find_identity(header, device, inode);
    return PyLong_FromUnsignedLong(found ? (u64)((const char *)found - (const char *)header) : 0);
}

/* lookup(base, path, follow) -> target, as the runtime would find it; base: offset of a directory's inode, or 0 */
static PyObject *index_lookup(PyObject *object, PyObject *args)
{
    const struct header *header = writer_of(object)->header;
    unsigned long base;
    const char *path;
    int follow;
    if (!PyArg_ParseTuple(args, "kyp", &base, &path, &follow))
        return NULL;
    return PyLong_FromUnsignedLong(find_target(header, base ? at(header, base) : NULL, path, follow));
}

/* hash_words(path) -> for inode.path_hash */
static PyObject *index_hash_words(PyObject *object, PyObject *args)
{
    const char *text;
    Py_ssize_t length;
    (void)object;
    if (!PyArg_ParseTuple(args, "y#", &text, &length))
        return NULL;
    return PyLong_FromUnsignedLong(hash_words(text, (u64)length));
}

/* hash(text) -> 64 bits */
static PyObject *index_hash(PyObject *object, PyObject *args)
{
    const char *text;
    Py_ssize_t length;
    (void)object;
    if (!PyArg_ParseTuple(args, "y#", &text, &length))
        return NULL;
    return PyLong_FromUnsignedLong(hash_text(text, (u64)length));
}

static PyObject *no_mailbox(unsigned int number)
{
    return PyErr_Format(PyExc_ValueError, "there is no mailbox %u", number);
}

/* answer(slot, target, data=None): lets the thread go on that waits at this mailbox */
static PyObject *index_answer(PyObject *object, PyObject *args)
{
    unsigned int number;
    unsigned long target;
    const char *data = NULL;
    Py_ssize_t length = 0;
    if (!PyArg_ParseTuple(args, "Ik|z#", &number, &target, &data, &length))
        return NULL;
    if (number >= SLOT_COUNT)
        return no_mailbox(number);
    if (writer_answer(writer_of(object), number, target, data, (u64)length) < 0)
        return raise_full();
    Py_RETURN_NONE;
}

/* mailbox(slot) -> where the payload of that mailbox lies */
static PyObject *index_mailbox(PyObject *object, PyObject *args)
{
    unsigned int number;
    if (!PyArg_ParseTuple(args, "I", &number))
        return NULL;
    if (number >= SLOT_COUNT)
        return no_mailbox(number);
    return PyLong_FromUnsignedLong(writer_payload(writer_of(object), number));
}

static PyObject *index_get_header(PyObject *object, PyObject *unused)
{
    (void)unused;
    return PyLong_FromVoidPtr(writer_of(object)->header);
}

static PyObject *index_get_fd(PyObject *object, void *unused)
{
    (void)unused;
    return PyLong_FromLong(writer_of(object)->fd);
}

static PyObject *index_get_used(PyObject *object, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLong(writer_of(object)->header->used);
}

static PyObject *index_get_window(PyObject *object, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLong(LOAD(writer_of(object)->header->window));
}

static PyObject *index_get_names(PyObject *object, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLong(writer_of(object)->names);
}

/* Index(window, prefix, image=b"") */
static PyObject *index_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    const char *prefix, *image = "";
    Py_ssize_t prefix_length, image_length = 0;
    unsigned long window;
    if (keywords && PyDict_Size(keywords))
        return PyErr_Format(PyExc_TypeError, "Index takes positional arguments");
    if (!PyArg_ParseTuple(args, "ky#|y#", &window, &prefix, &prefix_length, &image, &image_length))
        return NULL;
    if (prefix_length == 1 || prefix_length >= 64 || (u64)image_length > IMAGE_SPAN || window < 2 * GROW_STEP)
        return PyErr_Format(PyExc_ValueError, "Index: prefix of 2 to 63 bytes, or none, image up to 1 MiB, window from 8 MiB");
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    PyObject *self = allocate(type, 0);
    if (!self)
        return NULL;
    writer_of(self)->window = window;
    if (writer_open(writer_of(self), prefix, (size_t)prefix_length, image, (size_t)image_length) < 0) {
        errno == ENOBUFS ? raise_full() : PyErr_SetFromErrno(PyExc_OSError);
        Py_CLEAR(self);
    }
    return self;
}

static void index_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    writer_close(writer_of(object));
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

static PyMethodDef index_methods[] = {
    {"append", index_append, METH_VARARGS, "append(data, align=8) -> offset"},
    {"store", index_store, METH_VARARGS, "store(offset, width, value): release store of 4 or 8 bytes"},
    {"load", index_load, METH_VARARGS, "load(offset, length) -> bytes"},
    {"enter", index_enter, METH_VARARGS, "enter(key, follow, nofollow, itself=0) -> True where the key is new"},
    {"narrow", index_narrow, METH_VARARGS, "narrow(bytes) -> whether no more than these will be used"},
    {"itself", index_itself, METH_VARARGS, "itself(path) -> offset of its inode or 0"},
    {"key_of", index_key_of, METH_VARARGS, "key_of(path) -> offset of the key or 0"},
    {"number", index_number, METH_NOARGS, "number() -> an inode number that nothing has"},
    {"listing", index_listing, METH_VARARGS, "listing(directory, limit, owner, kinds) -> Listing"},
    {"identify", index_identify, METH_VARARGS, "identify(device, inode, offset)"},
    {"whose", index_whose, METH_VARARGS, "whose(device, inode) -> offset or 0"},
    {"lookup", index_lookup, METH_VARARGS, "lookup(base, path, follow) -> target"},
    {"hash", index_hash, METH_VARARGS, "hash(text) -> 64 bit hash"},
    {"hash_words", index_hash_words, METH_VARARGS, "hash_words(path) -> hash of its whole words"},
    {"answer", index_answer, METH_VARARGS, "answer(slot, target, data=None)"},
    {"mailbox", index_mailbox, METH_VARARGS, "mailbox(slot) -> offset of its payload"},
    {"address", index_get_header, METH_NOARGS, "address() -> of the header in this process"},
    {NULL, NULL, 0, NULL},
};
static PyGetSetDef index_attributes[] = {
    {"fd", index_get_fd, NULL, "descriptor of image and index", NULL},
    {"used", index_get_used, NULL, "bytes in use", NULL},
    {"window", index_get_window, NULL, "bytes that may be used; may shrink", NULL},
    {"names", index_get_names, NULL, "keys entered", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyType_Slot index_slots[] = {
    {Py_tp_new, index_new},         {Py_tp_dealloc, index_dealloc}, {Py_tp_methods, index_methods},
    {Py_tp_getset, index_attributes}, {Py_tp_doc, "Index(window, prefix, image=b''): the shared index"}, {0, NULL},
};
static PyType_Spec index_spec = {
    "hepwrap.vfs.index._index.Index", sizeof(Index), 0, Py_TPFLAGS_DEFAULT, index_slots,
};

static int module_exec(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&index_spec);
    if (!type || PyModule_AddObject(module, "Index", type) < 0)
        return -1;
    full_error = PyErr_NewExceptionWithDoc("hepwrap.vfs.index._index.Full", "No room left in the index.", NULL, NULL);
    if (!full_error || PyModule_AddObject(module, "Full", Py_NewRef(full_error)) < 0)
        return -1;
    return add_listing_type(module) < 0 ? -1 : add_description(module);
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, module_exec}, {0, NULL}};
static PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT, "_index", "The shared index: writer and lookup.", 0, NULL, module_slots, NULL, NULL, NULL,
};
PyMODINIT_FUNC PyInit__index(void);
PyMODINIT_FUNC PyInit__index(void)
{
    return PyModuleDef_Init(&module_definition);
}
