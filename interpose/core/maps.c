/* What lies at an address of a task: proc(5), /proc/PID/maps; PROCMAP_QUERY since Linux 6.11. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "core.h"

/* linux/fs.h, which may be older than the kernel that we run on. */
struct procmap_query {
    uint64_t size, query_flags, query_addr, vma_start, vma_end, vma_flags, vma_page_size, vma_offset, inode;
    uint32_t dev_major, dev_minor, vma_name_size, build_id_size;
    uint64_t vma_name_addr, build_id_addr;
};
#define PROCMAP_QUERY_IOCTL _IOWR('f', 17, struct procmap_query)
enum { VMA_READABLE = 1, VMA_WRITABLE = 2, VMA_EXECUTABLE = 4, VMA_SHARED = 8 };

static bool is_text(bool executable, bool writable, bool shared, uint64_t inode)
{
    return executable && !writable && !shared && inode;
}

/* The line of the list that holds the address. */
static bool found_in_list(FILE *list, uint64_t address, struct text *text)
{
    char line[4500], access[5];
    unsigned long start, end, offset, major, minor, inode;
    while (fgets(line, sizeof line, list))
        if (sscanf(line, "%lx-%lx %4s %lx %lx:%lx %lu", &start, &end, access, &offset, &major, &minor, &inode) == 7 &&
            address >= start && address < end) {
            *text = (struct text){start, end, offset, major << 32 | minor, inode};
            return is_text(access[2] == 'x', access[1] == 'w', access[3] == 's', inode);
        }
    return false;
}

bool maps_text(pid_t task, uint64_t address, struct text *text)
{
    char name[32];
    snprintf(name, sizeof name, "/proc/%d/maps", task);
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    struct procmap_query query = {.size = sizeof query, .query_addr = address};
    if (ioctl(fd, PROCMAP_QUERY_IOCTL, &query) == 0) {
        close(fd);
        uint64_t device = (uint64_t)query.dev_major << 32 | query.dev_minor;
        *text = (struct text){query.vma_start, query.vma_end, query.vma_offset, device, query.inode};
        return is_text(query.vma_flags & VMA_EXECUTABLE, query.vma_flags & VMA_WRITABLE, query.vma_flags & VMA_SHARED,
                       query.inode);
    }
    FILE *list = fdopen(fd, "r");
    if (!list) {
        close(fd);
        return false;
    }
    bool result = found_in_list(list, address, text);
    fclose(list);
    return result;
}
