/* SPDX-License-Identifier: GPL-2.0 */
/* regiond: the parts of one running helper, as they find each other. */
#ifndef REGIONFS_REGIOND_H
#define REGIONFS_REGIOND_H

#include <stdbool.h>
#include <stdint.h>

#include "loop.h"

struct barriers;
struct config;
struct control;
struct device;
struct netlink;
struct regions;
struct spawner;
struct state;

struct regiond {
	const struct config *config;	/* config.h: name, default source, directories ... */
	struct loop *loop;		/* the main thread's */
	struct netlink *netlink;
	struct device *device;
	struct regions *regions;
	struct control *control;
	struct spawner *spawner;	/* runs hooks */
	struct state *state;
	struct barriers *barriers;	/* the order of what is pushed, over all regions */
	uint64_t instance_id;
	uint32_t attach_gen;
	void *server;			/* the peer server's listeners */
	bool mirror_ready;		/* the state directory is of this life of the instance */
	bool instance_ending;		/* or ended: the device's end is expected */
	bool stopping;
};

/* Orderly end of this process, leaving the kernel's regions in place. */
void regiond_stop(struct regiond *regiond);
/* The kernel has ended the instance: so does this process, in order. */
void regiond_gone(struct regiond *regiond);
/* The channel to the kernel can't be used any more, though the instance is there. */
void regiond_broken(struct regiond *regiond, int error);

#endif
