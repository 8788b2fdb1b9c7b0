/* The layout of the index as Python sees it, from the same layout.def. */
#ifndef HEPWRAP_DESCRIPTION_H
#define HEPWRAP_DESCRIPTION_H
#include <Python.h>

/* Adds `layout`, {struct: {field: (code, offset)}}, and the constants of layout.h to the module; -1: an exception is set. */
int add_description(PyObject *module);

#endif
