"""What must not be unpickled."""


class Trap:
    """Unpickling it is noticed."""

    sprung = 0

    def __reduce__(self):
        return spring, ()


def spring():
    Trap.sprung += 1
