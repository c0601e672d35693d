/* SPDX-License-Identifier: GPL-2.0 */
/* control-peer: what the commands of peers have in common. */
#ifndef REGIONFS_CONTROL_PEER_H
#define REGIONFS_CONTROL_PEER_H

#include <stdbool.h>

#include "control.h"

struct export;
struct listener_options;
struct server;
struct target;

extern const struct control_cmd control_peer_cmds[];

/* The peer server, made when it is first needed; NULL: the call has been failed. */
struct server *control_server(struct control_call *call);
/* The options of the call; negative: the call has been failed. */
int control_listen(struct control_call *call, struct listener_options *options);
/* The export of that name on any listener, or NULL. */
struct export *control_export(const struct server *server, const char *name);
/*
 * Listens as the call says and exports target, for what is offered (ACCESS_*) to whom the call allows it; negative: the call has been failed, target is the
 * caller's still.
 */
int control_publish(struct control_call *call, const char *name, struct target *target, unsigned int offered, struct export **export);
/* EXPORT of control.h. New reference. */
json_t *control_export_show(const struct export *export);

#endif
