/* SPDX-License-Identifier: MIT
 *
 * Ownership of JSON values.
 */
#pragma once

#include <jansson.h>

#include "base/macro.h"

DEFINE_CLEANUP(json_t *, cleanup_json, json_decref)
#define _cleanup_json_ _cleanup_(cleanup_json)
