/*
 * What every guest needs: to print a result or the name of an error, the same way everywhere.
 * Guests know nothing of hepwrap.  They print what must be seen, so that a run on a real copy of a tree and a run under
 * hepwrap can be compared as texts: no inode numbers, no process ids, no addresses, unless asked.
 */
#ifndef GUEST_H
#define GUEST_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* The name of an errno value, as in a manual page; where the C library cannot tell it, its words. */
static inline const char *error_name(int number)
{
#ifdef __GLIBC__
	const char *name = strerrorname_np(number);
	return name ? name : "unknown error";
#else
	return strerror(number);
#endif
}

/* "what: 3" or "what: -1 ENOENT"; call it directly after the call that set errno. */
static inline void report(const char *what, long result)
{
	if (result < 0)
		printf("%s: -1 %s\n", what, error_name(errno));
	else
		printf("%s: %ld\n", what, result);
}

/* The same where the value itself is not to be compared (descriptors, sizes of kernel structures). */
static inline void report_success(const char *what, long result)
{
	if (result < 0)
		printf("%s: -1 %s\n", what, error_name(errno));
	else
		printf("%s: ok\n", what);
}

/* FNV-1a, continued from `hash`. */
static inline uint64_t hash_bytes(uint64_t hash, const void *data, size_t size)
{
	const unsigned char *byte = data;
	while (size--)
		hash = (hash ^ *byte++) * 1099511628211u;
	return hash;
}
#define HASH_START 14695981039346656037u

/* Hash of all that can be read from `fd` from here on; *size is how much that was. */
static inline uint64_t hash_descriptor(int fd, long *size)
{
	static __thread char buffer[65536];
	uint64_t hash = HASH_START;
	ssize_t got;
	*size = 0;
	while ((got = read(fd, buffer, sizeof buffer)) > 0) {
		hash = hash_bytes(hash, buffer, (size_t)got);
		*size += got;
	}
	if (got < 0)
		*size = -1;
	return hash;
}

static inline void need_arguments(int have, int want, const char *usage)
{
	if (have - 1 < want) {
		fprintf(stderr, "usage: %s\n", usage);
		exit(2);
	}
}

#endif
