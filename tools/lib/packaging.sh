# shellcheck shell=bash
# What the reviewers of a Debian package run, in trees that have their tools.
# The script that reads this has read trees.sh, and set trees=,
# source= and work=.
: "${trees:?}" "${source:?}" "${work:?}"

packaging_tools="blhc devscripts lintian"

# packaging_tree NAME PACKAGE...: prints where the tree with them is.
packaging_tree()
{
	local tree=$trees/trixie-$1
	shift

	if [ ! -d "$tree" ]; then
		rm -rf "$tree.part" && cp -a --reflink=auto "$trees/trixie" "$tree.part" || return 1
		tree_run "$tree.part" sh -ec '
			apt-get update -q
			apt-get install -y -q --no-install-recommends -o Dpkg::Options::=--force-unsafe-io "$@"
			apt-get clean
		' sh "$@" >&2 && mv "$tree.part" "$tree" || return 1
	fi
	echo "$tree"
}

# in_packaging_tree COMMAND...: runs it beside the packages in /deb, and leaves no trace.
in_packaging_tree()
{
	local tree

	# shellcheck disable=SC2086  # a list of words
	tree=$(packaging_tree packaging $packaging_tools) || return 1
	tree_run "$tree" --volatile=overlay --setenv=LC_ALL=C.UTF-8 --bind-ro="$work/deb/trixie:/deb" \
		--bind-ro="$work/log/deb-trixie.log:/build.log" "$@"
}

check_lintian()
{
	in_packaging_tree sh -ec '
		lintian --allow-root -EviIL +pedantic --fail-on error,warning /deb/porterd_*.changes'
}

# What was built, by what the compiler was told and by what came out. Not control
# flow integrity: the C library's own startup files are without it, so nothing has it.
# The library has no call that could be fortified, and what does next to nothing has
# no stack to protect; that they were asked for is seen in the log.
check_hardening()
{
	# shellcheck disable=SC2016  # $-signs are the inner shell's
	in_packaging_tree sh -ec '
		blhc --all --debian /build.log
		mkdir /tmp/root
		for deb in /deb/*.deb; do dpkg-deb -x "$deb" /tmp/root; done
		find /tmp/root -type f ! -path "*/debug/*" \( -perm /111 -o -name "*.so.*" \) >/tmp/files
		set -- --nocfprotection --nobranchprotection
		for name in sbin/porterd libexec/porterd/porterd-opener bin/porterctl; do
			hardening-check "$@" "/tmp/root/usr/$name"
		done
		grep "/libporter.so" /tmp/files
		xargs hardening-check "$@" --nostackprotector --nofortify </tmp/files'
}

# --- under --all --------------------------------------------------------------------------------

# source_tree NAME PACKAGE...: a new copy of the tree of Debian 13 with the packages, the
# source package's content in /build/source and what was built from it in /build/deb.
source_tree()
{
	local tree=$work/packaging/$1
	shift

	rm -rf "$tree" && mkdir -p "$work/packaging" && cp -a --reflink=auto "$trees/trixie" "$tree" || return 1
	mkdir -p "$tree/build" && cp -a "$work/deb/trixie" "$tree/build/deb" || return 1
	tree_run "$tree" sh -ec '
		apt-get update -q
		apt-get install -y -q --no-install-recommends build-essential "$@"
		dpkg-source --no-check -x /build/deb/porterd_*.dsc /build/source
	' sh "$@"
}

# The previous version is the same source with a lower version: what differs between
# the two is what dpkg does, not what we changed.
check_piuparts()
{
	local tree=$work/packaging/piuparts

	source_tree piuparts piuparts || return 1
	cp -a --reflink=auto "$trees/trixie" "$tree/build/base" || return 1
	# shellcheck disable=SC2016  # $-signs are the inner shell's
	tree_run "$tree" --setenv=DEB_BUILD_OPTIONS=nocheck --setenv=LC_ALL=C.UTF-8 sh -ec '
		cd /build/source
		apt-get build-dep -y -q --no-install-recommends .
		sed -i "1s/)/~previous)/" debian/changelog
		dpkg-buildpackage -b -uc -us
		mkdir /build/base/previous
		mv /build/*~previous_*.deb /build/base/previous/
		cd /build/base/previous
		dpkg-scanpackages --multiversion . >Packages
		cd ..
		echo "deb [trusted=yes] file:/previous ./" >etc/apt/sources.list.d/previous.list
		cp /etc/apt/apt.conf.d/90proxy etc/apt/apt.conf.d/
		cp /etc/resolv.conf etc/
		check="piuparts --existing-chroot=/build/base --keep-sources-list --distribution=trixie \
			--no-eatmydata --warn-on-others --tmpdir=/build"
		cd /build/deb
		$check porterd_*.deb libporter0_*.deb python3-porter_*.deb
		# This one wants its own version of another: without the previous one.
		rm /build/base/previous/* && cp libporter*.deb /build/base/previous/
		(cd /build/base/previous && dpkg-scanpackages . >Packages)
		$check --no-upgrade-test libporter-dev_*.deb
	' && rm -rf "$tree"
}

# What is not varied needs what this kernel or an account of root may lack: FUSE
# (fileordering), other users (user_group), and a personality of the kernel.
check_reprotest()
{
	local tree=$work/packaging/reprotest

	source_tree reprotest reprotest faketime locales-all || return 1
	# shellcheck disable=SC2016  # $-signs are the inner shell's
	tree_run "$tree" sh -ec '
		cd /build/source
		apt-get build-dep -y -q --no-install-recommends .
		reprotest --variations=-all,+aslr,+build_path,+environment,+exec_path,+home,+locales,+num_cpus,+time,+timezone,+umask \
			--build-command "DEB_BUILD_OPTIONS=nocheck dpkg-buildpackage -b --no-sign" \
			. "../*.deb" -- null
	' && rm -rf "$tree"
}

# check_cross ARCHITECTURE MACHINE: built here for there; MACHINE is what readelf calls it.
check_cross()
{
	local architecture=$1 machine=$2 tree=$work/packaging/cross

	source_tree cross "crossbuild-essential-$architecture" || return 1
	# shellcheck disable=SC2016  # $-signs are the inner shell's
	tree_run "$tree" --setenv=ARCHITECTURE="$architecture" --setenv=MACHINE="$machine" sh -ec '
		dpkg --add-architecture "$ARCHITECTURE"
		apt-get update -q
		cd /build/source
		apt-get build-dep -y -q --no-install-recommends -a "$ARCHITECTURE" -P cross,nocheck .
		dpkg-buildpackage "-a$ARCHITECTURE" -Pcross,nocheck -b -uc -us
		for deb in /build/porterd_*_"$ARCHITECTURE".deb /build/libporter0_*_"$ARCHITECTURE".deb; do
			dpkg-deb -x "$deb" /build/root
		done
		for file in usr/sbin/porterd usr/libexec/porterd/porterd-opener usr/bin/porterctl \
			usr/lib/*/libporter.so.0; do
			cd /build/root
			readelf -h $file | grep "Machine:.*$MACHINE"
		done
	' && rm -rf "$tree"
}

# check_autopkgtest SUITE: debian/tests against the packages of that release, in it.
check_autopkgtest()
{
	local suite=$1 tree=$work/packaging/autopkgtest-$1 depends

	mkdir -p "$work/packaging" && cp -a --reflink=auto "$trees/$suite" "$tree" || return 1
	# What debian/tests needs besides our own packages, whose needs are fetched.
	depends=$(cd "$source.orig/debian" && sed -n 's/^Depends: //p' tests/control | tr -s ', ' '\n' |
		sort -u | grep -vxF -f <(sed -n 's/^Package: //p' control))
	tree_fetch_depends "$tree" "$work/deb/$suite"/*.deb || return 1
	# shellcheck disable=SC2086  # a list of words
	tree_run "$tree" sh -ec '
		rm /root/*.deb
		apt-get install -y -q --no-install-recommends autopkgtest dpkg-dev "$@"
	' sh $depends || return 1
	"$source/tests/system/autopkgtest" --tree="$tree" --packages="$work/deb/$suite" && rm -rf "$tree"
}
