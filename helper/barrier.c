// SPDX-License-Identifier: GPL-2.0
/* barrier: see barrier.h for the rule, and why it is enough. */
#include <errno.h>
#include <stdlib.h>

#include "barrier.h"

struct barrier_left {
	struct list list;
	struct barrier_node node;
	uint64_t key;
};

/* ---- heaps ---- */

static void heap_put(struct barrier_heap *heap, size_t at, struct barrier_node *node)
{
	heap->nodes[at - 1] = node;
	node->at = at;
}

static uint64_t heap_key(const struct barrier_heap *heap, size_t at)
{
	return at <= heap->nr ? heap->nodes[at - 1]->key : UINT64_MAX;
}

/* The node is where it was, and its key is another one. */
static void heap_settle(struct barrier_heap *heap, struct barrier_node *node)
{
	size_t at = node->at, child;

	for (; at > 1 && node->key < heap_key(heap, at / 2); at /= 2)
		heap_put(heap, at, heap->nodes[at / 2 - 1]);
	while ((child = 2 * at) <= heap->nr) {
		child += heap_key(heap, child + 1) < heap_key(heap, child);
		if (node->key <= heap_key(heap, child))
			break;
		heap_put(heap, at, heap->nodes[child - 1]);
		at = child;
	}
	heap_put(heap, at, node);
}

static void heap_add(struct barrier_heap *heap, struct barrier_node *node)
{
	heap_put(heap, ++heap->nr, node);
	heap_settle(heap, node);
}

static void heap_del(struct barrier_heap *heap, struct barrier_node *node)
{
	struct barrier_node *last;
	size_t at = node->at;

	if (!at)
		return;
	node->at = 0;
	last = heap->nodes[--heap->nr];
	if (last == node)
		return;
	heap_put(heap, at, last);
	heap_settle(heap, last);
}

static int heap_reserve(struct barrier_heap *heap, size_t nr)
{
	size_t max = heap->max ? heap->max : 8;
	struct barrier_node **nodes;

	if (nr <= heap->max)
		return 0;
	while (max < nr)
		max *= 2;
	nodes = realloc(heap->nodes, max * sizeof(*nodes));
	if (!nodes)
		return -ENOMEM;
	heap->nodes = nodes;
	heap->max = max;
	return 0;
}

static void heap_free(struct barrier_heap *heap)
{
	free(heap->nodes);
	*heap = (struct barrier_heap){ 0 };
}

/* ---- generations ---- */

void barriers_init(struct barriers *barriers)
{
	atomic_init(&barriers->gen, 1);
	barriers->wanted = 0;
	barriers->held = 0;
	barriers->oldest = barriers->waiting = (struct barrier_heap){ 0 };
	list_init(&barriers->left);
}

uint64_t barriers_gen(struct barriers *barriers)
{
	return atomic_load(&barriers->gen);
}

uint64_t barriers_close(struct barriers *barriers)
{
	return atomic_fetch_add(&barriers->gen, 1);
}

void barriers_recovered(struct barriers *barriers, uint64_t gen)
{
	if (barriers_gen(barriers) <= gen)
		atomic_store(&barriers->gen, gen + 1);
}

/* ---- who may go on ---- */

static uint64_t limit_of(struct barriers *barriers, const struct barrier_node *node)
{
	const struct barrier_heap *heap = &barriers->oldest;
	uint64_t limit = barriers_gen(barriers) - 1, other = heap_key(heap, 1);

	if (node->at == 1)
		other = heap_key(heap, heap_key(heap, 3) < heap_key(heap, 2) ? 3 : 2);
	return other < limit ? other : limit;
}

static void go_on(struct barriers *barriers, struct barrier_member *member)
{
	heap_del(&barriers->waiting, &member->wait);
	member->go(member);
}

/* For all but the one with the least oldest() the limit is the same. */
static void tell(struct barriers *barriers)
{
	struct barrier_heap *waiting = &barriers->waiting;
	struct barrier_member *least = barriers->oldest.nr ? barriers->oldest.nodes[0]->member : NULL;
	uint64_t limit = heap_key(&barriers->oldest, 1);

	if (barriers->held)
		return;
	if (least && least->wait.at && least->wait.key <= limit_of(barriers, &least->node))
		go_on(barriers, least);
	limit = limit < barriers_gen(barriers) ? limit : barriers_gen(barriers) - 1;
	while (heap_key(waiting, 1) <= limit)
		go_on(barriers, waiting->nodes[0]->member);
}

void barriers_changed(struct barrier_member *member)
{
	struct barriers *barriers = member->barriers;
	uint64_t was = member->node.key, is;

	if (!barriers)
		return;
	is = member->oldest(member);
	if (is == was)
		return;
	member->node.key = is;
	heap_settle(&barriers->oldest, &member->node);
	if (is > was)
		tell(barriers);
}

void barriers_hold(struct barriers *barriers)
{
	barriers->held++;
}

void barriers_release(struct barriers *barriers)
{
	barriers->held--;
	tell(barriers);
}

/* ---- coming and going ---- */

int barriers_reserve(struct barriers *barriers)
{
	size_t nr = barriers->oldest.nr + 1;

	return heap_reserve(&barriers->oldest, nr) || heap_reserve(&barriers->waiting, nr) ? -ENOMEM : 0;
}

int barriers_join(struct barriers *barriers, struct barrier_member *member)
{
	if (barriers_reserve(barriers))
		return -ENOMEM;
	member->barriers = barriers;
	member->granted = 0;
	member->wait = (struct barrier_node){ .member = member };
	member->node = (struct barrier_node){ .member = member, .key = member->oldest(member) };
	heap_add(&barriers->oldest, &member->node);
	barriers_forget(barriers, member->key);
	return 0;
}

/* Without memory to tell who it was, nobody may go on. */
static void leave_behind(struct barriers *barriers, uint64_t key, uint64_t oldest)
{
	struct barrier_left *left = malloc(sizeof(*left));

	if (!left) {
		barriers_hold(barriers);
		return;
	}
	left->key = key;
	left->node = (struct barrier_node){ .key = oldest };
	list_add(&barriers->left, &left->list);
	/* in the place that the member had */
	heap_add(&barriers->oldest, &left->node);
}

static void free_unused(struct barriers *barriers)
{
	if (barriers->oldest.nr)
		return;
	heap_free(&barriers->oldest);
	heap_free(&barriers->waiting);
}

static void leave(struct barrier_member *member, uint64_t oldest)
{
	struct barriers *barriers = member->barriers;

	heap_del(&barriers->waiting, &member->wait);
	heap_del(&barriers->oldest, &member->node);
	member->barriers = NULL;
	if (oldest != UINT64_MAX)
		leave_behind(barriers, member->key, oldest);
	tell(barriers);
	free_unused(barriers);
}

void barriers_missing(struct barriers *barriers, uint64_t key)
{
	struct list *pos;

	list_for_each(pos, &barriers->left)
		if (list_entry(pos, struct barrier_left, list)->key == key)
			return;
	/* it had no place */
	if (barriers_reserve(barriers))
		barriers_hold(barriers);
	else
		leave_behind(barriers, key, 0);
}

void barriers_leave(struct barrier_member *member)
{
	if (member->barriers)
		leave(member, member->oldest(member));
}

void barriers_quit(struct barrier_member *member)
{
	leave(member, UINT64_MAX);
}

void barriers_forget(struct barriers *barriers, uint64_t key)
{
	struct list *pos, *tmp;
	bool any = false;

	list_for_each_safe(pos, tmp, &barriers->left) {
		struct barrier_left *left = list_entry(pos, struct barrier_left, list);

		if (left->key != key)
			continue;
		any = true;
		heap_del(&barriers->oldest, &left->node);
		list_del(&left->list);
		free(left);
	}
	if (any)
		tell(barriers);
	free_unused(barriers);
}

/* ---- pushing ---- */

uint64_t barriers_limit(struct barrier_member *member)
{
	return member->barriers->held ? 0 : limit_of(member->barriers, &member->node);
}

bool barriers_may_push(struct barrier_member *member, uint64_t upto)
{
	struct barrier_heap *waiting = &member->barriers->waiting;

	if (upto > member->granted && upto <= barriers_limit(member))
		member->granted = upto;
	heap_del(waiting, &member->wait);
	if (upto <= member->granted)
		return true;
	member->wait.key = upto;
	heap_add(waiting, &member->wait);
	return false;
}

/* Those below from were told before: they look again whenever they get on. */
static void want(struct barrier_member *member, size_t at, uint64_t from, uint64_t upto)
{
	const struct barrier_heap *heap = &member->barriers->oldest;
	struct barrier_member *other;

	if (at > heap->nr || heap_key(heap, at) >= upto)
		return;
	other = heap->nodes[at - 1]->member;
	if (other && other != member && other->node.key >= from)
		other->go(other);
	want(member, 2 * at, from, upto);
	want(member, 2 * at + 1, from, upto);
}

void barriers_want(struct barrier_member *member, uint64_t upto)
{
	struct barriers *barriers = member->barriers;
	uint64_t from = barriers->wanted;

	if (upto <= from)
		return;
	barriers->wanted = upto;
	want(member, 1, from, upto);
}

uint64_t barriers_holder(const struct barrier_member *member)
{
	const struct barriers *barriers = member->barriers;
	const struct barrier_node *node;

	if (!barriers || !member->wait.at || barriers->held || barriers->oldest.nodes[0] == &member->node)
		return 0;
	node = barriers->oldest.nodes[0];
	return node->member ? node->member->key : container_of(node, struct barrier_left, node)->key;
}
