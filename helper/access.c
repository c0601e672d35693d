// SPDX-License-Identifier: GPL-2.0
/* access: see access.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "conn.h"
#include "text.h"
#include "tls.h"

/* ---- words ---- */

/* What an action brings along: who has the region's bytes in one way need not be kept from having them in a lesser one. */
static const struct { const char *name; unsigned int action, with; } words[] = {
	{ "read", ACCESS_READ, ACCESS_READ },
	{ "write", ACCESS_WRITE, ACCESS_WRITE | ACCESS_READ },
	{ "follow", ACCESS_FOLLOW, ACCESS_FOLLOW | ACCESS_READ },
	{ "leech", ACCESS_LEECH, ACCESS_LEECH | ACCESS_FOLLOW | ACCESS_READ },
};

#define NR_WORDS (sizeof(words) / sizeof(words[0]))

const char *access_text(unsigned int actions, const char *between, char text[ACCESS_TEXT_MAX])
{
	size_t used = 0;

	*text = 0;
	for (size_t i = 0; i < NR_WORDS; i++)
		if (actions & words[i].action)
			used += (size_t)snprintf(text + used, ACCESS_TEXT_MAX - used, "%s%s", used ? between : "", words[i].name);
	return used ? text : strcpy(text, "nothing");
}

/* One word of a rule. */
static int take_word(const char *word, unsigned int offered, unsigned int *actions, char *why, size_t why_len)
{
	char text[ACCESS_TEXT_MAX];

	if (!strcmp(word, "all")) {
		*actions |= offered;
		return 0;
	}
	for (size_t i = 0; i < NR_WORDS; i++) {
		if (strcmp(word, words[i].name))
			continue;
		if (!(words[i].action & offered))
			return text_fail(why, why_len, -EINVAL, "\"%s\" can't be allowed here, where others can %s", word, access_text(offered, ", ", text));
		*actions |= words[i].with & offered;
		return 0;
	}
	return text_fail(why, why_len, -EINVAL, "\"%.64s\" is no action: write read, write, leech, follow or all, separated by commas", word);
}

static int take_words(const char *list, unsigned int offered, unsigned int *actions, char *why, size_t why_len)
{
	char *copy = strdup(list), *rest = copy, *word;
	int ret = copy ? 0 : -ENOMEM;

	while (!ret && (word = strsep(&rest, ",")))
		ret = take_word(word, offered, actions, why, why_len);
	free(copy);
	return ret;
}

/* ---- rules ---- */

/* A name may have a '=' in it, an action has none. */
static int take_who(struct access_rule *rule, const char *text, size_t len, char *why, size_t why_len)
{
	if (len > ACCESS_WHO_MAX)
		return text_fail(why, why_len, -EINVAL, "\"%.32s...\" is too long for a name", text);
	memcpy(rule->who, text, len);
	if (!len || !strcmp(rule->who, TLS_PSK_PREFIX))
		return text_fail(why, why_len, -EINVAL, "\"%.64s\" does not say who: write NAME=, psk:IDENTITY= or *=", text);
	if (strcmp(rule->who, "*") && (*rule->who == '*' || *rule->who == '.'))
		return text_fail(why, why_len, -EINVAL, "\"%s\" is no name: there are no patterns but * alone", rule->who);
	return 0;
}

int access_add(struct access *access, const char *text, unsigned int offered, char *why, size_t why_len)
{
	const char *equals = strrchr(text, '=');
	struct access_rule *rule;
	int ret;

	if (!equals)
		return text_fail(why, why_len, -EINVAL, "\"%.64s\" is no rule: write WHO=ACTION,... such as alice=read,write", text);
	if (access->nr == ACCESS_RULES)
		return text_fail(why, why_len, -EINVAL, "there are more than %u rules", ACCESS_RULES);
	rule = calloc(1, sizeof(*rule));
	if (!rule)
		return -ENOMEM;
	ret = take_who(rule, text, (size_t)(equals - text), why, why_len);
	if (!ret)
		ret = take_words(equals + 1, offered, &rule->actions, why, why_len);
	if (ret) {
		free(rule);
		return ret;
	}
	list_add(&access->rules, &rule->list);
	access->nr++;
	return 0;
}

static bool is_psk(const struct access_rule *rule)
{
	return !strncmp(rule->who, TLS_PSK_PREFIX, strlen(TLS_PSK_PREFIX));
}

enum access_by access_by(const struct tls_context *tls)
{
	if (!tls)
		return ACCESS_BY_NOTHING;
	return tls_context_is_psk(tls) ? ACCESS_BY_PSK : ACCESS_BY_CERT;
}

static int check_rule(const struct access_rule *rule, enum access_by by, char *why, size_t why_len)
{
	if (!strcmp(rule->who, "*"))
		return 0;
	if (by == ACCESS_BY_NOTHING)
		return text_fail(why, why_len, -EINVAL, "nobody can prove to be \"%s\" in clear text: give certificates or a key, or write *=", rule->who);
	if (by == ACCESS_BY_PSK && !is_psk(rule))
		return text_fail(why, why_len, -EINVAL, "\"%s\" is the name of a certificate, but there is a shared key: write psk:IDENTITY=", rule->who);
	if (by == ACCESS_BY_CERT && is_psk(rule))
		return text_fail(why, why_len, -EINVAL, "\"%s\" is who holds a shared key, but there are certificates: write NAME=", rule->who);
	return 0;
}

int access_check(const struct access *access, enum access_by by, char *why, size_t why_len)
{
	struct list *at;
	int ret = 0;

	list_for_each(at, &access->rules) {
		ret = check_rule(list_entry(at, struct access_rule, list), by, why, why_len);
		if (ret)
			break;
	}
	return ret;
}

unsigned int access_of(const struct access *access, const struct conn *conn)
{
	unsigned int actions = 0;
	struct list *at;

	if (list_empty(&access->rules))
		return ACCESS_ALL;
	list_for_each(at, &access->rules) {
		const struct access_rule *rule = list_entry(at, struct access_rule, list);

		if (!strcmp(rule->who, "*") || conn_peer_is(conn, rule->who))
			actions |= rule->actions;
	}
	return actions;
}

/* ---- life ---- */

void access_init(struct access *access)
{
	list_init(&access->rules);
	access->nr = 0;
}

void access_move(struct access *access, struct access *from)
{
	list_splice(&access->rules, &from->rules);
	access->nr += from->nr;
	from->nr = 0;
}

void access_free(struct access *access)
{
	struct list *entry;

	while ((entry = list_pop(&access->rules)))
		free(list_entry(entry, struct access_rule, list));
	access->nr = 0;
}
