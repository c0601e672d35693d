/* SPDX-License-Identifier: GPL-2.0 */
/*
 * follower-record: what of a follower outlives its helper, but not the host: whether the local store has one whole state, and what of the next one
 * has come. The next state's chunks are in a file beside it, each where it is in the region. Once all are there the record says so, and from then on they
 * are brought to the local store, by whichever helper: doing so twice does no harm. Before that the next helper needs them as well: what has come of a
 * round that was lost is in no later list, if it was not changed since.
 *
 * Which chunks the local store has at all is a chunkmap, the same as a leech's: a follower that is promoted becomes one.
 */
#ifndef REGIONFS_FOLLOWER_RECORD_H
#define REGIONFS_FOLLOWER_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "mapped.h"

struct config;

enum follower_phase {
	FOLLOWER_PARTIAL	= 0,	/* the local store has no state whole, for all that is known */
	FOLLOWER_WHOLE		= 1,
	FOLLOWER_APPLYING	= 2,	/* what is staged is whole, and on its way to the local store */
};

/* At the start of the mapped file; two bitmaps follow. */
struct follower_head {
	uint64_t magic;
	uint32_t version;
	uint32_t phase;
	uint64_t instance;
	uint64_t moment;		/* loop_now_ns() of this boot, at or before the moment that is shown */
	uint64_t next_moment, next_size;	/* of what is staged */
	uint32_t next_round;
	uint32_t moving;		/* the bitmaps are: whoever finds that knows nothing of them */
	uint64_t epoch, lineage;	/* of the region over there */
	uint64_t bits;			/* of each bitmap */
	uint64_t least;			/* size that was listed since what is shown, and 1; 0: none */
};

struct follower_record {
	struct mapped file;
	int fd;				/* of the staged chunks; -1 */
	char path[4096], staged_path[4096];
};

/* As an earlier helper of this life of the instance has left it, or new. *unsure: it is not known what was staged, so nothing is. -ENOMEM, and what files come to. */
int follower_record_open(struct follower_record *record, const struct config *config, uint64_t instance, const char *token, bool *unsure);
/* The files stay. */
void follower_record_close(struct follower_record *record);
void follower_record_unlink(const struct config *config, const char *token);
/* Is there one? Nobody may have it open. */
bool follower_record_exists(const struct config *config, const char *token);

struct follower_head *follower_head(const struct follower_record *record);
/* What it depends on was written before. */
void follower_set_phase(struct follower_record *record, enum follower_phase phase);
/* For so many chunks. -ENOSPC, -ENOMEM. */
int follower_record_fit(struct follower_record *record, uint64_t chunks);
/* Chunks that are staged; of these, those that are zeroes, which are not in the file. */
uint64_t *follower_staged(const struct follower_record *record);
uint64_t *follower_zero(const struct follower_record *record);
uint64_t follower_bits(const struct follower_record *record);
/* Nothing is staged any more. */
void follower_record_clear(struct follower_record *record);

#endif
