/* SPDX-License-Identifier: GPL-2.0 */
/* link's own: shared by link.c (requests) and link-connect.c (connecting). */
#ifndef REGIONFS_LINK_INTERNAL_H
#define REGIONFS_LINK_INTERNAL_H

#include "link.h"
#include "session.h"

/* link.c */
extern const struct conn_ops link_conn_ops;
/* Puts it on the wire now, whatever the limits. */
void link_send_req(struct link *link, struct link_req *req);

/* link-connect.c */
void link_ready(struct conn *conn);
/* The connection is gone; its requests wait again. */
void link_lost(struct link *link, int error, const char *why);

#endif
