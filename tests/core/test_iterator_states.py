"""Where iterators written in C stand, as values: what no iterator can be in is refused, and nothing is changed."""

import itertools
import random
import sys

import pytest

from saveable.iterators import BUILTIN, ITERTOOLS, moved
from stackful import _core
from stackful.snapshot.codecs import iterators


def is_here(name):
    return hasattr(itertools, name.split()[0].split(".")[0])


KINDS = iterators._BLANKS
MAKERS = {name: make for name, make in BUILTIN.items() if name.startswith("dict_")}
MAKERS |= {name: make for name, make in ITERTOOLS.items() if not name.startswith("count") and is_here(name)}
VALUES = [
    None,
    _core.NULL,
    -2,
    -1,
    0,
    1,
    2,
    5,
    sys.maxsize,
    -sys.maxsize - 1,
    1 << 70,
    "a",
    (),
    (0,),
    (1, 0),
    [1],
    iter(()),
    True,
    {},
    {1: 2},
]


def blank_of(iterator):
    return KINDS[iterators._NAMES[type(iterator)]]()


@pytest.mark.parametrize("name", MAKERS)
def test_a_state_is_taken_by_a_blank_iterator(name):
    """And by no other: what somebody advances may not change under it."""
    iterator = moved(MAKERS[name], 1)
    state = _core.iterator_state(iterator)
    fresh = blank_of(iterator)
    _core.fill_iterator(fresh, state)
    with pytest.raises(ValueError, match="is in use: only a new one is filled"):
        _core.fill_iterator(fresh, state)
    with pytest.raises(ValueError, match="is in use"):
        _core.fill_iterator(iterator, state)


@pytest.mark.parametrize("name", MAKERS)
def test_what_is_no_state_is_refused(name):
    """Not a tuple, too short, too long: ValueError, and the blank can still be filled."""
    iterator = moved(MAKERS[name], 1)
    state = _core.iterator_state(iterator)
    fresh = blank_of(iterator)
    for wrong in (None, list(state), state[1:], (*state, None), ()):
        with pytest.raises(ValueError, match="this is no state of a"):
            _core.fill_iterator(fresh, wrong)
    _core.fill_iterator(fresh, state)


def used(iterator):
    """All that a program can do with it."""
    for _ in range(3):
        try:
            next(iterator)
        except (StopIteration, TypeError, ValueError, RuntimeError, AttributeError, OverflowError, MemoryError):
            pass
    repr(iterator)
    _core.iterator_state(iterator)


def changed(chance, state):
    """A state with one value in it, at any depth, replaced."""
    state = list(state)
    at = chance.randrange(len(state))
    if isinstance(state[at], tuple) and state[at] and chance.random() < 0.7:
        state[at] = tuple(changed(chance, state[at]))
    else:
        state[at] = chance.choice(VALUES)
    return tuple(state)


# With a large number it would go on for ever, as that of a program would.
ENDLESS = {"islice (no stop)", "cycle", "repeat"}


@pytest.mark.parametrize("name", [name for name in MAKERS if name not in ENDLESS])
def test_a_changed_state_is_refused_or_can_be_used(name):
    """With any value in any place; nothing ends in a signal."""
    chance = random.Random(name)
    refused = 0
    for steps in (0, 1, 3, 9):
        for _ in range(300):
            iterator = moved(MAKERS[name], steps)
            state = changed(chance, _core.iterator_state(iterator))
            fresh = blank_of(iterator)
            try:
                _core.fill_iterator(fresh, state)
            except (ValueError, MemoryError):
                refused += 1
                _core.fill_iterator(fresh, _core.iterator_state(iterator))
                used(fresh)
            else:
                used(fresh)
    assert refused


FORGED = {
    "an index behind the pool": (lambda: itertools.combinations("abc", 2), lambda s: (*s[:4], (1, 3), s[5])),
    "an index before the first": (lambda: itertools.combinations("abc", 2), lambda s: (*s[:3], False, (0, 2), s[5])),
    "an index before the first, with replacement": (
        lambda: itertools.combinations_with_replacement("abc", 2),
        lambda s: (*s[:3], False, (0, 1), s[5]),
    ),
    "another order before the first": (
        lambda: itertools.permutations("abc"),
        lambda s: (*s[:3], False, (0, 2, 1), s[5]),
    ),
    "indices that fall": (lambda: itertools.combinations("abc", 2), lambda s: (*s[:4], (1, 1), s[5])),
    "a negative index": (lambda: itertools.product("ab", "cd"), lambda s: (*s[:3], (-1, 0))),
    "no permutation": (lambda: itertools.permutations("abc"), lambda s: (*s[:4], (0, 0, 1), s[5])),
    "a cycle too long": (lambda: itertools.permutations("abc"), lambda s: (*s[:5], (4, 2, 1))),
    "a cycle behind what it saved": (lambda: itertools.cycle("abc"), lambda s: (_core.NULL, ("a",), 5, False)),
    "a batch of nothing": (lambda: itertools.islice("abc", 2), lambda s: (s[0], 0, -5, 1, 0)),
    "a step of 0": (lambda: itertools.islice("abc", 2), lambda s: (s[0], 0, 2, 0, 0)),
    "no iterator": (lambda: itertools.chain("abc"), lambda s: ("abc", _core.NULL)),
    "a tee ahead of what it shares": (lambda: itertools.tee("abc")[0], lambda s: (s[0], 5, s[2])),
    "a tee behind its link": (lambda: itertools.tee("abc")[0], lambda s: (s[0], 58, s[2])),
    "a total beside the initial value": (lambda: itertools.accumulate("abc"), lambda s: (*s[:3], "x")),
    "a group of no groupby": (lambda: next(itertools.groupby("aab"))[1], lambda s: (s[0], object(), s[2])),
    "a value without its key": (lambda: itertools.groupby("aab"), lambda s: (s[0], s[1], "a", _core.NULL, "a")),
    "a dict that is none": (lambda: iter({1: 2}), lambda s: ([], *s[1:])),
    "a position before a dict": (lambda: iter({1: 2}), lambda s: (*s[:3], -1)),
    "a position behind a dict": (lambda: reversed({1: 2}), lambda s: (*s[:3], 1)),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_state_that_would_crash_is_refused(name):
    """CPython takes for granted that it cannot be."""
    make, forge = FORGED[name]
    iterator = moved(make, 1) if not isinstance(make(), itertools._grouper) else make()
    state = forge(_core.iterator_state(iterator))
    with pytest.raises(ValueError, match="this is no state of a"):
        _core.fill_iterator(blank_of(iterator), state)


@pytest.mark.parametrize("value", [iter([]), [], itertools.count, object(), None], ids=repr)
def test_other_objects_have_no_state(value):
    """TypeError for both ways."""
    with pytest.raises(TypeError, match="nothing is known of where a"):
        _core.iterator_state(value)
    with pytest.raises(TypeError, match="nothing is known of where a"):
        _core.fill_iterator(value, ())


def test_a_dict_that_changes_is_seen_by_its_restored_iterator():
    """As by the original: a new value is given, a new key is an error."""
    from stackful import snapshot

    shown = {"a": 1, "b": 2, "c": 3}
    items = iter(shown.items())
    next(items)
    again, restored = snapshot.loads(snapshot.dumps((shown, items)))
    again["c"] = 30
    assert next(restored) == ("b", 2)
    assert next(restored) == ("c", 30)
    again["d"] = 4
    with pytest.raises(RuntimeError, match="changed size"):
        next(restored)


def test_a_dict_with_gaps_is_iterated_from_the_same_key():
    """Where items were deleted, positions are others in an unpickled dict."""
    from stackful import snapshot

    shown = dict.fromkeys(range(10))
    keys, backwards = iter(shown), reversed(shown)
    for _ in range(4):
        next(keys), next(backwards)
    for gone in (0, 2, 5, 8):
        del shown[gone]
        shown[gone + 100] = None
    state = snapshot.dumps((shown, keys, backwards))
    _, restored, turned = snapshot.loads(state)
    assert next(restored) == next(keys)
    assert next(turned) == next(backwards)


def test_scanners_tokens_and_files_take_no_other_objects():
    """TypeError, and ValueError for a place outside of the text."""
    import contextvars
    import re

    scanner = re.compile("a").scanner("aaa", 1)
    for function in (_core.scanner_state, _core.text_state, _core.token_state, _core.asend_state, _core.view_offset):
        with pytest.raises(TypeError):
            function(object())
    for at in (-2, 0, 4):
        with pytest.raises(ValueError, match="cannot go on there"):
            _core.set_scanner(scanner, at, False)
    with pytest.raises(TypeError):
        _core.fill_token(object(), contextvars.Context(), None, False)
    with pytest.raises(TypeError):
        _core.set_asend(object(), 1)
