/* Of memfd_create(2) and its seals, what headers of older C libraries lack. */
#ifndef HEPWRAP_MEMFD_H
#define HEPWRAP_MEMFD_H
#include <fcntl.h>
#include <sys/mman.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

#endif
