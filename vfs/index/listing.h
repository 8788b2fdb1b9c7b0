/* The Python type `Listing`: a directory on its way from catalogue rows into the index. */
#ifndef HEPWRAP_LISTING_H
#define HEPWRAP_LISTING_H
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include "directory.h"

/* Adds the type to the module: 0, or -1 with an exception set. */
int add_listing_type(PyObject *module);

/* A Listing for the directory at that offset, which keeps `index` (whose writer that is) alive. */
PyObject *new_listing(PyObject *index, struct writer *writer, u64 directory_at, u64 limit, PyObject *owner,
                      PyObject *kinds);

/* Sets the exception for a writer that had no room; NULL. */
PyObject *raise_full(void);

#endif
