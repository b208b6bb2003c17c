"""Asks porterd with the installed module: see as-client for what there is to ask."""

import os

import porter


def main():
    try:
        os.close(os.open("/run/porterd-tests.secret", os.O_RDONLY))
        raise SystemExit("everybody can open the file")
    except PermissionError:
        pass
    with porter.open("allowed") as descriptor, descriptor.to_file("r") as file:
        assert file.read() == "only root reads this\n"
    with porter.connect() as connection:
        assert connection.whoami().uid == os.getuid(), connection.whoami()
        assert [file.name for file in connection.list()] == ["allowed"], connection.list()
        assert connection.check("allowed").permitted
        for name, expected in (("refused", porter.NotPermitted), ("unknown", porter.UnknownFile)):
            try:
                connection.open(name)
                raise SystemExit(f"opened {name}")
            except expected as error:
                print(f"{name}: {error}")
    print("done by", porter.__file__)
    assert porter.__file__.startswith("/usr/lib/python3/dist-packages/"), "the installed module"


if __name__ == "__main__":
    main()
