# shellcheck shell=bash
# Steps of tools/check: each runs with a log of its own, is timed, and counts its tests.
# The script that reads this sets work= to a directory of its own first.
: "${work:?}"

mkdir -p "$work/log" "$work/result"
only=()

# needs_of STEP: prints those that have to come before it.
needs_of()
{
	case $1 in
	packages) ;;
	source | trees) echo packages ;;
	deb-* | readme | demo-* | booted-*) echo packages source trees ;;
	arch-*) echo packages source trees ;;
	units-* | confinement) echo packages source trees install ;;
	lintian | hardening | piuparts | reprotest | cross-*) echo packages source trees deb-trixie ;;
	system-* | autopkgtest-*) echo packages source trees "deb-${1#*-}" ;;
	*) echo packages source ;;
	esac
}

# choose_steps STEP...: of these, those that only_wanted names, and what they need, are in `only` then.
choose_steps()
{
	local pattern name found i

	# shellcheck disable=SC2154  # set by the script that reads this
	for pattern in "${only_wanted[@]}"; do
		found=no
		for name in "$@"; do
			# shellcheck disable=SC2053  # a pattern, as in --only='system-*'
			[[ $name == $pattern ]] && only+=("$name") && found=yes
		done
		[ "$found" = yes ] || die "--only=$pattern: there is no such step (see --help)"
	done
	for ((i = 0; i < ${#only[@]}; i++)); do
		for name in $(needs_of "${only[i]}"); do
			[[ " ${only[*]} " == *" $name "* ]] || only+=("$name")
		done
	done
}

# selected STEP: is it one that the command line asks for?
selected()
{
	[ ${#only[@]} -eq 0 ] || [[ " ${only[*]} " == *" $1 "* ]]
}

# step NAME COMMAND...: COMMAND stops at its first error. Its tests are counted
# from what it prints: summaries of automake's test runner; TAP of its own where the
# name begins with system-, demo- or arch-, or is confinement or mutations; where it begins
# with booted-, the last line of the tools/check inside; where it begins with
# autopkgtest-, the summary of that. Where there is none of these, it is one test.
step()
{
	local name=$1 start=$SECONDS rc log=$work/log/$1.log passed failed skipped
	shift

	selected "$name" || return 0
	(
		set -e
		"$@"
	) >"$log" 2>&1 </dev/null
	rc=$?
	read -r passed failed skipped < <(count_tests "$name" "$log")
	if [ $((passed + failed + skipped)) -eq 0 ]; then
		[ "$rc" -eq 0 ] && passed=1
		[ "$rc" -eq 77 ] && skipped=1
	fi
	[ "$rc" -ne 0 ] && [ "$rc" -ne 77 ] && [ "$failed" -eq 0 ] && failed=1
	echo "$passed $failed $skipped" >"$work/result/$name"
	# One write, because steps of both lanes end here.
	if [ "$failed" -ne 0 ]; then
		say "$(printf '%s\n' "--- $name failed (exit status $rc), its log:" "$(cat "$log")" \
			"--- end of the log of $name")"
	fi
	say "$(printf '%-16s %5d passed %3d failed %3d skipped %5d s' "$name" "$passed" "$failed" \
		"$skipped" $((SECONDS - start)))"
	[ "$failed" -eq 0 ]
}

# count_tests NAME LOG: prints passed, failed and skipped.
count_tests()
{
	case $1 in
	system-* | demo-* | arch-* | confinement | mutations)
		awk '/^ok .*# SKIP/ || /^1\.\.0 # SKIP/ { skipped++; next }
			/^ok / { passed++ }
			/^not ok / { failed++ }
			END { print passed + 0, failed + 0, skipped + 0 }' "$2"
		;;
	booted-*)
		awk '/^1\.\.0 # SKIP/ { skipped++ }
			/^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { passed = $1; failed = $3; skipped = $5 }
			END { print passed + 0, failed + 0, skipped + 0 }' "$2"
		;;
	autopkgtest-*)
		awk '/^1\.\.0 # SKIP/ { skipped++ }
			/^summary: .* SKIP/ { skipped++ }
			/^summary: .* PASS/ { passed++ }
			/^summary: .* (FAIL|FLAKY)/ { failed++ }
			END { print passed + 0, failed + 0, skipped + 0 }' "$2"
		;;
	*)
		# The same lines open test-suite.log, which a failing run may print too.
		awk '/^Testsuite summary/ { counts = 1 }
			counts && /^# (PASS|XFAIL): / { passed += $3 }
			counts && /^# (FAIL|XPASS|ERROR): / { failed += $3 }
			counts && /^# SKIP: / { skipped += $3 }
			/^# ERROR: / { counts = 0 }
			END { print passed + 0, failed + 0, skipped + 0 }' "$2"
		;;
	esac
}

# The sum of all steps, and whether it is good.
steps_summary()
{
	local strict=$1 passed=0 failed=0 skipped=0 p f s result name reason

	for result in "$work"/result/*; do
		[ -e "$result" ] || continue
		name=${result##*/}
		read -r p f s <"$result"
		if [ "$s" -gt 0 ] && [[ $name =~ ^(system-|demo-|booted-|autopkgtest-|readme$) ]]; then
			reason=$(grep -m 1 -oE '# SKIP.*|summary: .* SKIP.*' "$work/log/$name.log")
			[ -z "$reason" ] || say "skipped: $name: $reason"
			# A release may lack what one test is for; a machine that can't boot lacks all.
			[ "$strict" = yes ] && grep -q '^1\.\.0 # SKIP\|^ok .*# SKIP' "$work/log/$name.log" &&
				f=$((f + s)) s=0
		fi
		passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	done
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}
