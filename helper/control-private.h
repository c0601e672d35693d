/* SPDX-License-Identifier: GPL-2.0 */
/* What control.c and control-call.c share. */
#ifndef REGIONFS_CONTROL_PRIVATE_H
#define REGIONFS_CONTROL_PRIVATE_H

#include "control.h"

struct control {
	struct regiond *regiond;
	int fd;
	char *path;
	gid_t group;
	bool have_group;
	bool closed;
	struct loop_op accept;
	struct loop_timer pause;
	struct list clients;
	unsigned int nr_clients;
};

struct control_client {
	struct list list;
	struct control *control;
	int fd;
	bool may_write;
	bool closing;
	bool last;			/* nothing more is read from it */
	bool receiving, sending;
	struct loop_op receive, send;
	struct loop_timer more;
	char *in;
	size_t in_len;
	char *out;			/* gathered */
	size_t out_len, out_max;
	char *sent;			/* on its way */
	size_t sent_len, sent_at;
	struct control_call *call;
};

void control_put(struct control_client *client, json_t *line, bool optional);
/* One whole line, without its end; client may be NULL. */
void control_put_text(struct control_client *client, const char *text, size_t len);
void control_ended(struct control_client *client);
/* Does the command take all of the call's arguments? If not, the call has been failed. */
bool control_takes(struct control_call *call);
/* Has the kernel asked about the region that the call names, then runs the handler. */
void control_resolve(struct control_call *call);

#endif
