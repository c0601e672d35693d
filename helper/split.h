/* SPDX-License-Identifier: GPL-2.0 */
/* split: READs and WRITEs that are longer than what a backend takes at once. */
#ifndef REGIONFS_SPLIT_H
#define REGIONFS_SPLIT_H

#include "backend.h"

/* Cut at multiples of caps.max_request; a few parts are at the backend at once. In the thread of req->loop, as the answer. */
void split_submit(struct backend *backend, struct backend_req *req);

#endif
