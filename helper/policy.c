// SPDX-License-Identifier: GPL-2.0
/* policy: see policy.h. One table of keys; each has its parser and its printer. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy.h"
#include "text.h"
#include "units.h"

#define SIZE_MIN_STORE	(1u << 20)
#define RATE_MIN	4096u
#define UNPUSHED_MIN	(64u << 10)
#define INTERVAL_MAX_MS	(24u * 3600 * 1000)

/* One key, with what its functions have to know. */
struct policy_key {
	const char *name;
	int (*set)(struct policy *policy, const struct policy_key *key, const char *value);
	/* malloc'ed, "" where it is not set; NULL: no memory */
	char *(*show)(const struct policy *policy, const struct policy_key *key);
	size_t field;			/* in struct policy */
	const char *const *words;	/* of an enum, in its order */
	uint64_t min, max;		/* of a number; 0 is always one */
	const char *hint;		/* what a value is, for the sentence */
};

static void *field_of(const struct policy *policy, const struct policy_key *key)
{
	return (char *)policy + key->field;
}

static int set_string(char **to, const char *value)
{
	char *copy = *value ? strdup(value) : NULL;

	if (*value && !copy)
		return -ENOMEM;
	free(*to);
	*to = copy;
	return 0;
}

static char *show_string(const char *prefix, const char *string, const char *suffix)
{
	char *text;

	return asprintf(&text, "%s%s%s", prefix, string ? string : "", suffix) < 0 ? NULL : text;
}

/* ---- words ---- */

static const char *const durability_words[] = { "remote", "local", NULL };
static const char *const order_words[] = { "barrier", "any", NULL };
static const char *const pull_words[] = { "sequential", "edges", "list", "profile", "none", NULL };
static const char *const local_words[] = { "cache", "memory", "file", NULL };

/* The first len bytes of value; -1: none of them. */
static int find_word(const char *const *words, const char *value, size_t len)
{
	for (int i = 0; words[i]; i++)
		if (strlen(words[i]) == len && !memcmp(words[i], value, len))
			return i;
	return -1;
}

static int set_word(struct policy *policy, const struct policy_key *key, const char *value)
{
	int word = find_word(key->words, value, strlen(value));

	if (word < 0)
		return -EINVAL;
	*(unsigned int *)field_of(policy, key) = (unsigned int)word;
	return 0;
}

static char *show_word(const struct policy *policy, const struct policy_key *key)
{
	return strdup(key->words[*(const unsigned int *)field_of(policy, key)]);
}

/* ---- numbers ---- */

static int in_range(const struct policy_key *key, uint64_t number)
{
	return number && (number < key->min || number > key->max) ? -ERANGE : 0;
}

static int set_size(struct policy *policy, const struct policy_key *key, const char *value)
{
	uint64_t number;
	int err = regionfs_size_parse(value, &number);

	if (!err)
		err = in_range(key, number);
	if (!err)
		*(uint64_t *)field_of(policy, key) = number;
	return err;
}

static char *show_size(const struct policy *policy, const struct policy_key *key)
{
	uint64_t number = *(const uint64_t *)field_of(policy, key);
	unsigned int unit = 0;
	char *text;

	while (number && unit < 5 && !(number & 1023)) {
		number >>= 10;
		unit++;
	}
	return asprintf(&text, "%" PRIu64 "%.1s", number, &"\0KMGTP"[unit]) < 0 ? NULL : text;
}

/* Without a limit writers would fill the store, so that 0 is no number of bytes here. */
static int set_unpushed(struct policy *policy, const struct policy_key *key, const char *value)
{
	uint64_t number;
	int err = regionfs_size_parse(value, &number);

	return err || number ? set_size(policy, key, value) : -ERANGE;
}

static int set_interval(struct policy *policy, const struct policy_key *key, const char *value)
{
	uint64_t ms;
	int err = regionfs_duration_parse(value, &ms);

	if (!err)
		err = in_range(key, ms);
	if (!err)
		policy->push_interval = (uint32_t)ms;
	return err;
}

static char *show_interval(const struct policy *policy, const struct policy_key *key)
{
	char *text;

	return asprintf(&text, "%" PRIu32 "ms", policy->push_interval) < 0 ? NULL : text;
}

/* ---- where, and in which order ---- */

static int set_local(struct policy *policy, const struct policy_key *key, const char *value)
{
	size_t len = strcspn(value, ":");
	int word = find_word(local_words, value, len), err;
	const char *path = value[len] ? value + len + 1 : "";

	if (word < 0 || (word == LOCAL_FILE ? *path != '/' : value[len]))
		return -EINVAL;
	err = set_string(&policy->local_path, path);
	if (!err)
		policy->local = (enum policy_local)word;
	return err;
}

static char *show_local(const struct policy *policy, const struct policy_key *key)
{
	if (policy->local == LOCAL_FILE)
		return show_string("file:", policy->local_path, "");
	return strdup(local_words[policy->local]);
}

static bool has_file(int pull)
{
	return pull == PULL_LIST || pull == PULL_PROFILE;
}

/* "profile:FILE" or "profile:FILE,only" */
static int set_pull(struct policy *policy, const struct policy_key *key, const char *value)
{
	static const char only[] = ",only";
	size_t len = strcspn(value, ":");
	int pull = find_word(pull_words, value, len), err;
	char path[4096];
	bool is_only;

	if (pull < 0 || has_file(pull) != (value[len] == ':'))
		return -EINVAL;
	if ((size_t)snprintf(path, sizeof(path), "%s", value[len] ? value + len + 1 : "") >= sizeof(path))
		return -ENAMETOOLONG;
	len = strlen(path);
	is_only = len >= strlen(only) && !strcmp(path + len - strlen(only), only);
	if (is_only)
		path[len - strlen(only)] = '\0';
	if (has_file(pull) && *path != '/')
		return -EINVAL;
	err = set_string(&policy->pull_file, path);
	if (err)
		return err;
	policy->pull = (enum policy_pull)pull;
	policy->pull_only = is_only;
	return 0;
}

static char *show_pull(const struct policy *policy, const struct policy_key *key)
{
	const char *word = pull_words[policy->pull];
	char *text;

	if (!has_file(policy->pull))
		return strdup(word);
	return asprintf(&text, "%s:%s%s", word, policy->pull_file, policy->pull_only ? ",only" : "") < 0 ? NULL : text;
}

/* ---- hooks ---- */

static int set_hook(struct policy *policy, const struct policy_key *key, const char *value)
{
	return set_string(field_of(policy, key), value);
}

static char *show_hook(const struct policy *policy, const struct policy_key *key)
{
	return show_string("", *(char *const *)field_of(policy, key), "");
}

static const char *const hook_names[POLICY_HOOKS] = {
	[HOOK_BEFORE_OPEN] = "before-open",
	[HOOK_AFTER_PULL] = "after-pull",
	[HOOK_BEFORE_SYNC] = "before-sync",
	[HOOK_AFTER_SYNC] = "after-sync",
};

const char *policy_hook_name(enum policy_hook hook)
{
	return hook_names[hook];
}

/* ---- all of them ---- */

#define AT(member) .field = offsetof(struct policy, member)
#define HOOK(NAME, which) { "on-" NAME, set_hook, show_hook, AT(hook[which]), .hint = "a command" }

static const struct policy_key keys[] = {
	{ "local", set_local, show_local, .hint = "cache, memory or file:DIRECTORY, with an absolute path" },
	{ "local-size", set_size, show_size, AT(local_size), .min = SIZE_MIN_STORE, .max = INT64_MAX,
	  .hint = "a size of at least 1M, or 0 for no limit" },
	{ "pull-order", set_pull, show_pull,
	  .hint = "sequential, edges, list:FILE, profile:FILE (with ',only' behind it: not the rest) or none, with an absolute path" },
	{ "pull-rate", set_size, show_size, AT(pull_rate), .min = RATE_MIN, .max = INT64_MAX,
	  .hint = "bytes a second, at least 4K, or 0 for no limit" },
	{ "durability", set_word, show_word, AT(durability), durability_words, .hint = "remote or local" },
	{ "push-order", set_word, show_word, AT(push_order), order_words, .hint = "barrier or any" },
	{ "push-interval", set_interval, show_interval, .min = 1, .max = INTERVAL_MAX_MS,
	  .hint = "a duration of up to 24h: 500ms, 5s, 1m" },
	{ "max-unpushed", set_unpushed, show_size, AT(max_unpushed), .min = UNPUSHED_MIN, .max = INT64_MAX,
	  .hint = "a size of at least 64K" },
	HOOK("before-open", HOOK_BEFORE_OPEN),
	HOOK("after-pull", HOOK_AFTER_PULL),
	HOOK("before-sync", HOOK_BEFORE_SYNC),
	HOOK("after-sync", HOOK_AFTER_SYNC),
};

#define NR_KEYS (sizeof(keys) / sizeof(keys[0]))

const char *const policy_keys[] = {
	"local", "local-size", "pull-order", "pull-rate", "durability", "push-order", "push-interval", "max-unpushed",
	"on-before-open", "on-after-pull", "on-before-sync", "on-after-sync", NULL,
};

static const struct policy_key *find_key(const char *name)
{
	for (size_t i = 0; i < NR_KEYS; i++)
		if (!strcmp(keys[i].name, name))
			return &keys[i];
	return NULL;
}

void policy_init(struct policy *policy)
{
	*policy = (struct policy){
		.push_interval = POLICY_PUSH_INTERVAL_MS,
		.max_unpushed = POLICY_MAX_UNPUSHED,
	};
}

void policy_free(struct policy *policy)
{
	free(policy->local_path);
	free(policy->pull_file);
	for (int i = 0; i < POLICY_HOOKS; i++)
		free(policy->hook[i]);
	policy_init(policy);
}

static bool copy_string(char **string)
{
	if (*string)
		*string = strdup(*string);
	return *string != NULL;
}

int policy_copy(struct policy *to, const struct policy *from)
{
	bool failed = false;

	*to = *from;
	failed |= from->local_path && !copy_string(&to->local_path);
	failed |= from->pull_file && !copy_string(&to->pull_file);
	for (int i = 0; i < POLICY_HOOKS; i++)
		failed |= from->hook[i] && !copy_string(&to->hook[i]);
	if (failed)
		policy_free(to);
	return failed ? -ENOMEM : 0;
}

int policy_set(struct policy *policy, const char *name, const char *value, char *why, size_t why_len)
{
	const struct policy_key *key = find_key(name);
	int err = key ? key->set(policy, key, value) : -ENOENT;

	if (!key)
		snprintf(why, why_len, "a managed region has no option %s", name);
	else if (err == -ENOMEM)
		snprintf(why, why_len, "out of memory");
	else if (err)
		snprintf(why, why_len, "%s=%s does not do: it is %s", name, value, key->hint);
	return err && key && err != -ENOMEM ? -EINVAL : err;
}

int policy_check(const struct policy *policy, char *why, size_t why_len)
{
	if (policy->local != LOCAL_CACHE)
		return 0;
	if (policy->durability == DURABILITY_LOCAL)
		snprintf(why, why_len, "durability=local needs a store that keeps what fsync has promised: give local=memory or "
			 "local=file:DIRECTORY as well");
	else if (policy->local_size)
		snprintf(why, why_len, "local-size is the size of a store, and local=cache has none: give local=memory or "
			 "local=file:DIRECTORY as well, or local-size=0");
	else
		return 0;
	return -EINVAL;
}

char *policy_show(const struct policy *policy, const char *name)
{
	const struct policy_key *key = find_key(name);
	char *text = key ? key->show(policy, key) : NULL;

	if (text && *text)
		return text;
	free(text);
	return NULL;
}

/* ---- as text ---- */

static void add_key(struct text *text, const struct policy_key *key, const struct policy *policy, const struct policy *usual)
{
	char *value = key->show(policy, key), *other = key->show(usual, key);

	if (!value || !other) {
		text->failed = true;
	} else if (strcmp(value, other)) {
		if (text->len)
			text_add(text, " ", 1);
		text_string(text, key->name);
		text_add(text, "=", 1);
		text_encoded(text, value);
	}
	free(value);
	free(other);
}

char *policy_text(const struct policy *policy)
{
	struct text text = { 0 };
	struct policy usual;

	policy_init(&usual);
	for (size_t i = 0; i < NR_KEYS; i++)
		add_key(&text, &keys[i], policy, &usual);
	text_add(&text, "", 1);
	if (text.failed) {
		text_free(&text);
		return NULL;
	}
	return text.data;
}

static int parse_pair(struct policy *policy, char *pair, char *why, size_t why_len)
{
	char *equals = strchr(pair, '=');

	if (!equals) {
		snprintf(why, why_len, "'%s' is no KEY=VALUE", pair);
		return -EINVAL;
	}
	*equals = '\0';
	text_decode(equals + 1);
	return policy_set(policy, pair, equals + 1, why, why_len);
}

int policy_parse(struct policy *policy, const char *text, char *why, size_t why_len)
{
	char *copy = strdup(text), *save = NULL;
	int err = copy ? 0 : -ENOMEM;

	policy_init(policy);
	if (err)
		snprintf(why, why_len, "out of memory");
	for (char *pair = copy ? strtok_r(copy, " ", &save) : NULL; pair && !err; pair = strtok_r(NULL, " ", &save))
		err = parse_pair(policy, pair, why, why_len);
	free(copy);
	if (err)
		policy_free(policy);
	return err;
}
