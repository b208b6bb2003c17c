# shellcheck shell=bash
# What compilers and others find in src/ without running it, and what of it the tests run.
: "${work:?}" "${source:?}" "${jobs:?}"

# A pointer that went into a list or an array is lost to gcc's analyzer, which calls that a leak.
analysis_gcc()
{
	configured analysis CC=gcc CFLAGS='-O0 -fanalyzer -Wno-analyzer-malloc-leak' --disable-tests --disable-manuals
}

# As the makefile has it, below the build that the step above has configured.
analysis_flags()
{
	local build=$work/build/analysis

	printf '%s\n' -std=gnu17 -include "$build/config.h" -D_GNU_SOURCE -Isrc -I"$build/src" -I. \
		-DSBINDIR='"/usr/sbin"' -DLIBEXECDIR='"/usr/libexec/porterd"' -DSYSCONFDIR='"/etc"'
	pkg-config --cflags-only-I libsystemd libeconf jansson | tr -s ' ' '\n'
}

# A file at a time: of several in one process, version 14 takes the later ones' va_start() for something else.
# .clang-tidy says which checks.
analysis_clang_tidy()
{
	local -a flags

	cd "$source" || return
	mapfile -t flags < <(analysis_flags | grep .)
	# shellcheck disable=SC2016  # the inner shell's
	find src -name '*.c' -print0 | xargs -0 -n 1 -P "$jobs" sh -c \
		'for file; do :; done; exec clang-tidy --quiet "$file" -- "$@"' sh "${flags[@]}"
}

# Left out: it can't tell what an initialiser of a union or a macro's compound literal sets (legacyUninitvar), loses
# what an attribute frees (memleak), and takes a buffer to receive into for one that is read (ctuuninitvar).
analysis_cppcheck()
{
	local -a flags

	cd "$source" || return
	mapfile -t flags < <(analysis_flags | grep '^-[DI]')
	cppcheck --quiet --error-exitcode=1 --std=c11 --language=c --enable=warning,performance,portability \
		--inline-suppr --suppress=missingIncludeSystem --suppress=legacyUninitvar --suppress=memleak \
		--suppress=ctuuninitvar -DPACKAGE_VERSION='"0"' -j "$jobs" "${flags[@]}" src
}

run_analysis()
{
	analysis_gcc
	analysis_clang_tidy
	analysis_cppcheck
}

# Of src/, so many in a hundred lines at least. The last column names those that no test ran. Without the faults: they fail
# the calls, too, by which counts are added to those of earlier runs, and a file that can't be read is begun anew.
coverage_least=90
run_coverage()
{
	local rc=0

	configured coverage CC=gcc CFLAGS='-O0 -g' --enable-coverage
	# What ran is counted also where a test fails, which is told by the result.
	make -j"$jobs" check || rc=$?
	gcovr --root "$source" --filter "$source/src/" --object-directory "$work/build/coverage" \
		--exclude-unreachable-branches --print-summary --fail-under-line "$coverage_least" \
		"$work/build/coverage"
	return "$rc"
}
