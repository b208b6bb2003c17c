/* SPDX-License-Identifier: MIT
 *
 * Asks porterd with the installed library: see as-client for what there is to ask. */
#include <porter.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "line %d: not so: %s\n", __LINE__, #condition); \
			return 1; \
		} \
	} while (0)

static const char secret[] = "only root reads this\n";

static int refused(struct porter *porter, const char *file, const char *error)
{
	int fd;

	CHECK(porter_open(porter, file, &fd) < 0);
	CHECK(porter_error_name(porter) != NULL);
	CHECK(strcmp(porter_error_name(porter), error) == 0);
	printf("%s: %s\n", file, error);
	return 0;
}

int main(void)
{
	struct porter_credentials *credentials;
	struct porter_file **files;
	struct porter *porter;
	char content[sizeof(secret)];
	int fd;

	CHECK(access("/run/porterd-tests.secret", R_OK) < 0);
	CHECK(porter_connect(&porter, NULL) == 0);

	CHECK(porter_whoami(porter, &credentials) == 0);
	CHECK(credentials->uid == getuid());
	porter_credentials_free(credentials);

	CHECK(porter_list(porter, &files) == 0);
	CHECK(files[0] != NULL && strcmp(files[0]->name, "allowed") == 0 && files[1] == NULL);
	porter_files_free(files);

	CHECK(porter_open(porter, "allowed", &fd) == 0);
	CHECK(read(fd, content, sizeof(content)) == (ssize_t)strlen(secret));
	CHECK(memcmp(content, secret, strlen(secret)) == 0);
	close(fd);

	CHECK(refused(porter, "refused", "io.porterd.Files.NotPermitted") == 0);
	CHECK(refused(porter, "unknown", "io.porterd.Files.UnknownFile") == 0);
	porter_free(porter);
	return 0;
}
