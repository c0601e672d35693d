// SPDX-License-Identifier: GPL-2.0
/* A line of the control socket: what a command's handler asks of its arguments, without running it. */
#include <errno.h>

#include "config.h"
#include "control-json.h"
#include "control-policy.h"
#include "control-private.h"
#include "fuzz/fuzz-text.h"
#include "leecher-private.h"
#include "regiond.h"

void regiond_stop(struct regiond *regiond)
{
}

void regiond_gone(struct regiond *regiond)
{
}

void regiond_broken(struct regiond *regiond, int error)
{
}

static char instance[] = "demo", source[] = "memory:";
static struct config config = { .name = instance, .source = source };
static struct regiond regiond = { .config = &config };
static struct control_failure failure;

/* Either it has failed, with a sentence, and the call is gone; or it has not, and the call is answered. */
static void end(struct control_call *call, int ret)
{
	CHECK(ret <= 0 && (ret < 0) == (failure.error < 0) && !failure.error == !*failure.why);
	if (!ret)
		control_ok(call, NULL);
}

static struct control_call *begin(json_t *args)
{
	struct control_call *call = control_part(&regiond, json_deep_copy(args), NULL, &failure);

	CHECK(call && !failure.error);
	return call;
}

/* ---- one argument ---- */

static void check_number(json_t *args, const char *key)
{
	const json_t *arg = json_object_get(args, key);
	uint64_t number = 4711;
	uint32_t small = 4711;
	struct control_call *call = begin(args);
	int ret = control_u64(call, key, &number);

	CHECK(ret || !json_is_integer(arg) || (json_int_t)number == json_integer_value(arg));
	end(call, ret);
	call = begin(args);
	ret = control_u32(call, key, &small);
	CHECK(ret ? small == 4711 : small == number);
	end(call, ret);
}

static void check_string(json_t *args, const char *key)
{
	const char *string = NULL;
	struct control_call *call = begin(args);
	bool is = false, has = control_has(call, key);
	int ret = control_string(call, key, &string);

	CHECK(ret ? !string : !string == !has);
	end(call, ret);
	call = begin(args);
	ret = control_bool(call, key, &is);
	CHECK(!ret || !is);
	end(call, ret);
}

static void check_strings(json_t *args, const char *key)
{
	struct control_call *call = begin(args);
	json_t *values = NULL, *value;
	int ret = control_strings(call, key, &values);
	size_t i;

	CHECK(ret ? !values : json_is_array(values));
	json_array_foreach(values, i, value)
		CHECK(json_is_string(value));
	end(call, ret);
}

/* ---- those of a command ---- */

static void check_takes(json_t *args, const char *name)
{
	static const struct control_cmd none = { .name = "none", .args = "" };
	struct control_call *call = begin(args);

	call->cmd = &none;
	for (const struct control_cmd *const *table = control_tables; name && *table; table++)
		for (const struct control_cmd *cmd = *table; cmd->name; cmd++)
			call->cmd = strcmp(cmd->name, name) ? call->cmd : cmd;
	if (call->cmd == &none && json_object_size(args))
		CHECK(!control_takes(call));
	else if (control_takes(call))
		control_ok(call, NULL);
}

static void check_policies(json_t *args, int (*take)(struct control_call *call, char **text))
{
	struct control_call *call = begin(args);
	struct policy policy;
	char *text, why[512];
	int ret = take(call, &text);

	CHECK(!ret || !text);
	end(call, ret);
	if (!text)
		return;
	CHECK(!policy_parse(&policy, text, why, sizeof(why)) && !policy_check(&policy, why, sizeof(why)));
	policy_free(&policy);
	free(text);
}

/* What a helper tells the next one comes back as it was. */
static void check_suspend(json_t *args)
{
	struct suspend suspend = { .timeout_ms = 0 }, recalled = { .timeout_ms = 0 };
	struct control_call *call = begin(args);
	char *text = NULL, *again = NULL;
	int ret = suspend_take(&suspend, call);

	end(call, ret);
	CHECK(!suspend_text(&suspend, &text));
	suspend_recall(&recalled, text);
	CHECK(!suspend_text(&recalled, &again));
	CHECK(text ? again && !strcmp(text, again) : !again);
	free(text);
	free(again);
	suspend_free(&suspend);
	suspend_free(&recalled);
}

static void check_leecher(json_t *args)
{
	struct leecher leecher = { .regiond = &regiond };
	struct control_call *call = begin(args);
	int ret = leecher_take_when(call, &leecher);

	CHECK(ret || leecher.when.handover != LEECHER_WHEN_COMPLETE || leecher.when.on_stall != LEECHER_POSTCOPY);
	CHECK(ret || !leecher.manual || !leecher.wanted);
	end(call, ret);
	call = begin(args);
	end(call, leecher_take_finalize(call, &leecher));
	call = begin(args);
	ret = leecher_take_places(call, "0123", &leecher.from, &leecher.local);
	CHECK(ret || (!strncmp(leecher.from, "peer", 4) && strlen(leecher.from) < LEECH_RECORD_FROM && *leecher.local));
	end(call, ret);
	free(leecher.from);
	free(leecher.local);
}

static void check_fields(const char *names)
{
	struct json_fields fields;
	char bad[32] = "";

	if (json_fields_parse(&fields, names, bad))
		CHECK(*bad && strstr(names, bad));
	else
		CHECK(!*bad && fields.n <= JSON_FIELDS_MAX);
}

/* ---- for the next helper ---- */

static void check_again(json_t *args)
{
	struct control_call *call = begin(args), *next;
	char *text = control_again_text(call, "seeder");

	CHECK(text && control_again_is(text, "seeder") && !control_again_is(text, "leecher"));
	next = control_again(&regiond, text, NULL);
	CHECK(next && !json_object_del(next->args, "role") && !json_object_del(args, "role") == !!json_object_get(call->args, "role"));
	CHECK(json_equal(next->args, args));
	control_ok(next, NULL);
	control_ok(call, NULL);
	free(text);
}

/* No file that it may name is looked at. */
static void drop_files(json_t *args)
{
	static const char *const names[] = { "suspend_cgroup", "suspend_unit", "resume_unit", "local", "pull_order" };

	for (unsigned int i = 0; i < sizeof(names) / sizeof(*names); i++) {
		const char *value = json_string_value(json_object_get(args, names[i]));

		if (i < 3 || (value && strchr(value, '/')))
			json_object_del(args, names[i]);
	}
}

static void check_args(json_t *args)
{
	unsigned int most = 8;
	const char *key;
	json_t *value;

	json_object_foreach(args, key, value) {
		if (!most--)
			break;
		check_number(args, key);
		check_string(args, key);
		check_strings(args, key);
		if (json_is_string(value))
			check_fields(json_string_value(value));
	}
	check_policies(args, control_policy_add);
	check_policies(args, control_policy_leech);
	check_suspend(args);
	check_leecher(args);
	check_again(args);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	json_t *request = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
	json_t *args = json_object_get(request, "args"), *shown = control_text(text);

	CHECK(json_is_string(shown));
	policy_init(&config.policy);
	if (json_is_object(args)) {
		check_takes(args, json_string_value(json_object_get(request, "cmd")));
		drop_files(args);
		check_args(args);
	}
	json_decref(shown);
	json_decref(request);
	free(text);
	return 0;
}
