"""The checks that --every inserts are noticed by nothing but a due checkpoint."""

import ast
import dis
import textwrap
import traceback

import pytest

from stackful.durable.instrument import CHECK, DUE, compile_script


def run(text, due=None, check=lambda: None):
    """The globals of a script that was run instrumented."""
    namespace = {"__name__": "__main__", DUE: due, CHECK: check}
    exec(compile_script(textwrap.dedent(text).encode(), "script.py", every=True), namespace)
    return namespace


def checks_of(code):
    """How many checks a code object has, those nested in it left out."""
    loads = [i for i in dis.get_instructions(code) if i.argval == DUE]
    assert {i.opname for i in loads} <= {"LOAD_GLOBAL"}
    return len(loads)


def code_named(code, name):
    """A code object nested in another."""
    return next(
        const if const.co_name == name else code_named(const, name)
        for const in code.co_consts
        if hasattr(const, "co_code") and (const.co_name == name or has_code(const, name))
    )


def has_code(code, name):
    return any(hasattr(c, "co_code") and (c.co_name == name or has_code(c, name)) for c in code.co_consts)


def compiled(text):
    return compile_script(textwrap.dedent(text).encode(), "script.py", every=True)


@pytest.mark.parametrize(
    "body, count",
    [
        ("return n + 1", 0),
        ("return g(n)", 1),
        ("for i in range(n):\n        n += i", 2),
        ("while n:\n        n -= 1", 1),
        ("while n:\n        for i in n: pass", 2),
        ("yield n", 0),
        ("for i in n:\n        yield g(i)", 0),
        ("return [g(i) for i in n]", 1),
        ("def inner(x):\n        return (yield x)\n    return inner", 0),
        ("return lambda: (yield)", 0),
    ],
)
def test_checks_stand_where_the_program_may_stay_for_long(body, count):
    """Loops and functions that call something have a check, functions that end at once and generators have none."""
    assert checks_of(code_named(compiled(f"def f(n):\n    {body}\n"), "f")) == count


def test_loops_of_the_module_have_checks():
    """A loop outside of every function has a check, looked up as fast as in a function."""
    assert checks_of(compiled("for i in range(3):\n    while i:\n        i -= 1\n")) == 2


def test_coroutines_and_class_bodies_have_no_checks_but_their_functions_do():
    """What is driven by C code cannot be suspended; what is defined there can."""
    code = compiled("""
        async def walk(items):
            async for item in items:
                def visit():
                    return item()
                for x in item: visit()
        class Box:
            for i in range(3):
                def method(self):
                    return self.method()
    """)
    assert [checks_of(code_named(code, name)) for name in ("walk", "visit", "Box", "method")] == [0, 1, 0, 1]


def test_a_due_checkpoint_is_taken_at_each_turn():
    """While the flag is set, every turn of a loop and every call asks."""
    seen = []
    run("def f(n):\n    return n and f(n - 1)\nfor i in range(3): f(i)\n", due=True, check=lambda: seen.append(1))
    assert len(seen) == 3 + (1 + 2 + 3)


PROGRAMS = {
    "docstrings": """
        "module"
        from __future__ import annotations
        def f():
            "doc"
            return f.__doc__
        def g():
            "only a docstring"
        result = (__doc__, f(), g.__doc__, g())
    """,
    "future": """
        from __future__ import annotations
        def f(x: Undefined) -> Unknown:
            return len(f.__annotations__)
        result = f(1)
    """,
    "declarations": """
        count = 0
        def f():
            global count
            total = 0
            def g():
                nonlocal total
                global count
                count += len("ab")
                total += 1
                return total
            return g() + g()
        result = (f(), count)
    """,
    "annotations": """
        def f(x):
            y: int
            y = str(x)
            return y
        for i in range(2):
            z: str
            z = f(i)
        for i in range(2):
            "a remark"
            pass
        result = z
    """,
    "debug": """
        def f(x):
            if __debug__:
                return str(x)
        result = f(1), __debug__
    """,
    "decorators": """
        def twice(f):
            return lambda *a: f(f(*a))
        for i in range(2):
            @twice
            @twice
            def add(x): return int(x) + 1
        result = add(1)
    """,
    "else clauses": """
        result = []
        for i in range(3):
            continue
        else:
            result.append("for")
        while False:
            pass
        else:
            result.append("while")
        for i in range(3):
            if i == 1: break
        else:
            result.append("never")
    """,
    "names in classes": """
        class A:
            def __private(self): return str(1)
            def f(self):
                for _ in range(2): pass
                return self.__private()
        result = A().f()
    """,
    "one line": "result = 0\nfor i in range(3): result += i; result *= 2\n",
    "match": """
        result = []
        for x in [1, (2, 3), {"a": 4}]:
            match x:
                case int(): result.append("int")
                case (a, b): result.append(a + b)
                case {"a": v}: result.append(v)
    """,
    "generators": """
        def gen(n):
            for i in range(n):
                got = yield i
                if got: return got
        g = gen(5)
        result = (next(g), next(g), [*gen(3)], sum(x for x in gen(4)))
    """,
    "coroutine": """
        import asyncio
        async def ticks(n):
            for i in range(n):
                await asyncio.sleep(0)
                yield i
        async def main():
            return [i async for i in ticks(3)]
        result = asyncio.run(main())
    """,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_instrumented_programs_mean_the_same(name):
    """Docstrings, declarations, futures and control flow are as without checks."""
    plain = {"__name__": "__main__"}
    exec(compile(textwrap.dedent(PROGRAMS[name]), "script.py", "exec", dont_inherit=True), plain)
    assert run(PROGRAMS[name])["result"] == plain["result"]


@pytest.mark.skipif(not hasattr(ast, "TypeAlias"), reason="type parameters came with Python 3.12")
def test_functions_with_type_parameters_are_right():
    """A generic function and a generic class keep their parameters and have their checks."""
    text = """
        def f[T: int](x: T) -> T:
            "doc"
            return max(x, x)
        class C[T]:
            def m[U](self, u: U):
                for _ in range(2): pass
                return (T, U, len("ab"))
        type Pair[A] = tuple[A, A]
        result = (f(3), f.__doc__, len(f.__type_params__), len(C().m(1)), str(Pair[int]).rpartition(".")[2])
    """
    assert run(text)["result"] == (3, "doc", 1, 3, "Pair[int]")


def positions(code):
    """Every position in a program's code, as far as the program itself put it there."""
    own = [
        (i.positions, i.opname)
        for i in dis.get_instructions(code)
        if i.opname in {"STORE_FAST", "STORE_NAME", "BINARY_OP", "RAISE_VARARGS", "LOAD_ATTR", "LOAD_METHOD"}
    ]
    return own + [p for const in code.co_consts if hasattr(const, "co_code") for p in positions(const)]


@pytest.mark.parametrize("name", PROGRAMS)
def test_positions_are_those_of_the_source(name):
    """No instruction of the program moves to another line or column."""
    source = textwrap.dedent(PROGRAMS[name]).encode()
    assert positions(compile_script(source, "x", every=True)) == positions(compile_script(source, "x", every=False))


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_tracer_sees_the_lines_of_the_source(name):
    """sys.settrace is told of the same lines in the same order."""
    source = textwrap.dedent(PROGRAMS[name])
    if name == "coroutine":
        pytest.skip("asyncio's own lines are not always the same")
    assert lines_run(compile_script(source.encode(), "x", True)) == lines_run(
        compile_script(source.encode(), "x", False)
    )


def lines_run(code):
    import sys

    seen = []

    def trace(frame, event, arg):
        if frame.f_code.co_filename == "x" and event == "line":
            seen.append((frame.f_code.co_name, frame.f_lineno))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        exec(code, {"__name__": "__main__", DUE: None})
    finally:
        sys.settrace(before)
    return seen


def test_tracebacks_are_those_of_the_source():
    """An exception's traceback is equal to the last column."""
    source = textwrap.dedent("""
        def f(n):
            for i in range(2):
                while n:
                    n = f(n - 1) + [].pop(n)
            return 1
        f(2)
    """).encode()

    def report(every):
        try:
            exec(compile_script(source, "script.py", every), {DUE: None})
        except IndexError as error:
            return [
                (f.lineno, f.end_lineno, f.colno, f.end_colno, f.name)
                for f in traceback.extract_tb(error.__traceback__)
            ][1:]

    assert report(True) == report(False)


def test_the_same_source_always_gives_equal_code():
    """A resumed run compiles its script anew and finds each code object as it was."""
    source = textwrap.dedent(PROGRAMS["declarations"]).encode()
    for every in (False, True):
        assert compile_script(source, "x", every) == compile_script(source, "x", every)


@pytest.mark.parametrize("every", [False, True])
def test_the_encoding_of_the_file_is_obeyed(every):
    """An encoding cookie and a byte order mark mean what they mean to python."""
    for source in ("# coding: latin-1\nx = 'é'\n".encode("latin-1"), "\ufeffx = 'é'\n".encode()):
        namespace = {}
        exec(compile_script(source, "x", every), namespace)
        assert namespace["x"] == "é"


@pytest.mark.parametrize("every", [False, True])
def test_syntax_errors_are_pythons(every):
    """A script that does not compile fails with python's own SyntaxError, at its own place."""
    with pytest.raises(SyntaxError) as caught:
        compile_script(b"x = 1\ny = (\n", "script.py", every)
    assert (caught.value.filename, caught.value.lineno) == ("script.py", 2)


@pytest.mark.parametrize("every", [False, True])
def test_this_modules_own_future_is_not_inherited(every):
    """Annotations are evaluated unless the script itself says otherwise."""
    namespace = {}
    exec(compile_script(b"def f(x: int): pass\n", "x", every), namespace)
    assert namespace["f"].__annotations__ == {"x": int}


def test_a_script_without_loops_is_left_alone():
    """Where no check is needed, the code does the same instructions."""
    source = b"import sys\nx = sys.argv\n"
    assert compile_script(source, "x", True).co_code == compile_script(source, "x", False).co_code
