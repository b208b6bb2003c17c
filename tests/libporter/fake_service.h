/* SPDX-License-Identifier: MIT
 *
 * A service that does what its script says: to one client, on an abstract socket, in a thread.
 */
#pragma once

#include <pthread.h>
#include <stddef.h>

struct fake_step {
	const char *expect; /* a request that has to arrive, without its NUL; NULL: none is waited for */
	const char *send;   /* bytes to send then, as one chunk; NULL: nothing */
	size_t size;	    /* how many; 0: the string and its NUL */
	size_t n_fds;	    /* fds to send with them: the n-th one's file holds the letter 'a' + n % 26 */
	unsigned delay_ms;  /* wait so long before sending */
};

struct fake_service {
	char address[64]; /* for porter_connect() */
	int listener;
	pthread_t thread;
	const struct fake_step *steps;
	size_t n_steps;
	char failure[512]; /* what went against the script; "": nothing */
};

/* Starts the service. Between two chunks it waits until the client has taken the first, so the client never
 * sees them merged; a step's own chunk is never split. After the last step the connection is closed. */
void fake_start(struct fake_service *fake, const struct fake_step *steps, size_t n_steps);

/* Waits for its end and returns what went against the script, "" if nothing did. */
const char *fake_finish(struct fake_service *fake);
