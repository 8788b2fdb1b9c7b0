/* The ground of the in-process runtime: registers in, raw system calls out.
 *
 * Rules of the place: no libc, no host headers, no globals, no locks, no TLS, no floating point; at most
 * STACK_LIMIT bytes below the caller's stack pointer; every register that the kernel keeps is kept; nothing is written
 * but the caller's own buffers, and the process's own page (own.h).  A fault in here is the program's bad pointer: the
 * tracer sees it and resumes at hepwrap_fault with the frame in r15, which returns -EFAULT.
 */
#ifndef HEPWRAP_ABI_H
#define HEPWRAP_ABI_H
#include "../../vfs/index/lookup.h"
#include "protocol.h"

/* What entry_<arch>.S puts on the stack: the state of one call and nothing else.  r15 points to it throughout, so that
 * no function has to keep it. */
struct row;
struct frame {
    const struct row *row;
    u64 base;   /* offset of the virtual directory that a relative path starts from, 0: the host's */
    u64 noted;  /* the mailbox of the last answer, or offset of the inode to be opened, or base of the second path */
    i32 flags;  /* AT_... or O_..., by kind of call */
    short rules; /* RESOLVE_... of openat2, by which a path is walked; 0: as ever */
    u8 follow;   /* a symbolic link at the end of the path?  Or THE_BASE_ITSELF */
    u8 asked;    /* how often; the server checks permissions for this very call */
    u64 a[6];  /* the arguments as the program gave them */
    u64 number;
    u64 back;  /* where to return to */
};
_Static_assert(__builtin_offsetof(struct frame, number) == FRAME_NUMBER, "protocol.h");
_Static_assert(__builtin_offsetof(struct frame, back) == FRAME_BACK, "protocol.h");
register struct frame *f __asm__("r15");

/* Results that no program sees. */
#define STALE (-512L)      /* ask the server */
#define STALE_DATA (-513L) /* the slot was given away while it was read */
#define OPEN_IT (-514L)    /* everything is in order: open the stand-in */
#define ASK_KERNEL (-515L) /* with the path that stands in the frame now */

extern const char hepwrap_image[] __attribute__((visibility("hidden")));

static inline const struct header *index_of(void)
{
    return (const struct header *)(hepwrap_image + IMAGE_SPAN);
}

static inline long raw6(u64 number, u64 a, u64 b, u64 c, u64 d, u64 e, u64 g)
{
    long result;
    register u64 r10 __asm__("r10") = d;
    register u64 r8 __asm__("r8") = e;
    register u64 r9 __asm__("r9") = g;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#define raw1(n, a) raw6((n), (u64)(a), 0, 0, 0, 0, 0)
#define raw2(n, a, b) raw6((n), (u64)(a), (u64)(b), 0, 0, 0, 0)
#define raw3(n, a, b, c) raw6((n), (u64)(a), (u64)(b), (u64)(c), 0, 0, 0)
#define raw4(n, a, b, c, d) raw6((n), (u64)(a), (u64)(b), (u64)(c), (u64)(d), 0, 0)
#define raw5(n, a, b, c, d, e) raw6((n), (u64)(a), (u64)(b), (u64)(c), (u64)(d), (u64)(e), 0)

/* The call as the program made it. */
static inline long native(void)
{
    return raw6(f->number, f->a[0], f->a[1], f->a[2], f->a[3], f->a[4], f->a[5]);
}

/* Numbers of x86_64, and the constants of the system-call interface that are used here (man 2). */
enum {
    NR_read = 0, NR_open = 2, NR_close = 3, NR_stat = 4, NR_fstat = 5, NR_lstat = 6, NR_mmap = 9, NR_lseek = 8, NR_mprotect = 10,
    NR_ioctl = 16, NR_pread64 = 17, NR_access = 21, NR_getpid = 39, NR_recvmsg = 47, NR_socketpair = 53, NR_execve = 59, NR_fcntl = 72, NR_getcwd = 79,
    NR_chdir = 80, NR_fchdir = 81, NR_symlink = 88, NR_readlink = 89, NR_lchown = 94, NR_prctl = 157, NR_mount = 165, NR_umount2 = 166, NR_lsetxattr = 189, NR_lremovexattr = 198, NR_futex = 202,
    NR_inotify_add_watch = 254, NR_openat = 257, NR_futimesat = 261, NR_newfstatat = 262, NR_linkat = 265, NR_symlinkat = 266,
    NR_readlinkat = 267, NR_faccessat = 269, NR_utimensat = 280, NR_dup3 = 292, NR_fanotify_mark = 301, NR_name_to_handle_at = 303,
    NR_execveat = 322, NR_fspick = 433, NR_close_range = 436, NR_openat2 = 437, NR_landlock_add_rule = 445, NR_setxattrat = 463, NR_removexattrat = 466, NR_file_getattr = 468, NR_file_setattr = 469,
};
enum {
    EPERM = 1, ENOENT = 2, EINTR = 4, EIO = 5, ENXIO = 6, ENOEXEC = 8, EBADF = 9, EAGAIN = 11, EACCES = 13,
    EFAULT = 14, EEXIST = 17, EXDEV = 18, ENOTDIR = 20, EISDIR = 21, EINVAL = 22, ENFILE = 23, EMFILE = 24, EROFS = 30,
    ERANGE = 34, ENAMETOOLONG = 36, ENOSYS = 38, ELOOP = 40, ENODATA = 61, EOVERFLOW = 75, EBADFD = 77, EOPNOTSUPP = 95, ESTALE = 116,
    ERESTARTSYS = 512,
};
enum {
    AT_FDCWD = -100, AT_SYMLINK_NOFOLLOW = 0x100, AT_EACCESS = 0x200, AT_SYMLINK_FOLLOW = 0x400, AT_EMPTY_PATH = 0x1000,
    AT_NO_AUTOMOUNT = 0x800, AT_STATX_SYNC_TYPE = 0x6000,
    O_ACCMODE = 3, O_WRONLY = 1, O_RDWR = 2, O_CREAT = 0100, O_EXCL = 0200, O_NOCTTY = 0400, O_TRUNC = 01000,
    O_NONBLOCK = 04000, O_APPEND = 02000, O_SYNC = 04010000, O_DIRECT = 040000, O_DIRECTORY = 0200000, O_NOFOLLOW = 0400000, O_NOATIME = 01000000,
    O_CLOEXEC = 02000000, O_PATH = 010000000, O_TMPFILE = 020000000,
    R_OK = 4, W_OK = 2, X_OK = 1,
    RESOLVE_NO_SYMLINKS = 4, RESOLVE_IN_ROOT = 16, RESOLVE_CACHED = 32, STATX_RESERVED = (int)0x80000000,
    MS_REMOUNT = 32, MS_BIND = 4096, MS_MOVE = 8192,
    OPEN_TREE_CLONE = 1, MOVE_MOUNT_F_SYMLINKS = 1, FSPICK_SYMLINK_NOFOLLOW = 2, UMOUNT_NOFOLLOW = 8, IN_DONT_FOLLOW = 0x02000000, FAN_MARK_DONT_FOLLOW = 4, FAN_MARK_MOUNT = 16, FAN_MARK_FILESYSTEM = 256,
    UTIME_NOW = 0x3fffffff, UTIME_OMIT = 0x3ffffffe,
    PROT_READ = 1, PROT_WRITE = 2, FUTEX_WAIT = 0, F_GETFL = 3, FS_IOC_SETFLAGS = 0x40086602, FS_IOC_FSSETXATTR = 0x401c5820,
};
enum { S_IFMT = 0170000, S_IFDIR = 0040000, S_IFREG = 0100000, S_IFLNK = 0120000, S_IFSOCK = 0140000, S_IFCHR = 0020000,
       S_IFBLK = 0060000, S_IFIFO = 0010000, DT_REG = 8, DT_LNK = 10 };

/* What openat2 is told (linux/openat2.h). */
struct open_how {
    u64 flags, mode, resolve;
};

/* struct stat and struct statx of the kernel (asm/stat.h, linux/stat.h). */
struct kernel_stat {
    u64 st_dev, st_ino, st_nlink;
    u32 st_mode, st_uid, st_gid, pad0;
    u64 st_rdev;
    i64 st_size, st_blksize, st_blocks;
    i64 times[6]; /* seconds and nanoseconds of access, modification, change */
    i64 unused[3];
};
_Static_assert(sizeof(struct kernel_stat) == 144, "asm/stat.h");
struct kernel_statx_time { i64 seconds; u32 nanoseconds; i32 reserved; };
struct kernel_statx {
    u32 mask, blksize;
    u64 attributes;
    u32 nlink, uid, gid;
    unsigned short mode, pad1;
    u64 ino, size, blocks, attributes_mask;
    struct kernel_statx_time atime, btime, ctime, mtime;
    u32 rdev_major, rdev_minor, dev_major, dev_minor;
    u64 mnt_id;
    u64 spare[13];
};
_Static_assert(sizeof(struct kernel_statx) == 256, "linux/stat.h");

static inline void zero(void *to, u64 bytes)
{
    for (u64 i = 0; i < bytes; i++)
        ((volatile char *)to)[i] = 0;
}
static inline void copy(void *to, const void *from, u64 bytes)
{
    for (u64 i = 0; i < bytes; i++)
        ((volatile char *)to)[i] = ((const char *)from)[i];
}
static inline u32 length_of(const char *text)
{
    u32 n = 0;
    while (text[n])
        n++;
    return n;
}
#endif
