# shellcheck shell=bash
# What tools/check and tools/demo share: root, packages, a copy of the source, clean ends.
# The script that reads this sets top= to the top of the source tree first.
: "${top:?}"

say()
{
	printf '%s\n' "$*" >&2
}

die()
{
	say "${0##*/}: $*"
	exit 1
}

# Runs the script again with sudo if it isn't root. CI is the only variable that matters to it.
become_root()
{
	[ "$(id -u)" -eq 0 ] && return
	command -v sudo >/dev/null || die "this needs root, and there is no sudo: run it as root"
	exec sudo CI="${CI:-}" "$top/tools/${0##*/}" "$@"
}

# The packages on the list that are for one of the arguments.
packages_for()
{
	local names for name choice

	while read -r names for _; do
		case " $* " in
		*" $for "*) ;;
		*) continue ;;
		esac
		choice=
		for name in ${names//|/ }; do
			choice=$name
			[ "$names" = "$name" ] || apt-cache show "$name" >/dev/null 2>&1 && break
		done
		echo "$choice"
	done < <(grep -v '^#' "$top/tools/lib/packages") | sort -u
}

packages_missing()
{
	local name

	for name in "$@"; do
		dpkg-query -W -f '${db:Status-Status}\n' "$name" 2>/dev/null |
			grep -qx installed || echo "$name"
	done
}

# install_packages build check: what is installed already costs no network.
install_packages()
{
	local -a wanted missing

	export DEBIAN_FRONTEND=noninteractive
	# Without package lists nobody can tell which of two names the release has.
	apt-cache show libc6-dev >/dev/null 2>&1 || apt-get update -q || return 1
	mapfile -t wanted < <(packages_for "$@")
	mapfile -t missing < <(packages_missing "${wanted[@]}")
	[ ${#missing[@]} -eq 0 ] && return 0
	echo "installing: ${missing[*]}"
	apt-get install -y -q --no-install-recommends "${missing[@]}" ||
		{ apt-get update -q && apt-get install -y -q --no-install-recommends "${missing[@]}"; }
}

# copy_source DIR: the files that git has or would add, so that autoreconf and
# the builds leave nothing in the checkout. Without git, all of them.
copy_source()
{
	mkdir -p "$1" || return 1
	if [ -e "$top/.git" ]; then
		git -c safe.directory='*' -C "$top" ls-files -z --cached --others --exclude-standard |
			(cd "$top" && while IFS= read -r -d '' file; do
				[ -e "$file" ] && printf '%s\0' "$file"
			done) |
			tar -C "$top" --no-recursion --null --files-from=- -cf -
	else
		tar -C "$top" -cf - .
	fi | tar -C "$1" --no-same-owner -xf - && [ -e "$1/configure.ac" ]
}
