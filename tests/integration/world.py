# SPDX-License-Identifier: MIT
"""porterd and the opener together, with files that they give out."""

import os
import shutil
import subprocess
import tempfile

from harness import *

OPENER = os.path.join(BUILD, "porterd-opener")
PORTERCTL = os.path.join(BUILD, "tests", "porterctl", "porterctl")
ME = os.geteuid()


class World:
    """A policy, files, and both processes. In the policy, {d} is the directory and {me} the user."""

    def __init__(self, policy, porterd_arguments=(), settings=""):
        self.directory = tempfile.mkdtemp(prefix="porterd-files-")
        os.chmod(self.directory, 0o755)
        self.config = os.path.join(self.directory, "config")
        os.mkdir(self.config, 0o755)
        self.policy = policy
        self.write_policy(policy)
        self.opener = Program(SEQPACKET, "opener", program=OPENER, arguments=[f"--config-dir={self.config}"],
                              wrapper=wrapper_for_opener())
        with open(os.path.join(self.config, "porterd.conf"), "w") as file:
            file.write("[Server]\n" + settings)
        self.porterd = Program(STREAM, "varlink", arguments=[f"--opener={self.opener.path}",
                                                             f"--config-dir={self.config}", *porterd_arguments])

    def write_policy(self, policy):
        path = os.path.join(self.config, "files.conf")
        with open(path, "w") as file:
            file.write(policy.format(d=self.directory, me=ME))
        os.chmod(path, 0o644)

    def file(self, name, content="content", mode=0o600):
        path = os.path.join(self.directory, name)
        with open(path, "w") as file:
            file.write(content)
        os.chmod(path, mode)
        return path

    def connect(self):
        return Varlink(self.porterd.connect())

    def porterctl(self, *arguments, **options):
        return subprocess.run(WRAPPER + [PORTERCTL, f"--socket={self.porterd.path}"] + list(arguments), check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE, **options)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.porterd.__exit__(*error)
        self.opener.__exit__(*error)
        shutil.rmtree(self.directory)


POLICY = """
[key]
Description=A key
Path={d}/key
Access=read-write
AllowUser={me}

[mine]
Path={d}/mine
AllowUser={me}

[passwd]
Path=/etc/passwd
AllowUser={me}

[log]
Path={d}/log
Access=append
AllowUser={me}
Create=yes
Mode=0640

[other]
Path={d}/other
AllowUser=4242

[gone]
Path={d}/gone
AllowUser={me}

[directory]
Path={d}/config
AllowUser={me}

[copied]
Path={d}/copied
Deliver=copy
AllowUser={me}
"""
