/* SPDX-License-Identifier: GPL-2.0 */
/* What goes between regiond and its spawner: one packet a message, over a socketpair. */
#ifndef REGIONFS_SPAWNER_PRIVATE_H
#define REGIONFS_SPAWNER_PRIVATE_H

#include <stdint.h>

#define SPAWNER_OUTPUT	1024		/* of stderr, that is kept */
#define SPAWNER_PACKET	(96u << 10)	/* the longest message */

enum spawner_kind {
	SPAWNER_RUN,
	SPAWNER_KILL,
	SPAWNER_CLEAR,
};

/* Followed by the command (SPAWNER_CLEAR: the run-time directory), a NUL, and each env string with its NUL. An fd may come with it. */
struct spawner_ask {
	uint64_t id;
	uint32_t kind;
	uint32_t timeout_ms;
};

/* Followed by the output. */
struct spawner_answer {
	uint64_t id;
	int32_t status;
	uint32_t reserved;
};

/* The spawner's whole life; ends when the other side of the socket closes. */
void spawner_process(int sock) __attribute__((noreturn));

#endif
