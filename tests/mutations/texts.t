#!/bin/sh
# SPDX-License-Identifier: MIT
# Each edit of the tables finds its text: who changes the code changes them, too. That they are noticed takes longer to see.
exec "${TOP_SRCDIR:-$(dirname "$0")/../..}/tests/mutations/run" --texts
