/* SPDX-License-Identifier: MIT
 *
 * The kind of client that a tutorial shows: sends its argument to an echo socket, prints what comes back.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char reply[1024];
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ssize_t size;

	if (argc != 3 || fd < 0 || strlen(argv[1]) >= sizeof(address.sun_path))
		return 2;
	strcpy(address.sun_path, argv[1]);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return 1;
	if (write(fd, argv[2], strlen(argv[2])) < 0)
		return 1;
	shutdown(fd, SHUT_WR);
	while ((size = read(fd, reply, sizeof(reply))) > 0)
		fwrite(reply, 1, (size_t)size, stdout);
	close(fd);
	return 0;
}
