/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the parts of fuzz-kernel have in common: chance, the prey, and the counts of what was done and what came of it.
 *
 * All bytes that anyone puts into a region of the prey are 0 or FUZZ_BYTE: whoever reads another one has been shown memory that is not the region's.
 */
#ifndef SELFTESTS_FUZZ_H
#define SELFTESTS_FUZZ_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <linux/regionfs.h>

#define FUZZ_BYTE	0x5a
#define FUZZ_PREYS	3		/* the last one is mounted by attackers alone */
#define FUZZ_MOUNTED	2		/* so many stay mounted, at fuzz_dir() */
#define FUZZ_FILES	5
#define FUZZ_IDS	16
#define FUZZ_ERRNOS	140		/* the last one stands for all above it */

/* Kinds of things that are done: a base, and a number. */
#define FUZZ_NL		0				/* + enum regionfs_cmd; the last: unknown ones */
#define FUZZ_NL_DONE	(FUZZ_NL + 24)			/* the same: how they ended */
#define FUZZ_IO		(FUZZ_NL_DONE + 24)		/* + _IOC_NR of the command; 0: unknown ones */
#define FUZZ_FILE	(FUZZ_IO + 8)			/* + number in fuzz-file.c */
#define FUZZ_MOUNT	(FUZZ_FILE + 48)		/* + number in fuzz-mount.c */
#define FUZZ_KINDS	(FUZZ_MOUNT + 8)

/* Shared by all processes. */
struct fuzz_world {
	uint64_t count[FUZZ_KINDS][FUZZ_ERRNOS];
	uint64_t internal;		/* errors that no program may see, as -512 */
	int64_t internal_kind, internal_error;
	uint64_t strange;		/* bytes that nobody wrote */
	int64_t strange_byte, strange_offset;
	uint64_t ids[FUZZ_PREYS][FUZZ_IDS];	/* of regions that are there, or were */
	uint64_t good_rounds, good_failed;
	char good[REGIONFS_NAME_MAX + 1];	/* the instance that nobody may disturb */
};

extern struct fuzz_world *fuzz_world;
extern const char *const fuzz_file_names[], *const fuzz_mount_names[];

/* Chance: each thread's own, begun by fuzz_seed(). */
void fuzz_seed(uint64_t seed);
uint64_t fuzz_next(void);
uint64_t fuzz_below(uint64_t limit);
bool fuzz_one_in(unsigned int n);
uint64_t fuzz_odd(void);		/* near something interesting */
uint64_t fuzz_size(void);		/* of a file, mostly small */
#define fuzz_of(...) ({							\
	static const __typeof__((__VA_ARGS__)[0]) __list[] = __VA_ARGS__;	\
	__list[fuzz_below(sizeof(__list) / sizeof(__list[0]))]; })

/* Names. */
unsigned int fuzz_prey(void);				/* one of them */
const char *fuzz_name(unsigned int prey);		/* static buffer, per thread, as the next ones */
const char *fuzz_dir(unsigned int prey);
const char *fuzz_rel(void);				/* a path within an instance */
uint64_t fuzz_id(unsigned int prey);			/* a region that is there, mostly */
void fuzz_note_id(unsigned int prey, uint64_t id);

/* Result is at least 0, or -errno. */
void fuzz_count(int kind, long result);
void fuzz_check_bytes(const void *buf, size_t len, uint64_t offset);
void fuzz_print(void);

/* The attackers: each runs until it is killed or has done enough; arg is the seed. */
int fuzz_netlink(void *arg);
int fuzz_device(void *arg);
int fuzz_file(void *arg);
int fuzz_mount(void *arg);

#endif
