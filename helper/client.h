/* SPDX-License-Identifier: GPL-2.0 */
/* The caller's side of regiond's control socket: one request, lines of progress, one answer. */
#ifndef REGIONFS_CLIENT_H
#define REGIONFS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#define REGIONFS_CLIENT_MESSAGE	1024
#define REGIONFS_CLIENT_NAME	64
/* One answer line: ten thousand regions in an "ls" are some megabytes. */
#define REGIONFS_CLIENT_LINE	(256u << 20)

struct regionfs_client {
	int fd;
	int stop_fd;		/* readable: the user wants to leave; -1: nobody can */
	char *buffer;
	size_t used;
	size_t room;
	size_t scanned;		/* of used, known to hold no newline */
	bool interrupted;	/* -EINTR is stop_fd's, not an answer of regiond's */
	/* Every line before the last: key is "progress" or "event". May be NULL. */
	void (*line)(void *context, const char *key, const json_t *value);
	void *context;
	/* Not NULL: a result may be left there as text, for the caller to free, and is not taken apart then. */
	char **text;
	char message[REGIONFS_CLIENT_MESSAGE];	/* a sentence, after a failure */
};

/*
 * The directory of all instances' run-time directories; $REGIONFS_RUN_DIR overrides it, for
 * tests.
 */
const char *regionfs_client_run_dir(void);

/*
 * Fills names with those instances that have a run-time directory, sorted; *count of them. The
 * caller frees each and the array. 0 or a negative errno.
 */
int regionfs_client_instances(char ***names, size_t *count);
void regionfs_client_instances_free(char **names, size_t count);

/*
 * wanted, or the only one there is when it is NULL. -ENOENT: there is none; -ENOTUNIQ: there are
 * several, message lists them; -EINVAL: wanted is no name.
 */
int regionfs_client_pick(const char *wanted, char name[REGIONFS_CLIENT_NAME], char *message,
			 size_t room);

/*
 * Connects to the instance's helper. -ESRCH: it isn't running. On error, client->message says so;
 * close it all the same.
 */
int regionfs_client_open(struct regionfs_client *client, const char *instance);
void regionfs_client_close(struct regionfs_client *client);

/*
 * Sends the request and waits for its answer; args is borrowed and may be NULL. 0: *result is the
 * value of "ok", the caller drops it; NULL where that is in client->text. Else a negative errno, the helper's own where it answered,
 * and client->message. -EINTR: stop_fd became readable; the helper may go on with what was asked.
 */
int regionfs_client_call(struct regionfs_client *client, const char *command, json_t *args,
			 json_t **result);

#endif
