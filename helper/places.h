/* SPDX-License-Identifier: GPL-2.0 */
/*
 * places: all that may have bytes of a region, and the search in them for those that have a certain hash.
 *
 * Threads: the main loop's alone. Life: by references, since the region's backend may outlive who named them.
 */
#ifndef REGIONFS_PLACES_H
#define REGIONFS_PLACES_H

#include <stddef.h>
#include <stdint.h>

#include "chunk-hash.h"

struct places;
struct places_search;
struct regiond;

/* Backends, who search, are linked without what a place is made of. */
struct places_ops {
	struct places_search *(*search)(struct places *places, uint64_t offset, uint32_t length, const uint8_t hash[CHUNK_HASH],
					void (*done)(void *arg, int error, uint8_t *data), void *arg);
	void (*cancel)(struct places_search *search);
	void (*free)(struct places *places);
};

struct places {
	const struct places_ops *ops;
	unsigned int users, nr;
};

/* NULL: no memory. One reference. */
struct places *places_new(struct regiond *regiond);

static inline struct places *places_get(struct places *places)
{
	places->users++;
	return places;
}

static inline void places_put(struct places *places)
{
	if (places && !--places->users)
		places->ops->free(places);
}

static inline unsigned int places_nr(const struct places *places)
{
	return places ? places->nr : 0;
}

/* One more, unless it is there already. uri: one that place_check() has taken. -ENOMEM. */
int places_add(struct places *places, const char *uri);
const char *places_uri(const struct places *places, unsigned int i);
/*
 * The length bytes at offset, which have that hash. Once, never from within: done(arg, error, data), data malloc'ed and the callee's when error is 0. -ENODATA:
 * all were asked, and none has them; -EHOSTUNREACH: nor has any that could be asked. NULL: no memory.
 */
static inline struct places_search *places_search(struct places *places, uint64_t offset, uint32_t length, const uint8_t hash[CHUNK_HASH],
						  void (*done)(void *arg, int error, uint8_t *data), void *arg)
{
	return places->ops->search(places, offset, length, hash, done, arg);
}

/* done does not come. */
static inline void places_cancel(const struct places *places, struct places_search *search)
{
	places->ops->cancel(search);
}

#endif
