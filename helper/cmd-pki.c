// SPDX-License-Identifier: GPL-2.0
/* regionctl pki: a private CA for the hosts that reach each other's regions. It asks no regiond. */
#include <errno.h>

#include "cmd.h"
#include "pki.h"

static const struct show_field fields[] = {
	{ SHOW_TEXT, "cert", "certificate" },
	{ SHOW_TEXT, "key", "key" },
	{ SHOW_TEXT, "ca", "CA" },
	{ SHOW_TEXT, "until", "valid until" },
	{ SHOW_END, NULL, NULL },
};

static const struct show_field ca_fields[] = {
	{ SHOW_TEXT, "cert", "certificate, for all hosts" },
	{ SHOW_TEXT, "key", "key, for none of them" },
	{ SHOW_TEXT, "until", "valid until" },
	{ SHOW_END, NULL, NULL },
};

static int take_request(struct cmd_context *ctx, struct pki_request *request, const char *name, unsigned int days)
{
	const json_t *hosts = json_object_get(ctx->args, "host"), *number = json_object_get(ctx->args, "days"), *host;
	size_t i;

	request->name = name;
	request->days = days;
	if (number)
		request->days = json_integer_value(number) > PKI_DAYS_MAX ? 0 : (unsigned int)json_integer_value(number);
	request->replace = json_is_true(json_object_get(ctx->args, "replace"));
	json_array_foreach(hosts, i, host) {
		if (request->nr_hosts == PKI_HOSTS_MAX)
			return cmd_fail(ctx, -E2BIG, "a certificate names %u hosts at most", PKI_HOSTS_MAX);
		request->hosts[request->nr_hosts++] = json_string_value(host);
	}
	return CMD_OK;
}

static int show_made(const struct cmd_context *ctx, const struct pki_made *made, const struct show_field *shown)
{
	return show_result(ctx, json_pack("{s:s, s:s, s:s, s:s}", "cert", made->cert, "key", made->key, "ca", made->ca,
					  "until", made->until), shown);
}

static int run_init(struct cmd_context *ctx)
{
	const char *name = cmd_text(ctx, "name");
	struct pki_request request = { 0 };
	struct pki_made made;
	char why[512];
	int ret;

	ret = take_request(ctx, &request, name ? name : "regionfs-ca", PKI_CA_DAYS);
	if (ret)
		return ret;
	ret = pki_init(cmd_text(ctx, "dir"), &request, &made, why, sizeof(why));
	return ret ? cmd_fail(ctx, ret, "%s", why) : show_made(ctx, &made, ca_fields);
}

static int run_issue(struct cmd_context *ctx)
{
	struct pki_request request = { 0 };
	struct pki_made made;
	char why[512];
	int ret = take_request(ctx, &request, cmd_text(ctx, "name"), PKI_DAYS);

	if (ret)
		return ret;
	ret = pki_issue(cmd_text(ctx, "dir"), cmd_text(ctx, "out"), &request, &made, why, sizeof(why));
	return ret ? cmd_fail(ctx, ret, "%s", why) : show_made(ctx, &made, fields);
}

const struct cmd cmd_pki_init = {
	.name = "pki init",
	.summary = "make a private CA, for certificates of hosts",
	.details =
		"Makes DIR/ca.crt, which all hosts get (--tls-ca), and DIR/ca.key, which stays where it is: who has it can\n"
		"make a certificate of any name. 'regionctl pki issue DIR NAME' makes one for a host.\n",
	.operands = (const struct cmd_operand[]) {
		{ CMD_PATH, "dir", "DIR", false },
		CMD_OPERANDS_END,
	},
	.options = (const struct cmd_option[]) {
		{ CMD_TEXT, "name", NULL, "NAME", "what the CA is called (regionfs-ca)" },
		{ CMD_NUMBER, "days", NULL, "N", "how long it is good for (3650)" },
		CMD_OPTIONS_END,
	},
	.run = run_init,
};

const struct cmd cmd_pki_issue = {
	.name = "pki issue",
	.summary = "make a certificate for a host, signed by that CA",
	.details =
		"Makes NAME.crt and NAME.key, by the CA in DIR, for either end of a connection: --tls-cert, --tls-key and\n"
		"--tls-ca of both hosts, or cert=, key= and ca= of peer://. NAME is what --allow of export and seed knows its\n"
		"bearer by. Who is called at peer://HOST needs a certificate for that HOST: its NAME, or one of --host.\n"
		"One that is there is not replaced without --replace.\n",
	.operands = (const struct cmd_operand[]) {
		{ CMD_PATH, "dir", "DIR", false },
		{ CMD_TEXT, "name", "NAME", false },
		CMD_OPERANDS_END,
	},
	.options = (const struct cmd_option[]) {
		{ CMD_TEXTS, "host", NULL, "HOST", "a name or address that it is called at; may be repeated" },
		{ CMD_NUMBER, "days", NULL, "N", "how long it is good for (365; not longer than the CA)" },
		{ CMD_PATH, "out", NULL, "DIR", "where its files go, with a copy of ca.crt (the CA's directory)" },
		{ CMD_TRUE, "replace", NULL, NULL, "renew: a new key and certificate in place of those that are there, for the same HOSTs" },
		CMD_OPTIONS_END,
	},
	.run = run_issue,
};
