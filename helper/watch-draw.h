/* SPDX-License-Identifier: GPL-2.0 */
/* watch-draw: what regionctl watch shows, as text: lines that end in newlines, without escape codes. */
#ifndef REGIONFS_WATCH_DRAW_H
#define REGIONFS_WATCH_DRAW_H

#include <jansson.h>
#include <stdint.h>

#include "text.h"

struct watch_frame {
	const json_t *now;	/* stat's answer for a managed region, control.h */
	const json_t *before;	/* the one before it, or NULL: there are no rates yet */
	uint64_t elapsed_ms;	/* between the two */
	const json_t *map;	/* map's answer; NULL: the region is not open */
	unsigned int columns;	/* that a line may have */
};

/* How many buckets to ask a map for, so that it fills some lines. */
unsigned int watch_buckets(uint64_t size, unsigned int columns);
void watch_draw(struct text *to, const struct watch_frame *frame);

/* "PATH, whose source is away", or "": what the push part of stat's answer waits for. Into text. */
const char *watch_waits_for(const json_t *push, char *text, size_t len);

/* ---- its parts, for their tests ---- */

/* One bucket's character: what moves, or is not at the source yet, is seen however little it is; else what is most. */
char watch_cell(const json_t *bucket, uint64_t bytes);
/* A bar for each factor of four, from the shortest to the longest that there were. */
void watch_waits(struct text *to, const json_t *wait, unsigned int columns);

#endif
