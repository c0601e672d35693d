/* SPDX-License-Identifier: GPL-2.0 */
/* control-json: REGION, BACKEND and INSTANCE of control.h. */
#ifndef REGIONFS_CONTROL_JSON_H
#define REGIONFS_CONTROL_JSON_H

#include <jansson.h>
#include <stdint.h>

struct backend;
struct events_own;
struct netlink_attrs;
struct region;
struct regiond;
struct text;

/* The members of REGION that are wanted, in this order. */
#define JSON_FIELDS_MAX 32
struct json_fields {
	unsigned int n;
	uint8_t field[JSON_FIELDS_MAX];
};

/* names: separated by blanks. -EINVAL and the bad one's name in bad. */
int json_fields_parse(struct json_fields *fields, const char *names, char bad[32]);
/* An array of these, as text; fields NULL: the whole as an object. There may be very many regions. */
void json_region_text(struct text *text, struct regiond *regiond, const struct netlink_attrs *attrs,
		      const struct json_fields *fields);

/* attrs: what the kernel says; the rest is the registry's. */
json_t *json_region(struct regiond *regiond, const struct netlink_attrs *attrs);
json_t *json_backend(struct backend *backend);
json_t *json_stats(const struct netlink_attrs *attrs);
json_t *json_instance(const struct regiond *regiond, const struct netlink_attrs *attrs, uint64_t dirty);
json_t *json_event(const struct netlink_attrs *attrs);
json_t *json_event_own(const struct events_own *own);

#endif
