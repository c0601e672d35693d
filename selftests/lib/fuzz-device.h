/* SPDX-License-Identifier: GPL-2.0 */
/* Between the parts of the attacker of the device. */
#ifndef SELFTESTS_FUZZ_DEVICE_H
#define SELFTESTS_FUZZ_DEVICE_H

#include "chan.h"
#include "fuzz.h"

#define FD_TAGS		32
#define FD_BUF		(64u << 10)	/* requests are no longer */

struct fd_map {
	struct regionfs_local_map *map;
	int bytes, fd;			/* the file, and the map's */
	size_t length;
};

/* One helper, or what poses as one. */
struct fd_helper {
	struct chan c;			/* the first queue's thread */
	unsigned int prey;
	unsigned int queues, depth;
	uint64_t epoch_guess;
	uint64_t token[FUZZ_IDS];	/* by region, modulo */
	char *desc;			/* descriptors, in memory of their own: they are no bytes of a region */
	char *buf;			/* FD_BUF for each tag, all of FUZZ_BYTE and 0 */
	char *trap;			/* a readable page, then one that is not there, then one that can only be read */
	char *window;			/* a mapping of a region, or NULL */
	char *args;			/* where structs are put */
	struct fd_map local;
	bool attached, stop;
};

/* fuzz-device-args.c */
void fd_memory(struct fd_helper *h);
void fd_local_open(struct fd_helper *h);
void fd_local_stir(struct fd_helper *h);
uint64_t fd_address(struct fd_helper *h, unsigned int tag);
void fd_attach_args(struct fd_helper *h, struct regionfs_attach *at, bool spoil);
uint64_t fd_struct(struct fd_helper *h, uint32_t op);
void fd_result(struct fd_helper *h, uint32_t op, uint64_t addr, int res);

#endif
