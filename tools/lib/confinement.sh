# shellcheck shell=bash
# The profiles for AppArmor and the module for SELinux, as `make install` put them, with the compilers and the policy
# of a Debian release. No kernel takes part. The functions whose names begin with inside_ run in a tree.

# confinement_check TREE ROOT PART...: in a copy of the tree with what `make install DESTDIR=ROOT` made;
# a PART is apparmor, selinux or semodule.
confinement_check()
{
	local tree=$1 root=$2 copy=$1-confinement rc
	shift 2

	rm -rf "$copy" && cp -a --reflink=auto "$tree" "$copy" || return 1
	# /lib may be a directory here and a link there.
	tar -C "$root" -cf - . | tar -C "$copy" --keep-directory-symlink -xf - || return 1
	# shellcheck disable=SC2154  # set by the script that reads this
	cp "$top/tools/lib/confinement.sh" "$top/man/porterd.8.scd" "$copy/root/" || return 1
	# shellcheck disable=SC2016  # $-signs are the inner shell's
	tree_run "$copy" bash -c '. /root/confinement.sh && inside_all "$@"' inside "$@"
	rc=$?
	rm -rf "$copy"
	return "$rc"
}

inside_all()
{
	local part

	apt-get update -q || return 1
	failures=0 number=0
	for part in "$@"; do
		"inside_$part" || return 1
	done
	echo "1..$number"
	[ "$failures" -eq 0 ]
}

# ok WHAT COMMAND...: one test of TAP.
ok()
{
	local what=$1 said
	shift

	number=$((number + 1))
	if said=$("$@" 2>&1); then
		echo "ok $number - $what"
	else
		failures=$((failures + 1))
		echo "not ok $number - $what"
		printf '%s\n' "$said" | sed 's/^/# /'
	fi
}

# same EXPECTED COMMAND...: what the command prints is exactly that.
same()
{
	local expected=$1 said
	shift

	said=$("$@") || return 1
	[ "$said" = "$expected" ] || { diff <(echo "$expected") <(echo "$said"); return 1; }
}

# manual COMMAND...: the block of commands in porterd(8) that begins with these words.
manual()
{
	awk -v begin="$*" '/^```/ { if (found) exit; block = !block; first = block; next }
		first { found = index($0, begin) == 1; first = 0 }
		found' /root/porterd.8.scd | grep .
}

# --- AppArmor --------------------------------------------------------------------------------

inside_apparmor()
{
	local profile names=(usr.sbin.porterd usr.libexec.porterd.porterd-opener)

	apt-get install -y -q --no-install-recommends apparmor apparmor-utils || return 1
	for profile in "${names[@]}"; do
		ok "apparmor: $profile compiles" aa_compile "/etc/apparmor.d/$profile"
		ok "apparmor: a mistake in $profile is found" aa_finds_mistakes "$profile"
		ok "apparmor: $profile is for a program that is there" aa_attached "$profile"
		ok "apparmor: $profile only complains" aa_complains "$profile"
		ok "apparmor: nothing is executed by $profile" same '' aa_rules "$profile" '[ ,][a-zA-Z]*x,$'
		ok "apparmor: no network, mount or user namespace in $profile" same '' \
			aa_rules "$profile" '^(network|mount|remount|umount|pivot_root|userns|change_profile)'
	done
	ok 'apparmor: porterd has no capability' same '' aa_rules "${names[0]}" '^capability'
	ok 'apparmor: the opener has two capabilities' same $'capability dac_override,\ncapability net_admin,' \
		aa_rules "${names[1]}" '^capability'
	ok 'apparmor: nothing that is denied can be had through the doors' aa_denied_everywhere
	ok 'apparmor: both enforce after the commands of the manual' aa_enforced "${names[@]}"
}

# Without a kernel to ask, the parser takes the features that the profile is written for.
aa_compile()
{
	apparmor_parser -Q -K -M /etc/apparmor.d/abi/3.0 "$1"
}

aa_finds_mistakes()
{
	sed 's/^}$/  capability no_such_thing,\n}/' "/etc/apparmor.d/$1" >/root/mistaken
	! aa_compile /root/mistaken
}

aa_attached()
{
	local name program

	read -r _ name program _ < <(grep '^profile ' "/etc/apparmor.d/$1")
	[ -x "$program" ] && [ "$name" = "${program##*/}" ]
}

aa_complains()
{
	grep -q '^profile .*flags=(complain[,)]' "/etc/apparmor.d/$1"
}

# aa_rules PROFILE PATTERN: the rules that match, those of included files among them.
aa_rules()
{
	local rules

	rules=$(apparmor_parser -Q -K -p "/etc/apparmor.d/$1" | sed 's/^[[:space:]]*//; /^#/d; /^$/d') || return 1
	[ "$(wc -l <<<"$rules")" -gt 50 ] || { echo 'too few rules to be all of them'; return 1; }
	grep -E "$2" <<<"$rules"
	[ $? -le 1 ]
}

# What grants can't have, beneath the directories as well by which the units let the host's tree in.
aa_denied_everywhere()
{
	local rules rule doors='/{host,run/porterd/host}'

	rules=$(sed -n 's/^  deny //p' /etc/apparmor.d/abstractions/porterd-files)
	[ -n "$rules" ] || { echo 'nothing is denied'; return 1; }
	while IFS= read -r rule; do
		grep -qxF "$doors$rule" <<<"$rules" || { echo "not through the doors: $rule"; return 1; }
	done < <(grep -vF "$doors" <<<"$rules")
}

# There is no kernel to load them into.
aa_enforced()
{
	local commands profile

	commands=$(manual aa-enforce) && bash -ec "${commands//aa-enforce/aa-enforce --no-reload}" || return 1
	for profile in "$@"; do
		! grep '^profile .*complain' "/etc/apparmor.d/$profile" && aa_compile "/etc/apparmor.d/$profile" || return 1
	done
}

# --- SELinux ---------------------------------------------------------------------------------

policy=/root/selinux/policy

inside_selinux()
{
	local type

	apt-get install -y -q --no-install-recommends make semodule-utils selinux-policy-dev setools || return 1
	mkdir /root/selinux && cd /root/selinux || return 1
	cp /usr/share/porterd/selinux/porterd.* . && se_user >porterd_user.te || return 1

	ok 'selinux: the module compiles, and another one with its interfaces' se_compile
	# Neverallow rules of the release's policy are checked here.
	ok 'selinux: it links with the policy of the release' se_link || return 1

	ok 'selinux: porterd opens what it needs, and nothing that is granted' same "$(se_opens)" se_opened_by porterd_t
	ok 'selinux: the opener opens what is granted' same "$(se_granted)" se_targets porterd_opener_t open
	ok 'selinux: porterd opens nothing of that' same '' se_targets porterd_t open
	ok 'selinux: and passes it on' same "$(se_granted)" se_targets porterd_t read
	ok 'selinux: the opener has nothing of shadow_t' may_not porterd_opener_t shadow_t file open,read,write
	ok 'selinux: porterd has nothing of shadow_t' may_not porterd_t shadow_t file open,read,write
	ok 'selinux: a type is granted that another module names' may porterd_opener_t porterd_user_dev_t chr_file open
	ok 'selinux: and porterd only passes it on' may_not porterd_t porterd_user_dev_t chr_file open

	ok 'selinux: the opener reads its policy' may porterd_opener_t porterd_conf_t file open
	ok 'selinux: the opener does not write its policy' may_not porterd_opener_t porterd_conf_t file write,append,create
	ok 'selinux: porterd has nothing of the policy' may_not porterd_t porterd_conf_t file open,read,write,append

	ok 'selinux: porterd has no capability' same '' se_capabilities porterd_t
	ok 'selinux: the opener has two capabilities' same 'dac_override net_admin' se_capabilities porterd_opener_t
	for type in porterd_t porterd_opener_t; do
		ok "selinux: $type executes no other program" se_executes_nothing "$type"
		ok "selinux: systemd starts $type, with no new privileges too" may init_t "$type" process2 nnp_transition
		ok "selinux: systemd makes the sockets of $type" may init_t "$type" unix_stream_socket listen
	done

	ok 'selinux: porterd connects to the opener' may porterd_t porterd_opener_t unix_stream_socket connectto
	ok 'selinux: porterd reaches its socket' may porterd_t porterd_opener_runtime_t sock_file write
	ok 'selinux: over a restart systemd holds its connections' may init_t porterd_t unix_stream_socket read,write
	ok 'selinux: and what is written of them' may init_t porterd_tmpfs_t file read
	ok 'selinux: it is asked for the reason of a stop' may porterd_t init_t dbus send_msg
	ok 'selinux: porterd takes what the opener opened' may porterd_t porterd_opener_t fd use
	ok "selinux: the opener takes the clients' sockets" may porterd_opener_t porterd_t fd use
	ok 'selinux: and asks them who connected' may porterd_opener_t porterd_t unix_stream_socket getopt
	ok 'selinux: a client connects to porterd' may porterd_user_t porterd_t unix_stream_socket connectto
	ok 'selinux: a client takes what the opener opened' may porterd_user_t porterd_opener_t fd use
	ok 'selinux: a client does not reach the opener' may_not porterd_user_t porterd_opener_t unix_stream_socket connectto
	ok 'selinux: programs, policy and sockets have their types' se_labels
}

# A client, and a kind of device that is granted.
se_user()
{
	cat <<-'END'
		policy_module(porterd_user, 1.0.0)
		type porterd_user_t;
		type porterd_user_exec_t;
		init_daemon_domain(porterd_user_t, porterd_user_exec_t)
		type porterd_user_dev_t;
		dev_node(porterd_user_dev_t)
		porterd_client(porterd_user_t)
		porterd_grant_type(porterd_user_dev_t)
	END
}

se_compile()
{
	make -f /usr/share/selinux/devel/Makefile NAME=default porterd.pp porterd_user.pp
}

# The modules that the release calls its base, which have the types that all others use, with ours.
se_link()
{
	local name modules=()

	apt-get download -q selinux-policy-default && dpkg -x selinux-policy-default_*.deb . || return 1
	for name in base unconfined $(cat usr/share/selinux/default/.basemodules); do
		[ -e "usr/share/selinux/default/$name.pp.bz2" ] || continue
		python3 -c 'import bz2, sys; sys.stdout.buffer.write(bz2.open(sys.argv[1]).read())' \
			"usr/share/selinux/default/$name.pp.bz2" >"base-$name.pp" || return 1
		[ "$name" = base ] || modules+=("base-$name.pp")
	done
	semodule_link -o linked base-base.pp "${modules[@]}" porterd.pp porterd_user.pp &&
		semodule_expand linked "$policy"
}

# allow_rules OPTION...: fails where a type or a permission is not known, so that no typing error can pass.
allow_rules()
{
	sesearch --allow "$@" "$policy"
}

# may SOURCE TARGET CLASS PERMISSION
may()
{
	local rules

	rules=$(allow_rules -s "$1" -t "$2" -c "$3" -p "$4") && [ -n "$rules" ]
}

# may_not SOURCE TARGET CLASS PERMISSION,...: it has none of them.
may_not()
{
	same '' allow_rules -s "$1" -t "$2" -c "$3" -p "$4"
}

# Some of the types that grants name.
se_granted()
{
	printf '%s\n' tls_privkey_t tmp_t user_home_t var_lib_t var_log_t
}

# se_targets SOURCE PERMISSION: those of them whose files it has this for.
se_targets()
{
	local rules

	rules=$(allow_rules -s "$1" -rt -t "^($(se_granted | paste -s -d '|'))\$" -c file -p "$2") || return 1
	[ -z "$rules" ] || awk '{ split($3, target, ":"); print target[1] }' <<<"$rules" | sort -u
}

# What of files the domain opens by rules for itself; what every program may is left out, but not what some may.
se_opened_by()
{
	local rules

	rules=$(allow_rules -s "$1" -c file -p open) || return 1
	awk '$2 != "domain" { split($3, target, ":"); print ($2 == "'"$1"'" ? "" : $2 " ") target[1] }' <<<"$rules" | sort
}

# User names are in etc_t, processes' own files under /proc are of their domains.
se_opens()
{
	printf '%s\n' domain etc_t porterd_exec_t porterd_t porterd_tmpfs_t sysctl_kernel_t
}

se_capabilities()
{
	local rules

	rules=$(allow_rules -s "$1" -c capability,capability2,cap_userns,cap2_userns) || return 1
	sed 's/^allow [^:]*:[a-z0-9_]* {*\([^;}]*\).*/\1/; s/^ *//; s/ *$//' <<<"$rules"
}

se_executes_nothing()
{
	same '' allow_rules -s "$1" -c file -p execute_no_trans && same '' allow_rules -s "$1" -c process -p transition
}

se_labels()
{
	same "$(printf '%s\n' /etc/porterd/files.conf:porterd_conf_t /run/porterd-opener/opener:porterd_opener_runtime_t \
		/run/porterd/echo:porterd_runtime_t /run/porterd/files.conf.d/a.conf:porterd_conf_t \
		/usr/libexec/porterd/porterd-opener:porterd_opener_exec_t /usr/sbin/porterd:porterd_exec_t)" se_lookup
}

se_lookup()
{
	local path type

	semodule_unpackage porterd.pp unpacked.mod unpacked.fc || return 1
	for path in /etc/porterd/files.conf /run/porterd-opener/opener /run/porterd/echo /run/porterd/files.conf.d/a.conf \
		/usr/libexec/porterd/porterd-opener /usr/sbin/porterd; do
		type=--
		case $path in
		/run/porterd/echo | /run/porterd-opener/opener) type=-s ;;
		esac
		# The last that matches counts.
		awk -v path="$path" -v type="$type" '
			path ~ "^" $1 "$" && (NF == 2 || $2 == type) { split($NF, context, ":"); found = context[3] }
			END { print path ":" found }' unpacked.fc
	done
}

# --- SELinux's store of modules --------------------------------------------------------------

inside_semodule()
{
	apt-get install -y -q --no-install-recommends make policycoreutils selinux-policy-default \
		selinux-policy-dev selinux-utils || return 1
	printf '%s\n' SELINUX=permissive SELINUXTYPE=default >/etc/selinux/config

	ok 'semodule: the module is installed by the commands of the manual' sm_install
	ok 'semodule: it is in the store' sm_installed
	ok 'semodule: its files have their types there' sm_labels
}

# The last ones of the block are for systemd, which does not run.
sm_install()
{
	local commands

	commands=$(manual 'cd ') && bash -ec "$(grep -v '^systemctl ' <<<"$commands")"
}

sm_installed()
{
	semodule -l | grep -x porterd
}

sm_labels()
{
	matchpathcon /usr/sbin/porterd | grep :porterd_exec_t: &&
		matchpathcon /usr/libexec/porterd/porterd-opener | grep :porterd_opener_exec_t: &&
		matchpathcon /etc/porterd/files.conf | grep :porterd_conf_t: &&
		matchpathcon -m sock /run/porterd-opener/opener | grep :porterd_opener_runtime_t: &&
		matchpathcon -m sock /run/porterd/io.porterd | grep :porterd_runtime_t:
}
