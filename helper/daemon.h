/* SPDX-License-Identifier: GPL-2.0 */
/* daemon: going to the background, and telling whoever started us that all is up, or why it is not. */
#ifndef REGIONFS_DAEMON_H
#define REGIONFS_DAEMON_H

#include <stdbool.h>

/*
 * Unless foreground, the caller's process waits for daemon_ready() or daemon_failed() and exits; this returns in
 * a child. ready_fd (or -1) gets the line "ready", or a sentence.
 */
int daemon_start(bool foreground, int ready_fd);
void daemon_ready(void);
void daemon_failed(const char *why);
/* "READY=1" and the like, to $NOTIFY_SOCKET where there is one. */
void daemon_notify(const char *text);

#endif
