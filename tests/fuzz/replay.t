#!/bin/sh
# SPDX-License-Identifier: MIT
# Every seed and every past finding, through the fuzzer that it belongs to. What a fuzzer finds goes to its folder of
# seeds/, named after what it was.
top=${TOP_SRCDIR:-$(dirname "$0")/../..}/tests/fuzz
build=${TOP_BUILDDIR:-.}/tests/fuzz
log=$(mktemp) || exit 99
trap 'rm -f "$log"' EXIT
failed=0 number=0

set -- "$top"/seeds/*/
echo "1..$#"
for folder; do
	name=$(basename "$folder")
	number=$((number + 1))
	count=$(find "$folder" -type f | wc -l)
	# A wrapper is a program and its options; files are named by us.
	# shellcheck disable=SC2086
	if [ "$count" -gt 0 ] && ${PROGRAM_WRAPPER:-} "$build/fuzz_$name" "$folder"* >"$log" 2>&1; then
		echo "ok $number - $name: $count inputs"
	else
		failed=1
		tail -n 30 "$log" | sed 's/^/# /'
		echo "not ok $number - $name"
	fi
done
exit $failed
