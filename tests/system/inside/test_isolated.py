"""A process for each client: what their user's clients take together leaves others something."""

import socket

import client
from client import VarlinkError
from harness import equal, grant, policy, raises, secret, systemctl, test, wait_until
from test_credentials import user

MANY = {"files": ["key"] * 253}
# Of one user, who get as much as they like, and how many descriptors each other one gets.
FIRST, FEW = 8, 2


def connect(uid):
    with client.acting_as(uid):
        return client.Varlink(client.ISOLATED)


def gets(varlink, count):
    """Asks for so many, and leaves the answer unread if they come."""
    varlink.send("io.porterd.Files.OpenMany", {"files": ["key"] * count})
    if b"descriptors" in varlink.socket.recv(4096, socket.MSG_PEEK):
        return True
    equal(raises(VarlinkError, varlink.receive).name, "Busy", "the error")
    return False


@test
def unread_descriptors_of_one_user_leave_others_some():
    alice, _ = user("alice")
    bob, _ = user("bob")
    policy(grant("key", secret("key"), "AllowUser=alice bob"))
    systemctl("start", "porterd-isolated.socket")
    # As many as all processes of porterd's user may have under way, were nobody bounded: 65 times 253.
    clients = [connect(alice) for _ in range(70)]
    try:
        equal([gets(one, 253) for one in clients], [True] * FIRST + [False] * (70 - FIRST), "who got 253")
        equal([gets(one, FEW + 1) for one in clients[FIRST:]], [False] * (70 - FIRST), "who got 3")
        equal([gets(one, FEW) for one in clients[FIRST:]], [True] * (70 - FIRST), "who got 2")
        with connect(bob) as other, other.open("key") as file:
            equal(file.read(), b"secret\n", "what another user gets")
        with connect(bob) as other:
            equal(gets(other, 253), True, "another user's 253")
        # Who says that nothing more comes still has them in the socket, and keeps the place.
        for one in clients[:FIRST]:
            one.socket.shutdown(socket.SHUT_WR)
        clients.append(connect(alice))
        equal(gets(clients[-1], 253), False, "one more, when the first say no more")
        clients[0].receive()
        clients[FIRST].receive()
        wait_until(lambda: gets(clients[FIRST], 253), "there is room when one of the first has read")
    finally:
        for one in clients:
            one.close()
