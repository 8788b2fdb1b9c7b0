/* hepwrap.interpose._core: the tracer as Python sees it. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "../runtime/rows.h"
#include "core.h"

extern const char hepwrap_runtime[], hepwrap_runtime_end[];
__asm__(".section .rodata\n.balign 64\n.globl hepwrap_runtime, hepwrap_runtime_end\n.hidden hepwrap_runtime\n"
        ".hidden hepwrap_runtime_end\nhepwrap_runtime:\n.incbin \"" HEPWRAP_RUNTIME_BIN "\"\nhepwrap_runtime_end:\n.text\n");

/* Addresses that programs leave alone: clear of PIE (0x55...), of mmap and the stack (0x7f...), of the Go and Java heaps,
 * and of the shadow memory of AddressSanitizer; 4 GiB aligned, which the filter relies on. */
static const uint64_t bases[] = {0x3a5f00000000UL, 0x4b5f00000000UL, 0x2c5f00000000UL, 0x1b5f00000000UL};
#define BASE_COUNT (sizeof bases / sizeof bases[0])

typedef struct {
    PyObject_HEAD
    struct tracer tracer;
    PyObject *at_exit, *tell;
} Tracer;

static void call_at_exit(struct tracer *tracer)
{
    Tracer *self = (Tracer *)((char *)tracer - offsetof(Tracer, tracer));
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject *result = self->at_exit && self->at_exit != Py_None ? PyObject_CallNoArgs(self->at_exit) : Py_NewRef(Py_None);
    if (!result)
        PyErr_WriteUnraisable(self->at_exit);
    Py_XDECREF(result);
    PyGILState_Release(state);
}

static void call_tell(struct tracer *tracer, enum telling what, pid_t who, pid_t whom)
{
    Tracer *self = (Tracer *)((char *)tracer - offsetof(Tracer, tracer));
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject *result = PyObject_CallFunction(self->tell, "iii", (int)what, (int)who, (int)whom);
    if (!result)
        PyErr_WriteUnraisable(self->tell);
    Py_XDECREF(result);
    PyGILState_Release(state);
}

/* Tracer(index_address, image_fd, base, at_exit, patching, tell): at_exit() is called once, while the first process still
 * exists; tell(what, who, whom) at what the job's user should be told */
static PyObject *tracer_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    unsigned long address, base;
    int image_fd;
    PyObject *at_exit, *tell;
    int patching;
    (void)keywords;
    if (!PyArg_ParseTuple(args, "kikOpO", &address, &image_fd, &base, &at_exit, &patching, &tell))
        return NULL;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Tracer *self = (Tracer *)allocate(type, 0);
    if (!self)
        return NULL;
    struct tracer *tracer = &self->tracer;
    tracer->index = (struct header *)address;
    tracer->base = base;
    tracer->head = (const struct image_head *)hepwrap_runtime;
    tracer->image_fd = image_fd;
    tracer->patching = patching;
    tracer->tail_of_queue = &tracer->head_of_queue;
    tracer->at_first_exit = call_at_exit;
    tracer->tell = call_tell;
    pthread_mutex_init(&tracer->lock, NULL);
    pthread_cond_init(&tracer->ready, NULL);
    self->at_exit = Py_NewRef(at_exit);
    self->tell = Py_NewRef(tell);
    if (patching && !prepared_open(tracer)) {
        PyErr_SetFromErrno(PyExc_OSError);
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void tracer_dealloc(PyObject *object)
{
    Tracer *self = (Tracer *)object;
    PyTypeObject *type = Py_TYPE(object);
    Py_XDECREF(self->at_exit);
    Py_XDECREF(self->tell);
    prepared_close(&self->tracer);
    memory_free(&self->tracer);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

/* attach(pid): PTRACE_SEIZE; the calling thread must be the one that calls run() */
static PyObject *tracer_attach_py(PyObject *object, PyObject *args)
{
    int pid;
    if (!PyArg_ParseTuple(args, "i", &pid))
        return NULL;
    if (tracer_attach(&((Tracer *)object)->tracer, pid) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}

static PyObject *tracer_run_py(PyObject *object, PyObject *unused)
{
    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    tracer_run(&((Tracer *)object)->tracer);
    Py_END_ALLOW_THREADS
    return PyLong_FromLong(((Tracer *)object)->tracer.first_status);
}

static PyObject *tuple_of(const uint64_t *values, uint32_t count)
{
    PyObject *tuple = PyTuple_New(count);
    for (uint32_t i = 0; tuple && i < count; i++)
        PyTuple_SetItem(tuple, i, PyLong_FromUnsignedLongLong(values[i]));
    return tuple;
}

/* next() -> (slot, task, why, number, arguments, base, second_base, path, second_path, start, second_start, argv, socket), None at the end */
static PyObject *tracer_next(PyObject *object, PyObject *unused)
{
    struct question *q;
    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    q = question_pop(&((Tracer *)object)->tracer);
    Py_END_ALLOW_THREADS
    if (!q)
        Py_RETURN_NONE;
    PyObject *result = Py_BuildValue("(IiKKNKKyyyyNi)", q->slot, (int)q->task, (unsigned long long)q->why, (unsigned long long)q->number,
                                     tuple_of(q->arguments, 6), (unsigned long long)q->base[0],
                                     (unsigned long long)q->base[1], q->path[0], q->path[1], q->start[0], q->start[1],
                                     q->argv ? tuple_of(q->argv, q->argv_count) : Py_NewRef(Py_None), q->socket);
    if (result)
        q->socket = -1; /* the caller's now */
    question_free(q);
    return result;
}

static PyObject *tracer_counters(PyObject *object, PyObject *unused)
{
    const struct counters *counters = &((Tracer *)object)->tracer.counters;
    (void)unused;
    PyObject *result = PyDict_New();
#define ADD(name) \
    if (result) { \
        PyObject *value = PyLong_FromUnsignedLongLong(counters->name); \
        PyDict_SetItemString(result, #name, value); \
        Py_XDECREF(value); \
    }
    COUNTERS(ADD)
    return result;
}

static PyObject *tracer_failure(PyObject *object, PyObject *unused)
{
    (void)unused;
    return PyUnicode_DecodeFSDefault(((Tracer *)object)->tracer.failure);
}

static PyMethodDef tracer_methods[] = {
    {"attach", tracer_attach_py, METH_VARARGS, "attach(pid): in the thread that will call run()"},
    {"run", tracer_run_py, METH_NOARGS, "run() -> wait status of the first process, when no task is left"},
    {"next", tracer_next, METH_NOARGS, "next() -> a question as a tuple, or None"},
    {"counters", tracer_counters, METH_NOARGS, "counters() -> dict"},
    {"failure", tracer_failure, METH_NOARGS, "failure() -> why a program could not be served, or ''"},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot tracer_slots[] = {
    {Py_tp_new, tracer_new}, {Py_tp_dealloc, tracer_dealloc}, {Py_tp_methods, tracer_methods},
    {Py_tp_doc, "Tracer(index_address, image_fd, base, at_exit, patching, tell)"}, {0, NULL},
};
static PyType_Spec tracer_spec = {"hepwrap.interpose._core.Tracer", sizeof(Tracer), 0, Py_TPFLAGS_DEFAULT, tracer_slots};

/* image() -> the runtime, to lie in front of the index */
static PyObject *core_image(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    return PyBytes_FromStringAndSize(hepwrap_runtime, hepwrap_runtime_end - hepwrap_runtime);
}

/* map_world(fd, window) -> base: maps image and index into this process, where all its descendants will have them */
static PyObject *core_map_world(PyObject *module, PyObject *args)
{
    int fd;
    unsigned long window;
    (void)module;
    if (!PyArg_ParseTuple(args, "ik", &fd, &window))
        return NULL;
    for (size_t i = 0; i < BASE_COUNT; i++) {
        void *base = (void *)bases[i];
        void *image = mmap(base, IMAGE_SPAN, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0);
        if (image == MAP_FAILED)
            continue;
        if (image == base && mmap((char *)base + IMAGE_SPAN, window, PROT_READ,
                                  MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_NORESERVE, fd, IMAGE_SPAN) != MAP_FAILED)
            return PyLong_FromUnsignedLong(bases[i]);
        munmap(image, IMAGE_SPAN);
    }
    return PyErr_SetFromErrno(PyExc_OSError);
}

/* allow_tracer(pid): Yama's exception; nothing where there is no Yama */
static PyObject *core_allow_tracer(PyObject *module, PyObject *args)
{
    long pid;
    (void)module;
    if (!PyArg_ParseTuple(args, "l", &pid))
        return NULL;
    if (prctl(PR_SET_PTRACER, pid, 0, 0, 0) < 0 && errno != EINVAL)
        return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}

static char **texts_of(PyObject *list)
{
    Py_ssize_t count = PyList_Size(list);
    char **texts = count < 0 ? NULL : PyMem_Calloc((size_t)count + 1, sizeof *texts);
    for (Py_ssize_t i = 0; texts && i < count; i++)
        if (!(texts[i] = PyBytes_AsString(PyList_GetItem(list, i))))
            return NULL;
    return texts;
}

/* enter(base): installs the filter.  From here on this process sees what the command will see. */
static PyObject *core_enter(PyObject *module, PyObject *args)
{
    unsigned long base;
    (void)module;
    if (!PyArg_ParseTuple(args, "k", &base))
        return NULL;
    const struct image_head *head = (const struct image_head *)hepwrap_runtime;
    const struct header *index = (const struct header *)(base + IMAGE_SPAN); /* mapped by map_world */
    if (install_filter(base, head->size, index->files_token ? (int64_t)index->files_at : -1) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}

/* execute(path, argv, environment): becomes the command.  Returns only on failure: the errno. */
static PyObject *core_execute(PyObject *module, PyObject *args)
{
    const char *path;
    PyObject *argv_list, *environment_list;
    (void)module;
    if (!PyArg_ParseTuple(args, "yO!O!", &path, &PyList_Type, &argv_list, &PyList_Type, &environment_list))
        return NULL;
    char **argv = texts_of(argv_list), **environment = texts_of(environment_list);
    if (!argv || !environment)
        return NULL;
    long r = syscall(SYS_execve, path, argv, environment);
    return PyLong_FromLong(r < 0 ? errno : 0);
}

/* drop_capabilities(keep=0): of the calling thread only; those of the bit set `keep` stay where they are there */
static PyObject *core_drop_capabilities(PyObject *module, PyObject *args)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    unsigned long long keep = 0;
    (void)module;
    if (!PyArg_ParseTuple(args, "|K", &keep))
        return NULL;
    if (syscall(SYS_capget, &header, data) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    for (int i = 0; i < 2; i++) {
        data[i].permitted &= (uint32_t)(keep >> (32 * i));
        data[i].effective &= data[i].permitted;
        data[i].inheritable = 0;
    }
    if (syscall(SYS_capset, &header, data) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}

/* is_subreaper() -> whether orphans among our descendants come to this process (prctl(2)) */
static PyObject *core_is_subreaper(PyObject *module, PyObject *unused)
{
    int flag = 0;
    (void)module, (void)unused;
    prctl(PR_GET_CHILD_SUBREAPER, &flag, 0, 0, 0);
    return PyBool_FromLong(flag);
}

/* private_mount(options) -> (a directory of a tmpfs, the same where it cannot be written to, what keeps that fast or -1) */
static PyObject *core_private_mount(PyObject *module, PyObject *args)
{
    const char *options;
    struct private_mount made;
    (void)module;
    if (!PyArg_ParseTuple(args, "s", &options))
        return NULL;
    int r = private_mount(options, &made);
    if (r < 0) {
        errno = -r;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    return Py_BuildValue("(iii)", made.writable, made.readable, made.namespace);
}

/* rows() -> [(name, number, treatment, path position or 6, dirfd position or 6)] */
static PyObject *core_rows(PyObject *module, PyObject *unused)
{
    static const char *const names[] = {
#define ROW(name, x86_64, aarch64, treatment, ...) #name, #treatment,
#include "../syscalls.def"
#undef ROW
    };
    (void)module, (void)unused;
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list && i < ROW_COUNT; i++) {
        PyObject *item = Py_BuildValue("(sisii)", names[2 * i], (int)rows[i].number, names[2 * i + 1], rows[i].path,
                                       rows[i].dirfd);
        if (!item || PyList_Append(list, item) < 0)
            Py_CLEAR(list);
        Py_XDECREF(item);
    }
    return list;
}

/* The text of a site as patching sees it: what stands before a call, at most LOOK_BEFORE bytes, the call, and what is behind. */
static unsigned site_text(uint8_t *text, const uint8_t *before, Py_ssize_t before_size, const uint8_t *behind, Py_ssize_t size)
{
    unsigned length = size < LOOK_BEHIND ? (unsigned)size : LOOK_BEHIND;
    memset(text, 0, SITE_TEXT);
    memcpy(text + LOOK_BEFORE - before_size, before, (size_t)before_size);
    memcpy(text + SITE_BEHIND, behind, length);
    return length;
}

/* displaced_length(behind): of the bytes behind a call */
static PyObject *core_displaced_length(PyObject *module, PyObject *args)
{
    const uint8_t *behind;
    uint8_t text[SITE_TEXT];
    struct shape shape;
    Py_ssize_t size;
    (void)module;
    if (!PyArg_ParseTuple(args, "y#", &behind, &size))
        return NULL;
    unsigned length = site_text(text, NULL, 0, behind, size);
    return PyLong_FromLong(shape_behind(&shape, text, length) ? shape.behind : 0);
}

/* front_length(before, number, stack, at=0): of the LOOK_BEFORE bytes before a call, and STACK_WORDS words at its rsp */
static PyObject *core_front_length(PyObject *module, PyObject *args)
{
    const uint8_t *before, *stack;
    uint8_t text[SITE_TEXT];
    struct shape shape;
    Py_ssize_t size, stack_size;
    unsigned long long number, at = 0;
    uint64_t words[STACK_WORDS];
    (void)module;
    if (!PyArg_ParseTuple(args, "y#Ky#|K", &before, &size, &number, &stack, &stack_size, &at))
        return NULL;
    if (size != LOOK_BEFORE || stack_size != sizeof words)
        return PyErr_Format(PyExc_ValueError, "%zd and %zd bytes, not %d and %zu", size, stack_size, LOOK_BEFORE,
                            sizeof words);
    site_text(text, before, size, NULL, 0);
    memcpy(words, stack, sizeof words);
    return PyLong_FromLong(shape_in_front(&shape, text, number, words, at) ? shape.front : 0);
}

static PyMethodDef core_methods[] = {
    {"image", core_image, METH_NOARGS, "image() -> bytes of the runtime"},
    {"map_world", core_map_world, METH_VARARGS, "map_world(fd, window) -> base address"},
    {"allow_tracer", core_allow_tracer, METH_VARARGS, "allow_tracer(pid)"},
    {"enter", core_enter, METH_VARARGS, "enter(base): see what the command will see"},
    {"execute", core_execute, METH_VARARGS, "execute(path, argv, environment) -> errno"},
    {"drop_capabilities", core_drop_capabilities, METH_VARARGS, "drop_capabilities(keep=0): of this thread; keep: a bit set"},
    {"is_subreaper", core_is_subreaper, METH_NOARGS, "is_subreaper() -> bool"},
    {"private_mount", core_private_mount, METH_VARARGS, "private_mount(options) -> (writable, readable, namespace)"},
    {"rows", core_rows, METH_NOARGS, "rows() -> the table of system calls"},
    {"displaced_length", core_displaced_length, METH_VARARGS, "displaced_length(behind) -> bytes to move, or 0"},
    {"front_length", core_front_length, METH_VARARGS, "front_length(before, number, stack, at=0) -> bytes to the call, or 0"},
    {NULL, NULL, 0, NULL},
};

static int module_exec(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&tracer_spec);
    return type ? PyModule_AddObject(module, "Tracer", type) : -1;
}
static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, module_exec}, {0, NULL}};
static PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT, "_core", "The tracer.", 0, core_methods, module_slots, NULL, NULL, NULL,
};
PyMODINIT_FUNC PyInit__core(void);
PyMODINIT_FUNC PyInit__core(void)
{
    return PyModuleDef_Init(&module_definition);
}
