/* SPDX-License-Identifier: GPL-2.0 */
/*
 * door: what is granted to those who have connected and are not authorized yet, strangers, so that whoever can reach a port can neither use the host up nor keep
 * others out: how many there may be in all and from one address, how long, how many bytes they may send, and how fast they may come.
 *
 * Who would be one too many from an address waits, accepted, but not listened to, until one of those before him is known or gone; of those, too, there is
 * a limit, beyond which a connection is closed. So many strangers from one address keep nobody from another one out.
 *
 * Threads: the main loop's alone.
 */
#ifndef REGIONFS_DOOR_H
#define REGIONFS_DOOR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "list.h"

#define DOOR_STRANGERS		64u	/* of a listener */
#define DOOR_STRANGERS_EACH	16u	/* from one address */
#define DOOR_WAITING		256u	/* beyond those, of a listener */
#define DOOR_A_SECOND		500u	/* connections, and as many at once */
#define DOOR_MS			10000u	/* to introduce oneself */
#define DOOR_BYTES		(64u << 10)	/* a chain of certificates, and an introduction, are a few KiB */

struct listener;

struct door_limits {
	unsigned int strangers, strangers_each, waiting, a_second, ms;
	uint32_t bytes;
};

extern const struct door_limits door_defaults;

/* Whom connections are counted by: an IPv4 address, or the 64 bits of an IPv6 one that a network has; text: the whole address, for people. */
struct door_address {
	sa_family_t family;	/* AF_UNIX: all are root's, and not counted */
	uint8_t bytes[8];
	char text[INET6_ADDRSTRLEN];
};

/* A stranger, as part of who stands for him. */
struct door_guest {
	struct list list;	/* door's; in none: he is none any more */
	struct door_address from;
};

struct door {
	struct list strangers, waiting;
	unsigned int nr_strangers, nr_waiting;
	uint64_t due;		/* ns: when as many as have come would have come at the limit's pace */
};

void door_init(struct door *door);
/* Closes those that wait. */
void door_close(struct door *door);
/* ms until the next one may be accepted; 0: now. */
unsigned int door_delay(const struct door *door, const struct door_limits *limits, uint64_t now);
/* One has been. */
void door_count(struct door *door, const struct door_limits *limits, uint64_t now);
bool door_is_full(const struct door *door, const struct door_limits *limits);
/* May fd come in? Else it is taken: it waits, or is closed. from: whose it is, in any case. */
bool door_enter(struct door *door, const struct door_limits *limits, int fd, struct door_address *from);
/* He has, as guest. */
void door_admit(struct door *door, struct door_guest *guest, const struct door_address *from);
/* He is known, or gone; nothing if he was before. */
void door_leave(struct door *door, struct door_guest *guest);
/* One that has waited, and may come in now: fd, and from; or -1. */
int door_next(struct door *door, const struct door_limits *limits, struct door_address *from);

#endif
