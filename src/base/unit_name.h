/* SPDX-License-Identifier: MIT
 *
 * Names of systemd's units.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Are these `size` characters the full name of a unit that processes can be in: NAME.service, NAME@INSTANCE.service,
 * or a scope, and the like? A template without its instance runs nothing. */
bool unit_name_is_valid(const char *name, size_t size);
