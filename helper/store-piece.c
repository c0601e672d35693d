// SPDX-License-Identifier: GPL-2.0
/* store-piece: where bytes are, when the base may lack what a generation has (store-private.h). */
#include "store-private.h"

/*
 * The newest generation that has the page has its bytes. Ranges begin with pages; one that ends in the middle of one ended with the
 * region, and what follows is zero.
 */
static void piece_of_gens(struct store *store, uint64_t from, uint64_t limit, struct piece *piece)
{
	uint64_t page = store_page_down(from);

	piece->where = PIECE_ABSENT;
	piece->end = limit;
	for (struct list *pos = store->gens.prev; pos != &store->gens; pos = pos->prev) {
		struct gen *gen = store_gen_of(list_entry(pos, struct store_gen, list));
		struct extent extent;
		bool any = extents_next(&gen->gen.changed, page, &extent);

		if (!any || (extent.start > page && extent.start >= piece->end))
			continue;
		if (extent.start > page) {
			piece->end = extent.start;
			continue;
		}
		piece->where = extent.at == EXTENT_ZERO || extent.end <= from ? PIECE_ZERO : PIECE_LOG;
		piece->at = extent.at + (from - extent.start);
		if (extent.end <= from)
			extent.end = store_page_up(extent.end);
		if (extent.end < piece->end)
			piece->end = extent.end;
		return;
	}
}

void store_piece(struct store *store, uint64_t from, uint64_t limit, struct piece *piece)
{
	uint64_t offset, length;

	if (!base_absent(store->base, store_page_down(from), store_page_up(limit), &offset, &length)) {
		piece->where = PIECE_BASE;
		piece->end = limit;
	} else if (offset > from) {
		piece->where = PIECE_BASE;
		piece->end = offset < limit ? offset : limit;
	} else {
		if (limit > offset + length)
			limit = offset + length;
		if (atomic_load(&store->holes)) {
			piece_of_gens(store, from, limit, piece);
			return;
		}
		piece->where = PIECE_ABSENT;
		piece->end = limit;
	}
}

static bool all_here(struct store *store, uint64_t from, uint64_t limit)
{
	struct piece piece;

	while (from < limit) {
		store_piece(store, from, limit, &piece);
		if (piece.where == PIECE_ABSENT)
			return false;
		from = piece.end;
	}
	return true;
}

/* Generations are the home loop's: others ask it. */
bool store_present(struct store *store, uint64_t offset, uint64_t length)
{
	if (base_present(store->base, offset, length))
		return true;
	if (!atomic_load(&store->holes) || loop_current() != store->loop)
		return false;
	return base_checked(store->base, offset, length) && all_here(store, offset, offset + length);
}

bool store_absent(struct store *store, uint64_t from, uint64_t limit, uint64_t *offset, uint64_t *length)
{
	struct piece piece;

	if (!atomic_load(&store->holes))
		return base_absent(store->base, from, limit, offset, length);
	for (from = store_page_down(from); from < limit; from = piece.end) {
		store_piece(store, from, store_page_up(limit), &piece);
		if (piece.where == PIECE_ABSENT) {
			*offset = from;
			*length = piece.end - from;
			return true;
		}
	}
	return false;
}
