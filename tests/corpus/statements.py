"""The remaining statements: `import`, `assert`, `global`, `pass`, `if`, `del`, and dead code."""

from .registry import program

COUNTER = 0


@program
def imports_inside_a_function(point):
    import math
    import os.path as path
    from collections import OrderedDict, namedtuple as tuple_type

    point("imported")
    table = OrderedDict(a=point(1))
    return math.sqrt(point(16)), path.basename(point("a/b")), list(table), tuple_type.__name__


@program
def an_import_that_fails(point):
    try:
        import a_module_that_does_not_exist
    except ImportError as error:
        return point(error.name)


@program
def relative_imports(point):
    from . import registry
    from .registry import program as register

    point(1)
    return register is registry.program, point(registry.__name__)


@program
def assertions(point):
    assert point(True), point("not shown")
    try:
        assert point(0), point("shown") + "!"
    except AssertionError as error:
        message = point(str(error))
    try:
        assert not point(1)
    except AssertionError as error:
        return message, point(error.args)


@program
def a_global_is_rebound(point):
    global COUNTER
    COUNTER = point(5)
    COUNTER += 1
    seen = COUNTER
    del COUNTER
    COUNTER = 0
    return point(seen)


@program
def globals_are_read(point):
    return point(len(HELPERS)), HELPERS[point(0)](point(-3)), __name__.rpartition(".")[2]


HELPERS = (abs, len)


@program
def branches(point):
    seen = ()
    for value in range(5):
        if point(value) == 0:
            pass
        elif point(value) == 1:
            seen += (point("one"),)
        elif value == 2 or point(value) == 3:
            seen += (point("two or three"),)
        else:
            seen += (point("more"),)
    return seen


@program
def expression_statements(point):
    point(1)
    point(2), point(3)
    [point(4)]
    point(5) < point(6)
    ...
    return point("end")


@program
def code_after_return(point):
    if point(True):
        return point("early")
    return "late"


@program
def an_implicit_return(point):
    point("only")


@program
def many_constants_and_wide_instructions(point):
    values = [
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29,
        point(30), 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54,
    ]
    total = 0
    for value in values:
        total = total * 3 + value
        if value % 20 == 0:
            total += point(value)
    return total % 1000003


def _wide_source():
    """A function with more than 256 constants and names and with far jumps, so that EXTENDED_ARG is in use."""
    lines = ["def wide(point):", "    total = 0", "    while total < 3000:"]
    lines += [f"        name_{i} = {1000 + i} if total >= 0 else point('never')" for i in range(300)]
    lines += ["        total += point(name_299)", "    return total, point(name_0)"]
    return "\n".join(lines)


exec(compile(_wide_source(), "<wide>", "exec"))
program(wide)
