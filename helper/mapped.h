/* SPDX-License-Identifier: GPL-2.0 */
/* mapped: a file in memory that outlives a killed process: on the run directory's tmpfs, mapped shared. */
#ifndef REGIONFS_MAPPED_H
#define REGIONFS_MAPPED_H

#include <stddef.h>

struct mapped {
	int fd;		/* -1: closed */
	void *addr;
	size_t len;	/* bytes that are mapped, and have their room */
};

/* flags: of open(2), for O_CREAT and O_EXCL. path NULL: a file without a name, which goes with the process. The file may move with each grow. */
int mapped_open(struct mapped *mapped, const char *path, int flags, size_t len);
/* At least len bytes; new ones are zero. -ENOSPC here, so that there is no SIGBUS later. */
int mapped_grow(struct mapped *mapped, size_t len);
/* The file stays. */
void mapped_close(struct mapped *mapped);

#endif
