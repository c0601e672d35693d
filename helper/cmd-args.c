// SPDX-License-Identifier: GPL-2.0
/* From a command line to the arguments of a request, as the command's tables have it. */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "units.h"

#define OPTIONS_MAX	64
#define FIRST_OPTION	256	/* getopt values of a command's own options start here */

static json_t *absolute_path(const char *prefix, const char *path)
{
	char here[PATH_MAX];

	if (*path == '/' || !getcwd(here, sizeof(here)))
		return json_sprintf("%s%s", prefix, path);
	return json_sprintf("%s%s/%s", prefix, here, path);
}

/* prefixes: those that a path follows, ended by NULL. */
static json_t *absolute_behind(const char *const *prefixes, const char *text)
{
	for (; *prefixes; prefixes++)
		if (!strncmp(text, *prefixes, strlen(*prefixes)))
			return absolute_path(*prefixes, text + strlen(*prefixes));
	return json_string(text);
}

static json_t *absolute_source(const char *text)
{
	static const char *const prefixes[] = { "file:", "dir:", NULL };

	return absolute_behind(prefixes, text);
}

static json_t *absolute_where(const char *text)
{
	static const char *const prefixes[] = { "file:", "list:", "profile:", NULL };

	return absolute_behind(prefixes, text);
}

static json_t *region_name(const char *text)
{
	while (*text == '/')
		text++;
	return *text ? json_string(text) : NULL;
}

/* Takes the parser's result; number is read through a pointer, since arguments have no order. */
static json_t *from_number(int err, const uint64_t *number)
{
	return err || *number > INT64_MAX ? NULL : json_integer((json_int_t)*number);
}

static json_t *from_mode(const char *text)
{
	uint32_t mode;

	return regionfs_mode_parse(text, &mode) ? NULL : json_integer(mode);
}

static json_t *account_id(enum cmd_type type, const char *text)
{
	const struct passwd *user = type == CMD_USER ? getpwnam(text) : NULL;
	const struct group *group = type == CMD_GROUP ? getgrnam(text) : NULL;
	uint64_t number;

	if (user)
		return json_integer(user->pw_uid);
	if (group)
		return json_integer(group->gr_gid);
	return from_number(regionfs_number_parse(text, 0, UINT32_MAX - 1, &number), &number);
}

/* NULL: text is no value of this type. */
static json_t *parse_value(enum cmd_type type, const char *text)
{
	uint64_t number;

	switch (type) {
	case CMD_TEXT:
	case CMD_TEXTS:
		return *text ? json_string(text) : NULL;
	case CMD_PATH:
		return *text ? absolute_path("", text) : NULL;
	case CMD_SOURCE:
	case CMD_SOURCES:
		return *text ? absolute_source(text) : NULL;
	case CMD_WHERE:
		return *text ? absolute_where(text) : NULL;
	case CMD_COMMAND:
		return json_string(text);
	case CMD_REGION:
		return region_name(text);
	case CMD_SIZE:
		return from_number(regionfs_size_parse(text, &number), &number);
	case CMD_NUMBER:
		return from_number(regionfs_number_parse(text, 0, INT64_MAX, &number), &number);
	case CMD_DURATION:
		return from_number(regionfs_duration_parse(text, &number), &number);
	case CMD_MODE:
		return from_mode(text);
	case CMD_USER:
	case CMD_GROUP:
		return account_id(type, text);
	default:
		return json_boolean(type == CMD_TRUE);
	}
}

static const char *type_hint(enum cmd_type type)
{
	switch (type) {
	case CMD_SIZE:
		return "is no size: write 4096, 64K, 1.5G";
	case CMD_NUMBER:
		return "is no number";
	case CMD_DURATION:
		return "is no duration: write 250ms, 60s, 5m";
	case CMD_MODE:
		return "is no mode: write octal permission bits, 640";
	case CMD_USER:
		return "is no user";
	case CMD_GROUP:
		return "is no group";
	default:
		return "is empty or no UTF-8";
	}
}

/* "tls-psk" -> "tls_psk", unless the table names a key. */
static const char *option_key(const struct cmd_option *option, char key[64])
{
	char *at;

	if (option->key)
		return option->key;
	snprintf(key, 64, "%s", option->name);
	for (at = key; *at; at++)
		if (*at == '-')
			*at = '_';
	return key;
}

static int put_value(struct cmd_context *ctx, enum cmd_type type, const char *key, const char *name,
		     const char *text)
{
	json_t *value = parse_value(type, text);

	if (value)
		return json_object_set_new(ctx->args, key, value) ? -ENOMEM : 0;
	snprintf(ctx->message, sizeof(ctx->message), "%s '%s' %s", name, text, type_hint(type));
	return -EINVAL;
}

static int put_owner(struct cmd_context *ctx, const char *name, const char *text)
{
	const char *group = strchr(text, ':');
	size_t length = group ? (size_t)(group - text) : strlen(text);
	char user[256];
	int err = 0;

	if (length >= sizeof(user) || (!length && !group)) {
		snprintf(ctx->message, sizeof(ctx->message), "%s '%s' is no owner: write USER, USER:GROUP or :GROUP",
			 name, text);
		return -EINVAL;
	}
	snprintf(user, sizeof(user), "%.*s", (int)length, text);
	if (length)
		err = put_value(ctx, CMD_USER, "uid", name, user);
	return err || !group ? err : put_value(ctx, CMD_GROUP, "gid", name, group + 1);
}

/* At the end of what earlier ones have said. */
static int put_more(struct cmd_context *ctx, enum cmd_type type, const char *key, const char *name, const char *text)
{
	json_t *list = json_object_get(ctx->args, key), *value = parse_value(type, text);

	if (!value) {
		snprintf(ctx->message, sizeof(ctx->message), "%s '%s' %s", name, text, type_hint(type));
		return -EINVAL;
	}
	if (!list) {
		list = json_array();
		json_object_set_new(ctx->args, key, list);
	}
	return json_array_append_new(list, value) ? -ENOMEM : 0;
}

static int put_regions(struct cmd_context *ctx, const char *key, const char *name, const char *text)
{
	char *copy = strdup(text), *rest = copy, *one;
	int err = copy ? 0 : -ENOMEM;

	while (!err && (one = strsep(&rest, ",")))
		err = put_more(ctx, CMD_REGION, key, name, one);
	free(copy);
	return err;
}

static int put_option(struct cmd_context *ctx, const struct cmd_option *option, const char *text)
{
	char key[64], name[72];

	snprintf(name, sizeof(name), "--%s", option->name);
	if (option->type == CMD_OWNER)
		return put_owner(ctx, name, text);
	if (option->type == CMD_SOURCES || option->type == CMD_TEXTS)
		return put_more(ctx, option->type, option_key(option, key), name, text);
	if (option->type == CMD_REGIONS)
		return put_regions(ctx, option_key(option, key), name, text);
	return put_value(ctx, option->type, option_key(option, key), name, text);
}

static bool has_value(enum cmd_type type)
{
	return type != CMD_TRUE && type != CMD_FALSE;
}

/* Each as CMD_REGION, into a list. */
static int put_list(struct cmd_context *ctx, const struct cmd_operand *operand, int argc, char **argv)
{
	json_t *list = json_array(), *value;

	for (int i = 0; i < argc; i++) {
		value = parse_value(CMD_REGION, argv[i]);
		if (!value) {
			snprintf(ctx->message, sizeof(ctx->message), "%s '%s' %s", operand->name, argv[i], type_hint(CMD_REGION));
			json_decref(list);
			return -EINVAL;
		}
		json_array_append_new(list, value);
	}
	return json_object_set_new(ctx->args, operand->key, list) ? -ENOMEM : 0;
}

/* The command's options behind the global ones, which are understood everywhere. */
static void build_options(const struct cmd *cmd, struct option longs[OPTIONS_MAX])
{
	static const struct option global[] = {
		{ "instance", required_argument, NULL, 'i' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
	};
	size_t n = sizeof(global) / sizeof(global[0]);
	const struct cmd_option *option = cmd->options;

	memset(longs, 0, OPTIONS_MAX * sizeof(*longs));
	memcpy(longs, global, sizeof(global));
	for (size_t i = 0; option && option[i].type != CMD_END && n + 1 < OPTIONS_MAX; i++, n++) {
		longs[n].name = option[i].name;
		longs[n].has_arg = has_value(option[i].type) ? required_argument : no_argument;
		longs[n].val = FIRST_OPTION + (int)i;
	}
}

static int take_option(struct cmd_context *ctx, int c, char **argv)
{
	switch (c) {
	case 'i':
		ctx->instance = optarg;
		return 0;
	case 'j':
		ctx->json = true;
		return 0;
	case 'h':
		ctx->help = true;
		return 0;
	case ':':
		snprintf(ctx->message, sizeof(ctx->message), "option '%s' needs a value",
			 argv[optind - 1]);
		return -EINVAL;
	case '?':
		snprintf(ctx->message, sizeof(ctx->message), "there is no option '%s'",
			 argv[optind - 1]);
		return -EINVAL;
	default:
		return put_option(ctx, &ctx->cmd->options[c - FIRST_OPTION], optarg);
	}
}

static int take_operands(struct cmd_context *ctx, int argc, char **argv)
{
	const struct cmd_operand *operand = ctx->cmd->operands;
	int err;

	for (; operand && operand->type != CMD_END; operand++) {
		if (!argc && operand->optional)
			continue;
		if (!argc) {
			snprintf(ctx->message, sizeof(ctx->message), "%s is missing",
				 operand->name);
			return -EINVAL;
		}
		if (operand->type == CMD_REGION_LIST)
			return put_list(ctx, operand, argc, argv);
		err = put_value(ctx, operand->type, operand->key, operand->name, *argv);
		if (err)
			return err;
		argc--;
		argv++;
	}
	if (!argc)
		return 0;
	snprintf(ctx->message, sizeof(ctx->message), "'%s' is one argument too many", *argv);
	return -EINVAL;
}

int cmd_parse(struct cmd_context *ctx, int argc, char **argv)
{
	struct option longs[OPTIONS_MAX];
	int c, err = 0;

	build_options(ctx->cmd, longs);
	opterr = 0;
	optind = 0;	/* getopt starts anew, with its permutation of options and operands */
	while (!err && (c = getopt_long(argc, argv, ":i:jh", longs, NULL)) != -1)
		err = take_option(ctx, c, argv);
	if (err || ctx->help)
		return err;
	return take_operands(ctx, argc - optind, argv + optind);
}

const struct cmd *cmd_find(const char *const *words, int count, int *used)
{
	char two[128];

	for (*used = 1; *used <= count && *used <= 2; (*used)++) {
		snprintf(two, sizeof(two), *used == 1 ? "%s" : "%s %s", words[0],
			 *used == 2 ? words[1] : "");
		for (size_t i = 0; cmd_table[i]; i++)
			if (!strcmp(two, cmd_table[i]->name))
				return cmd_table[i];
	}
	return NULL;
}

/* Levenshtein's distance; words are short. */
static unsigned int distance(const char *a, const char *b)
{
	size_t length = strlen(b);
	unsigned int row[64], diagonal, above, best;

	if (length >= sizeof(row) / sizeof(row[0]))
		return UINT_MAX;
	for (size_t i = 0; i <= length; i++)
		row[i] = (unsigned int)i;
	for (; *a; a++) {
		diagonal = row[0]++;
		for (size_t i = 1; i <= length; i++) {
			above = row[i];
			best = diagonal + (*a != b[i - 1]);
			if (above + 1 < best)
				best = above + 1;
			if (row[i - 1] + 1 < best)
				best = row[i - 1] + 1;
			row[i] = best;
			diagonal = above;
		}
	}
	return row[length];
}

/* "instance" of "instance ls": a mistyped word is compared with first words only. */
static const char *first_word(const char *name, char word[32])
{
	snprintf(word, 32, "%.*s", (int)strcspn(name, " "), name);
	return word;
}

bool cmd_suggest(const char *word, char name[32])
{
	unsigned int best = 3, now;	/* more than two edits apart is another word */
	char candidate[32];

	for (size_t i = 0; cmd_table[i]; i++) {
		first_word(cmd_table[i]->name, candidate);
		/* What begins like it is meant, however much is missing: "inst", "final". */
		if (strlen(word) >= 3 && !strncmp(word, candidate, strlen(word))) {
			strcpy(name, candidate);
			return true;
		}
		now = distance(word, candidate);
		if (now < best && now < strlen(word)) {
			best = now;
			strcpy(name, candidate);
		}
	}
	return best < 3;
}

bool cmd_take_flag(struct cmd_context *ctx, const char *key)
{
	bool set = json_is_true(json_object_get(ctx->args, key));

	json_object_del(ctx->args, key);
	return set;
}

const char *cmd_text(const struct cmd_context *ctx, const char *key)
{
	return json_string_value(json_object_get(ctx->args, key));
}
