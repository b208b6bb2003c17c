# shellcheck shell=bash
# Debian trees for tools/check: made, used to build packages, made ready to boot.

# What the tests inside need besides the product itself.
tree_packages=systemd,systemd-sysv,dbus,python3,socat,man-db,mount

# tree_make SUITE DIR
tree_make()
{
	local -a options=()

	# An archive that nobody refreshes any more is good enough to check units in.
	[ "$1" = forky ] && options+=(--aptopt='Acquire::Check-Valid-Until "false"')
	mmdebstrap --variant=apt --include="$tree_packages" "${options[@]}" "$1" "$2.part" &&
		mv "$2.part" "$2"
}

# tree_run DIR COMMAND...: runs it in the tree with the network of this machine.
tree_run()
{
	local dir=$1
	shift

	apt-config dump | sed -n '/^Acquire::[a-z:]*proxy/Ip' >"$dir/etc/apt/apt.conf.d/90proxy"
	# No filters, of nspawn's or of man's: nothing here is untrusted.
	SYSTEMD_SECCOMP=0 systemd-nspawn --quiet --directory="$dir" --register=no --keep-unit --console=pipe \
		--machine="tree-$BASHPID" --resolv-conf=replace-host --setenv=DEBIAN_FRONTEND=noninteractive \
		--setenv=MAN_DISABLE_SECCOMP=1 \
		"$@" </dev/null
}

# tree_build_deb DIR SOURCE OUT [OPTIONS]: builds the package, source and all, in a copy of
# the tree, with these DEB_BUILD_OPTIONS. Upstream's archive is the checkout without debian/: what `make dist` adds is
# made anew by every build, and has licenses of its own.
tree_build_deb()
{
	local dir=$1 source=$2 out=$3 build_options=${4:-} build

	build=$out-build
	mkdir -p "$out" && rm -rf "$build" && cp -a --reflink=auto "$dir" "$build" || return 1
	mkdir -p "$build/build"
	cp -a "$source" "$build/build/checkout" || return 1
	# shellcheck disable=SC2016  # $-signs are the inner shell's
	tree_run "$build" --setenv=DEB_BUILD_OPTIONS="$build_options" sh -ec '
		cd /build/checkout
		set -- -y -q --no-install-recommends -o Dpkg::Options::=--force-unsafe-io
		apt-get update -q
		apt-get install "$@" build-essential
		apt-get build-dep "$@" .
		version=$(dpkg-parsechangelog -S Version)
		upstream=${version%-*}
		cd ..
		mv checkout/debian debian
		mv checkout "porterd-$upstream"
		tar --sort=name --owner=root --group=root --numeric-owner \
			-cJf "porterd_$upstream.orig.tar.xz" "porterd-$upstream"
		mv debian "porterd-$upstream/"
		cd "porterd-$upstream"
		dpkg-buildpackage -uc -us
	' || return 1
	find "$build/build" -maxdepth 1 -type f -exec cp -t "$out" {} + && rm -rf "$build"
}

# tree_fetch_depends DIR DEB...: puts the packages into the tree as /root/NAME.deb,
# and what they depend on into its cache, so that they are installed later by the
# booted system, without a network. Symbols for debuggers stay outside.
tree_fetch_depends()
{
	local dir=$1 deb name
	shift

	for deb in "$@"; do
		name=${deb##*/} name=${name%%_*}
		case $name in
		*-dbgsym) ;;
		*) cp "$deb" "$dir/root/$name.deb" || return 1 ;;
		esac
	done
	tree_run "$dir" sh -ec '
		apt-get update -q
		apt-get install -y -q --no-install-recommends --download-only \
			-o APT::Keep-Downloaded-Packages=true /root/*.deb
	'
}

# tree_add_servers DIR: installs the servers of porterd-examples(7) and what talks
# to them. They are too large for the booted system's memory, and not started
# there until a test does.
tree_add_servers()
{
	tree_run "$1" sh -ec '
		apt-get update -q
		apt-get install -y -q --no-install-recommends -o Dpkg::Options::=--force-unsafe-io \
			nginx-light curl openssl postgresql
		systemctl disable nginx.service postgresql.service
	'
}

# The most that `systemd-analyze security` may charge for a unit, in tenths, on each release. The templates have no
# filters, which are most of what it counts: see units/porterd-isolated@.service.in.
units_exposure='porterd.service=4 porterd-opener.service=12 porterd-isolated@.service=58
	porterd-isolated-echo@.service=58'

# tree_verify_units DIR ROOT VARLINK...: systemd-analyze of that tree on the files that
# `make install DESTDIR=ROOT` made, and varlinkctl, where there is one, on the interface descriptions. They say
# what is wrong by printing it.
tree_verify_units()
{
	local dir=$1 root=$2 copy=$2-verify said rc
	shift 2

	rm -rf "$copy" && cp -a --reflink=auto "$dir" "$copy" || return 1
	# /lib may be a directory here and a link there.
	tar -C "$root" -cf - . | tar -C "$copy" --keep-directory-symlink -xf - || return 1
	mkdir "$copy/varlink" && cp "$@" "$copy/varlink/" || return 1
	# shellcheck disable=SC2016  # $-signs are the inner shell's
	said=$(tree_run "$copy" --setenv=EXPOSURE="$units_exposure" sh -c '
		systemd-sysusers 2>&1 >/dev/null | grep -v "^Creating "
		units=$(find /usr/lib/systemd/system/ /lib/systemd/system/ -maxdepth 1 -name "porterd*" -type f)
		[ -n "$units" ] || echo "no units were found"
		# Through /lib and /usr/lib alike a unit is one file.
		systemd-analyze verify $(for u in $units; do basename "$u"; done | sort -u) 2>&1 ||
			echo "systemd-analyze: exit status $?"
		for bound in $EXPOSURE; do
			security="systemd-analyze security --offline=true --no-pager --threshold=${bound#*=}"
			$security "${bound%=*}" >/tmp/security 2>&1 || cat /tmp/security
		done
		command -v varlinkctl >/dev/null || exit 0
		for file in /varlink/*; do
			varlinkctl validate-idl "$file" 2>&1 >/dev/null || echo "$file: exit status $?"
		done
	')
	rc=$?
	rm -rf "$copy"
	[ "$rc" -eq 0 ] && [ -z "$said" ] && return
	printf '%s\n' "$said"
	return 1
}
