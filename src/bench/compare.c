/* SPDX-License-Identifier: MIT
 *
 * Runs cases. Both sides take turns, and each begins every other round, so that both suffer alike from what else the
 * machine does, and from what the other side leaves behind.
 */
#include "bench/compare.h"

#include <sys/mman.h>

#include "base/macro.h"
#include "bench/interruption.h"

#define GIB 1073741824.0
/* Each turn begins with a warm-up of this part of its time, which is not measured. */
#define WARM_UP_PART 10
/* How short turns become where there is time for more than COMPARE_ROUNDS_MIN rounds. A machine that others share runs
 * at twice the pace one second and at half of it the next: short turns let both sides see the same. */
#define TURN_SECONDS 0.02
/* A turn has at least one exchange on each connection, so with many connections it takes longer. Such cases may take
 * so many times as long as asked, and have fewer rounds. */
#define OVERTIME 1.5
/* So many programs are started in a turn. */
#define STARTS_EACH 4

/* One value for each round. In memory that is shared with the clients. */
struct series {
	double rates[2][COMPARE_ROUNDS_MAX], bytes[2][COMPARE_ROUNDS_MAX], server[2][COMPARE_ROUNDS_MAX],
		per_gib[2][COMPARE_ROUNDS_MAX];
	double ratios[COMPARE_ROUNDS_MAX], ratios_cpu[COMPARE_ROUNDS_MAX];
	struct histogram latencies[2], unwanted;
	struct sample turn;
	unsigned rounds;
};

static unsigned count_rounds(double seconds)
{
	double rounds = seconds / (2 * TURN_SECONDS);

	if (rounds < COMPARE_ROUNDS_MIN)
		return COMPARE_ROUNDS_MIN;
	return rounds > COMPARE_ROUNDS_MAX ? COMPARE_ROUNDS_MAX : (unsigned)rounds & ~1U;
}

static bool is_over(const struct compare *compare, unsigned round, unsigned rounds, uint64_t begin)
{
	double seconds = (double)(now_nsec() - begin) / (double)NSEC_PER_SEC;

	return round >= rounds || interrupted() ||
	       (round >= COMPARE_ROUNDS_MIN && round % 2 == 0 && seconds > compare->seconds * OVERTIME);
}

static void series_add(struct series *series, const struct sample samples[2])
{
	unsigned round = series->rounds++;

	for (size_t i = 0; i < 2; i++) {
		double seconds = (double)samples[i].nsec / (double)NSEC_PER_SEC;
		double gib = (double)samples[i].bytes / GIB;

		series->rates[i][round] = (double)samples[i].operations / seconds;
		series->bytes[i][round] = (double)samples[i].bytes / seconds;
		series->server[i][round] = (double)samples[i].server_nsec / (double)samples[i].operations;
		series->per_gib[i][round] =
			gib > 0 ? (double)samples[i].server_nsec / (double)NSEC_PER_SEC / gib : 0;
	}
	series->ratios[round] = series->rates[0][round] / series->rates[1][round];
	series->ratios_cpu[round] =
		series->per_gib[1][round] > 0 ? series->per_gib[0][round] / series->per_gib[1][round] : 0;
}

static void series_sum_up(struct series *series, struct result *result)
{
	result->rounds = series->rounds;
	result->ratio = statistics_median(series->ratios, series->rounds);
	result->ratio_cpu = statistics_median(series->ratios_cpu, series->rounds);
	for (size_t i = 0; i < 2; i++)
		result->sides[i] = (struct figures){
			.rate = statistics_median(series->rates[i], series->rounds),
			.bytes = statistics_median(series->bytes[i], series->rounds),
			.server_nsec = statistics_median(series->server[i], series->rounds),
			.server_per_gib = statistics_median(series->per_gib[i], series->rounds),
			.p50 = histogram_quantile(&series->latencies[i], 0.5),
			.p99 = histogram_quantile(&series->latencies[i], 0.99),
			.p999 = histogram_quantile(&series->latencies[i], 0.999),
		};
}

static void compare_growth(const struct compare *compare, struct result *result)
{
	if (!result->bench->base)
		return;
	for (size_t i = 0; i < compare->n_results; i++) {
		const struct result *base = &compare->results[i];

		if (strcmp(base->bench->name, result->bench->base) == 0 && base->error == 0)
			result->growth = result->sides[0].server_nsec / base->sides[0].server_nsec;
	}
}

static bool is_reached(const struct result *result)
{
	const struct bench_case *bench = result->bench;

	if (bench->kind == CASE_MEMORY)
		return result->pss_kb <= MEMORY_PSS_KB && result->bytes_each <= MEMORY_BYTES_EACH;
	if (bench->kind == CASE_START)
		return bench->reach <= 0 || result->ratio <= bench->reach;
	return result->ratio >= bench->reach && (bench->reach_cpu <= 0 || result->ratio_cpu <= bench->reach_cpu) &&
	       (bench->reach_growth <= 0 || result->growth <= bench->reach_growth);
}

static const char *side_name(size_t i)
{
	return i == 0 ? "porterd" : "the other side";
}

static void describe_side(const struct compare *compare, const struct bench_case *bench, struct side *side)
{
	side->world = compare->world;
	side->service = bench->service;
	side->type = bench->type;
	side->config = bench->config;
	side->shape = &bench->shape;
	side->load = bench->load;
}

static int open_sides(const struct compare *compare, struct side *sides, struct result *result)
{
	const struct bench_case *bench = result->bench;

	for (size_t i = 0; i < 2; i++) {
		int r;

		describe_side(compare, bench, &sides[i]);
		if (i == 1 && bench->other.streams > 0)
			sides[1].shape = &bench->other;
		/* The bare loop sends the reply that porterd gave, unless the other side is porterd as well. */
		if (i == 1 && bench->porterd != bench->bare) {
			memcpy(sides[1].reply, sides[0].reply, sizeof(sides[1].reply));
			sides[1].reply_size = sides[0].reply_size;
		}
		r = side_open(&sides[i], i == 0 ? bench->porterd : bench->bare);
		if (r < 0) {
			result->failed = side_name(i);
			result->not_run = side_not_run(&sides[i]);
			return r;
		}
	}
	return 0;
}

/* The sample that the last turn brought is in series->turn. */
static int run_turn(struct side *side, uint64_t nsec, struct series *series, struct histogram *latencies)
{
	int r;

	series->turn = (struct sample){ .latencies = &series->unwanted };
	r = side_run(side, nsec / WARM_UP_PART, &series->turn);
	series->turn = (struct sample){ .latencies = latencies };
	return r < 0 ? r : side_run(side, nsec, &series->turn);
}

/* What the turns of a case need. */
struct contest {
	const struct compare *compare;
	struct series *series;
	struct result *result;
	struct side *sides;		     /* of rates */
	const char *const (*programs)[3]; /* of starts */
};

/* Lets one side have a turn of about `nsec`, and adds what it did to the sample. */
typedef int (*take_turn)(const struct contest *contest, size_t i, uint64_t nsec, struct sample *sample);

static int run_rounds(const struct contest *contest, take_turn turn)
{
	const struct compare *compare = contest->compare;
	struct series *series = contest->series;
	unsigned rounds = count_rounds(compare->seconds);
	uint64_t nsec = (uint64_t)(compare->seconds / rounds / 2 * (double)NSEC_PER_SEC), begin = now_nsec();

	for (unsigned round = 0; !is_over(compare, round, rounds, begin); round++) {
		struct sample samples[2] = {
			{ .latencies = &series->latencies[0] },
			{ .latencies = &series->latencies[1] },
		};

		compare->progress(contest->result->bench->title, round + 1, rounds);
		for (size_t k = 0; k < 2; k++) {
			size_t i = (round + k) % 2;
			int r = turn(contest, i, nsec, &samples[i]);

			if (r < 0) {
				contest->result->failed = side_name(i);
				return r;
			}
		}
		series_add(series, samples);
	}
	return 0;
}

static int drive_some(const struct contest *contest, size_t i, uint64_t nsec, struct sample *sample)
{
	int r = run_turn(&contest->sides[i], nsec, contest->series, sample->latencies);

	*sample = contest->series->turn;
	return r;
}

static int run_rate(const struct compare *compare, struct series *series, struct result *result)
{
	struct contest contest = { .compare = compare, .series = series, .result = result, .sides = sides_new() };
	int r;

	if (!contest.sides)
		return -ENOMEM;
	r = open_sides(compare, contest.sides, result);
	if (r >= 0)
		r = run_rounds(&contest, drive_some);
	sides_free(contest.sides);
	return r;
}

/* Start */

/* Starts take as long as they take, whatever the time for a turn. */
static int start_some(const struct contest *contest, size_t side, uint64_t nsec, struct sample *sample)
{
	const struct compare *compare = contest->compare;
	const struct bench_case *bench = contest->result->bench;
	char path[128], output[128];
	_cleanup_close_ int fd = world_listen(compare->world, bench->type, path, sizeof(path));
	struct process_socket socket = { .fd = fd, .name = bench->service };
	struct process_start start = {
		.arguments = contest->programs[side],
		.sockets = &socket,
		.n_sockets = 1,
		.cpu = compare->world->places.server,
		.output = output,
	};

	(void)nsec;
	if (fd < 0)
		return fd;
	world_path(compare->world, "output", output, sizeof(output));
	for (unsigned i = 0; i < STARTS_EACH; i++) {
		struct process process;
		int r = process_start(&process, &start);
		uint64_t took = process.ready_nsec - process.started_nsec;

		if (r < 0) {
			contest->result->not_run = process.not_run;
			return r;
		}
		sample->server_nsec += process_cpu_nsec(&process);
		process_stop(&process);
		sample->nsec += took;
		sample->operations++;
		histogram_add(sample->latencies, took);
	}
	return 0;
}

static int run_start(const struct compare *compare, struct series *series, struct result *result)
{
	char config[160];
	const char *const programs[2][3] = { { compare->world->porterd, config, NULL }, { compare->world->empty, NULL } };
	const struct contest contest = {
		.compare = compare,
		.series = series,
		.result = result,
		.programs = programs,
	};
	const char *settings = result->bench->config;
	int r = settings ? world_write_config(compare->world, settings) : 0;

	/* Without settings there is no file either. */
	(void)snprintf(config, sizeof(config), "--config-dir=%s%s", compare->world->directory, settings ? "/config" : "");
	if (r >= 0)
		r = run_rounds(&contest, start_some);
	/* The ratio is one of times here, and was one of rates. */
	for (unsigned i = 0; i < series->rounds; i++)
		series->ratios[i] = 1 / series->ratios[i];
	return r;
}

/* Memory */

static int run_memory(const struct compare *compare, struct result *result)
{
	const struct bench_case *bench = result->bench;
	/* There is no client: this process holds the connections. */
	struct side *side = sides_new();
	int64_t before, after;
	int r;

	if (!side)
		return -ENOMEM;
	result->failed = side_name(0);
	compare->progress(bench->title, 1, 1);
	describe_side(compare, bench, side);
	r = side_allow_fds(side);
	if (r >= 0)
		r = bench->porterd(side);
	result->not_run = side_not_run(side);
	if (r >= 0) {
		result->pss_kb = (double)process_memory_kb(&side->servers[0], "Pss:");
		r = result->pss_kb < 0 ? -EACCES : side_make_fds(side, bench->shape.streams);
	}
	before = process_memory_kb(&side->servers[0], "Anonymous:");
	for (size_t i = 0; r >= 0 && i < side->n_fds && !interrupted(); i++) {
		side->fds[i] = side_connect(side, bench->type);
		r = side->fds[i] < 0 ? side->fds[i] : 0;
	}
	/* The last one to connect is the last to be accepted. */
	(void)usleep(200 * 1000);
	after = process_memory_kb(&side->servers[0], "Anonymous:");
	result->bytes_each = (double)(after - before) * 1024 / (double)bench->shape.streams;
	result->rounds = 1;
	for (size_t i = 0; i < side->n_fds; i++)
		fd_close(side->fds[i]);
	free(side->fds);
	sides_free(side);
	return r;
}

void compare_run(const struct compare *compare, const struct bench_case *bench, struct result *result)
{
	struct series *series =
		mmap(NULL, sizeof(*series), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	*result = (struct result){ .bench = bench };
	if (series == MAP_FAILED) {
		result->error = -ENOMEM;
		return;
	}
	if (bench->kind == CASE_MEMORY)
		result->error = run_memory(compare, result);
	else if (bench->kind == CASE_START)
		result->error = run_start(compare, series, result);
	else
		result->error = run_rate(compare, series, result);
	if (result->error >= 0 && interrupted())
		result->error = -EINTR;
	if (result->not_run)
		result->remedy = world_remedy(compare->world, result->not_run);
	if (result->error >= 0 && bench->kind != CASE_MEMORY)
		series_sum_up(series, result);
	compare_growth(compare, result);
	result->reached = result->error >= 0 && is_reached(result);
	(void)munmap(series, sizeof(*series));
}
