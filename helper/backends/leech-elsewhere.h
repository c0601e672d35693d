/* SPDX-License-Identifier: GPL-2.0 */
/*
 * leech: what is needed to do without the other side: the hashes of what it has, asked for as long as it is there (leech-hashes.c), and the
 * chunks themselves from wherever else they are (leech-elsewhere.c).
 */
#ifndef REGIONFS_BACKENDS_LEECH_ELSEWHERE_H
#define REGIONFS_BACKENDS_LEECH_ELSEWHERE_H

#include "backends/leech.h"
#include "hash-file.h"
#include "link.h"

#define LEECH_ASK	WIRE_HASHES_MAX	/* chunks whose hashes are asked for at a time */

struct leech_elsewhere {
	struct leech *leech;
	struct places *places;		/* a reference; NULL: none was named */
	struct hash_file *file;
	bool ready;			/* it is there */
	unsigned int holds;		/* what is under way: the leech is not freed before its end */
	/* leech-hashes.c */
	bool asking, refused;		/* refused: the other side does not tell */
	bool all_known;			/* of what was missing when it was looked at */
	bool some_unknown;		/* the other side has not got them, either: they are asked for again when it is back */
	uint64_t cursor, first;		/* chunks */
	uint32_t count;
	unsigned int unsynced;
	struct link_req message;
	uint8_t body[16];
	uint8_t info[WIRE_UNAUTH_MAX];
	uint64_t size;
	struct loop_work work;
	uint8_t hashes[LEECH_ASK * CHUNK_HASH];
	/* leech-elsewhere.c */
	struct list rescues;
	unsigned int nr_rescues;
	uint64_t *nowhere;		/* chunks that nobody has, as far as those could be asked */
	uint64_t nowhere_bits;
	uint64_t at;			/* what is looked for behind */
	uint64_t skipped;		/* the first chunk that was not looked for, since somebody else was at it; UINT64_MAX: none */
	bool unsure;			/* somebody could not be asked */
	bool told;			/* what nobody has, after the last look at all of it */
	struct loop_timer again;
	uint32_t again_ms;
	struct loop_task change;	/* the other side has gone, or is back */
	bool changed;
	uint64_t mourned_at;		/* loop_now_ns(), when the log was told last that an access fails */
};

/* -ENOMEM. */
int leech_elsewhere_new(struct leech *leech, const char *dir);
void leech_elsewhere_free(struct leech_elsewhere *elsewhere);
/* Is nothing of it under way? What can be cut short is. */
bool leech_elsewhere_ends(struct leech *leech);
/* The peer is open: it is watched from now on. */
void leech_watch_peer(struct leech *leech);
/* Nothing comes from the other side now, but may from elsewhere. */
bool leech_goes_elsewhere(const struct leech *leech);
/* Those who did not have something may have it by now. */
void leech_look_anew(struct leech *leech);
/* What is missing and can be looked for is. */
void leech_seek(struct leech *leech);
/* Nobody is at it any more who was: if it is still missing, it is. */
void leech_seek_skipped(struct leech *leech);
/* The other side is lost: may this chunk come nevertheless? */
bool leech_may_come(const struct leech *leech, uint64_t chunk);
/* They do not, and an access to them fails. */
void leech_mourn(struct leech *leech, uint64_t first, uint64_t end);

/* leech-hashes.c: asks for those of what is missing, unless it does. */
void leech_ask_hashes(struct leech *leech);

#endif
