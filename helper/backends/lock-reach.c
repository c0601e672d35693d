// SPDX-License-Identifier: GPL-2.0
/* lock-reach: see lock-reach.h. */
#include <string.h>

#include "backends/lock-reach.h"

/* Local ones; not linux/magic.h's names, which it has of some alone. */
static const uint64_t local[] = {
	0xef53,			/* ext2, ext3, ext4 */
	0x58465342,		/* xfs */
	0x9123683e,		/* btrfs */
	0x01021994,		/* tmpfs */
	0x858458f6,		/* ramfs */
	0xf2f52010,		/* f2fs */
	0x2fc12fc1,		/* zfs */
	0xca451a4e,		/* bcachefs */
	0x794c7630,		/* overlayfs: its upper layer is nobody else's */
};

/* Those whose servers, or other nodes, hear of flock(), unless one of the options says otherwise. */
static const struct wide {
	uint64_t type;
	const char *without[4];
} wide[] = {
	{ 0x6969, { "nolock", "local_lock=flock", "local_lock=all" } },				/* nfs */
	{ 0xff534d42, { "nobrl" } },								/* cifs */
	{ 0xfe534d42, { "nobrl" } },								/* smb3 */
	{ 0x00c36400, { NULL } },								/* ceph */
	{ 0x01161970, { "localflocks", "lockproto=lock_nolock" } },				/* gfs2 */
	{ 0x7461636f, { "localflocks", "heartbeat=none" } },					/* ocfs2 */
};

static bool has_option(const char *options, const char *option)
{
	size_t len = strlen(option), n;

	for (; *options; options += n + (options[n] != '\0')) {
		n = strcspn(options, ", \n");
		if (n == len && !strncmp(options, option, len))
			return true;
	}
	return false;
}

bool lock_reach(uint64_t type, const char *options)
{
	for (size_t i = 0; i < sizeof(local) / sizeof(*local); i++)
		if (local[i] == type)
			return true;
	for (size_t i = 0; i < sizeof(wide) / sizeof(*wide); i++) {
		if (wide[i].type != type)
			continue;
		for (size_t j = 0; j < 4 && wide[i].without[j]; j++)
			if (has_option(options, wide[i].without[j]))
				return false;
		return true;
	}
	return false;
}
