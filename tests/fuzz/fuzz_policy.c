/* SPDX-License-Identifier: MIT
 *
 * The policy's reader: the input is a file of it, or several that lie over one another, with a line of "---" between.
 * A value is what its line says, and no section is granted that says nothing of who may have what.
 */
#include <sys/socket.h>

#include "kernel/identity.h"
#include "opener/policy/compile.h"
#include "opener/policy/parse.h"
#include "opener/policy/policy.h"
#include "tests/fuzz/fuzz.h"

#define FILES_MAX 4
#define SEPARATOR "\n---\n"
#define TOLD_MAX 65536

struct text {
	const char *name;
	const uint8_t *data;
	size_t size;
};

struct told {
	char text[TOLD_MAX];
	size_t size;
};

static void tell(const struct policy_error *error, void *data)
{
	struct told *told = data;
	size_t size = MIN_OF(strlen(error->message) + 1, TOLD_MAX - told->size);

	fuzz_expect(error->message[0] != '\0');
	memcpy(told->text + told->size, error->message, size);
	told->size += size;
}

static size_t split(const uint8_t *data, size_t size, struct text *ret)
{
	static const char *const names[FILES_MAX] = { "a.conf", "b.conf", "c.conf", "d.conf" };
	size_t count = 0;

	while (count < FILES_MAX) {
		const uint8_t *end = memmem(data, size, SEPARATOR, strlen(SEPARATOR));

		ret[count] = (struct text){ names[count], data, end ? (size_t)(end - data) + 1 : size };
		count++;
		if (!end)
			break;
		size -= (size_t)(end - data) + strlen(SEPARATOR);
		data = end + strlen(SEPARATOR);
	}
	return count;
}

/* One read of a packet is one piece. */
static void parse(struct raw_policy *raw, const struct text *text, size_t pieces)
{
	struct fuzz_pieces cut;
	const uint8_t *piece;
	int pair[2];
	size_t n;

	fuzz_socketpair(pieces > 0 ? SOCK_SEQPACKET : SOCK_STREAM, pair);
	fuzz_pieces_init(&cut, text->data, text->size, pieces);
	while ((n = fuzz_pieces_next(&cut, &piece)) > 0)
		fuzz_expect(send(pair[0], piece, n, 0) == (ssize_t)n);
	(void)close(pair[0]);
	fuzz_expect(policy_parse_file(raw, pair[1], text->name) == 0);
	(void)close(pair[1]);
}

/* The value as the line has it, between blanks. */
static void check_value(const struct text *text, const struct raw_value *value)
{
	const uint8_t *at = text->data, *end = text->data + text->size, *stop;

	for (unsigned line = 1; line < value->line; line++) {
		at = memchr(at, '\n', (size_t)(end - at));
		fuzz_expect(at);
		at++;
	}
	stop = memchr(at, '\n', (size_t)(end - at));
	stop = stop ? stop : end;
	at = memchr(at, '=', (size_t)(stop - at));
	fuzz_expect(at);
	for (at++; at < stop && (*at == ' ' || *at == '\t');)
		at++;
	while (stop > at && (stop[-1] == ' ' || stop[-1] == '\t'))
		stop--;
	fuzz_expect(strlen(value->text) == (size_t)(stop - at) && memcmp(value->text, at, (size_t)(stop - at)) == 0);
}

static void check_values(const struct raw_policy *raw, const struct text *texts, size_t count)
{
	for (size_t i = 0; i < raw->n_sections; i++)
		for (size_t key = 0; key < N_KEYS; key++)
			for (size_t j = 0; raw->sections[i].values[key].text && j < count; j++)
				if (texts[j].name == raw->sections[i].values[key].file)
					check_value(&texts[j], &raw->sections[i].values[key]);
}

static void check_grant(const struct grant *grant)
{
	if (grant->broken)
		return;
	fuzz_expect(grant->name[0] != '\0' && memchr(grant->name, '\0', sizeof(grant->name)));
	fuzz_expect(grant->path && grant->path[0] == '/' && !strstr(grant->path, "/../"));
	fuzz_expect(!grant->within || strncmp(grant->path, grant->within, strlen(grant->within)) == 0);
	fuzz_expect(grant->n_users + grant->n_groups + grant->n_units > 0);
	fuzz_expect(grant->mode <= 0777);
	fuzz_expect(!grant->copy || grant->access == GRANT_READ);
	fuzz_expect(!grant->create || grant->access != GRANT_READ);
	for (size_t i = 0; i < grant->n_users; i++)
		fuzz_expect(grant->users[i] != IDENTITY_UID_NOBODY && grant->users[i] != (uid_t)-1);
	for (size_t i = 0; i < grant->n_groups; i++)
		fuzz_expect(grant->groups[i] != IDENTITY_GID_NOBODY && grant->groups[i] != (gid_t)-1);
	for (size_t i = 0; i < grant->n_units; i++)
		fuzz_expect(strchr(grant->units[i], '.') && !strpbrk(grant->units[i], "/*? "));
}

/* A policy of these sections, which is looked at and freed. */
static void compile(struct raw_policy *raw)
{
	struct policy *policy = calloc(1, sizeof(*policy));

	fuzz_expect(policy);
	policy->grants = calloc(raw->n_sections + 1, sizeof(*policy->grants));
	fuzz_expect(policy->grants);
	for (size_t i = 0; i < raw->n_sections; i++) {
		struct grant *grant = &policy->grants[policy->n_grants++];
		size_t errors = raw->n_errors;

		fuzz_expect(policy_compile_section(raw, &raw->sections[i], grant) == 0);
		fuzz_expect(raw->n_errors == errors || grant->broken);
		check_grant(grant);
	}
	policy_free(policy);
}

static void read_policy(const struct text *texts, size_t count, size_t pieces, struct told *told)
{
	struct raw_policy raw = { .report = tell, .data = told };

	told->size = 0;
	for (size_t i = 0; i < count; i++)
		parse(&raw, &texts[i], pieces);
	check_values(&raw, texts, count);
	compile(&raw);
	fuzz_expect((raw.n_errors == 0) == (told->size == 0));
	raw_policy_clear(&raw);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct told whole, cut;
	struct text texts[FILES_MAX];
	size_t count;

	/* What is longer finds no room in a socket; that it is refused is a test of the policy's. */
	if (size > POLICY_FILE_SIZE_MAX / 16)
		return 0;
	count = split(data, size, texts);
	read_policy(texts, count, 0, &whole);
	read_policy(texts, count, 64, &cut);
	fuzz_expect(whole.size == cut.size && memcmp(whole.text, cut.text, whole.size) == 0);
	fuzz_check_fds();
	return 0;
}
