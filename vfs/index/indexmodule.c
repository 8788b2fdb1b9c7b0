/* hepwrap.vfs.index._index: the writer of the shared index, and the same lookup that the runtime uses.
 *
 * Owns the memory: one sealed memory file, the runtime's image in front (IMAGE_SPAN bytes), the index behind it.
 * Knows nothing of meaning: Python packs the records (see `layout`), this file places and publishes them.
 * One writer: every function is called with the GIL held.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/memfd.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "lookup.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#define GROW_STEP (4UL << 20)
#define FIRST_CELLS 4096UL

typedef struct {
    PyObject_HEAD
    int fd;
    char *file;   /* the whole mapping: image, then index */
    struct header *header;
    u64 window;   /* bytes of index that may ever be used */
    u64 backed;   /* bytes of index behind which there is a file */
    u64 end;      /* first free byte */
    u64 names, identities; /* cells in use */
} Index;

static PyObject *full_error;

static u64 place(Index *self, u64 bytes, u64 align)
{
    u64 start = (self->end + align - 1) & ~(align - 1);
    if (bytes > self->window || start > self->window - bytes) {
        PyErr_SetString(full_error, "the index is full");
        return 0;
    }
    if (start + bytes > self->backed) {
        u64 want = (start + bytes + GROW_STEP - 1) / GROW_STEP * GROW_STEP;
        if (want > self->window)
            want = self->window;
        if (ftruncate(self->fd, (off_t)(IMAGE_SPAN + want)) < 0) {
            PyErr_SetFromErrno(full_error);
            return 0;
        }
        self->backed = want;
    }
    self->end = start + bytes;
    return start;
}

static void *pointer(Index *self, u64 offset)
{
    return (char *)self->header + offset;
}

static u64 place_table(Index *self, u64 cells)
{
    u64 offset = place(self, sizeof(struct table) + cells * 8, 64);
    if (offset)
        ((struct table *)pointer(self, offset))->mask = cells - 1;
    return offset;
}

static void put_cell(struct table *table, u64 hash, u64 value)
{
    u64 i = hash & table->mask;
    while (table->cells[i])
        i = (i + 1) & table->mask;
    __atomic_store_n(&table->cells[i], value, __ATOMIC_RELEASE);
}

static u64 entry_hash(Index *self, u64 offset)
{
    return ((struct entry *)pointer(self, offset))->hash;
}

static u64 identity_hash(Index *self, u64 offset)
{
    struct identity *identity = pointer(self, offset);
    return hash_identity(identity->device, identity->inode);
}

/* Puts a record into a table, which is doubled first when half full; readers of the old one miss and ask. */
static int publish(Index *self, u64 *table_at, u64 *used, u64 offset, u64 (*hash_of)(Index *, u64))
{
    struct table *table = pointer(self, *table_at);
    if ((*used + 1) * 2 > table->mask + 1) {
        u64 bigger_at = place_table(self, (table->mask + 1) * 2);
        if (!bigger_at)
            return -1;
        struct table *bigger = pointer(self, bigger_at);
        for (u64 i = 0; i <= table->mask; i++)
            if (table->cells[i])
                put_cell(bigger, hash_of(self, table->cells[i]), table->cells[i]);
        __atomic_store_n(table_at, bigger_at, __ATOMIC_RELEASE);
        table = bigger;
    }
    put_cell(table, hash_of(self, offset), offset);
    ++*used;
    return 0;
}

static u64 hash_bytes(const char *text, u64 length)
{
    u64 hash = HASH_START;
    for (u64 i = 0; i < length; i++)
        hash = hash_step(hash, (u8)text[i]);
    return hash;
}

/* append(data, align=8) -> offset of a copy of `data`, followed by a NUL */
static PyObject *index_append(PyObject *object, PyObject *args)
{
    Index *self = (Index *)object;
    const char *data;
    Py_ssize_t length;
    unsigned long align = 8;
    if (!PyArg_ParseTuple(args, "y#|k", &data, &length, &align))
        return NULL;
    u64 offset = place(self, (u64)length + 1, align);
    if (!offset)
        return NULL;
    memcpy(pointer(self, offset), data, (size_t)length);
    return PyLong_FromUnsignedLong(offset);
}

/* store(offset, width, value): one release store of 4 or 8 bytes */
static PyObject *index_store(PyObject *object, PyObject *args)
{
    Index *self = (Index *)object;
    unsigned long offset, width;
    long long value;
    if (!PyArg_ParseTuple(args, "kkL", &offset, &width, &value))
        return NULL;
    if (offset + width > self->end)
        return PyErr_Format(PyExc_ValueError, "offset %lu lies outside the index", offset);
    if (width == 4)
        __atomic_store_n((u32 *)pointer(self, offset), (u32)value, __ATOMIC_RELEASE);
    else
        __atomic_store_n((u64 *)pointer(self, offset), (u64)value, __ATOMIC_RELEASE);
    Py_RETURN_NONE;
}

/* load(offset, length) -> bytes */
static PyObject *index_load(PyObject *object, PyObject *args)
{
    Index *self = (Index *)object;
    unsigned long offset, length;
    if (!PyArg_ParseTuple(args, "kk", &offset, &length))
        return NULL;
    if (offset > self->end || length > self->end - offset)
        return PyErr_Format(PyExc_ValueError, "offset %lu lies outside the index", offset);
    return PyBytes_FromStringAndSize(pointer(self, offset), (Py_ssize_t)length);
}

static struct entry *find_key(Index *self, const char *key, u64 length)
{
    struct name name = {0, key, 0, (u32)length, hash_bytes(key, length)};
    return (struct entry *)find_entry(self->header, &name);
}

/* enter(key, follow, nofollow): publishes a key, or fills in the targets (0: leave) of one that is there */
static PyObject *index_enter(PyObject *object, PyObject *args)
{
    Index *self = (Index *)object;
    const char *key;
    Py_ssize_t length;
    unsigned long follow, nofollow;
    if (!PyArg_ParseTuple(args, "y#kk", &key, &length, &follow, &nofollow))
        return NULL;
    struct entry *entry = find_key(self, key, (u64)length);
    if (entry) {
        if (follow)
            __atomic_store_n(&entry->follow, follow, __ATOMIC_RELEASE);
        if (nofollow)
            __atomic_store_n(&entry->nofollow, nofollow, __ATOMIC_RELEASE);
        Py_RETURN_FALSE;
    }
    u64 offset = place(self, sizeof(struct entry) + (u64)length + 1, 8);
    if (!offset)
        return NULL;
    entry = pointer(self, offset);
    *entry = (struct entry){hash_bytes(key, (u64)length), follow, nofollow, (u32)length, 0};
    memcpy(entry->key, key, (size_t)length);
    if (publish(self, &self->header->names_at, &self->names, offset, entry_hash) < 0)
        return NULL;
    Py_RETURN_TRUE;
}

/* identify(device, inode, offset): whose stand-in that is; a number used again gets its new meaning */
static PyObject *index_identify(PyObject *object, PyObject *args)
{
    Index *self = (Index *)object;
    unsigned long device, inode, target;
    if (!PyArg_ParseTuple(args, "kkk", &device, &inode, &target))
        return NULL;
    struct table *table = pointer(self, self->header->identities_at);
    for (u64 i = hash_identity(device, inode) & table->mask; table->cells[i]; i = (i + 1) & table->mask) {
        struct identity *old = pointer(self, table->cells[i]);
        if (old->device == device && old->inode == inode) {
            __atomic_store_n(&old->target, target, __ATOMIC_RELEASE);
            Py_RETURN_NONE;
        }
    }
    u64 offset = place(self, sizeof(struct identity), 8);
    if (!offset)
        return NULL;
    *(struct identity *)pointer(self, offset) = (struct identity){device, inode, target};
    if (publish(self, &self->header->identities_at, &self->identities, offset, identity_hash) < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* whose(device, inode) -> offset of the inode, or 0 */
static PyObject *index_whose(PyObject *object, PyObject *args)
{
    Index *self = (Index *)object;
    unsigned long device, inode;
    if (!PyArg_ParseTuple(args, "kk", &device, &inode))
        return NULL;
    const struct inode *found = find_identity(self->header, device, inode);
    return PyLong_FromUnsignedLong(found ? (u64)((const char *)found - (const char *)self->header) : 0);
}

/* lookup(base, path, follow) -> target, as the runtime would find it; base: offset of a directory's inode, or 0 */
static PyObject *index_lookup(PyObject *object, PyObject *args)
{
    Index *self = (Index *)object;
    unsigned long base;
    const char *path;
    int follow;
    if (!PyArg_ParseTuple(args, "kyp", &base, &path, &follow))
        return NULL;
    const struct inode *dir = base ? at(self->header, base) : NULL;
    return PyLong_FromUnsignedLong(find_target(self->header, dir, path, follow));
}

/* hash(path) -> the hash of a whole path, for inode.path_hash */
static PyObject *index_hash(PyObject *object, PyObject *args)
{
    const char *text;
    Py_ssize_t length;
    (void)object;
    if (!PyArg_ParseTuple(args, "y#", &text, &length))
        return NULL;
    return PyLong_FromUnsignedLong(hash_bytes(text, (u64)length));
}

/* answer(slot, target, data=None): lets the thread go on that waits at this mailbox */
static PyObject *index_answer(PyObject *object, PyObject *args)
{
    Index *self = (Index *)object;
    unsigned int number;
    unsigned long target;
    const char *data = NULL;
    Py_ssize_t length = 0;
    if (!PyArg_ParseTuple(args, "Ik|z#", &number, &target, &data, &length))
        return NULL;
    if (number >= SLOT_COUNT)
        return PyErr_Format(PyExc_ValueError, "there is no mailbox %u", number);
    struct slot *slot = (struct slot *)((char *)pointer(self, self->header->slots_at) + (u64)number * SLOT_BYTES);
    u64 data_at = (u64)(slot->payload - (char *)self->header);
    if ((u64)length > sizeof slot->payload) {
        data_at = place(self, (u64)length, 8);
        if (!data_at)
            return NULL;
    }
    if (data)
        memcpy(pointer(self, data_at), data, (size_t)length);
    slot->data_at = data_at;
    slot->length = (u32)length;
    slot->target = target;
    u32 word = __atomic_load_n(&slot->word, __ATOMIC_RELAXED);
    __atomic_store_n(&slot->word, word | 1, __ATOMIC_RELEASE);
    syscall(SYS_futex, &slot->word, FUTEX_WAKE, 0x7fffffff, NULL, NULL, 0);
    Py_RETURN_NONE;
}

/* mailbox(slot) -> where the payload of that mailbox lies */
static PyObject *index_mailbox(PyObject *object, PyObject *args)
{
    Index *self = (Index *)object;
    unsigned int number;
    if (!PyArg_ParseTuple(args, "I", &number))
        return NULL;
    if (number >= SLOT_COUNT)
        return PyErr_Format(PyExc_ValueError, "there is no mailbox %u", number);
    return PyLong_FromUnsignedLong(self->header->slots_at + (u64)number * SLOT_BYTES + offsetof(struct slot, payload));
}

static PyObject *index_get_header(PyObject *object, PyObject *unused)
{
    (void)unused;
    return PyLong_FromVoidPtr(((Index *)object)->header);
}

static PyObject *index_get_fd(PyObject *object, void *unused)
{
    (void)unused;
    return PyLong_FromLong(((Index *)object)->fd);
}

static PyObject *index_get_used(PyObject *object, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLong(((Index *)object)->end);
}

static PyObject *index_get_names(PyObject *object, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLong(((Index *)object)->names);
}

static int make_file(Index *self, const char *image, Py_ssize_t image_length)
{
    self->fd = (int)syscall(SYS_memfd_create, "hepwrap-index", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
    if (self->fd < 0 && errno == EINVAL)
        self->fd = (int)syscall(SYS_memfd_create, "hepwrap-index", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (self->fd < 0)
        return -1;
    self->backed = GROW_STEP * 2;
    if (ftruncate(self->fd, (off_t)(IMAGE_SPAN + self->backed)) < 0 ||
        pwrite(self->fd, image, (size_t)image_length, 0) != image_length)
        return -1;
    self->file = mmap(NULL, IMAGE_SPAN + self->window, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, self->fd, 0);
    if (self->file == MAP_FAILED)
        return -1;
    fchmod(self->fd, 0555);
    /* From here on nobody but this mapping writes; kernels before 5.1 do not know the seal. */
    if (fcntl(self->fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK) < 0)
        fcntl(self->fd, F_ADD_SEALS, F_SEAL_SHRINK);
    self->header = (struct header *)(self->file + IMAGE_SPAN);
    return 0;
}

static int make_header(Index *self, const char *prefix, Py_ssize_t prefix_length)
{
    struct header *header = self->header;
    self->end = sizeof *header;
    header->magic = INDEX_MAGIC;
    header->version = INDEX_VERSION;
    header->window = self->window;
    header->prefix_length = (u32)prefix_length;
    memcpy(header->prefix, prefix, (size_t)prefix_length);
    if (!(header->names_at = place_table(self, FIRST_CELLS)) || !(header->identities_at = place_table(self, FIRST_CELLS)))
        return -1;
    if (!(header->slots_at = place(self, (u64)SLOT_COUNT * SLOT_BYTES, 64)))
        return -1;
    for (u64 i = 0; i < SLOT_COUNT; i++)
        ((struct slot *)((char *)pointer(self, header->slots_at) + i * SLOT_BYTES))->word = 1;
    return 0;
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
    if (prefix_length < 2 || prefix_length >= 64 || (u64)image_length > IMAGE_SPAN || window < 2 * GROW_STEP)
        return PyErr_Format(PyExc_ValueError, "Index: prefix of 2 to 63 bytes, image up to 1 MiB, window from 8 MiB");
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Index *self = (Index *)allocate(type, 0);
    if (!self)
        return NULL;
    self->fd = -1;
    self->window = window;
    if (make_file(self, image, image_length) < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        Py_DECREF(self);
        return NULL;
    }
    if (make_header(self, prefix, prefix_length) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void index_dealloc(PyObject *object)
{
    Index *self = (Index *)object;
    PyTypeObject *type = Py_TYPE(object);
    if (self->file && self->file != MAP_FAILED)
        munmap(self->file, IMAGE_SPAN + self->window);
    if (self->fd >= 0)
        close(self->fd);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

static PyMethodDef index_methods[] = {
    {"append", index_append, METH_VARARGS, "append(data, align=8) -> offset"},
    {"store", index_store, METH_VARARGS, "store(offset, width, value): release store of 4 or 8 bytes"},
    {"load", index_load, METH_VARARGS, "load(offset, length) -> bytes"},
    {"enter", index_enter, METH_VARARGS, "enter(key, follow, nofollow) -> True where the key is new"},
    {"identify", index_identify, METH_VARARGS, "identify(device, inode, offset)"},
    {"whose", index_whose, METH_VARARGS, "whose(device, inode) -> offset or 0"},
    {"lookup", index_lookup, METH_VARARGS, "lookup(base, path, follow) -> target"},
    {"hash", index_hash, METH_VARARGS, "hash(path) -> 64 bit hash"},
    {"answer", index_answer, METH_VARARGS, "answer(slot, target, data=None)"},
    {"mailbox", index_mailbox, METH_VARARGS, "mailbox(slot) -> offset of its payload"},
    {"address", index_get_header, METH_NOARGS, "address() -> of the header in this process"},
    {NULL, NULL, 0, NULL},
};
static PyGetSetDef index_attributes[] = {
    {"fd", index_get_fd, NULL, "descriptor of image and index", NULL},
    {"used", index_get_used, NULL, "bytes in use", NULL},
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

/* The layout as Python sees it: {struct: {field: (code, offset)}}. */
static int add_field(PyObject *fields, const char *name, const char *code, size_t offset)
{
    PyObject *value = Py_BuildValue("(sn)", code, (Py_ssize_t)offset);
    int r = value ? PyDict_SetItemString(fields, name, value) : -1;
    Py_XDECREF(value);
    return r;
}
#define FIELD(field, type, code) \
    if (add_field(fields, #field, code, offsetof(struct CURRENT, field)) < 0) \
        return -1;
#define DESCRIBE(name) \
    static int describe_##name(PyObject *fields) {
#define CURRENT header
DESCRIBE(header)
#define STRUCT_header
#include "layout.def"
#undef STRUCT_header
    return 0; }
#undef CURRENT
#define CURRENT inode
DESCRIBE(inode)
#define STRUCT_inode
#include "layout.def"
#undef STRUCT_inode
    return 0; }
#undef CURRENT
#define CURRENT child
DESCRIBE(child)
#define STRUCT_child
#include "layout.def"
#undef STRUCT_child
    return 0; }
#undef CURRENT
#define CURRENT mount
DESCRIBE(mount)
#define STRUCT_mount
#include "layout.def"
#undef STRUCT_mount
    return 0; }
#undef CURRENT
#define CURRENT plan
DESCRIBE(plan)
#define STRUCT_plan
#include "layout.def"
#undef STRUCT_plan
    return 0; }
#undef CURRENT
#define CURRENT slot
DESCRIBE(slot)
#define STRUCT_slot
#include "layout.def"
#undef STRUCT_slot
    return 0; }
#undef CURRENT

static int add_layout(PyObject *module)
{
    static const struct { const char *name; int (*describe)(PyObject *); } structs[] = {
        {"header", describe_header}, {"inode", describe_inode}, {"child", describe_child},
        {"mount", describe_mount},   {"plan", describe_plan},   {"slot", describe_slot},
    };
    PyObject *layout = PyDict_New();
    for (size_t i = 0; layout && i < sizeof structs / sizeof structs[0]; i++) {
        PyObject *fields = PyDict_New();
        if (!fields || structs[i].describe(fields) < 0 || PyDict_SetItemString(layout, structs[i].name, fields) < 0) {
            Py_XDECREF(fields);
            Py_DECREF(layout);
            return -1;
        }
        Py_DECREF(fields);
    }
    return layout ? PyModule_AddObject(module, "layout", layout) : -1;
}

static int add_constants(PyObject *module)
{
    static const struct { const char *name; long value; } constants[] = {
        {"IMAGE_SPAN", IMAGE_SPAN}, {"SLOT_COUNT", SLOT_COUNT}, {"TARGET_SHIFT", TARGET_SHIFT},
        {"TARGET_UNKNOWN", TARGET_UNKNOWN}, {"TARGET_INODE", TARGET_INODE}, {"TARGET_ERRNO", TARGET_ERRNO},
        {"TARGET_HOST", TARGET_HOST}, {"TARGET_ASK", TARGET_ASK}, {"TARGET_NATIVE", TARGET_NATIVE},
        {"TARGET_DATA", TARGET_DATA}, {"TARGET_PLAN", TARGET_PLAN},
        {"HEADER_HOST_PREFIX", HEADER_HOST_PREFIX}, {"ADDRESS_AT", (long)offsetof(struct header, address)},
        {"INODE_SEARCHED", INODE_SEARCHED}, {"INODE_READ_YES", INODE_READ_YES}, {"INODE_EXEC_YES", INODE_EXEC_YES},
        {"INODE_EXEC_NO", INODE_EXEC_NO}, {"INODE_COMPLETE", INODE_COMPLETE}, {"INODE_UNCHECKED", INODE_UNCHECKED},
    };
    for (size_t i = 0; i < sizeof constants / sizeof constants[0]; i++)
        if (PyModule_AddIntConstant(module, constants[i].name, constants[i].value) < 0)
            return -1;
    return 0;
}

static int module_exec(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&index_spec);
    if (!type || PyModule_AddObject(module, "Index", type) < 0)
        return -1;
    full_error = PyErr_NewExceptionWithDoc("hepwrap.vfs.index._index.Full", "No room left in the index.", NULL, NULL);
    if (!full_error || PyModule_AddObject(module, "Full", Py_NewRef(full_error)) < 0)
        return -1;
    return add_layout(module) < 0 || add_constants(module) < 0 ? -1 : 0;
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
