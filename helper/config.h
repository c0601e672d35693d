/* SPDX-License-Identifier: GPL-2.0 */
/*
 * config: what regiond was told. The command line beats the state directory, which beats /etc/regionfs/NAME.conf;
 * there the keys are the long options' names, and a region is declared so:
 *
 *     source = dir:/srv/regions
 *     [region data/db]
 *     source = file:/srv/db.img
 *     size = 1G
 *     mode = 0640
 *     local = memory
 *
 * The options of managed regions (policy.h) are for one region there, and above the regions for all that say nothing else.
 */
#ifndef REGIONFS_CONFIG_H
#define REGIONFS_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "policy.h"

/* Where a setting comes from, weakest first. */
enum config_from {
	FROM_DEFAULT,
	FROM_FILE,
	FROM_STATE,
	FROM_COMMAND,
};

struct config_region {
	struct config_region *next;
	char *path;
	char *source;		/* NULL: the instance's default */
	uint64_t size;		/* 0: the source's own */
	uint32_t mode, uid, gid, timeout, chunk;
	bool read_only, fixed_size;
	struct policy policy;
	uint32_t policy_given;	/* which of its keys, by their place in policy_keys; config_read() fills in the others */
	enum config_managed {
		MANAGED_DEFAULT,
		MANAGED_NO,
		MANAGED_YES,
	} managed;		/* after config_read() one of the last two */
};

struct config {
	char *name;
	char *source;
	enum config_from source_from;
	char *state_dir;	/* /var/lib/regionfs/NAME */
	char *run_dir;		/* /run/regionfs/NAME */
	char *credentials;	/* /etc/regionfs/credentials */
	char *file;		/* /etc/regionfs/NAME.conf */
	bool file_given;
	unsigned int queues, depth;
	uint32_t max_request;
	uint32_t chunk;		/* for new sources that have chunks; 0: their choice */
	uint32_t takeback;	/* ms; 0: the kernel's */
	uint32_t dirty_ratio;	/* percent; 0: the kernel's */
	bool local_read;	/* the kernel may read memory regions itself */
	bool poll;		/* loop_may_poll(): for the queues */
	bool confine;		/* rights are given up once they have served; confine.h */
	bool any_file;		/* but for that to other users' files */
	bool managed;		/* regions are, unless they were added as direct ones */
	struct policy policy;	/* of managed regions, where nothing else is said */
	bool have_group;
	gid_t allow_group;
	bool foreground;
	bool verbose;
	int ready_fd;		/* -1: none */
	uint64_t given;		/* which options the command line had, by their place in config.c's table */
	struct config_region *regions;
};

#define CONFIG_HELP	1
#define CONFIG_VERSION	2

/* 0, CONFIG_HELP, CONFIG_VERSION, or a negative errno with a sentence in why. */
int config_parse(struct config *config, int argc, char **argv, char *why, size_t why_len);
/* NAME.conf, and what is still missing. */
int config_read(struct config *config, char *why, size_t why_len);
void config_free(struct config *config);
/* The options, for --help. */
const char *config_usage(void);
/* "default", "/etc", "state", "command line" */
const char *config_from_name(enum config_from from);
/* An instance's name: 1 to 63 of letters, digits and . _ -, beginning with a letter or digit. */
bool config_name_ok(const char *name);

#endif
