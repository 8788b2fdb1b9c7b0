/* See description.h. */
#include "description.h"
#include <stddef.h>
#include "writer.h"

struct field {
    const char *name, *code;
    size_t offset;
};

/* One table a struct, ended by a field without a name. */
#define FIELD(name, type, code) {#name, code, offsetof(struct CURRENT, name)},
#define CURRENT header
static const struct field header_fields[] = {
#define STRUCT_header
#include "layout.def"
#undef STRUCT_header
    {NULL, NULL, 0}};
#undef CURRENT
#define CURRENT inode
static const struct field inode_fields[] = {
#define STRUCT_inode
#include "layout.def"
#undef STRUCT_inode
    {NULL, NULL, 0}};
#undef CURRENT
#define CURRENT child
static const struct field child_fields[] = {
#define STRUCT_child
#include "layout.def"
#undef STRUCT_child
    {NULL, NULL, 0}};
#undef CURRENT
#define CURRENT mount
static const struct field mount_fields[] = {
#define STRUCT_mount
#include "layout.def"
#undef STRUCT_mount
    {NULL, NULL, 0}};
#undef CURRENT
#define CURRENT plan
static const struct field plan_fields[] = {
#define STRUCT_plan
#include "layout.def"
#undef STRUCT_plan
    {NULL, NULL, 0}};
#undef CURRENT
#define CURRENT slot
static const struct field slot_fields[] = {
#define STRUCT_slot
#include "layout.def"
#undef STRUCT_slot
    {NULL, NULL, 0}};
#undef CURRENT

static const struct {
    const char *name;
    const struct field *fields;
} structs[] = {
    {"header", header_fields}, {"inode", inode_fields}, {"child", child_fields},
    {"mount", mount_fields},   {"plan", plan_fields},   {"slot", slot_fields},
};

#define CONSTANT(name) {#name, name}
static const struct {
    const char *name;
    long value;
} constants[] = {
    CONSTANT(IMAGE_SPAN),     CONSTANT(SLOT_COUNT),     CONSTANT(TARGET_SHIFT),
    CONSTANT(TARGET_UNKNOWN), CONSTANT(TARGET_INODE),   CONSTANT(TARGET_ERRNO),
    CONSTANT(TARGET_HOST),    CONSTANT(TARGET_ASK),     CONSTANT(TARGET_NATIVE),
    CONSTANT(TARGET_DATA),    CONSTANT(TARGET_PLAN),    CONSTANT(TARGET_MISSING),
    CONSTANT(HEADER_HOST_PREFIX), CONSTANT(HEADER_WANDERERS), CONSTANT(HEADER_NESTED_BINDS), CONSTANT(HEADER_MAKERS),
    CONSTANT(INODE_SEARCHED), CONSTANT(INODE_READ_YES), CONSTANT(INODE_EXEC_YES),
    CONSTANT(INODE_EXEC_NO),  CONSTANT(INODE_COMPLETE), CONSTANT(INODE_UNCHECKED),
    CONSTANT(FIRST_NUMBER),   CONSTANT(PAYLOAD_BYTES),
};

/* {field: (code, offset)}, a new reference, or NULL. */
static PyObject *fields_of(const struct field *field)
{
    PyObject *fields = PyDict_New();
    for (; fields && field->name; field++) {
        PyObject *value = Py_BuildValue("(sn)", field->code, (Py_ssize_t)field->offset);
        if (!value || PyDict_SetItemString(fields, field->name, value) < 0)
            Py_CLEAR(fields);
        Py_XDECREF(value);
    }
    return fields;
}

int add_description(PyObject *module)
{
    PyObject *layout = PyDict_New();
    for (size_t i = 0; layout && i < sizeof structs / sizeof structs[0]; i++) {
        PyObject *fields = fields_of(structs[i].fields);
        if (!fields || PyDict_SetItemString(layout, structs[i].name, fields) < 0)
            Py_CLEAR(layout);
        Py_XDECREF(fields);
    }
    if (!layout || PyModule_AddObject(module, "layout", layout) < 0)
        return -1;
    for (size_t i = 0; i < sizeof constants / sizeof constants[0]; i++)
        if (PyModule_AddIntConstant(module, constants[i].name, constants[i].value) < 0)
            return -1;
    return 0;
}
