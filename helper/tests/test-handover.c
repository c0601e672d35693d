// SPDX-License-Identifier: GPL-2.0
/* leech --handover: what may be missing when a region changes hands, and what is said of that. */
#include "two-hosts.h"

static json_t *how(const char *handover)
{
	return json_pack("{s:s}", "handover", handover);
}

static void wait_complete(struct user *user)
{
	tap_ok(until(user->done && !user->error), "it is B's, whole: %s", user->said);
	tap_ok(all_is_there() && until(host_is(a, "db", "complete")), "and A's no longer");
}

static void test_complete(void)
{
	struct user user;

	begin("complete");
	slow.hold = true;
	leech_with(&user, how("complete"));
	pass(300);
	tap_ok(host_is(b, "db", "pulling") && !strcmp(host_says(b, "db", "handover"), "complete"), "complete: what has not come is not handed over");
	slow_release();
	wait_complete(&user);
	tap_ok(strstr(user.answer, "\"at_risk\":0") && strstr(user.answer, "\"risked\":0"), "nothing was at risk: %s", user.answer);
}

static void test_early(void)
{
	struct user user;

	begin("early");
	slow.hold = true;
	leech_with(&user, how("early"));
	tap_ok(until(host_is(b, "db", "owned")), "early: it is handed over at once");
	tap_number((long long)says("at_risk"), SIZE, "all of it is at risk then");
	tap_ok(strstr(host_says(b, "db", "doing"), "at risk"), "as who watches is told: %s", host_says(b, "db", "doing"));
	slow_release();
	wait_complete(&user);
	tap_ok(strstr(user.answer, "\"at_risk\":0") && strstr(user.answer, "\"risked\":262144"), "of which nothing is left: %s", user.answer);
}

/* The user says when, but not before it is complete. */
static void test_told(void)
{
	struct user user, finalizing;

	begin("told");
	slow.hold = true;
	leech_with(&user, json_pack("{s:s,s:s}", "handover", "complete", "finalize", "manual"));
	host_begin(b, &finalizing, "finalize", db());
	pass(300);
	tap_ok(!finalizing.done && host_is(b, "db", "pulling"), "manual, complete: who finalizes waits for all of it");
	slow_release();
	tap_ok(until(finalizing.done && !finalizing.error) && strstr(finalizing.answer, "\"risked\":0"), "then it is handed over");
	wait_complete(&user);
}

/* Not told before, or told otherwise since. */
static void test_finalize(void)
{
	struct user user, finalizing;

	begin("finalize");
	slow.hold = true;
	leech(&user, NULL);
	host_begin(b, &finalizing, "finalize", json_pack("{s:s,s:s}", "region", "db", "handover", "complete"));
	pass(300);
	tap_ok(!finalizing.done && host_is(b, "db", "pulling"), "finalize --handover complete waits for all of it");
	tap_number(host_do(b, "finalize", json_pack("{s:s,s:s}", "region", "db", "handover", "early")), -EALREADY, "one at a time");
	slow_release();
	tap_ok(until(finalizing.done && !finalizing.error) && strstr(finalizing.answer, "\"risked\":0"), "then it is handed over");
	wait_complete(&user);

	begin("finalize2");
	slow.hold = true;
	leech_with(&user, how("complete"));
	host_begin(b, &finalizing, "finalize", json_pack("{s:s,s:s}", "region", "db", "handover", "early"));
	tap_ok(until(finalizing.done && !finalizing.error), "finalize --handover early does not: %s", finalizing.said);
	tap_ok(strstr(finalizing.answer, "\"at_risk\":262144"), "and says what is at risk");
	slow_release();
	wait_complete(&user);
}

static void refused(json_t *args, const char *what)
{
	struct user user;
	json_t *all = json_pack("{s:s,s:s,s:s}", "region", "db", "source", "peer+unix:/nowhere?region=db", "local_source", "memory:");

	json_object_update(all, args);
	json_decref(args);
	host_begin(b, &user, "leech", all);
	tap_ok(until(user.done) && user.error == -EINVAL, "%s: %s", what, user.said);
}

static void test_arguments(void)
{
	begin("arguments");
	refused(how("soon"), "an unknown word");
	refused(json_pack("{s:s,s:s}", "handover", "complete", "on_stall", "postcopy"), "complete, and postcopy");
	refused(json_pack("{s:s,s:i}", "handover", "early", "max_downtime", 100), "early, and a downtime");
	refused(json_pack("{s:s,s:s,s:i}", "handover", "early", "finalize", "manual", "max_downtime", 100), "early, manual, and a downtime");
}

int main(void)
{
	if (!hosts_open())
		return 99;
	test_complete();
	test_early();
	test_told();
	test_finalize();
	test_arguments();
	return hosts_end();
}
