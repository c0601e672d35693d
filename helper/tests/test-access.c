// SPDX-License-Identifier: GPL-2.0
/* Who may do what: rules and what they make no sense as, and clients with certificates that an export allows one thing, another, or nothing. */
#include "access.h"
#include "peer-pair.h"
#include "pki.h"
#include "raw-peer.h"

#define SEED	(ACCESS_READ | ACCESS_FOLLOW | ACCESS_LEECH)
#define EXPORT	(ACCESS_READ | ACCESS_WRITE)

static char why[512];

/* ---- rules ---- */

static void check_rule(const char *rule, unsigned int offered, const char *who, const char *wanted)
{
	char text[ACCESS_TEXT_MAX] = "";
	struct access access;

	access_init(&access);
	if (tap_ok(!access_add(&access, rule, offered, why, sizeof(why)), "%s is a rule", rule)) {
		const struct access_rule *first = list_entry(access.rules.next, struct access_rule, list);

		tap_is(access_text(first->actions, ",", text), wanted, "which allows what it says");
		tap_is(first->who, who, "to whom it says");
	}
	access_free(&access);
}

static void test_rules(void)
{
	check_rule("a=read", ACCESS_ALL, "a", "read");
	check_rule("a=write", ACCESS_ALL, "a", "read,write");
	check_rule("a=follow", ACCESS_ALL, "a", "read,follow");
	check_rule("a=leech", ACCESS_ALL, "a", "read,follow,leech");
	check_rule("*=all", EXPORT, "*", "read,write");
	check_rule("psk:x=all", SEED, "psk:x", "read,follow,leech");
	check_rule("a=b=read,follow", SEED, "a=b", "read,follow");
}

static void check_no_rule(const char *rule, unsigned int offered, const char *said)
{
	struct access access;

	access_init(&access);
	*why = 0;
	tap_number(access_add(&access, rule, offered, why, sizeof(why)), -EINVAL, rule);
	tap_ok(strstr(why, said) && list_empty(&access.rules), "\"%s\"", why);
	access_free(&access);
}

static void test_no_rules(void)
{
	char long_name[300], many[16];
	struct access access;

	check_no_rule("alice", ACCESS_ALL, "is no rule");
	check_no_rule("=read", ACCESS_ALL, "does not say who");
	check_no_rule("psk:=read", ACCESS_ALL, "does not say who");
	check_no_rule("*.example=read", ACCESS_ALL, "no patterns");
	check_no_rule(".example=read", ACCESS_ALL, "no patterns");
	check_no_rule("a=", ACCESS_ALL, "is no action");
	check_no_rule("a=read,,write", ACCESS_ALL, "is no action");
	check_no_rule("a=reads", ACCESS_ALL, "is no action");
	check_no_rule("a=leech", EXPORT, "others can read, write");
	check_no_rule("a=write", SEED, "others can read, follow, leech");
	memset(long_name, 'a', sizeof(long_name));
	strcpy(long_name + 256, "=read");
	check_no_rule(long_name, ACCESS_ALL, "too long");
	access_init(&access);
	for (unsigned int i = 0; i < ACCESS_RULES; i++) {
		snprintf(many, sizeof(many), "a%u=read", i);
		access_add(&access, many, ACCESS_ALL, why, sizeof(why));
	}
	tap_number(access_add(&access, "b=read", ACCESS_ALL, why, sizeof(why)), -EINVAL, "one rule more than there may be");
	access_free(&access);
}

/* ---- certificates, and the rules that can fit ---- */

static const char *file_of(const char *name)
{
	static char paths[8][128];
	static unsigned int n;
	char *path = paths[n++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return path;
}

static void make_files(void)
{
	static const char *const names[] = { "srv", "alice", "bob", "carol" };
	struct pki_made made;
	FILE *file;

	if (pki_init(dir, &(struct pki_request){ .name = "ca", .days = 9 }, &made, why, sizeof(why)))
		printf("# %s\n", why), exit(94);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct pki_request request = { .name = names[i], .days = 9, .hosts = { "127.0.0.1" }, .nr_hosts = 1 };

		if (pki_issue(dir, NULL, &request, &made, why, sizeof(why)))
			printf("# %s\n", why), exit(94);
	}
	file = fopen(file_of("key"), "w");
	fputs("me:00112233445566778899aabbccddeeff\n", file);
	fclose(file);
	chmod(file_of("key"), 0600);
}

static int fits(const char *rule, const struct tls_options *options)
{
	struct tls_context *tls = NULL;
	struct access access;
	int ret;

	if (options && tls_context_open(&tls, options, why, sizeof(why)))
		exit(93);
	access_init(&access);
	access_add(&access, rule, ACCESS_ALL, why, sizeof(why));
	ret = access_check(&access, access_by(tls), why, sizeof(why));
	access_free(&access);
	tls_context_put(tls);
	return ret;
}

static void test_fits(void)
{
	struct tls_options psk = { .psk = file_of("key"), .server = true };
	struct tls_options certs = { .cert = file_of("srv.crt"), .key = file_of("srv.key"), .ca = file_of("ca.crt"), .server = true };

	tap_ok(!fits("*=all", NULL) && !fits("*=all", &psk) && !fits("*=all", &certs), "all can be meant everywhere");
	tap_ok(!fits("a=read", &certs) && !fits("psk:a=read", &psk), "a name where there are certificates, an identity with a key");
	tap_ok(fits("a=read", NULL) == -EINVAL && strstr(why, "clear text"), "nobody has a name in clear text: %s", why);
	tap_ok(fits("a=read", &psk) == -EINVAL && strstr(why, "write psk:"), "nor with a key: %s", why);
	tap_ok(fits("psk:a=read", &certs) == -EINVAL && strstr(why, "write NAME="), "nor a key with a certificate: %s", why);
}

/* ---- an export ---- */

static struct export *export_for(const char *const *rules, unsigned int offered)
{
	struct listener_options options = {
		.listen = "127.0.0.1:0", .tls_cert = file_of("srv.crt"), .tls_key = file_of("srv.key"), .tls_ca = file_of("ca.crt"),
	};
	struct export *export = export_array(&options, false);

	for (; *rules; rules++)
		if (access_add(&export->access, *rules, offered, why, sizeof(why)))
			printf("# %s\n", why), exit(92);
	return export;
}

static struct backend *open_as(const struct export *export, const char *who, const char *more)
{
	static uint64_t instance;
	char options[512], source[1024];

	snprintf(options, sizeof(options), "?cert=%s/%s.crt&key=%s/%s.key&ca=%s/ca.crt%s", dir, who, dir, who, dir, more);
	source_of(source, sizeof(source), export, "peer", options);
	return client_open(source, (struct who){ .instance = ++instance, .generation = 1 });
}

static void test_export(void)
{
	struct export *export = export_for((const char *[]){ "alice=write", "bob=read", NULL }, EXPORT);
	struct backend *alice = open_as(export, "alice", ""), *bob;
	static uint8_t bytes[4096];

	tap_ok(alice && !alice->caps.read_only, "who may write does");
	tap_number(request(alice, BACKEND_WRITE, 0, sizeof(bytes), bytes), 0, "as it says");
	bob = open_as(export, "bob", "");
	tap_ok(bob && bob->caps.read_only, "who may read finds it read-only");
	tap_number(request(bob, BACKEND_READ, 0, sizeof(bytes), bytes), 0, "and reads it");
	tap_number(request(bob, BACKEND_WRITE, 0, sizeof(bytes), bytes), -EROFS, "but does not write");
	open_as(export, "carol", "");
	tap_number(open_error, -EACCES, "who is not named may do nothing");
	tap_ok(strstr(open_why, "carol may not write dir/db here, it is allowed to: nothing"), "and is told: %s", open_why);
	tap_number(request(alice, BACKEND_WRITE, 0, sizeof(bytes), bytes), 0, "the one who writes is not disturbed by that");
	client_close(alice);
	client_close(bob);
	unexport(export);
}

static void test_all(void)
{
	struct export *export = export_for((const char *[]){ "*=read", "carol=write", NULL }, EXPORT);
	struct backend *bob = open_as(export, "bob", ""), *carol = open_as(export, "carol", "");

	tap_ok(bob && bob->caps.read_only && carol && !carol->caps.read_only, "what all may do, and what one may besides");
	client_close(bob);
	client_close(carol);
	unexport(export);
	export = export_for((const char *[]){ NULL }, EXPORT);
	carol = open_as(export, "carol", "");
	tap_ok(carol && !carol->caps.read_only, "without rules whoever is let in may do all");
	client_close(carol);
	unexport(export);
}

/* ---- one that is seeded ---- */

static int seed_open(void *arg, struct export_session *session, char *said, size_t len)
{
	return 0;
}

static void seed_message(void *arg, struct serve_req *req, const uint8_t *body, size_t len)
{
	serve_fail(req, -EOPNOTSUPP, "not here");
}

static bool seed_read(void *arg, struct export_session *session, struct backend_req *req)
{
	return false;
}

static bool seed_reads(void *arg)
{
	return true;
}

static void seed_drop(void *arg, const struct export_session *session, unsigned int slot)
{
}

static void seed_gone(void *arg, struct export_session *session)
{
}

static const struct export_seed_ops seed_ops = { seed_open, seed_message, seed_read, seed_reads, seed_drop, seed_gone };

static void check_seed(const struct export *export, const char *who, const char *how, const char *refusal)
{
	struct backend *client = open_as(export, who, how);

	if (refusal)
		tap_ok(!client && open_error == -EACCES && strstr(open_why, refusal), "%s%s: %s", who, how, open_why);
	else
		tap_ok(client, "%s%s is let in", who, how);
	if (client)
		client_close(client);
}

static void test_seed(void)
{
	struct export *export = export_for((const char *[]){ "alice=leech", "bob=follow", "carol=read", NULL }, SEED);

	export->seed = &seed_ops;
	check_seed(export, "alice", "&seed", NULL);
	check_seed(export, "alice", "&follow", NULL);
	check_seed(export, "bob", "&seed", "bob may not leech dir/db here, it is allowed to: read, follow");
	check_seed(export, "bob", "&follow", NULL);
	check_seed(export, "carol", "&seed", "carol may not leech");
	check_seed(export, "carol", "&follow", "carol may not follow");
	check_seed(export, "carol", "", NULL);
	export->seed = NULL;
	unexport(export);
}

/* ---- by hand ---- */

static struct export *export_plain(char listen[64])
{
	struct listener_options options = { .listen = listen };

	snprintf(listen, 64, "unix:%s/by-hand", dir);
	return export_array(&options, false);
}

static uint32_t list_length(const struct export *export)
{
	struct wire_list list = { .after = "" };
	int fd = raw_connect(export);
	struct wire_head got = { .length = 0 };

	introduce_raw(fd);
	send_frame(fd, WIRE_LIST, WIRE_S_LIST, &list);
	raw_answer(fd, WIRE_LIST, &got);
	close(fd);
	return got.length - WIRE_HEAD_SIZE;
}

static void test_list(void)
{
	char listen[64];
	struct export *export = export_plain(listen);

	tap_ok(list_length(export) > 0, "what one may read is listed");
	access_add(&export->access, "alice=read", EXPORT, why, sizeof(why));
	tap_number(list_length(export), 0, "what one may do nothing with is not");
	unexport(export);
}

/* Who knows a session's id, and comes later, needs what the session may do. */
static void test_join(void)
{
	struct wire_open open = { .session = "join", .region = "dir/db" };
	struct wire_head got = { .error = 0 };
	char listen[64];
	struct export *export = export_plain(listen);
	int first = raw_connect(export), second = raw_connect(export);

	introduce_raw(first);
	introduce_raw(second);
	send_frame(first, WIRE_OPEN, WIRE_S_OPEN, &open);
	tap_ok(raw_answer(first, WIRE_OPEN, &got) && !got.error, "a session has begun");
	access_add(&export->access, "alice=read", EXPORT, why, sizeof(why));
	open.slot = 1;
	send_frame(second, WIRE_OPEN, WIRE_S_OPEN, &open);
	tap_ok(raw_answer(second, WIRE_OPEN, &got) && got.error == EACCES, "who is not allowed what it may is kept out of it");
	close(first);
	close(second);
	unexport(export);
}

int main(void)
{
	if (!pair_begin())
		return 99;
	make_files();
	test_rules();
	test_no_rules();
	test_fits();
	test_export();
	test_all();
	test_seed();
	test_list();
	test_join();
	return pair_end();
}
