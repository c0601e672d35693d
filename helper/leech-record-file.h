/* SPDX-License-Identifier: GPL-2.0 */
/* leech-record-file: the file of a leech-record, and what is written to it. For leech-record.c. */
#ifndef REGIONFS_LEECH_RECORD_FILE_H
#define REGIONFS_LEECH_RECORD_FILE_H

#include "leech-record.h"

#define RECORD_PAGE	4096u
#define RECORD_BITS	(2 * RECORD_PAGE)	/* where they begin */
#define RECORD_BLOCK	(RECORD_PAGE * 8ULL)	/* chunks of a page */

/* A page. */
struct record_slot {
	uint64_t magic;
	uint32_t version;
	uint32_t crc;			/* of the page, with 0 here */
	uint64_t seq;
	struct leech_record_head head;
};

/* One save: pages of bits that have changed, and the head that goes with them. */
struct record_write {
	int fd;				/* -1: made first, at path */
	const char *path;
	struct record_slot slot;
	bool shrinks;			/* then the head goes first */
	uint64_t room;			/* bytes of the file that are to be there */
	unsigned int nr;
	uint32_t *page;			/* which ones */
	uint8_t *data;			/* RECORD_PAGE of each */
};

/* In the pool. 0 or a negative errno; fd is set when the file was opened, in either case. */
int record_write(struct record_write *write);
/* The newer head, as it is on the disk. -ENODATA: none was ever written; -ESTALE: they cannot be read; blocks. */
int record_read_head(int fd, struct record_slot *slot);

#endif
