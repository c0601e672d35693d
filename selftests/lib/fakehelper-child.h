/* SPDX-License-Identifier: GPL-2.0 */
/* Between the two halves of the fake helper. */
#ifndef SELFTESTS_FAKEHELPER_CHILD_H
#define SELFTESTS_FAKEHELPER_CHILD_H

#include "fakehelper.h"

enum fh_what { FH_O_QUIT, FH_O_RELEASE, FH_O_RELEASE_ALL, FH_O_TOKEN, FH_O_STORE, FH_O_LOCAL, FH_O_TOUCH, FH_O_FAIL };

/* An order, and its answer. */
struct fh_order {
	uint32_t what;
	int32_t how, arg;
	uint32_t place;
	int64_t result;
	struct regionfs_token token;
	struct regionfs_store store;
	struct regionfs_local local;
	char path[256], map[128];
};

long fh_order(struct fh *h, struct fh_order *o);
int fh_backing(struct fh *h, uint64_t region);
int fh_child(struct fh *h, int sock);

#endif
