// SPDX-License-Identifier: GPL-2.0
/* extents: an ordered map of byte ranges, as a treap: a search tree by start that is a heap by random numbers, so it stays flat. */
#include <errno.h>
#include <stdlib.h>

#include "extents.h"

struct node {
	struct extent extent;
	struct node *left, *right;
	uint64_t rank;		/* no child's is higher */
};

void extents_init(struct extents *extents)
{
	extents->root = NULL;
	extents->count = 0;
	extents->bytes = 0;
}

/* Without recursion or a stack: what hangs left is turned to the right first. */
void extents_free(struct extents *extents)
{
	struct node *node = extents->root, *next;

	while (node) {
		next = node->left;
		if (next) {
			node->left = next->right;
			next->right = node;
		} else {
			next = node->right;
			free(node);
		}
		node = next;
	}
	extents_init(extents);
}

/* ---- the tree ---- */

/* Anything that is no pattern in the order of insertion will do; splitmix64 of the address and start is as good as random. */
static uint64_t rank_of(const struct node *node)
{
	uint64_t x = (uint64_t)(uintptr_t)node * 0x9e3779b97f4a7c15 ^ node->extent.start;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

/* The first one that ends beyond from. */
static struct node *find(const struct extents *extents, uint64_t from)
{
	struct node *node = extents->root, *found = NULL;

	while (node) {
		if (node->extent.end > from) {
			found = node;
			node = node->left;
		} else {
			node = node->right;
		}
	}
	return found;
}

/* The one that ends exactly there. */
static struct node *find_end(const struct extents *extents, uint64_t end)
{
	struct node *node = end ? find(extents, end - 1) : NULL;

	return node && node->extent.end == end ? node : NULL;
}

/* What starts below key, and the rest. */
static void split(struct node *node, uint64_t key, struct node **below, struct node **rest)
{
	while (node) {
		if (node->extent.start < key) {
			*below = node;
			below = &node->right;
			node = node->right;
		} else {
			*rest = node;
			rest = &node->left;
			node = node->left;
		}
	}
	*below = NULL;
	*rest = NULL;
}

static void insert(struct extents *extents, struct node *node, struct extent extent)
{
	struct node **link = (struct node **)&extents->root;

	node->extent = extent;
	node->rank = rank_of(node);
	while (*link && (*link)->rank >= node->rank)
		link = extent.start < (*link)->extent.start ? &(*link)->left : &(*link)->right;
	split(*link, extent.start, &node->left, &node->right);
	*link = node;
	extents->count++;
	extents->bytes += extent.end - extent.start;
}

static void erase(struct extents *extents, struct node *node)
{
	struct node **link = (struct node **)&extents->root, *left = node->left, *right = node->right;

	while (*link != node)
		link = node->extent.start < (*link)->extent.start ? &(*link)->left : &(*link)->right;
	while (left && right) {
		if (left->rank >= right->rank) {
			*link = left;
			link = &left->right;
			left = left->right;
		} else {
			*link = right;
			link = &right->left;
			right = right->left;
		}
	}
	*link = left ? left : right;
	extents->count--;
	extents->bytes -= node->extent.end - node->extent.start;
	free(node);
}

/* ---- ranges ---- */

static uint64_t place(uint64_t at, uint64_t further)
{
	return at == EXTENT_ZERO ? EXTENT_ZERO : at + further;
}

/* Is b where a's bytes go on? */
static bool follows(const struct extent *a, const struct extent *b)
{
	return a->end == b->start && b->at == place(a->at, a->end - a->start);
}

/* The order of starts is the same after it, so the tree stays as it is. */
static void trim(struct extents *extents, struct node *node, uint64_t start, uint64_t end)
{
	struct extent *extent = &node->extent;

	extents->bytes -= extent->end - extent->start - (end - start);
	extent->at = place(extent->at, start - extent->start);
	extent->start = start;
	extent->end = end;
}

/* half: for the second part of a range that is cut in two, NULL where that can't be. True: it was used. */
static bool cut(struct extents *extents, uint64_t start, uint64_t end, struct node *half)
{
	struct node *node;

	while ((node = find(extents, start)) && node->extent.start < end) {
		struct extent was = node->extent;

		if (was.start >= start && was.end <= end) {
			erase(extents, node);
		} else if (was.start < start) {
			trim(extents, node, was.start, start);
			if (was.end <= end)
				continue;
			insert(extents, half, (struct extent) { end, was.end, place(was.at, end - was.start) });
			return true;
		} else {
			trim(extents, node, end, was.end);
			break;
		}
	}
	return false;
}

/* Would a cut make two of one? */
static bool splits(const struct extents *extents, uint64_t start, uint64_t end)
{
	const struct node *node = find(extents, start);

	return node && node->extent.start < start && node->extent.end > end;
}

int extents_cut(struct extents *extents, uint64_t start, uint64_t end)
{
	struct node *half = NULL;

	if (start >= end)
		return 0;
	if (splits(extents, start, end)) {
		half = malloc(sizeof(*half));
		if (!half)
			return -ENOMEM;
	}
	cut(extents, start, end, half);
	return 0;
}

/* Neighbours that go on in the new one become a part of it. */
static void join(struct extents *extents, struct extent *extent)
{
	struct node *before = find_end(extents, extent->start), *after;

	if (before && follows(&before->extent, extent)) {
		extent->start = before->extent.start;
		extent->at = before->extent.at;
		erase(extents, before);
	}
	after = find(extents, extent->end);
	if (after && follows(extent, &after->extent)) {
		extent->end = after->extent.end;
		erase(extents, after);
	}
}

int extents_put(struct extents *extents, uint64_t start, uint64_t end, uint64_t at)
{
	struct extent extent = { start, end, at };
	struct node *node, *half = NULL;

	if (start >= end)
		return 0;
	node = malloc(sizeof(*node));
	if (node && splits(extents, start, end))
		half = malloc(sizeof(*half));
	if (!node || (!half && splits(extents, start, end))) {
		free(node);
		return -ENOMEM;
	}
	cut(extents, start, end, half);
	join(extents, &extent);
	insert(extents, node, extent);
	return 0;
}

bool extents_next(const struct extents *extents, uint64_t from, struct extent *extent)
{
	const struct node *node = find(extents, from);

	if (node)
		*extent = node->extent;
	return node;
}

bool extents_any(const struct extents *extents, uint64_t start, uint64_t end)
{
	const struct node *node = find(extents, start);

	return node && node->extent.start < end && start < end;
}
