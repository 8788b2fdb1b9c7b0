/*
 * A program whose parent supervises its opening and looking, with a filter that has a listener, and lets all of it go on.
 * usage: own_listener FILE MISSING
 */
#include "guest.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static struct sock_filter steps[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 1, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_newfstatat, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

static void supervise(int listener)
{
	union { struct seccomp_notif request; char room[256]; } in;
	union { struct seccomp_notif_resp answer; char room[256]; } out;
	for (;;) {
		memset(&in, 0, sizeof in);
		memset(&out, 0, sizeof out);
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &in) < 0)
			return; /* it has ended */
		out.answer.id = in.request.id;
		out.answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &out);
	}
}

static void be_supervised(int socket, char **words)
{
	struct sock_fprog filter = {sizeof steps / sizeof steps[0], steps};
	struct stat s;
	char byte;
	report("no_new_privs", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	int listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter);
	report_success("listener", listener);
	if (write(socket, &listener, sizeof listener) == sizeof listener && read(socket, &byte, 1) == 1) {
		report_success("open", open(words[1], O_RDONLY));
		report("stat", stat(words[1], &s));
		report("missing", stat(words[2], &s));
	}
	fflush(stdout);
	_exit(0);
}

int main(int count, char **words)
{
	int pair[2], number = -1;
	need_arguments(count, 2, "own_listener FILE MISSING");
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		return 1;
	pid_t child = fork();
	if (!child) {
		alarm(30);
		be_supervised(pair[1], words);
	}
	if (read(pair[0], &number, sizeof number) != sizeof number)
		return 1;
	int listener = number < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, syscall(SYS_pidfd_open, child, 0), number, 0);
	pid_t supervisor = fork();
	if (!supervisor) {
		supervise(listener);
		_exit(0);
	}
	if (write(pair[0], "x", 1) != 1)
		return 1;
	waitpid(child, NULL, 0);
	kill(supervisor, SIGKILL);
	waitpid(supervisor, NULL, 0);
	return 0;
}
