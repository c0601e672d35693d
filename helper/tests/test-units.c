// SPDX-License-Identifier: GPL-2.0
/* Sizes, durations, numbers and modes: what is understood, what is refused, and how they print. */
#include <errno.h>

#include "tap.h"
#include "../units.h"

static void check_size(const char *text, int err, uint64_t wanted)
{
	uint64_t value = 77;

	tap_ok(regionfs_size_parse(text, &value) == err && value == (err ? 77 : wanted),
	       "size '%s'", text);
}

static void check_duration(const char *text, int err, uint64_t wanted)
{
	uint64_t value = 77;

	tap_ok(regionfs_duration_parse(text, &value) == err && value == (err ? 77 : wanted),
	       "duration '%s'", text);
}

static void check_sizes(void)
{
	check_size("0", 0, 0);
	check_size("4096", 0, 4096);
	check_size("64K", 0, 65536);
	check_size("64k", 0, 65536);
	check_size("10MiB", 0, 10 << 20);
	check_size("10MB", 0, 10 << 20);
	check_size("12B", 0, 12);
	check_size("1.5G", 0, 3ULL << 29);
	check_size("2T", 0, 2ULL << 40);
	check_size("16383P", 0, 16383ULL << 50);
	check_size("18446744073709551615", 0, UINT64_MAX);
	check_size("18446744073709551616", -ERANGE, 0);
	check_size("16384P", -ERANGE, 0);
	check_size("0.3K", -EINVAL, 0);
	check_size("1.", -EINVAL, 0);
	check_size(".5K", -EINVAL, 0);
	check_size("", -EINVAL, 0);
	check_size("K", -EINVAL, 0);
	check_size("-1", -EINVAL, 0);
	check_size(" 1", -EINVAL, 0);
	check_size("1 K", -EINVAL, 0);
	check_size("12Q", -EINVAL, 0);
	check_size("12KK", -EINVAL, 0);
	check_size("1.0000000000K", -EINVAL, 0);
}

static void check_durations(void)
{
	check_duration("60", 0, 60000);
	check_duration("250ms", 0, 250);
	check_duration("1.5s", 0, 1500);
	check_duration("5m", 0, 300000);
	check_duration("5min", 0, 300000);
	check_duration("1h", 0, 3600000);
	check_duration("0", 0, 0);
	check_duration("1d", -EINVAL, 0);
	check_duration("0.5ms", -EINVAL, 0);
	check_duration("s", -EINVAL, 0);
}

static void check_modes(void)
{
	uint32_t mode = 0;

	tap_ok(!regionfs_mode_parse("644", &mode) && mode == 0644, "mode 644");
	tap_ok(!regionfs_mode_parse("04755", &mode) && mode == 04755, "mode 04755");
	tap_number(regionfs_mode_parse("648", &mode), -EINVAL, "mode 648 is not octal");
	tap_number(regionfs_mode_parse("", &mode), -EINVAL, "mode '' is none");
	tap_number(regionfs_mode_parse("77777", &mode), -ERANGE, "mode 77777 is too much");
	tap_number(regionfs_mode_parse("u+w", &mode), -EINVAL, "mode u+w is not octal");
}

static void check_numbers(void)
{
	uint64_t value = 0;

	tap_ok(!regionfs_number_parse("64", 1, 64, &value) && value == 64, "64 of 1..64");
	tap_number(regionfs_number_parse("65", 1, 64, &value), -ERANGE, "65 of 1..64");
	tap_number(regionfs_number_parse("0", 1, 64, &value), -ERANGE, "0 of 1..64");
	tap_number(regionfs_number_parse("6x", 1, 64, &value), -EINVAL, "6x is no number");
}

static void check_formats(void)
{
	char text[REGIONFS_UNITS_TEXT];

	tap_is(regionfs_size_format(0, text), "0 B", "nothing");
	tap_is(regionfs_size_format(1023, text), "1023 B", "just under a KiB");
	tap_is(regionfs_size_format(1024, text), "1 KiB", "a KiB");
	tap_is(regionfs_size_format(1536, text), "1.50 KiB", "a KiB and a half");
	tap_is(regionfs_size_format((1 << 20) - 1, text), "1 MiB", "rounding steps up the unit");
	tap_is(regionfs_size_format(123456789, text), "118 MiB", "three digits are enough");
	tap_is(regionfs_size_format(UINT64_MAX, text), "16 EiB", "the largest");
	tap_is(regionfs_duration_format(320, text), "320 ms", "milliseconds");
	tap_is(regionfs_duration_format(1500, text), "1.5 s", "seconds");
	tap_is(regionfs_duration_format(59999, text), "1m00s", "rounding steps up to minutes");
	tap_is(regionfs_duration_format(125000, text), "2m05s", "minutes");
	tap_is(regionfs_duration_format(11400000, text), "3h10m", "hours");
	tap_is(regionfs_mode_format(0644, text), "rw-r--r--", "a mode");
	tap_is(regionfs_mode_format(07711, text), "rws--s--t", "a mode with all special bits");
}

int main(void)
{
	check_sizes();
	check_durations();
	check_modes();
	check_numbers();
	check_formats();
	return tap_end();
}
