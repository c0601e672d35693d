/* SPDX-License-Identifier: GPL-2.0 */
/*
 * access: who may do what with an export, or with a region that is seeded: rules "WHO=ACTION,...".
 *
 * WHO is a name of a certificate (tls-names.h), "psk:IDENTITY" for who holds that key, or "*" for all who were let in. ACTION is one of
 *
 *   read	OPEN: reads it
 *   write	OPEN with WRITE, and read
 *   follow	OPEN with FOLLOW, and read
 *   leech	OPEN with SEED, to take the region over, with FINALIZE and OWNED of a follower, and follow
 *   all	whatever is offered
 *
 * Who is meant by several rules has what all of them give. Without any rule all may do all.
 *
 * Threads: the main loop's alone.
 */
#ifndef REGIONFS_ACCESS_H
#define REGIONFS_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "list.h"

#define ACCESS_READ	(1u << 0)
#define ACCESS_WRITE	(1u << 1)
#define ACCESS_FOLLOW	(1u << 2)
#define ACCESS_LEECH	(1u << 3)
#define ACCESS_ALL	(ACCESS_READ | ACCESS_WRITE | ACCESS_FOLLOW | ACCESS_LEECH)

#define ACCESS_RULES	256u
#define ACCESS_WHO_MAX	255u
#define ACCESS_TEXT_MAX	40u	/* of actions, as words */

struct conn;
struct tls_context;

enum access_by {
	ACCESS_BY_NOTHING,	/* clear text */
	ACCESS_BY_PSK,
	ACCESS_BY_CERT,
};

struct access_rule {
	struct list list;
	unsigned int actions;	/* with what they bring along */
	char who[ACCESS_WHO_MAX + 1];
};

struct access {
	struct list rules;
	unsigned int nr;
};

void access_init(struct access *access);
/* A rule; offered: the actions that make sense there. -EINVAL with a sentence. */
int access_add(struct access *access, const char *text, unsigned int offered, char *why, size_t why_len);
/* Can these rules ever fit who calls where that is the way to be known? -EINVAL with a sentence. */
int access_check(const struct access *access, enum access_by by, char *why, size_t why_len);
/* NULL: clear text. */
enum access_by access_by(const struct tls_context *tls);
/* Takes the rules of from, whose they are no more. */
void access_move(struct access *access, struct access *from);
void access_free(struct access *access);

/* What may the other side do? */
unsigned int access_of(const struct access *access, const struct conn *conn);
/* "read, follow", with that between them; "nothing" */
const char *access_text(unsigned int actions, const char *between, char text[ACCESS_TEXT_MAX]);

#endif
