// SPDX-License-Identifier: GPL-2.0
/* door: see door.h. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "door.h"
#include "log.h"

const struct door_limits door_defaults = {
	.strangers = DOOR_STRANGERS, .strangers_each = DOOR_STRANGERS_EACH, .waiting = DOOR_WAITING, .a_second = DOOR_A_SECOND,
	.ms = DOOR_MS, .bytes = DOOR_BYTES,
};

/* Accepted, and not listened to. */
struct waiting {
	struct list list;
	struct door_address from;
	int fd;
};

/* ---- addresses ---- */

static void take_ipv4(struct door_address *from, const void *addr)
{
	from->family = AF_INET;
	memcpy(from->bytes, addr, 4);
	inet_ntop(AF_INET, addr, from->text, sizeof(from->text));
}

/* Who has one IPv6 address has 2^64 of them as a rule. */
static void take_ipv6(struct door_address *from, const struct in6_addr *addr)
{
	if (IN6_IS_ADDR_V4MAPPED(addr)) {
		take_ipv4(from, addr->s6_addr + 12);
		return;
	}
	from->family = AF_INET6;
	memcpy(from->bytes, addr->s6_addr, 8);
	inet_ntop(AF_INET6, addr, from->text, sizeof(from->text));
}

static void take_address(struct door_address *from, int fd)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);

	memset(from, 0, sizeof(*from));
	from->family = AF_UNIX;
	strcpy(from->text, "this host");
	if (getpeername(fd, (struct sockaddr *)&addr, &len))
		return;
	if (addr.ss_family == AF_INET)
		take_ipv4(from, &((const struct sockaddr_in *)(const void *)&addr)->sin_addr);
	else if (addr.ss_family == AF_INET6)
		take_ipv6(from, &((const struct sockaddr_in6 *)(const void *)&addr)->sin6_addr);
}

static bool is_same(const struct door_address *one, const struct door_address *other)
{
	return one->family == other->family && !memcmp(one->bytes, other->bytes, sizeof(one->bytes));
}

/* ---- how fast they come ---- */

/* A second's worth may come at once. */
unsigned int door_delay(const struct door *door, const struct door_limits *limits, uint64_t now)
{
	uint64_t most = now + 1000000000;

	return door->due > most ? (unsigned int)((door->due - most) / 1000000) + 1 : 0;
}

void door_count(struct door *door, const struct door_limits *limits, uint64_t now)
{
	door->due = (door->due > now ? door->due : now) + 1000000000 / limits->a_second;
}

/* ---- how many there are ---- */

bool door_is_full(const struct door *door, const struct door_limits *limits)
{
	return door->nr_strangers >= limits->strangers;
}

static bool may_enter(const struct door *door, const struct door_limits *limits, const struct door_address *from)
{
	unsigned int nr = 0;
	struct list *at;

	if (from->family == AF_UNIX)
		return true;
	list_for_each(at, &door->strangers)
		nr += is_same(&list_entry(at, struct door_guest, list)->from, from);
	return nr < limits->strangers_each;
}

static void wait_or_close(struct door *door, const struct door_limits *limits, int fd, const struct door_address *from)
{
	struct waiting *waiting = door->nr_waiting < limits->waiting ? calloc(1, sizeof(*waiting)) : NULL;

	if (!waiting) {
		log_info("a connection from %s is closed: too many from there have not said who they are", from->text);
		close(fd);
		return;
	}
	waiting->fd = fd;
	waiting->from = *from;
	list_add(&door->waiting, &waiting->list);
	door->nr_waiting++;
}

bool door_enter(struct door *door, const struct door_limits *limits, int fd, struct door_address *from)
{
	take_address(from, fd);
	if (may_enter(door, limits, from))
		return true;
	wait_or_close(door, limits, fd, from);
	return false;
}

void door_admit(struct door *door, struct door_guest *guest, const struct door_address *from)
{
	guest->from = *from;
	list_add(&door->strangers, &guest->list);
	door->nr_strangers++;
}

void door_leave(struct door *door, struct door_guest *guest)
{
	if (list_empty(&guest->list))
		return;
	list_del(&guest->list);
	door->nr_strangers--;
}

static int let_go(struct door *door, struct waiting *waiting)
{
	int fd = waiting->fd;

	list_del(&waiting->list);
	door->nr_waiting--;
	free(waiting);
	return fd;
}

int door_next(struct door *door, const struct door_limits *limits, struct door_address *from)
{
	struct list *at;

	if (door_is_full(door, limits))
		return -1;
	list_for_each(at, &door->waiting) {
		struct waiting *waiting = list_entry(at, struct waiting, list);

		if (!may_enter(door, limits, &waiting->from))
			continue;
		*from = waiting->from;
		return let_go(door, waiting);
	}
	return -1;
}

/* ---- life ---- */

void door_init(struct door *door)
{
	memset(door, 0, sizeof(*door));
	list_init(&door->strangers);
	list_init(&door->waiting);
}

void door_close(struct door *door)
{
	while (!list_empty(&door->waiting))
		close(let_go(door, list_entry(door->waiting.next, struct waiting, list)));
}
