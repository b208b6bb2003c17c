/* SPDX-License-Identifier: MIT
 *
 * The fixture of libporter's tests: one client, one fake service, and no fd left when they end.
 */
#pragma once

#include "fake_service.h"
#include "libporter/porter.h"
#include "tests/base/unit.h"

#define OPEN_KEY "{\"method\":\"io.porterd.Files.Open\",\"parameters\":{\"file\":\"key\"}}"
#define GET "{\"method\":\"io.porterd.Credentials.Get\",\"parameters\":{}}"
#define LIST "{\"method\":\"io.porterd.Files.List\",\"parameters\":{}}"

/* A test's one client of one fake service. */
extern struct fake_service fake;
extern struct porter *porter;
extern size_t fds_before;

/* The fixture of every test: counts the fds. */
void setup(void);

/* Starts the service and connects `porter` to it. */
void converse(const struct fake_step *steps, size_t n_steps);

/* Ends both; the script must have been kept to, and no fd may be left. */
void finish(void);

/* Closes an fd that the service passed, after a look at its content and its flags. */
void assert_passed(int fd, char letter);
