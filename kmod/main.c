// SPDX-License-Identifier: GPL-2.0
/* regionfs: memory of another host behind an ordinary, mmap-able file. See docs/architecture.md. */
#include <linux/module.h>
#include "request.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

static int __init regionfs_init(void)
{
	int err;

	err = regionfs_request_init();
	if (err)
		return err;
	err = regionfs_instances_init();
	if (err)
		goto request;
	err = regionfs_netlink_init();
	if (err)
		goto instances;
	err = register_filesystem(&regionfs_fs_type);
	if (err)
		goto netlink;
	err = regionfs_channel_init();
	if (err)
		goto filesystem;
	return 0;

filesystem:
	unregister_filesystem(&regionfs_fs_type);
netlink:
	regionfs_netlink_exit();
instances:
	regionfs_instances_exit();
request:
	regionfs_request_exit();
	return err;
}

/* No instance exists any more: each holds the module. What may still run is the end of one, on regionfs_wq, and that of a work of local-ahead.c. */
static void __exit regionfs_exit(void)
{
	regionfs_channel_exit();
	unregister_filesystem(&regionfs_fs_type);
	regionfs_netlink_exit();
	regionfs_instances_exit();
	rcu_barrier();
	regionfs_request_exit();
}

module_init(regionfs_init);
module_exit(regionfs_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("regionfs: remote memory behind mmap-able files");
MODULE_AUTHOR("the regionfs founders");
MODULE_VERSION("0.1.0");
