"""The lists that the corpus is collected in, and the marks that a program may carry."""

PROGRAMS = {}
BARRIERS = {}


def _identifier(function):
    return f"{function.__module__.rpartition('.')[2]}.{function.__name__}"


def program(function=None, *, shares_heap=False, unsaveable=False, splits_a_group=False):
    """Register a program.

    `shares_heap`: it changes an object that copies have in common, so that shallow copies disturb one another.
    `unsaveable`: it holds a value that a snapshot may refuse; an `UnsaveableError` is then as good as the outcome.
    `splits_a_group`: it has an `except*`, for which assertions of CPython want an exception to have a traceback.
    """

    def register(function):
        function.shares_heap = shares_heap
        function.unsaveable = unsaveable
        function.splits_a_group = splits_a_group
        PROGRAMS[_identifier(function)] = function
        return function

    return register if function is None else register(function)


def barrier(*names, swallowed=False, shares_state=False):
    """Register a program that calls `point` beneath a C operation; the error's text holds one of `names`.

    `swallowed`: CPython drops or replaces an exception raised there, so that the error never leaves the program.
    `shares_state`: it changes what the process has once, so that two runs at a time disturb one another.
    """

    def register(function):
        function.names = names
        function.swallowed = swallowed
        function.shares_state = shares_state
        BARRIERS[_identifier(function)] = function
        return function

    return register
