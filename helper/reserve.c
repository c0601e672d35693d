// SPDX-License-Identifier: GPL-2.0
/* reserve: see reserve.h. */
#include <sys/statvfs.h>

#include "reserve.h"

#define SHARE	16u
#define MOST	(1ULL << 30)

uint64_t reserve_of(uint64_t total)
{
	return total / SHARE < MOST ? total / SHARE : MOST;
}

bool reserve_is_left(int fd, uint64_t length)
{
	struct statvfs st;

	if (fstatvfs(fd, &st) || !st.f_blocks)
		return true;
	return (uint64_t)st.f_bavail * st.f_frsize > reserve_of((uint64_t)st.f_blocks * st.f_frsize) + length;
}
