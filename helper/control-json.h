/* SPDX-License-Identifier: GPL-2.0 */
/* control-json: REGION, BACKEND and INSTANCE of control.h. */
#ifndef REGIONFS_CONTROL_JSON_H
#define REGIONFS_CONTROL_JSON_H

#include <jansson.h>
#include <stdint.h>

struct backend;
struct netlink_attrs;
struct region;
struct regiond;

/* attrs: what the kernel says; the rest is the registry's. */
json_t *json_region(struct regiond *regiond, const struct netlink_attrs *attrs);
json_t *json_backend(struct backend *backend);
json_t *json_stats(const uint64_t *stats);
json_t *json_instance(const struct regiond *regiond, const struct netlink_attrs *attrs, uint64_t dirty);
json_t *json_event(const struct netlink_attrs *attrs);

#endif
