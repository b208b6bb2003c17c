# shellcheck shell=bash
# A plain chroot has no /proc, no /sys, and a root that is no mount: too little to build or to boot in.

leave_bare_chroot()
{
	local root rc

	[ -n "${PORTERD_IN_CHROOT:-}" ] && return
	[ -e /proc/self/mountinfo ] && grep -q ' / / [^ ]*' /proc/self/mountinfo &&
		[ -e /sys/fs/cgroup ] && awk '$5 == "/" { found = 1 } END { exit !found }' \
		/proc/self/mountinfo && return
	:
}
