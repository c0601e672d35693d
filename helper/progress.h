/* SPDX-License-Identifier: GPL-2.0 */
/* Progress of long work: a bar that redraws itself on a terminal, now and then a line elsewhere. */
#ifndef REGIONFS_PROGRESS_H
#define REGIONFS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct regionfs_progress {
	FILE *to;
	const char *label;	/* what is done, "pull db.sqlite"; kept by the caller */
	bool terminal;
	bool shown;		/* something stands on the current line, or was printed */
	bool bytes;		/* the unit is bytes: print sizes and a rate */
	int columns;
	uint64_t started_ms;
	uint64_t printed_ms;
	uint64_t last_done;
	uint64_t moved_ms;	/* when it came to last_done: waiting doesn't lower the rate */
	uint64_t first_done;	/* of the first update: it doesn't count for the rate */
	bool has_first;
};

void regionfs_progress_init(struct regionfs_progress *progress, FILE *to, const char *label);

/*
 * total 0: not known yet. Draws at most ten times a second on a terminal, each five seconds
 * elsewhere.
 */
void regionfs_progress_update(struct regionfs_progress *progress, uint64_t done, uint64_t total,
			      const char *unit, uint64_t now_ms);

/* Ends the line, so that what is printed next starts on its own. */
void regionfs_progress_end(struct regionfs_progress *progress);

/* One line without newline, at most columns wide. Split off for its test. Returns text. */
const char *regionfs_progress_line(const struct regionfs_progress *progress, uint64_t done,
				   uint64_t total, uint64_t now_ms, char *text, size_t room);

uint64_t regionfs_progress_now(void);

#endif
