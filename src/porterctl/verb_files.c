/* SPDX-License-Identifier: MIT
 *
 * porterctl check and list: what the policy gives, without opening anything.
 */
#include "porterctl/client.h"
#include "porterctl/failure.h"
#include "porterctl/output.h"

DEFINE_CLEANUP(struct porter_file **, cleanup_files, porter_files_free)

static int check_json(const struct invocation *invocation)
{
	_cleanup_json_ json_t *reply = NULL;
	int r;

	r = client_call_json(invocation, "io.porterd.Files.Check", "check", invocation->words[0], &reply);
	if (r != EXIT_DONE)
		return r;
	return json_is_true(json_object_get(reply, "permitted")) ? EXIT_DONE : EXIT_REFUSED;
}

int verb_check(const struct invocation *invocation)
{
	_cleanup_porter_ struct porter *porter = NULL;
	_cleanup_free_ char *reason = NULL, *escaped = NULL;
	bool permitted;
	int r;

	if (invocation->json)
		return check_json(invocation);

	r = client_connect(invocation, &porter);
	if (r != EXIT_DONE)
		return r;
	r = porter_check(porter, invocation->words[0], &permitted, &reason);
	if (r < 0)
		return failure_call(invocation, porter, "check", invocation->words[0], r);

	escaped = output_escape(reason);
	(void)printf("%s%s%s\n", permitted ? "permitted" : "refused", *escaped ? ": " : "", escaped);
	return permitted ? EXIT_DONE : EXIT_REFUSED;
}

static void print_files(struct porter_file **files)
{
	_cleanup_free_ const char **cells = NULL;
	size_t n_files = 0;

	while (files[n_files])
		n_files++;
	cells = calloc(n_files + 1, 3 * sizeof(*cells));
	if (!cells)
		output_out_of_memory();

	cells[0] = "FILE";
	cells[1] = "ACCESS";
	cells[2] = "DESCRIPTION";
	for (size_t i = 0; i < n_files; i++) {
		cells[3 * i + 3] = files[i]->name;
		cells[3 * i + 4] = files[i]->access;
		cells[3 * i + 5] = files[i]->description;
	}
	output_table(cells, n_files + 1, 3);
}

int verb_list(const struct invocation *invocation)
{
	_cleanup_(cleanup_files) struct porter_file **files = NULL;
	_cleanup_porter_ struct porter *porter = NULL;
	int r;

	if (invocation->json)
		return client_call_json(invocation, "io.porterd.Files.List", "list files", NULL, NULL);

	r = client_connect(invocation, &porter);
	if (r != EXIT_DONE)
		return r;
	r = porter_list(porter, &files);
	if (r < 0)
		return failure_call(invocation, porter, "list files", NULL, r);

	print_files(files);
	return EXIT_DONE;
}
