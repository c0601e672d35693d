/* SPDX-License-Identifier: GPL-2.0 */
/* Mount options: which go to mount(2) as flags or data, and which to the helper. */
#ifndef REGIONFS_OPTIONS_H
#define REGIONFS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REGIONFS_DRAIN_DEFAULT_MS	60000
#define REGIONFS_HELPER_ARGS		64

struct regionfs_options {
	unsigned long flags;		/* MS_* */
	char data[4096];		/* what the file system itself parses */
	char helper[4096];		/* path of regiond; empty: the installed one */
	uint64_t drain_ms;		/* how long umount waits for unpushed bytes */
	bool has_drain;
	bool no_helper;			/* helper=none: mount only, somebody else serves it */
	char *args[REGIONFS_HELPER_ARGS];	/* "--source=URI" ... for regiond, then NULL */
	size_t nr_args;
};

/*
 * Adds the options of text (comma-separated; commas inside "quotes" belong to the value) to
 * options. 0, or a negative errno with a sentence in message.
 */
int regionfs_options_add(struct regionfs_options *options, const char *text, char *message,
			 size_t room);

void regionfs_options_init(struct regionfs_options *options);
void regionfs_options_free(struct regionfs_options *options);

#endif
