// SPDX-License-Identifier: GPL-2.0
/* Options and NAME.conf: values, precedence, regions, and the sentence for each mistake. */
#include <errno.h>
#include <unistd.h>

#include "tap.h"
#include "../config.h"

static char file[] = "/tmp/test-config.XXXXXX";
static char why[512];

static void write_file(const char *text)
{
	FILE *out = fopen(file, "w");

	fputs(text, out);
	fclose(out);
}

#define PARSE(config, ...) parse(config, (const char *[]){ "regiond", __VA_ARGS__, NULL })

static int parse(struct config *config, const char **argv)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	why[0] = '\0';
	optind = 0;
	return config_parse(config, argc, (char **)argv, why, sizeof(why));
}

static int parse_file(struct config *config, const char *text)
{
	write_file(text);
	if (PARSE(config, "--instance", "demo", "--config", file, "--depth", "8"))
		return -EIO;
	return config_read(config, why, sizeof(why));
}

static void check_options(void)
{
	struct config config;

	tap_number(PARSE(&config, "--instance", "a.b-1", "--source", "dir:/srv", "--takeback", "2s", "--max-request", "2M"), 0,
		   "options");
	tap_number(config_read(&config, why, sizeof(why)), 0, "no file is no error");
	tap_is(config.name, "a.b-1", "name");
	tap_is(config.source, "dir:/srv", "source");
	tap_number(config.source_from, FROM_COMMAND, "from the command line");
	tap_number(config.takeback, 2000, "a time");
	tap_number(config.max_request, 2 << 20, "a size");
	tap_is(config.state_dir, "/var/lib/regionfs/a.b-1", "state directory");
	tap_is(config.run_dir, "/run/regionfs/a.b-1", "run directory");
	config_free(&config);
	tap_number(PARSE(&config, "--help"), CONFIG_HELP, "--help");
	config_free(&config);
	tap_number(PARSE(&config, "--version"), CONFIG_VERSION, "--version");
	config_free(&config);
}

static void refused(const char *a, const char *b, const char *part)
{
	struct config config;
	int err = PARSE(&config, "--instance", "x", a, b);

	tap_ok(err < 0 && strstr(why, part), "%s %s is refused: %s", a, b ? b : "", why);
	config_free(&config);
}

static void check_refusals(void)
{
	struct config config;

	refused("--instance", "a/b", "instance");
	refused("--instance", "", "instance");
	refused("--source", "nonsense", "scheme");
	refused("--source", "peer://a:b@c/", "password");
	refused("--depth", "0", "depth");
	refused("--depth", "7x", "depth");
	refused("--max-request", "100000", "max-request");
	refused("--state", "relative", "state");
	refused("--allow-group", "no such group", "allow-group");
	refused("--colour", NULL, "--colour");
	refused("more", NULL, "more");
	tap_ok(PARSE(&config, "--foreground") < 0 && strstr(why, "--instance"), "no instance: %s", why);
	config_free(&config);
}

static void check_file(void)
{
	struct config config;
	const struct config_region *region;

	tap_number(parse_file(&config, "# a comment\n; another\n\nsource = file:/srv/x\n depth=4\nqueues = 3\n"
			      "allow-group = 0\n[region data/db]\nsource = \"file:/a b\"\nsize = 1G\nmode = 0640\nuid = 5\n"
			      "gid=root\nread-only = yes\ntimeout = 5s\nchunk = 64K\n[region other]\nsize=4096\n"), 0, "a file");
	tap_is(why, "", "without a complaint");
	tap_is(config.source, "file:/srv/x", "its source");
	tap_number(config.source_from, FROM_FILE, "is from the file");
	tap_number(config.depth, 8, "the command line beats it");
	tap_number(config.queues, 3, "a number");
	tap_ok(config.have_group && !config.allow_group, "a group");
	region = config.regions;
	if (tap_ok(region && region->next && !region->next->next, "two regions")) {
		tap_is(region->path, "data/db", "path");
		tap_is(region->source, "file:/a b", "source in quotes");
		tap_ok(region->size == 1 << 30 && region->mode == 0640 && region->uid == 5 && !region->gid &&
		       region->read_only && !region->fixed_size && region->timeout == 5000 && region->chunk == 65536, "values");
		tap_ok(!region->next->source && region->next->size == 4096 && region->next->mode == 0644, "defaults");
	}
	config_free(&config);
}

static void check_policies(void)
{
	struct config config;
	const struct config_region *region;
	char *text;

	tap_number(parse_file(&config, "local = memory\npull-rate = 10M\non-after-pull = echo a b\n[region a]\nsize = 1M\n"
			      "[region b]\nmanaged = yes\n[region c]\ndurability = local\npull-rate = 0\nlocal = \"file:/a b\"\n"), 0,
		   "policies");
	tap_is(why, "", "without a complaint");
	tap_ok(!config.managed, "nothing is managed of itself");
	region = config.regions;
	if (tap_ok(region && region->next && region->next->next, "three regions")) {
		tap_ok(region->managed == MANAGED_NO, "one with no option of its own neither");
		region = region->next;
		text = policy_text(&region->policy);
		tap_ok(region->managed == MANAGED_YES, "one that says so is");
		tap_is(text, "local=memory pull-rate=10M on-after-pull=echo%20a%20b", "as the instance says");
		free(text);
		region = region->next;
		text = policy_text(&region->policy);
		tap_ok(region->managed == MANAGED_YES, "one with an option is");
		tap_is(text, "local=file:/a%20b durability=local on-after-pull=echo%20a%20b", "and its own options beat the instance's");
		free(text);
	}
	config_free(&config);
	tap_number(parse_file(&config, "[region a]\nsize=1M\n[region b]\nmanaged=no\n[instance]\nmanaged = yes\nlocal=memory\n"), 0,
		   "a managed instance");
	tap_ok(config.managed && config.regions->managed == MANAGED_YES && config.regions->policy.local == LOCAL_MEMORY,
	       "what is said at the end counts as well");
	tap_ok(config.regions->next->managed == MANAGED_NO, "managed=no is an exception");
	config_free(&config);
	tap_number(PARSE(&config, "--instance", "x", "--managed", "--local=memory", "--push-order", "any"), 0, "on the command line");
	tap_ok(config.managed && config.policy.local == LOCAL_MEMORY && config.policy.push_order == PUSH_ANY, "they mean the same");
	config_free(&config);
}

static void bad_file(const char *text, const char *part)
{
	struct config config;
	int err = parse_file(&config, text);

	tap_ok(err < 0 && strstr(why, part), "refused: %s", why);
	config_free(&config);
}

static void check_bad_files(void)
{
	struct config config;

	bad_file("nonsense\n", ":1:");
	bad_file("source = memory:\n\nsize = 4\n", ":3:");
	bad_file("[region x\n", "closed");
	bad_file("[region x]\nsize = much\n", "much");
	bad_file("[region x]\ncolour = red\n", "colour");
	bad_file("[region /x]\nsize = 1\n", "below the mount");
	bad_file("[disk]\na=b\n", "[disk]");
	bad_file("instance = other\n", "instance");
	bad_file("local = disk\n", "cache, memory or file");
	bad_file("managed = yes\ndurability = local\n", "local=memory");
	bad_file("durability = local\n[region a]\nmanaged = yes\n", "region a: durability=local");
	bad_file("[region a]\nmanaged = no\nlocal = memory\n", "managed=no");
	bad_file("[region a]\npull-order = some\n", "pull-order=some");
	bad_file("depth = 4\nsource = nonsense\n", "scheme");
	unlink(file);
	tap_ok(!PARSE(&config, "--instance", "x", "--config", file) && config_read(&config, why, sizeof(why)) == -ENOENT,
	       "a file that was named must be there: %s", why);
	config_free(&config);
}

int main(void)
{
	int fd = mkstemp(file);

	if (fd < 0)
		return 99;
	close(fd);
	check_options();
	check_refusals();
	check_file();
	check_policies();
	check_bad_files();
	unlink(file);
	return tap_end();
}
