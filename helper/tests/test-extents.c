// SPDX-License-Identifier: GPL-2.0
/* extents against a naive model: an array with each byte's place. */
#include "../extents.h"
#include "tap.h"

#define SIZE	512u
#define NONE	(UINT64_MAX - 1)

struct model {
	struct extents extents;
	uint64_t at[SIZE];
};

static uint64_t seed = 1;

static uint64_t any(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

static void model_init(struct model *model)
{
	extents_init(&model->extents);
	for (unsigned int i = 0; i < SIZE; i++)
		model->at[i] = NONE;
}

static void model_put(struct model *model, uint64_t start, uint64_t end, uint64_t at)
{
	for (uint64_t i = start; i < end; i++)
		model->at[i] = at == EXTENT_ZERO || at == NONE ? at : at + (i - start);
}

static bool goes_on(const uint64_t *at, unsigned int i)
{
	return at[i] == EXTENT_ZERO ? at[i - 1] == EXTENT_ZERO : at[i - 1] < NONE && at[i] == at[i - 1] + 1;
}

/* Every range of the model, from end to end, and nothing else. */
static bool same(const struct model *model)
{
	struct extent extent;
	uint64_t from = 0, count = 0, bytes = 0;

	for (unsigned int i = 0; i < SIZE; i++) {
		unsigned int start = i;

		if (model->at[i] == NONE)
			continue;
		while (i + 1 < SIZE && goes_on(model->at, i + 1))
			i++;
		if (!extents_next(&model->extents, from, &extent) || extent.start != start || extent.end != i + 1 ||
		    extent.at != model->at[start])
			return false;
		from = extent.end;
		count++;
		bytes += extent.end - extent.start;
	}
	return !extents_next(&model->extents, from, &extent) && model->extents.count == count && model->extents.bytes == bytes;
}

static bool same_any(const struct model *model)
{
	uint64_t start = any(SIZE), end = any(SIZE + 1);
	bool found = false;

	for (uint64_t i = start; i < end; i++)
		found |= model->at[i] != NONE;
	return extents_any(&model->extents, start, end) == found;
}

/* Places are such that neighbours follow one another now and then. */
static void change(struct model *model)
{
	uint64_t start = any(SIZE), end = start + any(any(8) ? 24 : SIZE - start + 1);
	uint64_t at = any(5) ? start + (any(3) << 20) : EXTENT_ZERO;

	if (end > SIZE)
		end = SIZE;
	if (any(4)) {
		extents_put(&model->extents, start, end, at);
		model_put(model, start, end, at);
	} else {
		extents_cut(&model->extents, start, end);
		model_put(model, start, end, NONE);
	}
}

static void check_random(void)
{
	struct model model;
	bool good = true;

	model_init(&model);
	for (unsigned int i = 0; i < 30000; i++) {
		change(&model);
		good &= same_any(&model) && (i % 10 || same(&model));
	}
	tap_ok(good, "30000 random puts and cuts are those of the model");
	extents_free(&model.extents);
	tap_ok(!extents_any(&model.extents, 0, SIZE) && !model.extents.count && !model.extents.bytes, "freed is empty");
}

static void check_edges(void)
{
	struct extents extents;
	struct extent extent;

	extents_init(&extents);
	extents_put(&extents, 0, UINT64_MAX, EXTENT_ZERO);
	extents_put(&extents, 1ULL << 40, (1ULL << 40) + 4096, 77);
	tap_number((long long)extents.count, 3, "all the bytes there can be, with one range in them");
	extents_cut(&extents, 4096, UINT64_MAX);
	tap_ok(extents_next(&extents, 0, &extent) && !extent.start && extent.end == 4096, "a cut to the end leaves the front");
	tap_ok(!extents_put(&extents, 9000, 9000, 1) && extents.count == 1, "an empty range is none");
	extents_free(&extents);
}

/* In order is how it is used mostly: were the tree a list then, this would take minutes. */
static void check_many(void)
{
	struct extents extents;
	uint64_t n = 200000;

	extents_init(&extents);
	for (uint64_t i = 0; i < n; i++)
		extents_put(&extents, i * 4096, i * 4096 + 4096, i * 5000);
	tap_ok(extents.count == n && extents.bytes == n * 4096, "200000 in order");
	extents_free(&extents);
}

int main(void)
{
	check_random();
	check_edges();
	check_many();
	return tap_end();
}
