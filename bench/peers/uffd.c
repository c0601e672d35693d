// SPDX-License-Identifier: GPL-2.0
/*
 * The userfaultfd peer: the least that a handler can do. A thread of the measured process (or a process) sleeps in a
 * blocking read of the descriptor (one system call a fault; poll would be a second one), and answers
 * with one UFFDIO_COPY from a buffer in huge pages, which also wakes the faulting thread.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../pattern.h"
#include "uffd.h"

static struct {
	int fd;
	char *area;
	char *source;
	size_t copy;
} uffd;

static void *anonymous(size_t size, int advice)
{
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (map == MAP_FAILED)
		err(1, "mmap of %zu bytes", size);
	madvise(map, size, advice);
	return map;
}

static void wake(size_t offset, size_t len)
{
	struct uffdio_range range = {
		.start = (uintptr_t)uffd.area + offset,
		.len = len,
	};

	if (ioctl(uffd.fd, UFFDIO_WAKE, &range))
		err(1, "UFFDIO_WAKE");
}

static void answer(uintptr_t address)
{
	size_t offset = (address - (uintptr_t)uffd.area) & ~(uffd.copy - 1);
	size_t done = 0;

	while (done < uffd.copy) {
		struct uffdio_copy copy = {
			.dst = (uintptr_t)uffd.area + offset + done,
			.src = (uintptr_t)uffd.source + offset + done,
			.len = uffd.copy - done,
		};

		if (!ioctl(uffd.fd, UFFDIO_COPY, &copy))
			return;
		if (errno == EEXIST)	/* another fault of the same piece was first */
			break;
		if (errno != EAGAIN)
			err(1, "UFFDIO_COPY");
		if (copy.copy > 0)
			done += copy.copy;
	}
	wake(offset, uffd.copy);
}

static void *handle(void *unused)
{
	struct uffd_msg msg[16];
	ssize_t got, i;

	(void)unused;
	for (;;) {
		got = read(uffd.fd, msg, sizeof(msg));
		if (got < 0)
			err(1, "read of the userfaultfd");
		for (i = 0; i < got / (ssize_t)sizeof(*msg); i++)
			if (msg[i].event == UFFD_EVENT_PAGEFAULT)
				answer(msg[i].arg.pagefault.address);
	}
	return NULL;
}

static void start_process(void)
{
	pid_t pid = fork();

	if (pid < 0)
		err(1, "a process for userfaultfd");
	if (pid)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	handle(NULL);
}

static void start_thread(void)
{
	pthread_t thread;
	int error = pthread_create(&thread, NULL, handle, NULL);

	if (error)
		errx(1, "a thread for userfaultfd: %s", strerror(error));
	pthread_detach(thread);
}

void *uffd_map(size_t size, size_t copy, int process)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	uffd.copy = copy;
	uffd.source = anonymous(size, MADV_HUGEPAGE);
	pattern_fill(uffd.source, 0, size);
	uffd.area = anonymous(size, MADV_NOHUGEPAGE);

	uffd.fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (uffd.fd < 0 || ioctl(uffd.fd, UFFDIO_API, &api))
		err(1, "userfaultfd");
	reg.range.start = (uintptr_t)uffd.area;
	reg.range.len = size;
	if (ioctl(uffd.fd, UFFDIO_REGISTER, &reg))
		err(1, "UFFDIO_REGISTER");
	if (process)
		start_process();
	else
		start_thread();
	return uffd.area;
}

void uffd_drop(void *area, size_t size)
{
	if (madvise(area, size, MADV_DONTNEED))
		err(1, "MADV_DONTNEED");
}
