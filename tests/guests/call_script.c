/*
 * Does the system calls that FILE lists, one a line, and prints what each gave, so that two runs can be compared.
 *
 * A line is [NAME=]NUMBER ARGUMENT...; NAME keeps the descriptor that the call returned.  Arguments:
 *   i<number>   s<text with \xNN>   @NAME   u (unmapped)   e<text> (ends at an unmapped page, without a zero byte)
 *   E<text> (the same with its zero byte)   c<text> C<text> (the same where the file behind the next page ends)
 *   b<size>[+<bytes>] (buffer, shown, so many bytes off its alignment)   r<size> (read-only buffer)
 *   h<size> k<size> (buffer that ends at an unmapped page, or where the file behind the next page ends)
 *   t[bytes] x[bytes] f[bytes] (struct stat, statx, statfs, shown)
 *   w<size>:<number,...> (array of 64-bit words of which so many bytes are there)
 *   g<size> (directory entries, shown sorted)   a<size> (struct xattr_args)   n<path> (AF_UNIX address, 110 bytes)
 *   p<word,...> (array of 64-bit words: numbers, @NAME, or the address of s<text> or n<path>, without commas)
 * "reset" closes what was kept and goes back to the directory of the start.  "signals default|ignored|handled open|blocked"
 * sets SIGSEGV and SIGBUS, and all masks; from there on a call that leaves them otherwise says so.
 * "inside main|thread|handler|child" says who makes the calls from there on (of a child by vfork only errors can be told).
 * Identities (device, inode) are shown as numbers in the order in which they are first seen.
 */
#include "guest.h"

#include <linux/stat.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>

enum { MOST_BYTES = 1 << 17, SPACE = 1 << 18, FRESH = 0xaa };
struct argument {
	char kind;
	long value; /* as it is passed */
	size_t size;
};
struct kept {
	char name[16];
	int fd;
} kept[64];
static int kept_count, start;
static char who[16]; /* makes the calls */
static int is_link; /* the call is a readlink */
static char *ends; /* first byte that cannot be touched, after pages that can */
static char *cut;  /* the same where the file behind the mapping ends: SIGBUS */
static char space[SPACE], *next_free;

static int identity(unsigned long device, unsigned long inode)
{
	static struct {
		unsigned long device, inode;
	} seen[65536];
	static int count;
	for (int i = 0; i < count; i++)
		if (seen[i].device == device && seen[i].inode == inode)
			return i;
	seen[count].device = device;
	seen[count].inode = inode;
	return count++;
}

static size_t unescape(char *to, const char *from)
{
	char *out = to;
	while (*from)
		if (from[0] == '\\' && from[1] == 'x') {
			const char digits[3] = {from[2], from[3], 0};
			*out++ = (char)strtol(digits, NULL, 16);
			from += 4;
		} else {
			*out++ = *from++;
		}
	*out = 0;
	return (size_t)(out - to);
}

static char *take(size_t size)
{
	char *place = next_free;
	next_free += (size + 15) & ~15ul;
	if (next_free > space + SPACE)
		abort();
	memset(place, FRESH, size);
	return place;
}

static int descriptor(const char *name)
{
	for (int i = kept_count; i-- > 0;)
		if (!strcmp(kept[i].name, name))
			return kept[i].fd;
	return -1;
}

static long text_at(const char *word)
{
	char *place = next_free;
	next_free += (unescape(place, word) + 16) & ~15ul;
	return (long)place;
}

static long unix_address(const char *path)
{
	struct sockaddr_un *address = (struct sockaddr_un *)take(sizeof *address);
	memset(address, 0, sizeof *address);
	address->sun_family = AF_UNIX;
	if (strlen(path) < 400)
		snprintf(address->sun_path, sizeof address->sun_path, "%s", path);
	return (long)address;
}

static long one_word(const char *word)
{
	switch (*word) {
	case '@': return descriptor(word + 1);
	case 's': return text_at(word + 1);
	case 'n': return unix_address(word + 1);
	default: return (long)strtoull(word, NULL, 0);
	}
}

static long words(const char *text)
{
	long *place = (long *)take(64 * sizeof *place);
	char *rest = strdup(text), *whole = rest, *word;
	memset(place, 0, 64 * sizeof *place);
	for (int i = 0; (word = strsep(&rest, ",")) && *word; i++)
		place[i] = one_word(word);
	free(whole);
	return (long)place;
}

/* A text up to the last byte that can be touched, with its zero byte or without. */
static long at_the_end(char *end, const char *word, int with_zero)
{
	char text[8192];
	size_t length = unescape(text, word);
	char *place = end - length - (with_zero ? 1 : 0);
	memcpy(place, text, length + (with_zero ? 1 : 0));
	return (long)place;
}

static long fresh_up_to(char *end, size_t size)
{
	return (long)memset(end - size, FRESH, size);
}

static long words_up_to_the_end(const char *word)
{
	char *rest;
	size_t size = strtoul(word, &rest, 0);
	const long *all = (const long *)words(rest + 1);
	return (long)memcpy(ends - size, all, size);
}

static struct argument parse(const char *word)
{
	static char *readonly;
	struct argument a = {.kind = word[0]};
	size_t off;
	char *rest;
	word++;
	if (!readonly)
		readonly = mmap(NULL, MOST_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	switch (a.kind) {
	case 'i': a.value = (long)strtoull(word, NULL, 0); break;
	case 's': a.value = text_at(word); break;
	case 'n': a.value = unix_address(word); break;
	case '@': a.value = descriptor(word); break;
	case 'u': a.value = (long)ends; break;
	case 'e': case 'E': a.value = at_the_end(ends, word, a.kind == 'E'); break;
	case 'c': case 'C': a.value = at_the_end(cut, word, a.kind == 'C'); break;
	case 'w': a.value = words_up_to_the_end(word); break;
	case 'b': case 'g':
		a.size = strtoul(word, &rest, 0);
		off = strtoul(rest, NULL, 0);
		a.value = (long)take(a.size + off + 16) + (long)off;
		break;
	case 'h': case 'k': a.value = fresh_up_to(a.kind == 'h' ? ends : cut, strtoul(word, NULL, 0)); break;
	case 'r': a.value = (long)readonly; break;
	case 't': case 'x': case 'f':
		off = strtoul(word, NULL, 0);
		a.size = a.kind == 't' ? sizeof(struct stat) : a.kind == 'x' ? sizeof(struct statx) : sizeof(struct statfs);
		a.value = (long)take(a.size + off) + (long)off;
		break;
	case 'p': a.value = words(word); break;
	case 'a': {
		long *args = (long *)take(16);
		a.size = strtoul(word, NULL, 0);
		args[0] = (long)take(a.size + 16);
		args[1] = (long)(a.size & 0xffffffff);
		a.value = (long)args;
		break;
	}
	default: abort();
	}
	return a;
}

static void show_bytes(const unsigned char *bytes, size_t size)
{
	putchar('"');
	for (size_t i = 0; i < size; i++)
		if (bytes[i] > ' ' && bytes[i] < 127 && bytes[i] != '\\' && bytes[i] != '"')
			putchar(bytes[i]);
		else
			printf("\\x%02x", bytes[i]);
	putchar('"');
}

/* Times of today are those of the run itself. */
static void show_time(long seconds, long nanoseconds)
{
	if (seconds < 1600000000)
		printf(" mtime=%ld.%09ld]", seconds, nanoseconds);
	else
		printf(" mtime=now]");
}

static void show_stat(const struct stat *s)
{
	int directory = S_ISDIR(s->st_mode);
	printf(" [%d mode=%o nlink=%ld uid=%d gid=%d rdev=%lx size=%ld", identity(s->st_dev, s->st_ino),
	       s->st_mode, directory ? 0 : (long)s->st_nlink, s->st_uid, s->st_gid, (long)s->st_rdev,
	       directory ? 0 : (long)s->st_size);
	show_time((long)s->st_mtim.tv_sec, s->st_mtim.tv_nsec);
}

static void show_statx(const struct statx *s)
{
	int directory = S_ISDIR(s->stx_mode);
	printf(" [%d mask=%x mode=%o nlink=%u uid=%u gid=%u rdev=%x:%x size=%ld",
	       identity(makedev(s->stx_dev_major, s->stx_dev_minor), s->stx_ino), s->stx_mask & STATX_BASIC_STATS,
	       s->stx_mode, directory ? 0 : s->stx_nlink, s->stx_uid, s->stx_gid, s->stx_rdev_major,
	       s->stx_rdev_minor, directory ? 0 : (long)s->stx_size);
	show_time((long)s->stx_mtime.tv_sec, s->stx_mtime.tv_nsec);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void show_entries(const char *buffer, long got)
{
	char *texts[4096];
	int count = 0;
	for (long at = 0; at < got && count < 4096; count++) {
		const unsigned short length = *(const unsigned short *)(buffer + at + 16);
		if (asprintf(&texts[count], "%s:%d", buffer + at + 19, buffer[at + 18]) < 0)
			abort();
		at += length;
	}
	qsort(texts, (size_t)count, sizeof texts[0], by_text);
	for (int i = 0; i < count; i++) {
		putchar(' ');
		show_bytes((const unsigned char *)texts[i], strlen(texts[i]));
		free(texts[i]);
	}
}

static void show_descriptor(int fd)
{
	struct stat s;
	unsigned char first[8];
	int flags = fcntl(fd, F_GETFL), close_on_exec = fcntl(fd, F_GETFD), known = syscall(SYS_fstat, fd, &s) == 0;
	if (!known || !S_ISDIR(s.st_mode))
		flags &= ~O_NOFOLLOW; /* shown by the kernel, of no meaning once open: docs/decisions/0013 */
	printf(" fd flags=%o cloexec=%d", flags, close_on_exec);
	if (known)
		show_stat(&s);
	else
		printf(" fstat %s", error_name(errno));
	if (!S_ISREG(s.st_mode))
		return;
	long got = pread(fd, first, sizeof first, 0);
	if (got < 0)
		printf(" read %s", error_name(errno));
	else
		show_bytes(first, (size_t)got);
}

/* Where the result is a count, nothing beyond it may have been written. */
static void show_buffer(const struct argument *a, long result)
{
	const unsigned char *bytes = (const unsigned char *)a->value;
	size_t used = result > 0 && (size_t)result <= a->size ? (size_t)result : 0;
	putchar(' ');
	show_bytes(bytes, used);
	/* readlink may put more into the buffer for a moment, getcwd and the like may not */
	for (size_t i = is_link ? a->size : used; i < a->size + 16; i++)
		if (bytes[i] != FRESH) {
			printf(" written at %zu", i);
			break;
		}
}

static void show(const struct argument *a, long result)
{
	struct argument inner = *a;
	union {
		struct stat stat;
		struct statx statx;
		struct statfs statfs;
	} aligned;
	if (a->kind == 't' || a->kind == 'x' || a->kind == 'f')
		memcpy(&aligned, (const void *)a->value, a->size);
	switch (a->kind) {
	case 'b': show_buffer(a, result); break;
	case 't': show_stat(&aligned.stat); break;
	case 'x': show_statx(&aligned.statx); break;
	case 'f':
		printf(" namelen=%ld readonly=%ld", (long)aligned.statfs.f_namelen, (long)aligned.statfs.f_flags & 1);
		break;
	case 'g': show_entries((const char *)a->value, result); break;
	case 'a':
		inner.value = *(const long *)a->value;
		show_buffer(&inner, result);
		break;
	default: break;
	}
}

static int opens(long number)
{
	return number == SYS_open || number == SYS_openat || number == SYS_creat || number == 428 || number == 437;
}

static void reset(void)
{
	while (kept_count)
		close(kept[--kept_count].fd);
	if (syscall(SYS_fchdir, start) < 0)
		abort();
}

static struct {
	int watched;
	struct sigaction actions[2];
	sigset_t mask;
} before;

static void on_fault(int number)
{
	_exit(40 + number); /* a call gives EFAULT instead */
}

static void get_signals(struct sigaction *actions, sigset_t *mask)
{
	sigaction(SIGSEGV, NULL, &actions[0]);
	sigaction(SIGBUS, NULL, &actions[1]);
	sigprocmask(SIG_SETMASK, NULL, mask);
}

static void set_signals(const char *way)
{
	struct sigaction action = {.sa_flags = SA_ONSTACK | SA_RESTART};
	sigset_t mask;
	sigemptyset(&mask);
	if (strstr(way, "blocked"))
		sigfillset(&mask);
	action.sa_handler = strstr(way, "handled") ? on_fault : strstr(way, "ignored") ? SIG_IGN : SIG_DFL;
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	get_signals(before.actions, &before.mask);
	before.watched = 1;
}

static const char *signals_now(void)
{
	struct sigaction actions[2];
	sigset_t mask;
	if (!before.watched)
		return "";
	get_signals(actions, &mask);
	for (int i = 0; i < 2; i++)
		if (actions[i].sa_handler != before.actions[i].sa_handler || actions[i].sa_flags != before.actions[i].sa_flags)
			return " HANDLER CHANGED";
	return memcmp(&mask, &before.mask, 8) ? " MASK CHANGED" : "";
}

/* A call, and what it has given and left, by whom it was made. */
static struct attempt {
	long number, result;
	const struct argument *a;
	int error;
	const char *signals;
} attempt;

static void attempt_now(void)
{
	const struct argument *a = attempt.a;
	int tries = 0;
	do /* openat2(2): ".." in a scope cannot be judged while somebody mounts or renames something, anywhere: try again */
		attempt.result = syscall(attempt.number, a[0].value, a[1].value, a[2].value, a[3].value, a[4].value, a[5].value);
	while (attempt.number == SYS_openat2 && attempt.result < 0 && errno == EAGAIN && ++tries < 20);
	attempt.error = errno;
	attempt.signals = signals_now();
}

static void *in_thread(void *unused)
{
	attempt_now();
	return unused;
}

static void in_handler(int number)
{
	(void)number;
	attempt_now();
}

/* The mask of a handler is that of who was interrupted, and nothing more. */
static void call_in_handler(void)
{
	static char room[65536];
	const stack_t stack = {.ss_sp = room, .ss_size = sizeof room};
	const struct sigaction action = {.sa_handler = in_handler, .sa_flags = SA_NODEFER | SA_ONSTACK};
	sigset_t usual, open;
	sigaltstack(&stack, NULL);
	sigaction(SIGUSR1, &action, NULL);
	sigprocmask(SIG_SETMASK, NULL, &usual);
	open = usual;
	sigdelset(&open, SIGUSR1);
	const sigset_t watched = before.mask;
	before.mask = open;
	sigprocmask(SIG_SETMASK, &open, NULL);
	raise(SIGUSR1);
	sigprocmask(SIG_SETMASK, &usual, NULL);
	before.mask = watched;
}

static void call_inside(void)
{
	pthread_t thread;
	switch (who[0]) {
	case 't':
		if (pthread_create(&thread, NULL, in_thread, NULL) || pthread_join(thread, NULL))
			abort();
		break;
	case 'h': call_in_handler(); break;
	case 'c':
		if (vfork() == 0) {
			attempt_now();
			_exit(0);
		}
		wait(NULL);
		break;
	default: attempt_now(); break;
	}
}

static void perform(int line, char *text)
{
	struct argument a[6] = {{0}};
	char *name = NULL, *word, *rest = text;
	int count = 0;
	next_free = space;
	word = strsep(&rest, " ");
	if (!strcmp(word, "reset")) {
		reset();
		return;
	}
	if (!strcmp(word, "signals")) {
		set_signals(rest);
		return;
	}
	if (!strcmp(word, "inside")) {
		snprintf(who, sizeof who, "%s", rest);
		return;
	}
	if (strchr(word, '=')) {
		name = strsep(&word, "=");
	}
	long number = strtol(word, NULL, 0);
	while ((word = strsep(&rest, " ")) && count < 6)
		a[count++] = parse(word);
	is_link = number == SYS_readlinkat || number == SYS_readlink;
	attempt = (struct attempt){.number = number, .a = a};
	call_inside();
	const long result = attempt.result;
	if (result < 0) {
		printf("%d: %s%s\n", line, error_name(attempt.error), attempt.signals);
		return;
	}
	if (opens(number) || name) {
		printf("%d:", line);
		show_descriptor((int)result);
	} else if (number == SYS_getdents64 || number == SYS_getdents) {
		printf("%d: %s", line, result ? "some" : "0");
	} else {
		printf("%d: %ld", line, result);
	}
	for (int i = 0; i < count; i++)
		show(&a[i], result);
	puts(attempt.signals);
	if (name && kept_count < 64) {
		snprintf(kept[kept_count].name, sizeof kept[0].name, "%s", name);
		kept[kept_count++].fd = (int)result;
	} else if (opens(number)) {
		close((int)result);
	}
}

int main(int argc, char **argv)
{
	static char text[1 << 16];
	long size = sysconf(_SC_PAGESIZE);
	need_arguments(argc, 1, "call_script FILE");
	FILE *script = fopen(argv[1], "re");
	if (!script)
		return 2;
	start = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	ends = (char *)mmap(NULL, 4 * (size_t)size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) + 3 * size;
	mprotect(ends, (size_t)size, PROT_NONE);
	FILE *short_file = tmpfile();
	if (!short_file || ftruncate(fileno(short_file), 3 * size) < 0)
		return 2;
	cut = (char *)mmap(NULL, 4 * (size_t)size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fileno(short_file), 0) + 3 * size;
	fclose(short_file);
	for (int line = 0; fgets(text, sizeof text, script); line++) {
		text[strcspn(text, "\n")] = 0;
		perform(line, text);
	}
	fclose(script);
	puts("end");
	return 0;
}
