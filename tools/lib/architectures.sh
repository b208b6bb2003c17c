# shellcheck shell=bash
# The unit tests where words have 32 bits, and where bytes have the other order.
# The script that reads this has read trees.sh, and set trees=, source=, work= and jobs=.
: "${trees:?}" "${source:?}" "${work:?}" "${jobs:?}"

# What qemu-user does not do as Linux does, and whose test fails for it. They run with all others. Seen with 11.1.2:
# SO_COOKIE is an invalid argument, and SO_PEERGROUPS does not say how many there are; there is no seccomp; and who has
# room for 3 of 10 descriptors gets 3, no MSG_CTRUNC, and keeps 10 open.
qemu_lacks='clients:who_does_not_ask_is_forgotten: SO_COOKIE
clients:a_cgroup_is_read_as_often_as_it_takes: SO_COOKIE
clients:a_new_number_is_a_new_unit: SO_COOKIE
fdset:a_kernel_without_ranges: seccomp
handover:a_quiet_connection_goes_on: SO_COOKIE
handover:a_stream_gets_nothing_twice: SO_COOKIE
handover:a_stream_loses_nothing: SO_COOKIE
handover:calls_are_answered_once: SO_COOKIE
handover:packets_keep_their_order: SO_COOKIE
handover:strangers_are_closed: SO_COOKIE
handover:the_rest_stays: SO_COOKIE
handover:unread_descriptors_are_counted_on: SO_COOKIE
handover:what_comes_meanwhile_is_served_once: SO_COOKIE
handover:whoever_was_admitted_stays: SO_COOKIE
identity:another_user_is_seen_as_such: SO_PEERGROUPS
sockio with fds:fds_beside_an_attestation_are_refused: descriptors without room
sockio with fds:strange_control_data_is_refused: descriptors without room
sockio:fds_are_dropped_by_the_kernel: descriptors without room
sockopt:groups_are_those_of_the_connect: SO_PEERGROUPS'

# judge_tests LACKS: automake's lines as TAP, in which a failure that LACKS has a reason for is a skipped test. The exit
# status of a program that has failed tests says nothing besides; any other one is a failure.
judge_tests()
{
	awk -F : -v lacks="$1" '
		BEGIN {
			n = split(lacks, lines, "\n")
			for (i = 1; i <= n; i++) {
				split(lines[i], part, ": ")
				reason[part[1]] = part[2]
			}
		}
		/^Testsuite summary/ { complete = 1 }
		!/^(PASS|FAIL|SKIP|ERROR): / { print; next }
		{ split($2, word, " "); test = $3 ":" $4 }
		$1 == "FAIL" { has_failed[word[1]] = 1 }
		$1 == "PASS" { print "ok - " test }
		$1 == "SKIP" { sub(/.*# SKIP/, ""); print "ok - " test " # SKIP" $0 }
		$1 == "FAIL" && test in reason { print "ok - " test " # SKIP qemu: " reason[test]; next }
		$1 == "FAIL" || ($1 == "ERROR" && !(/exited with status 1$/ && word[1] in has_failed)) {
			failed = 1
			print "not ok - " $0
		}
		END { exit failed || !complete }'
}

# check_architecture ARCHITECTURE [WRAPPER]: built for it by the newest compiler, and its unit tests, which this
# machine runs by itself, or WRAPPER does.
check_architecture()
{
	local architecture=$1 wrapper=${2:-} tree=$work/architecture-$1

	rm -rf "$tree" && cp -a --reflink=auto "$trees/forky" "$tree" || return 1
	mkdir -p "$tree/build" && cp -a "$source" "$tree/build/source" || return 1
	# shellcheck disable=SC2016  # $-signs are the inner shell's
	tree_run "$tree" --setenv=ARCHITECTURE="$architecture" --setenv=WRAPPER="$wrapper" --setenv=JOBS="$jobs" sh -ec '
		dpkg --add-architecture "$ARCHITECTURE"
		set -- -y -q --no-install-recommends -o Dpkg::Options::=--force-unsafe-io
		apt-get update -q
		apt-get install "$@" "crossbuild-essential-$ARCHITECTURE" ${WRAPPER:+qemu-user}
		cd /build/source
		apt-get build-dep "$@" -a "$ARCHITECTURE" -P cross .
		mkdir /build/out
		cd /build/out
		/build/source/configure --enable-werror --disable-manuals \
			--host="$(dpkg-architecture "-a$ARCHITECTURE" -qDEB_HOST_GNU_TYPE)"
		make -j"$JOBS"
		make -j"$JOBS" check TESTS=
		# Nothing is fast there.
		CK_TIMEOUT_MULTIPLIER=10 make -k -j"$JOBS" check UNIT_TEST_WRAPPER="$WRAPPER" \
			TESTS="$(make -s list-unit-tests)" || true
	' 2>&1 | judge_tests "${wrapper:+$qemu_lacks}" && rm -rf "$tree"
}
