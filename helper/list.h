/* SPDX-License-Identifier: GPL-2.0 */
/* list: the intrusive doubly linked list that everything here queues with. */
#ifndef REGIONFS_LIST_H
#define REGIONFS_LIST_H

#include <stdbool.h>
#include <stddef.h>

#ifndef container_of
#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))
#endif

struct list {
	struct list *next;
	struct list *prev;
};

#define LIST_INIT(name) { &(name), &(name) }

static inline void list_init(struct list *list)
{
	list->next = list;
	list->prev = list;
}

static inline bool list_empty(const struct list *list)
{
	return list->next == list;
}

/* add at the end: a list used so is a FIFO */
static inline void list_add(struct list *list, struct list *entry)
{
	entry->prev = list->prev;
	entry->next = list;
	list->prev->next = entry;
	list->prev = entry;
}

static inline void list_add_head(struct list *list, struct list *entry)
{
	list_add(list->next, entry);
}

/* leaves the entry empty, so that removing it twice is harmless */
static inline void list_del(struct list *entry)
{
	entry->prev->next = entry->next;
	entry->next->prev = entry->prev;
	list_init(entry);
}

static inline struct list *list_pop(struct list *list)
{
	struct list *first = list->next;

	if (first == list)
		return NULL;
	list_del(first);
	return first;
}

/* move all entries of from to the end of to */
static inline void list_splice(struct list *to, struct list *from)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

#define list_entry(ptr, type, member) container_of(ptr, type, member)
#define list_for_each(pos, list) for (pos = (list)->next; pos != (list); pos = pos->next)
#define list_for_each_safe(pos, tmp, list) \
	for (pos = (list)->next, tmp = pos->next; pos != (list); pos = tmp, tmp = pos->next)

#endif
