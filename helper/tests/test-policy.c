// SPDX-License-Identifier: GPL-2.0
/* Policies: each option as the user gives it, which go together, and that the text says the same again. */
#include <errno.h>

#include "tap.h"
#include "../policy.h"

static char why[512];

static int set(struct policy *policy, const char *key, const char *value)
{
	why[0] = '\0';
	return policy_set(policy, key, value, why, sizeof(why));
}

/* Is taken, and shown as wanted. */
static void check_set(const char *key, const char *value, const char *wanted)
{
	struct policy policy;
	char *shown;

	policy_init(&policy);
	tap_number(set(&policy, key, value), 0, key);
	shown = policy_show(&policy, key);
	tap_is(shown ? shown : "", wanted, "  is shown");
	free(shown);
	policy_free(&policy);
}

static void check_refused(const char *key, const char *value, int err, const char *part)
{
	struct policy policy, before;
	char *text;

	policy_init(&policy);
	policy_init(&before);
	tap_ok(set(&policy, key, value) == err && strstr(why, part), "%s=%s is refused: %s", key, value, why);
	text = policy_text(&policy);
	tap_is(text, "", "  and nothing has changed");
	free(text);
	policy_free(&policy);
}

static void check_values(void)
{
	check_set("local", "cache", "cache");
	check_set("local", "memory", "memory");
	check_set("local", "file:/var/x y", "file:/var/x y");
	check_set("local-size", "10MiB", "10M");
	check_set("local-size", "1048577", "1048577");
	check_set("local-size", "0", "0");
	check_set("pull-order", "edges", "edges");
	check_set("pull-order", "list:/a", "list:/a");
	check_set("pull-order", "profile:/a,b,only", "profile:/a,b,only");
	check_set("pull-rate", "100M", "100M");
	check_set("durability", "local", "local");
	check_set("push-order", "any", "any");
	check_set("push-interval", "1.5s", "1500ms");
	check_set("max-unpushed", "2T", "2T");
	check_set("on-before-sync", "echo $REGIONFS_REGION", "echo $REGIONFS_REGION");
	check_set("on-before-sync", "", "");
}

static void check_refusals(void)
{
	check_refused("colour", "red", -ENOENT, "colour");
	check_refused("local", "disk", -EINVAL, "cache, memory or file:");
	check_refused("local", "file:relative", -EINVAL, "absolute");
	check_refused("local", "file", -EINVAL, "absolute");
	check_refused("local", "memory:/x", -EINVAL, "memory");
	check_refused("local", "", -EINVAL, "local=");
	check_refused("local-size", "4K", -EINVAL, "1M");
	check_refused("local-size", "much", -EINVAL, "much");
	check_refused("pull-order", "profile", -EINVAL, "profile:FILE");
	check_refused("pull-order", "profile:", -EINVAL, "profile:FILE");
	check_refused("pull-order", "profile:,only", -EINVAL, "profile:FILE");
	check_refused("pull-order", "edges:/x", -EINVAL, "edges");
	check_refused("pull-rate", "1", -EINVAL, "4K");
	check_refused("durability", "both", -EINVAL, "remote or local");
	check_refused("push-order", "", -EINVAL, "barrier or any");
	check_refused("push-interval", "25h", -EINVAL, "24h");
	check_refused("max-unpushed", "0", -EINVAL, "64K");
}

static void check_together(const char *text, int err, const char *part)
{
	struct policy policy;

	if (!tap_number(policy_parse(&policy, text, why, sizeof(why)), 0, text))
		return;
	why[0] = '\0';
	tap_ok(policy_check(&policy, why, sizeof(why)) == err && strstr(why, part), "  %s %s", err ? "is refused:" : "is fine", why);
	policy_free(&policy);
}

static void check_checks(void)
{
	check_together("", 0, "");
	check_together("durability=local", -EINVAL, "local=memory");
	check_together("durability=local local=memory", 0, "");
	check_together("durability=local local=file:/x local-size=1G", 0, "");
	check_together("local-size=1G", -EINVAL, "local=memory");
	check_together("push-order=any", 0, "");
}

/* The text of what the text says is the text. */
static void check_text(const char *text)
{
	struct policy policy, copy;
	char *again;

	if (!tap_number(policy_parse(&policy, text, why, sizeof(why)), 0, "a policy's text"))
		return;
	tap_number(policy_copy(&copy, &policy), 0, "  is read, and copied");
	policy_free(&policy);
	again = policy_text(&copy);
	tap_is(again, text, "  and is the same again");
	free(again);
	policy_free(&copy);
}

static void check_texts(void)
{
	struct policy policy;
	char *text;

	check_text("");
	check_text("local=memory");
	check_text("local=file:/a%20b%25c local-size=1G pull-order=list:/x%0Ay,only pull-rate=1M durability=local push-order=any "
		   "push-interval=250ms max-unpushed=64M on-before-open=a=b%20\"c\" on-after-pull=true on-before-sync=x on-after-sync=y");
	policy_init(&policy);
	set(&policy, "local", "cache");
	set(&policy, "push-interval", "5s");
	text = policy_text(&policy);
	tap_is(text, "", "what is as usual is left out");
	free(text);
	policy_free(&policy);
	tap_ok(policy_parse(&policy, "local", why, sizeof(why)) == -EINVAL, "no text: %s", why);
	tap_ok(policy_parse(&policy, "on-after-pull=x local=disk", why, sizeof(why)) == -EINVAL, "no text: %s", why);
	tap_ok(policy_parse(&policy, "colour=red", why, sizeof(why)) == -ENOENT, "no text: %s", why);
}

/* The list of keys is all there are: each can be shown or set. */
static void check_keys(void)
{
	static const char *const values[] = {
		"memory", "1G", "none", "1M", "remote", "any", "1s", "1G", "a", "b", "c", "d",
	};
	struct policy policy;

	policy_init(&policy);
	for (size_t i = 0; policy_keys[i]; i++)
		tap_number(i < sizeof(values) / sizeof(values[0]) ? set(&policy, policy_keys[i], values[i]) : -1, 0, policy_keys[i]);
	for (int i = 0; i < POLICY_HOOKS; i++)
		tap_ok(policy.hook[i] && policy.hook[i][0] == 'a' + i, "hook %s", policy_hook_name((enum policy_hook)i));
	policy_free(&policy);
}

int main(void)
{
	check_values();
	check_refusals();
	check_checks();
	check_texts();
	check_keys();
	return tap_end();
}
