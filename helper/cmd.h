/* SPDX-License-Identifier: GPL-2.0 */
/*
 * cmd: what the subcommands of regionctl share. A subcommand is one file cmd-NAME.c with a struct
 * cmd, and one line in the table in regionctl.c. Options and operands are described by the table
 * alone: they are parsed into ctx->args, under the keys of the control protocol (control.h),
 * before run is called.
 */
#ifndef REGIONFS_CMD_H
#define REGIONFS_CMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <jansson.h>

#include "client.h"

/* Exit codes; regionctl(8) promises them. */
#define CMD_OK		0
#define CMD_FAILED	1	/* it was tried, and failed */
#define CMD_USAGE	2	/* the command line makes no sense; nothing was tried */
#define CMD_NOT_FOUND	3	/* no such region or instance, or no regiond that serves it */
#define CMD_BUSY	4	/* in use, unwritten bytes, or not in time: nothing is lost */
#define CMD_DETACHED	130	/* Ctrl-C, as shells have it */

enum cmd_type {
	CMD_END,		/* of a table */
	CMD_TEXT,
	CMD_TEXTS,		/* may be repeated, and is an array */
	CMD_PATH,		/* of a file: made absolute, since regiond runs somewhere else */
	CMD_SOURCE,		/* a URI; the path of file: and dir: is made absolute */
	CMD_SOURCES,		/* a URI, or region:PATH; may be repeated, and is an array */
	CMD_REGIONS,		/* as CMD_REGION, separated by commas; may be repeated, and is an array */
	CMD_WHERE,		/* a word, or file:, list: or profile: and a path, which is made absolute */
	CMD_COMMAND,		/* for a shell; "" is none */
	CMD_REGION_LIST,		/* operands: all that are left, as a list of them */
	CMD_REGION,		/* a path below the mount: a '/' in front is dropped */
	CMD_SIZE,
	CMD_NUMBER,
	CMD_MODE,		/* octal */
	CMD_DURATION,		/* becomes milliseconds */
	CMD_USER,		/* name or number */
	CMD_GROUP,
	CMD_OWNER,		/* USER, USER:GROUP or :GROUP; becomes "uid" and "gid" */
	CMD_TRUE,		/* options without a value */
	CMD_FALSE,
};

struct cmd_option {
	enum cmd_type type;
	const char *name;	/* "tls-psk" */
	const char *key;	/* in args; NULL: the name, with '_' for '-' */
	const char *value;	/* what help calls the value, "FILE" */
	const char *help;
};

#define CMD_OPTIONS_END { CMD_END, NULL, NULL, NULL, NULL }

/* How two helpers trust each other; the same for all who listen or connect. */
#define CMD_TLS_OPTIONS \
	{ CMD_PATH, "tls-psk", NULL, "FILE", "the key that both sides share, for TLS 1.3" }, \
	{ CMD_PATH, "tls-cert", NULL, "FILE", "this side's certificate, PEM" }, \
	{ CMD_PATH, "tls-key", NULL, "FILE", "the certificate's private key" }, \
	{ CMD_PATH, "tls-ca", NULL, "FILE", "who must have signed the other side's certificate" }, \
	{ CMD_TRUE, "insecure", NULL, NULL, "clear text, readable by anyone on the way" }

/* Who may do what with a region that others reach; access.h of regiond knows the actions. */
#define CMD_ALLOW_OPTION(actions) \
	{ CMD_TEXTS, "allow", NULL, "WHO=ACTION,...", \
	  "WHO (a certificate's name, psk:IDENTITY or *) may " actions "; may be repeated" }

/* How a region is managed; policy.h of regiond knows what goes together. */
#define CMD_POLICY_OPTIONS \
	{ CMD_WHERE, "local", NULL, "WHERE", "the store here: cache (none), memory or file:DIR" }, \
	{ CMD_SIZE, "local-size", NULL, "SIZE", "what the store may hold; 0: no limit" }, \
	{ CMD_WHERE, "pull-order", NULL, "ORDER", \
	  "sequential, edges, list:FILE, profile:FILE or none; FILE,only: not the rest" }, \
	{ CMD_SIZE, "pull-rate", NULL, "SIZE", "pull so much a second at most; 0: no limit" }, \
	{ CMD_TEXT, "durability", NULL, "WHERE", "fsync waits for the source (remote) or the store (local)" }, \
	{ CMD_TEXT, "push-order", NULL, "ORDER", \
	  "barrier: as a disk after a power cut, at each moment; any: faster" }, \
	{ CMD_DURATION, "push-interval", NULL, "TIME", "what was written is pushed after it" }, \
	{ CMD_SIZE, "max-unpushed", NULL, "SIZE", "writers are slowed as it comes near" }, \
	{ CMD_COMMAND, "on-before-open", NULL, "COMMAND", "before the source is opened; must succeed" }, \
	{ CMD_COMMAND, "on-after-pull", NULL, "COMMAND", "when nothing is missing any more" }, \
	{ CMD_COMMAND, "on-before-sync", NULL, "COMMAND", "before a sync sends what was written; must succeed" }, \
	{ CMD_COMMAND, "on-after-sync", NULL, "COMMAND", "when the source has it" }

struct cmd_operand {
	enum cmd_type type;
	const char *key;
	const char *name;	/* what help calls it, "REGION" */
	bool optional;
};

#define CMD_OPERANDS_END { CMD_END, NULL, NULL, false }
#define CMD_OPERAND_REGION { CMD_REGION, "region", "REGION", false }

/* What most commands take. */
#define CMD_ONE_REGION ((const struct cmd_operand[]) { CMD_OPERAND_REGION, CMD_OPERANDS_END })

#define CMD_DETACHES	(1u << 0)	/* goes on in regiond when regionctl leaves */

#define CMD_WATCHES	(1u << 1)	/* runs until Ctrl-C, which is no failure */

struct cmd_context;

struct cmd {
	const char *name;	/* "add", "instance ls" */
	const char *summary;	/* one line in the list of all */
	const char *details;	/* for its own help; lines end in newlines */
	const struct cmd_operand *operands;	/* ended by CMD_END; may be NULL */
	const struct cmd_option *options;	/* the same */
	unsigned int flags;
	int (*run)(struct cmd_context *ctx);	/* returns an exit code */
};

struct cmd_context {
	const struct cmd *cmd;
	const char *instance;	/* --instance, or NULL */
	bool json;
	bool help;
	json_t *args;
	char message[REGIONFS_CLIENT_MESSAGE];
};

extern const struct cmd *const cmd_table[];	/* in regionctl.c; ended by NULL */

/* ---- cmd-args.c ---- */

/*
 * argv[0] is the (last word of the) command. 0 or -EINVAL with ctx->message. Fills in ctx->args
 * and the global options.
 */
int cmd_parse(struct cmd_context *ctx, int argc, char **argv);
/* The command that the words name, *used of them; NULL when there is none. */
const struct cmd *cmd_find(const char *const *words, int count, int *used);
/* The first word of the most similar command; false when none is near. */
bool cmd_suggest(const char *word, char name[32]);
/* Flags and texts that are for regionctl itself: taken out of ctx->args. */
bool cmd_take_flag(struct cmd_context *ctx, const char *key);
const char *cmd_text(const struct cmd_context *ctx, const char *key);

/* ---- cmd-call.c ---- */

/*
 * Asks the instance's regiond, with progress on stderr. The exit code; what went wrong has been
 * printed.
 */
int cmd_call(struct cmd_context *ctx, const char *command, json_t **result);
/* The same, given a handler for lines that are not progress ("event"). */
int cmd_call_lines(struct cmd_context *ctx, const char *command,
		   void (*line)(struct cmd_context *ctx, const json_t *value), json_t **result);
/* The result as JSON text, which the caller frees: for large ones, that would take long to be taken apart. */
int cmd_call_text(struct cmd_context *ctx, const char *command, char **text);
/* For commands that have nothing to tell when they succeed: {} with --json, else nothing. */
int cmd_call_quiet(struct cmd_context *ctx, const char *command);
/*
 * Prints the sentence, as text on stderr and with --json as an object on stdout. The exit code
 * for err.
 */
int cmd_fail(const struct cmd_context *ctx, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Blocks the signals that end a command and gives a descriptor that tells of them. */
int cmd_stop_fd(void);

/* ---- cmd-show.c ---- */

enum show_kind {
	SHOW_END,
	SHOW_TEXT,
	SHOW_NUMBER,
	SHOW_SIZE,
	SHOW_MODE,
	SHOW_LIMIT,		/* a number, 0 is none */
	SHOW_SIZE_LIMIT,	/* a size, all bits set is none */
	SHOW_MS,
	SHOW_PAGES,
	SHOW_TIME,		/* ns since 1970 */
	SHOW_LIST,		/* of strings */
	SHOW_BOOL,
};

struct show_field {
	enum show_kind kind;
	const char *key;
	const char *label;	/* as a table's heading, '>' for right-aligned */
};

#define SHOW_TEXT_MAX	8192

/* The member's value for people; "" when it isn't there. Returns text. */
const char *show_value(const json_t *object, const struct show_field *field,
		       char text[SHOW_TEXT_MAX]);
/* "label: value", one a line, of those that are there. */
void show_fields(const json_t *object, const struct show_field *fields, const char *title);
/* A table with a row for each object of the array, or each array of values, one for each field. -ENOMEM has been reported. */
int show_table(const json_t *array, const struct show_field *fields);
/* The value as JSON and a newline. */
void show_json(const json_t *value, bool indent);
/* The same for JSON text, indented. */
void show_json_text(const char *text);
/* --json: the result; else its fields. Drops result; returns CMD_OK. */
int show_result(const struct cmd_context *ctx, json_t *result, const struct show_field *fields);

extern const struct show_field show_region_fields[];
extern const struct show_field show_backend_fields[];
extern const struct show_field show_export_fields[];	/* EXPORT of control.h */
extern const struct show_field show_stats_fields[];
/* HANDOVER of control.h, of a region or a group, in cmd-show-handover.c; the second one as show_result() */
void show_handover_parts(const json_t *handover, const char *title);
int show_handover(const struct cmd_context *ctx, json_t *result);
/* MANAGED of control.h, in cmd-show-managed.c */
void show_managed(const json_t *managed, json_int_t size);

/* ---- cmd-help.c ---- */

void help_all(FILE *to);
void help_command(const struct cmd *cmd, FILE *to);

#endif
