/*
 * Executes PROGRAM with ARGUMENTS in every way, each in a child of its own, and tells how each ended.
 * A PROGRAM that is missing or not executable shows the errors.
 */
#include "guest.h"

#include <pthread.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;
static char **arguments;
static char *program;

static int by_execve(void)
{
	return execve(program, arguments, environ);
}

static int by_execveat(void)
{
	return (int)syscall(SYS_execveat, AT_FDCWD, program, arguments, environ, 0);
}

static int by_execveat_nofollow(void)
{
	return (int)syscall(SYS_execveat, AT_FDCWD, program, arguments, environ, AT_SYMLINK_NOFOLLOW);
}

static int by_execveat_empty(void)
{
	int fd = open(program, O_PATH | O_CLOEXEC);
	return fd < 0 ? fd : (int)syscall(SYS_execveat, fd, "", arguments, environ, AT_EMPTY_PATH);
}

static int by_fexecve(void)
{
	int fd = open(program, O_RDONLY);
	return fd < 0 ? fd : fexecve(fd, arguments, environ);
}

static int relative_to_directory(void)
{
	char *copy = strdup(program), *slash = strrchr(copy, '/');
	int fd;
	if (!slash)
		return by_execve();
	*slash = 0;
	fd = open(*copy ? copy : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? fd : (int)syscall(SYS_execveat, fd, slash + 1, arguments, environ, 0);
}

static int after_chdir(void)
{
	char *copy = strdup(program), *slash = strrchr(copy, '/'), path[4096];
	if (!slash)
		return by_execve();
	*slash = 0;
	if (chdir(*copy ? copy : "/") < 0)
		return -1;
	snprintf(path, sizeof path, "./%s", slash + 1);
	return execve(path, arguments, environ);
}

static void *thread_body(void *unused)
{
	(void)unused;
	by_execve();
	printf("-1 %s\n", error_name(errno));
	fflush(stdout);
	_exit(99);
}

static int from_a_thread(void)
{
	pthread_t thread;
	pthread_create(&thread, NULL, thread_body, NULL);
	pthread_join(thread, NULL);
	return -1;
}

static void told(const char *name, int status)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) != 99)
		printf("%s: exit %d\n", name, WEXITSTATUS(status));
	else if (WIFSIGNALED(status))
		printf("%s: signal %d\n", name, WTERMSIG(status));
	fflush(stdout);
}

static void in_a_child(const char *name, int (*variant)(void))
{
	int status;
	printf("%s: begins\n", name);
	fflush(stdout);
	if (fork() == 0) {
		variant();
		printf("-1 %s\n", error_name(errno));
		fflush(stdout);
		_exit(99);
	}
	wait(&status);
	told(name, status);
}

static void by_vfork(void)
{
	volatile int error = 0;
	int status;
	pid_t child;
	puts("vfork: begins");
	fflush(stdout);
	child = vfork();
	if (child == 0) {
		execve(program, arguments, environ);
		error = errno; /* the memory is shared: the parent sees it */
		_exit(99);
	}
	waitpid(child, &status, 0);
	if (error)
		printf("-1 %s\n", error_name(error));
	told("vfork", status);
}

static void by_posix_spawn(const char *name, const char *path, const posix_spawn_file_actions_t *actions,
			   int (*spawn)(pid_t *, const char *, const posix_spawn_file_actions_t *,
					const posix_spawnattr_t *, char *const[], char *const[]))
{
	int status, error;
	pid_t child;
	printf("%s: begins\n", name);
	fflush(stdout);
	error = spawn(&child, path, actions, NULL, arguments, environ);
	if (error) {
		printf("-1 %s\n", error_name(error));
		return;
	}
	waitpid(child, &status, 0);
	told(name, status);
}

/* The child goes to the program's directory, opens the program there as its input, and executes it by its last name. */
static void by_posix_spawn_elsewhere(void)
{
	char *copy = strdup(program), *slash = strrchr(copy, '/'), path[4096];
	posix_spawn_file_actions_t actions;
	if (slash)
		*slash = 0;
	snprintf(path, sizeof path, "./%s", slash ? slash + 1 : copy);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addchdir_np(&actions, !slash ? "." : *copy ? copy : "/");
	posix_spawn_file_actions_addopen(&actions, 9, path, O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, 9, STDIN_FILENO);
	posix_spawn_file_actions_addclose(&actions, 9);
	by_posix_spawn("posix_spawn with file actions", path, &actions, posix_spawn);
	posix_spawn_file_actions_destroy(&actions);
	free(copy);
}

int main(int argc, char **argv)
{
	need_arguments(argc, 1, "exec_variants PROGRAM [ARGUMENT...]");
	program = argv[1];
	arguments = argv + 1;
	in_a_child("execve", by_execve);
	in_a_child("execveat", by_execveat);
	in_a_child("execveat nofollow", by_execveat_nofollow);
	in_a_child("execveat empty path", by_execveat_empty);
	in_a_child("fexecve", by_fexecve);
	in_a_child("execveat relative to its directory", relative_to_directory);
	in_a_child("execve relative after chdir", after_chdir);
	in_a_child("from a thread", from_a_thread);
	by_vfork();
	by_posix_spawn("posix_spawn", program, NULL, posix_spawn);
	by_posix_spawn("posix_spawnp", program, NULL, posix_spawnp);
	by_posix_spawn_elsewhere();
	return 0;
}
