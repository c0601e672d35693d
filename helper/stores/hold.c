// SPDX-License-Identifier: GPL-2.0
/* hold: see hold.h. */
#include <errno.h>
#include <sys/file.h>
#include <time.h>

#include "stores/hold.h"

#define TRIES		200u
#define TRY_NS		10000000l

int hold_file(int fd)
{
	const struct timespec pause = { .tv_nsec = TRY_NS };

	for (unsigned int i = 0; flock(fd, LOCK_EX | LOCK_NB); i++) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return 0;
		if (i == TRIES)
			return -EBUSY;
		nanosleep(&pause, NULL);
	}
	return 0;
}
