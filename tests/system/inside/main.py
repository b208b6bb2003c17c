"""Runs the system tests inside the booted tree, in the order of these imports.

Arguments: run only the tests with one of them in the name."""

# pylint: disable=unused-import
import sys

import examples
import harness
import test_install
import test_activation
import test_echo
import test_credentials
import test_files
import test_policy
import test_units
import test_forgery
import test_compromised
import test_journal
import test_porterctl
import test_varlinkctl
import test_examples
import test_servers
import test_hardening
import test_quotas
import test_isolated
import test_lifetime
import test_workers
import test_crash
import test_soak
import test_restart
import test_burst

examples.register_tests()  # before the last
import test_removal  # takes the package away: last

sys.exit(harness.main(sys.argv[1:]))
