/* Opens each PATH, sends the descriptor over a socket to a child, which tells what it can do with it. */
#include "guest.h"

#include <sys/socket.h>
#include <sys/wait.h>

static int send_descriptor(int socket, int fd)
{
	char byte = 'x', control[CMSG_SPACE(sizeof fd)] = {0};
	struct iovec piece = {&byte, 1};
	struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(header), &fd, sizeof fd);
	return (int)sendmsg(socket, &message, 0);
}

static int receive_descriptor(int socket)
{
	int fd = -1;
	char byte, control[CMSG_SPACE(sizeof fd)];
	struct iovec piece = {&byte, 1};
	struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	if (recvmsg(socket, &message, 0) == 1 && CMSG_FIRSTHDR(&message))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
	return fd;
}

static void tell(int fd)
{
	struct stat s;
	long size;
	uint64_t hash;
	char name[64], target[4096];
	ssize_t length;
	report("  fstat", fstat(fd, &s));
	printf("  mode=%06o\n", s.st_mode);
	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	length = readlink(name, target, sizeof target);
	printf("  name: %.*s\n", length > 0 ? (int)length : 0, target);
	if (S_ISDIR(s.st_mode)) {
		report("  fchdir", fchdir(fd));
		printf("  getcwd: %s\n", getcwd(target, sizeof target) ? target : error_name(errno));
		return;
	}
	hash = hash_descriptor(fd, &size);
	printf("  read: %ld bytes, hash %016llx\n", size, (unsigned long long)hash);
}

int main(int argc, char **argv)
{
	need_arguments(argc, 1, "pass_descriptor PATH...");
	for (int i = 1; i < argc; i++) {
		int pair[2], fd;
		printf("%s\n", argv[i]);
		fflush(stdout);
		socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
		if (fork() == 0) {
			close(pair[0]);
			fd = receive_descriptor(pair[1]);
			if (fd < 0)
				puts("  nothing received");
			else
				tell(fd);
			fflush(stdout);
			_exit(0);
		}
		close(pair[1]);
		fd = open(argv[i], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			report("  open", fd);
		else
			send_descriptor(pair[0], fd);
		close(fd);
		close(pair[0]);
		wait(NULL);
	}
	return 0;
}
