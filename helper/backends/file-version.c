// SPDX-License-Identifier: GPL-2.0
/* file-version: see file-version.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "backend.h"
#include "backends/file-journal.h"
#include "backends/file-version.h"

/* No tick is longer. */
#define TICK_NS 10000000

/* The clock that files' times are of. */
struct timespec file_version_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return now;
}

static bool is_before(const struct statx_timestamp *time, struct timespec now)
{
	return time->tv_sec < now.tv_sec || (time->tv_sec == now.tv_sec && time->tv_nsec < now.tv_nsec);
}

bool file_version_is_settled(const struct statx *st, struct timespec now)
{
	return is_before(&st->stx_mtime, now) && is_before(&st->stx_ctime, now);
}

void file_version_wait(void)
{
	const struct timespec tick = { .tv_nsec = TICK_NS };

	nanosleep(&tick, NULL);
}

static int look(int fd, struct statx *st)
{
	for (int try = 1;; try++) {
		struct timespec now = file_version_now();

		/* of a file on another host: as it is there */
		if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, FILE_VERSION_STATX, st))
			return -errno;
		if (file_version_is_settled(st, now) || try == FILE_VERSION_TRIES)
			return 0;
		file_version_wait();
	}
}

int file_version(int fd, char *text)
{
	uint64_t identity[BACKEND_IDENTITY];
	struct statx st;
	int err = look(fd, &st);

	if (!err)
		err = file_journal_identity(fd, identity);
	if (err)
		return err;
	snprintf(text, BACKEND_VERSION_MAX, "file-%llx-%llx.%llx-%llx-%llx.%x-%llx.%x", (unsigned long long)identity[1],
		 (unsigned long long)identity[2], (unsigned long long)identity[3], (unsigned long long)st.stx_size,
		 (unsigned long long)st.stx_mtime.tv_sec, st.stx_mtime.tv_nsec, (unsigned long long)st.stx_ctime.tv_sec,
		 st.stx_ctime.tv_nsec);
	return 0;
}
