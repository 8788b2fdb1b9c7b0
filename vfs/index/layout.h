/* C view of layout.def.  Freestanding: included by the runtime, the tracer and the index extension. */
#ifndef HEPWRAP_LAYOUT_H
#define HEPWRAP_LAYOUT_H

typedef unsigned char u8;
typedef unsigned int u32;
typedef int i32;
typedef unsigned long u64;
typedef long i64;

#define INDEX_MAGIC 0x7870726977706568UL /* "hepwirpx" */
#define INDEX_VERSION 1

/* The image of the runtime lies at the base address that the launch chose, the index this far above it. */
#define IMAGE_SPAN 0x100000UL

#define SLOT_COUNT 1024
#define SLOT_BYTES 32
#define PAYLOAD_BYTES 4352 /* an inode and a path of PATH_MAX fit */

/* A target: the kind in the top byte, a value below. */
#define TARGET_SHIFT 56
#define TARGET_VALUE(t) ((t) & ((1UL << TARGET_SHIFT) - 1))
#define TARGET_KIND(t) ((t) >> TARGET_SHIFT)
#define TARGET(kind, value) (((u64)(kind) << TARGET_SHIFT) | (value))
enum target_kind {
    TARGET_UNKNOWN = 0, /* ask the server */
    TARGET_INODE = 1,   /* value: offset of an inode */
    TARGET_ERRNO = 2,   /* value: positive errno, 0 for success */
    TARGET_HOST = 3,    /* value: offset of a NUL-terminated path for the kernel */
    TARGET_ASK = 4,     /* the answer depends on who asks: ask the server each time */
    TARGET_NATIVE = 5,  /* what the kernel says is right */
    TARGET_DATA = 6,    /* slot: length bytes at data_at */
    TARGET_PLAN = 7,    /* value: offset of a struct plan */
    TARGET_MISSING = 8, /* of a path of the host: it was missing where its directory was there; ask the kernel again */
};

/* A cell of a table: the offset of the record, and the top of its hash, so that few others are looked at. */
#define CELL_SHIFT 48
#define CELL_TAG(word) ((word) >> CELL_SHIFT)
#define CELL_VALUE(cell) ((cell) & ((1UL << CELL_SHIFT) - 1))
#define CELL(hash, offset) (CELL_TAG(hash) << CELL_SHIFT | (offset))

/* entry.itself counts in these, so that it fits into 32 bits. */
#define RECORD_ALIGN 8

enum header_flag {
    HEADER_HOST_PREFIX = 1, /* the host has a /cvmfs of its own: its answers are not to be believed */
    HEADER_NESTED_BINDS = 4, /* something is bound in what is bound: no relative path can be left to the kernel */
    HEADER_WANDERERS = 2,   /* a task has left for other namespaces, mounts or another root: names may mean other things */
    HEADER_PARTED = 8,      /* tasks may share memory and id, or a working directory, and not the other (decision 24) */
    HEADER_ROOT_LISTED = 16, /* "/" is listed in this launch: where a listing ends is of interest (decision 28) */
    HEADER_MAKERS = 32,     /* this job may make names beside the prefix, which the host lacks */
};

enum inode_flag {
    INODE_SEARCHED = 1,   /* every directory above may be searched by everybody */
    INODE_READ_YES = 2,   /* everybody may read */
    INODE_EXEC_YES = 4,   /* everybody may execute, or search */
    INODE_EXEC_NO = 8,    /* nobody may, whatever their capabilities */
    INODE_COMPLETE = 16,  /* a name that is not in the listing does not exist */
    INODE_UNCHECKED = 32, /* permissions are not enforced here */
};

#define FIELD(name, type, code) type name;
#define STRUCT_header
struct header {
#include "layout.def"
    char prefix[64];
};
#undef STRUCT_header
#define STRUCT_table
struct table {
#include "layout.def"
    u64 cells[];
};
#undef STRUCT_table
#define STRUCT_entry
struct entry {
#include "layout.def"
    char key[];
};
#undef STRUCT_entry
#define STRUCT_identity
struct identity {
#include "layout.def"
};
#undef STRUCT_identity
#define STRUCT_inode
struct inode {
#include "layout.def"
};
#undef STRUCT_inode
#define STRUCT_mount
struct mount {
#include "layout.def"
};
#undef STRUCT_mount
#define STRUCT_child
struct child {
#include "layout.def"
};
#undef STRUCT_child
#define STRUCT_listing
struct listing {
#include "layout.def"
    struct child children[];
};
#undef STRUCT_listing
#define STRUCT_slot
struct slot {
#include "layout.def"
};
#undef STRUCT_slot
#define STRUCT_plan
struct plan {
#include "layout.def"
};
#undef STRUCT_plan
#undef FIELD

_Static_assert(sizeof(struct slot) == SLOT_BYTES, "a slot has no padding");
_Static_assert(sizeof(struct inode) == 128, "an inode has no padding");
_Static_assert(sizeof(struct child) == 24, "a child has no padding");

#endif
