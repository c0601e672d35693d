// SPDX-License-Identifier: GPL-2.0
/* What a helper that is killed has left of a cut: it is in the log, pushed, and the region is longer by the time that the next one opens it. */
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "managed.h"
#include "region-private.h"
#include "tests/managed-file.h"

#define SIZE	300000u
#define CUT	162344u
#define LATER	325205u
#define AT	204800u		/* a page that is written before the cut */
#define PAGE	4096u
#define POLICY	"local=memory durability=local pull-order=none push-interval=1h"

static char bytes[SIZE];

static void begin(const char *dir)
{
	source_begin_in(dir);
	managed_file_begin();
}

static void make_source(void)
{
	int fd = open(file, O_RDWR | O_CREAT | O_TRUNC, 0600);

	memset(bytes, 'a', sizeof(bytes));
	if (write(fd, bytes, SIZE) != SIZE)
		exit(99);
	close(fd);
}

/* All of it is at the source, and still in the log. */
static void live(const char *dir)
{
	struct backend *backend;

	begin(dir);
	backend = managed_file_start(POLICY, SIZE);
	memset(bytes, 'b', PAGE);
	if (ask(backend, BACKEND_WRITE, AT, PAGE, bytes) || managed_file_flush(backend))
		_exit(1);
	if (ask(backend, BACKEND_RESIZE, CUT, CUT, NULL) || managed_file_flush(backend))
		_exit(1);
	kill(getpid(), SIGKILL);
}

/* A program has written past the end meanwhile: the kernel has told its size, and has those bytes. */
static void test_longer(void)
{
	struct backend *backend = managed_file_start(POLICY, LATER);

	memset(bytes, 'c', PAGE * 2);
	tap_number(ask(backend, BACKEND_WRITE, LATER / PAGE * PAGE, LATER % PAGE, bytes), 0, "the region grows");
	tap_ok(managed_file_is_zero(backend, AT, AT + PAGE), "what was cut off, and pushed, is not there again");
	tap_ok(managed_file_is_zero(backend, CUT, AT), "nor what is beside it");
	managed_forget(managed_of(backend), true);
	source_close(backend);
}

int main(void)
{
	char dir[] = "/tmp/regionfs-test.XXXXXX";
	int status = 0;
	pid_t pid;

	if (!mkdtemp(dir))
		return 99;
	snprintf(file, sizeof(file), "%s/source", dir);
	make_source();
	pid = fork();
	if (!pid)
		live(dir);
	waitpid(pid, &status, 0);
	tap_ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "a helper is killed");
	begin(dir);
	test_longer();
	source_end();
	return tap_end();
}
