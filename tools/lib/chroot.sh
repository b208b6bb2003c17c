# shellcheck shell=bash
# A plain chroot is too little to boot containers in: its root is no mount point,
# and often it has no /proc and no /sys. This gives it both for the script's time.
: "${top:?}"

root_is_mounted()
{
	[ -r /proc/self/mountinfo ] &&
		awk '$5 == "/" { found = 1 } END { exit !found }' /proc/self/mountinfo
}

# mount_unless FILE OPTION...: FILE is there if the mount is not needed.
mount_unless()
{
	[ -e "$1" ] && return
	shift
	mount "$@"
}

# Runs the script again below a bind mount of this root, if it is in such a chroot.
leave_bare_chroot()
{
	local root child rc

	root_is_mounted && [ -d /sys/fs/cgroup ] && return
	[ -z "${PORTERD_CHROOT:-}" ] || die "a chroot that is still too bare"
	had_proc=yes
	[ -e /proc/self ] || { mount -t proc proc /proc && had_proc=no; } || die "no /proc"
	root=$(mktemp -d /var/tmp/porterd-root.XXXXXX) || exit 1
	# Private before anything else is mounted or unmounted: as a peer of / it
	# would take the mounts of / along when it goes.
	if ! { mount --rbind / "$root" && mount --make-rprivate "$root"; }; then
		die "cannot bind-mount /"
	fi
	bare_root=$root
	trap leave_bind_root EXIT
	trap 'kill "$child" 2>/dev/null' INT TERM
	mount_unless "$root/sys/kernel" -t sysfs sysfs "$root/sys"
	mount_unless "$root/sys/fs/cgroup/cgroup.procs" -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
	mount_unless "$root/dev/null" -t devtmpfs devtmpfs "$root/dev"
	mount_unless "$root/dev/pts/ptmx" -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
	mount -t tmpfs -o mode=0755 tmpfs "$root/run"
	PORTERD_CHROOT=$root chroot "$root" "$top/tools/${0##*/}" "$@" &
	child=$!
	wait "$child"
	rc=$?
	# The signal that ended the first wait was passed on: now for the end itself.
	wait "$child" 2>/dev/null
	exit "$rc"
}

# What was interrupted may take a moment to end, and whoever does not keeps his view of the mounts, not ours.
leave_bind_root()
{
	local tries

	for tries in 1 2 3 4 5 6 7 8 9 10; do
		umount -R "$bare_root" 2>/dev/null && break
		[ "$tries" -lt 10 ] || umount -R -l "$bare_root"
		sleep 1
	done
	rmdir "$bare_root"
	[ "$had_proc" = yes ] || umount /proc
}
