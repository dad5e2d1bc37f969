"""The source of code travels with it: several definitions as one, and each comes back as it was."""

import functools
import importlib.util
import json
import sys
import threading
import typing
from pathlib import Path

import pytest

from stackful import Fiber, snapshot
from stackful.fibers import frames
from stackful.snapshot import compression, fingerprints, moves, sources, statements
from stackful.snapshot.definitions import definitions
from stackful.snapshot.scanning import scan

TEN = Path(__file__).parents[2] / "benches" / "ten_functions.py"
MODULES = (frames, fingerprints, json.decoder, moves, sources, statements)


def functions():
    """Functions and methods, with their modules."""
    for module in MODULES:
        classes = [value for value in vars(module).values() if isinstance(value, type)]
        for value in [*vars(module).values(), *(value for cls in classes for value in vars(cls).values())]:
            if getattr(value, "__module__", "") == module.__name__ and hasattr(value, "__code__"):
                yield value.__code__, module.__name__


@pytest.fixture
def ten(monkeypatch):
    """A fiber of ten frames, each of another function of a module."""
    spec = importlib.util.spec_from_file_location("ten_functions", TEN)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "ten_functions", module)
    spec.loader.exec_module(module)
    fiber = Fiber(module.FIRST, 3)
    fiber.resume()
    return fiber


def test_what_travels_of_a_definition_comes_back():
    """Its text, and where each call and each yield of it stands."""
    told = {
        data: sources.source_of(code, module)
        for code, module in functions()
        if (data := sources.encoded_source(code, module))
    }
    assert len(told) > 50
    for data, source in told.items():
        assert sources.decode(data) == source


@pytest.mark.parametrize("module", [*MODULES, functools, threading, typing], ids=lambda module: module.__name__)
def test_a_definition_is_found_as_in_the_whole_file(module):
    """By the bytecode of its module alone: the same text, the same classes, the same imports."""
    name, file = module.__name__, module.__file__
    whole = sources.file_of(Path(file).read_text(encoding="utf-8"))
    quick = sources._module(file, name, sources._version(file))
    found = 0
    for _, code in fingerprints.tree_of(quick.code):
        parts = (
            sources._source("\n".join(lines) + "\n", classes, quick.imports, code.co_flags & sources._FUTURE, first)
            for lines, first, classes in definitions(quick, code)
        )
        source = next((part for part in parts if sources._made_from(part, code)), None)
        if source is not None:
            assert source == sources.unit_in(whole, code)
            found += 1
    assert found > 5


def test_a_text_compiles_to_what_its_tree_compiles_to():
    """Every position too: they are what other versions of Python understand."""
    told = {source.bare for code, module in functions() if (source := sources.source_of(code, module))}
    assert len(told) > 50
    for source in told:
        tree = compile(source.tree(), "", "exec", flags=source.flags, dont_inherit=True)
        pairs = zip(fingerprints.tree_of(source.compiled("")), fingerprints.tree_of(tree), strict=True)
        assert all([*one.co_positions()] == [*other.co_positions()] for (_, one), (_, other) in pairs)


def test_no_whole_file_is_parsed_for_a_function(monkeypatch):
    """Nor for one that is nested in it, or stands in a class; for the text of a lambda it is."""
    monkeypatch.setattr(sources, "_known", {})
    monkeypatch.setattr(sources, "_file", lambda *_: pytest.fail("the file was parsed"))
    for code in (json.JSONDecoder.raw_decode.__code__, functools.singledispatch.__code__.co_consts):
        for part in [code] if hasattr(code, "co_code") else [found for found in code if hasattr(found, "co_code")]:
            assert sources.source_of(part, json.decoder.__name__ if part is code else functools.__name__)


def test_a_file_that_was_edited_has_no_say(tmp_path, monkeypatch):
    """Nobody takes its text for that of code that runs; where only other functions were changed it is."""
    path = tmp_path / "edited_meanwhile.py"
    path.write_text("def wait(n):\n    return n + 1\n\n\ndef go(n):\n    return wait(n)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module("edited_meanwhile")
    path.write_text("def wait(n):\n    return n + 22\n\n\ndef go(n):\n    return wait(n)\n")
    try:
        assert sources.source_of(module.wait.__code__, "edited_meanwhile") is None
        assert sources.source_of(module.go.__code__, "edited_meanwhile").line == 5
    finally:
        del sys.modules["edited_meanwhile"]


def test_definitions_that_travel_together_are_told_apart():
    """Each by its place; they take much less than each by itself."""
    parts = tuple({sources.encoded_source(code, module): None for code, module in functions()} - {b"": None}.keys())
    together = sources.put_together(parts)
    assert [sources.decode(together, at) for at in range(len(parts))] == [sources.decode(part) for part in parts]
    assert len(together) < 0.8 * sum(map(len, parts))
    for part in (len(parts), 1 << 40):
        with pytest.raises(ValueError, match="not a definition's source"):
            sources.decode(together, part)


@pytest.mark.parametrize(
    "told",
    [
        "", "7", "null", '"text"', "[]", "[[]]", "{}", '{"0": 1}', '["text"]', '["text", [], [], 0, 1, [[9, 0, [], []]]]',
        '["text", [], [], 0, 1, [["f", 0, [9], []]]]', '["text", [], [], 0, 1, [["f", 0, [], [1, 2, 3, 4, "x"]]]]',
        '["text", [], [], 0, 1, [["f", 0, 5, []]]]', "[7, [], [], 0, 1, []]", '["text", [], [], {}, 1, []]',
    ],
)  # fmt: skip
def test_what_is_no_definition_is_refused(told):
    """Of other bytes nothing is taken for one, whatever JSON they hold."""
    with pytest.raises(ValueError):
        sources.decode(sources._compressed(told.encode()))


def test_what_is_too_long_together_stays_apart():
    """Whoever decompresses it sets a limit: what is behind it would be lost."""
    long = tuple(
        sources._compressed(json.dumps([f"{number}" * 1_000_000, [], [], 0, 1, []]).encode()) for number in range(9)
    )
    assert sources.put_together(long) == b""
    assert sources.decode(long[8]).text == "8" * 1_000_000


@pytest.mark.skipif(compression.best() != compression.COMPRESSIONS.index("zstd"), reason="zstd is not installed")
def test_ten_frames_of_ten_functions_fit_into_two_kibibytes(ten):
    """Sealed, bound to a run, with the sources of all ten."""
    data = snapshot.dumps(ten, key=b"k" * 32, run="run", sequence=7)
    assert len(data) <= 2048
    loaded = snapshot.loads(data, key=b"k" * 32)
    assert [frame.line for frame in loaded.frames] == [frame.line for frame in ten.frames]
    assert loaded.resume(1) == ten.resume(1)


def test_the_frames_of_a_stack_refer_to_one_source(ten):
    """And each finds its own definition in it."""
    references = scan(snapshot._pickle(ten)).references
    assert len({reference.source for reference in references}) == 1
    told = [sources.decode(reference.source, reference.part).text for reference in references]
    assert [text.split("(")[0] for text in told] == [f"def {reference.qualname}" for reference in references]
