# shellcheck shell=bash
# What is built and run in booted trees, under --all.
# The script that reads this has read trees.sh, and set trees=,
# source= and work=.
: "${trees:?}" "${source:?}" "${work:?}"

# booted_tree NAME SUITE: a copy of the suite's tree, with the checkout in /srv/porterd. Not in /root: some tests are
# other users, who look at what was built. Prints where it is.
booted_tree()
{
	local tree=$work/booted/$1

	mkdir -p "$work/booted" && cp -a --reflink=auto "$trees/$2" "$tree" &&
		cp -a "$source.orig" "$tree/srv/porterd" && echo "$tree"
}

# What README.md says of building and installing, in a booted Debian 13 that has only what the build depends on.
check_readme()
{
	local tree

	tree=$(booted_tree readme trixie) || return 1
	cp -a "$source.orig" "$tree/srv/by-hand" || return 1
	tree_run "$tree" sh -ec '
		apt-get update -q
		apt-get install -y -q --no-install-recommends build-essential
		apt-get build-dep -y -q --no-install-recommends /srv/porterd
	' || return 1
	"$source/tests/system/readme" --tree="$tree" && rm -rf "$tree"
}

# tools/demo as a stranger sees it, where systemd-socket-activate starts porterd, and in the same tree booted, where its
# own units do.
check_demo()
{
	local tree

	tree=$(booted_tree "demo-$1" "$1") || return 1
	tree_run "$tree" /srv/porterd/tools/demo || return 1
	"$source/tests/system/demo" --tree="$tree" && rm -rf "$tree"
}

# What tools/check has that needs no tree, in each release as it is when it is booted.
check_booted()
{
	local tree

	tree=$(booted_tree "booted-$1" "$1") || return 1
	# shellcheck disable=SC2016  # $-signs are the inner shell's
	tree_run "$tree" bash -c 'top=/srv/porterd && . "$top/tools/lib/common.sh" && apt-get update -q &&
		install_packages build demo check' || return 1
	"$source/tests/system/command" --tree="$tree" \
		/srv/porterd/tools/check --only=gcc --only=sanitizers --only=races && rm -rf "$tree"
}
