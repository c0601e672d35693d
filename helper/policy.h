/* SPDX-License-Identifier: GPL-2.0 */
/*
 * policy: how a region is kept near its bytes. A direct region has none: every miss goes to the source. A managed one has a local
 * store, is pulled before it is asked for, and pushed behind.
 *
 * As text (in the state log, in NAME.conf, on the command line) it is "KEY=VALUE KEY=VALUE ...", values percent-encoded.
 */
#ifndef REGIONFS_POLICY_H
#define REGIONFS_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum policy_local {
	LOCAL_CACHE,		/* the kernel's page cache alone; writes go through to the source */
	LOCAL_MEMORY,		/* files on a tmpfs: outlive regiond, not a reboot */
	LOCAL_FILE,		/* files in a directory: outlive a power cut */
};

enum policy_durability {
	DURABILITY_REMOTE,	/* fsync waits for the source */
	DURABILITY_LOCAL,	/* fsync waits for the local store */
};

enum policy_push_order {
	PUSH_BARRIER,		/* the source is at each moment what a disk is after a power cut */
	PUSH_ANY,
};

enum policy_pull {
	PULL_SEQUENTIAL,	/* from the start on, or from where a program looks */
	PULL_EDGES,		/* the first and the last MiB, then as sequential */
	PULL_LIST,		/* the ranges in pull_file, then the rest */
	PULL_PROFILE,		/* the chunks in pull_file, written by regionctl record, then the rest */
	PULL_NONE,
};

enum policy_hook {
	HOOK_BEFORE_OPEN,	/* before the source is opened; a failure fails the opening */
	HOOK_AFTER_PULL,	/* nothing is missing any more */
	HOOK_BEFORE_SYNC,	/* before what was written is sent to the source for a sync; a failure fails it */
	HOOK_AFTER_SYNC,
	POLICY_HOOKS,
};

#define POLICY_PUSH_INTERVAL_MS	5000u
#define POLICY_MAX_UNPUSHED	(1ULL << 30)

struct policy {
	enum policy_local local;
	char *local_path;		/* LOCAL_FILE: the directory, absolute; made when it isn't there */
	uint64_t local_size;		/* bytes that the store may hold, dirty ones not counted; 0: no limit */
	enum policy_pull pull;
	char *pull_file;		/* PULL_LIST, PULL_PROFILE */
	bool pull_only;			/* only what is in pull_file, not the rest */
	uint64_t pull_rate;		/* bytes a second; 0: no limit */
	enum policy_durability durability;
	enum policy_push_order push_order;
	uint32_t push_interval;		/* ms; the oldest unpushed byte is pushed after it */
	uint64_t max_unpushed;		/* bytes; writers are slowed as it comes near */
	char *hook[POLICY_HOOKS];	/* commands, or NULL */
};

/* The defaults: what "managed" alone means. */
void policy_init(struct policy *policy);
void policy_free(struct policy *policy);
int policy_copy(struct policy *to, const struct policy *from);
/* One option as the user gives it ("local", "file:/var/x"). -ENOENT: no such key; -EINVAL; a sentence in why. */
int policy_set(struct policy *policy, const char *key, const char *value, char *why, size_t why_len);
/* Do the options go together? */
int policy_check(const struct policy *policy, char *why, size_t why_len);
/* What differs from the defaults, "" where nothing does; malloc'ed. policy_parse() reads it back. */
char *policy_text(const struct policy *policy);
int policy_parse(struct policy *policy, const char *text, char *why, size_t why_len);
/* One option's value as policy_set() takes it, malloc'ed; NULL where it is not set. For stat. */
char *policy_show(const struct policy *policy, const char *key);
/* The keys, ended by NULL: "local", "local-size", "pull-order", ... */
extern const char *const policy_keys[];
const char *policy_hook_name(enum policy_hook hook);	/* "before-open" */

#endif
