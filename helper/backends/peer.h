/* SPDX-License-Identifier: GPL-2.0 */
/* peer: what the leecher needs of a peer backend beyond reading: the session, for migration's own requests. */
#ifndef REGIONFS_BACKENDS_PEER_H
#define REGIONFS_BACKENDS_PEER_H

#include "backend.h"
#include "session.h"

/* The session of an open backend of scheme peer...; its home loop only. */
struct session *peer_session(struct backend *backend);

#endif
