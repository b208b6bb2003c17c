/* SPDX-License-Identifier: MIT
 *
 * Who, besides root, could have put a file where it is found.
 */
#pragma once

#include <sys/types.h>

enum way_choice {
	WAY_OF_ROOT, /* nobody */
	WAY_OF_ONE,  /* one user */
	WAY_OF_MANY, /* several, or any member of a group or a list, or anybody */
};

struct way {
	enum way_choice choice;
	uid_t uid; /* of WAY_OF_ONE */
	/* The directory that the file is in. */
	dev_t device;
	ino_t inode;
};

/* Looks at every directory that leads to the absolute `path`, whose last component need not be there, and at those that
 * links below `within` (NULL: none are followed) lead through. Returns 0, or -errno where it does not get there. */
int way_look(const char *path, const char *within, struct way *ret);
