#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Clients of the tutorial kind, in C and Python, against both ways of being activated."""

import os
import subprocess
import sys

from harness import *

HERE = os.path.dirname(os.path.abspath(__file__))
C_CLIENT = [os.path.join(BUILD, "tests", "integration", "tutorial_client")]
PYTHON_CLIENT = [sys.executable, os.path.join(HERE, "tutorial_client.py")]


def check(client, accept):
    with Program(accept=accept) as program:
        for text in ("hello", "hello again", "x" * 5000):
            done = subprocess.run(client + [program.path, text], stdout=subprocess.PIPE, timeout=PATIENCE, check=True)
            equal(done.stdout.decode(), text, "what came back")


@test
def c_client_listening():
    check(C_CLIENT, False)


@test
def c_client_accepted():
    check(C_CLIENT, True)


@test
def python_client_listening():
    check(PYTHON_CLIENT, False)


@test
def python_client_accepted():
    check(PYTHON_CLIENT, True)


main()
