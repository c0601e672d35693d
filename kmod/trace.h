/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM regionfs

#if !defined(REGIONFS_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define REGIONFS_TRACE_H

#include <linux/tracepoint.h>
#include "request.h"

#define regionfs_show_op(op) __print_symbolic(op,						\
	{ REGIONFS_OP_READ, "READ" }, { REGIONFS_OP_WRITE, "WRITE" }, { REGIONFS_OP_SYNC, "SYNC" },	\
	{ REGIONFS_OP_DISCARD, "DISCARD" }, { REGIONFS_OP_RESIZE, "RESIZE" },				\
	{ REGIONFS_OP_DESTROY, "DESTROY" })

DECLARE_EVENT_CLASS(regionfs_request,
	TP_PROTO(const struct regionfs_request *req, int arg, bool late),
	TP_ARGS(req, arg, late),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, region)
		__field(u64, pos)
		__field(u64, len)
		__field(int, arg)
		__field(u16, flags)
		__field(u8, op)
		__field(u8, state)
		__field(bool, late)
	),
	TP_fast_assign(
		__entry->id = req->id;
		__entry->region = req->region->id;
		__entry->pos = req->pos;
		__entry->len = req->len;
		__entry->arg = arg;
		__entry->flags = req->flags;
		__entry->op = req->op;
		__entry->state = req->state;
		__entry->late = late;
	),
	TP_printk("id=%llu region=%llu %s pos=%llu len=%llu flags=%x state=%u arg=%d%s", __entry->id, __entry->region,
		  regionfs_show_op(__entry->op), __entry->pos, __entry->len, __entry->flags, __entry->state,
		  __entry->arg, __entry->late ? " late" : "")
);

/* @arg: the tag of hand, the error of commit and end; @late: an answer that nobody wanted any more. */
DEFINE_EVENT(regionfs_request, regionfs_request_submit,
	TP_PROTO(const struct regionfs_request *req, int arg, bool late), TP_ARGS(req, arg, late));
DEFINE_EVENT(regionfs_request, regionfs_request_hand,
	TP_PROTO(const struct regionfs_request *req, int arg, bool late), TP_ARGS(req, arg, late));
DEFINE_EVENT(regionfs_request, regionfs_request_commit,
	TP_PROTO(const struct regionfs_request *req, int arg, bool late), TP_ARGS(req, arg, late));
DEFINE_EVENT(regionfs_request, regionfs_request_end,
	TP_PROTO(const struct regionfs_request *req, int arg, bool late), TP_ARGS(req, arg, late));
DEFINE_EVENT(regionfs_request, regionfs_request_takeback,
	TP_PROTO(const struct regionfs_request *req, int arg, bool late), TP_ARGS(req, arg, late));

#endif /* REGIONFS_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
