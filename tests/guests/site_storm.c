/*
 * Threads come upon the same call sites for the first time at the same moment, new threads among them, while one more
 * loads libraries, forks, vforks and spawns.  Every task checks its own answers; the count of wrong ones is printed.
 * usage: site_storm THREADS PRESENT MISSING
 */
#include "guest.h"

#include <dlfcn.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/wait.h>
#include "site_forms.h"

extern char **environ;
static const char *present, *missing;
static pthread_barrier_t together;
static int wrong;

static int ask(site *at)
{
	struct stat s;
	memset(&s, 0, sizeof s);
	int bad = at(present, &s) != 0 || !S_ISREG(s.st_mode);
	return bad + (at(missing, &s) != -ENOENT) + (at(NULL, &s) != -EFAULT);
}

static void *first_calls(void *unused)
{
	for (size_t i = 0; i < SITE_COUNT; i++) {
		pthread_barrier_wait(&together);
		for (int again = 0; again < 20; again++)
			__atomic_fetch_add(&wrong, ask(sites[i]), __ATOMIC_RELAXED);
	}
	return unused;
}

static void *one_call(void *at)
{
	__atomic_fetch_add(&wrong, ask(*(site **)at), __ATOMIC_RELAXED);
	return NULL;
}

static void reap(pid_t child)
{
	int status = -1;
	wrong += waitpid(child, &status, 0) != child || status != 0;
}

static void *others(void *unused)
{
	static const char *const libraries[] = {"libresolv.so.2", "libutil.so.1", "libnsl.so.1", "libanl.so.1", "librt.so.1"};
	char *words[] = {"true", NULL};
	for (volatile size_t i = 0; i < SITE_COUNT; i++) {
		pthread_barrier_wait(&together);
		volatile pid_t child;
		pthread_t thread;
		if (i % 30 == 0 && i / 30 < sizeof libraries / sizeof libraries[0])
			dlopen(libraries[i / 30], RTLD_NOW);
		if (i % 10 == 1) {
			if ((child = fork()) == 0)
				_exit(ask(sites[i]) + ask(sites[(i + 1) % SITE_COUNT]));
			reap(child);
		} else if (i % 10 == 2) {
			if ((child = vfork()) == 0)
				_exit(ask(sites[i]));
			reap(child);
		} else if (i % 10 == 3) {
			wrong += posix_spawn((pid_t *)&child, "/bin/true", NULL, NULL, words, environ) != 0;
			reap(child);
		} else if (pthread_create(&thread, NULL, one_call, (void *)&sites[i]) == 0) {
			pthread_join(thread, NULL);
		}
	}
	return unused;
}

int main(int count, char **words)
{
	need_arguments(count, 3, "site_storm THREADS PRESENT MISSING");
	int threads = atoi(words[1]);
	pthread_t ids[65];
	present = words[2];
	missing = words[3];
	if (threads == 0) {
		for (size_t i = 0; i < SITE_COUNT * 20; i++)
			wrong += ask(sites[i % SITE_COUNT]);
	} else {
		pthread_barrier_init(&together, NULL, (unsigned)threads + 1);
		for (int i = 0; i <= threads; i++)
			pthread_create(&ids[i], NULL, i == threads ? others : first_calls, NULL);
		for (int i = 0; i <= threads; i++)
			pthread_join(ids[i], NULL);
	}
	printf("wrong: %d of %zu sites\n", wrong, SITE_COUNT);
	return wrong != 0;
}
