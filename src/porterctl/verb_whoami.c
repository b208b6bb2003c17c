/* SPDX-License-Identifier: MIT
 *
 * porterctl whoami: what the kernel tells the service of this process.
 */
#include <grp.h>
#include <pwd.h>

#include "porterctl/client.h"
#include "porterctl/failure.h"
#include "porterctl/output.h"

DEFINE_CLEANUP(struct porter_credentials *, cleanup_credentials, porter_credentials_free)

/* Prints a name beside a number; names are looked up on this side, the service knows numbers only. */
static void print_named(unsigned number, const char *name)
{
	_cleanup_free_ char *escaped = name ? output_escape(name) : NULL;

	(void)printf("%u%s%s%s", number, escaped ? " (" : "", escaped ? escaped : "", escaped ? ")" : "");
}

static void print_user(uid_t uid)
{
	const struct passwd *user = getpwuid(uid);

	print_named(uid, user ? user->pw_name : NULL);
}

static void print_group(gid_t gid)
{
	const struct group *group = getgrgid(gid);

	print_named(gid, group ? group->gr_name : NULL);
}

static void print_line(const char *what, const char *value)
{
	_cleanup_free_ char *escaped = output_escape(value ? value : "-");

	(void)printf("%-14s %s\n", what, escaped);
}

static void print_credentials(const struct porter_credentials *who)
{
	(void)printf("%-14s ", "uid:");
	print_user(who->uid);
	(void)printf("\n%-14s ", "gid:");
	print_group(who->gid);

	(void)printf("\n%-14s ", "groups:");
	for (size_t i = 0; i < who->n_groups; i++) {
		(void)fputs(i > 0 ? ", " : "", stdout);
		print_group(who->groups[i]);
	}
	if (!who->has_groups)
		(void)fputs("not attested", stdout);
	else if (who->n_groups == 0)
		(void)fputs("-", stdout);

	(void)printf("\n%-14s %d\n", "pid:", who->pid);
	print_line("unit:", who->unit);
	print_line("invocation ID:", who->invocation_id);
	print_line("label:", who->security_label);
}

int verb_whoami(const struct invocation *invocation)
{
	_cleanup_(cleanup_credentials) struct porter_credentials *who = NULL;
	_cleanup_porter_ struct porter *porter = NULL;
	int r;

	if (invocation->json)
		return client_call_json(invocation, "io.porterd.Credentials.Get", "ask who this is", NULL,
					NULL);

	r = client_connect(invocation, &porter);
	if (r != EXIT_DONE)
		return r;
	r = porter_whoami(porter, &who);
	if (r < 0)
		return failure_call(invocation, porter, "ask who this is", NULL, r);

	print_credentials(who);
	return EXIT_DONE;
}
