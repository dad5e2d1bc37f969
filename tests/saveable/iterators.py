"""Iterators of builtins and itertools."""

import array
import collections
import itertools
import json
import re
import struct
import sys
from functools import partial

from saveable import BY_VALUE, FORKED, advanced, family

entry = family("Iterators")


class Countdown:
    """A sequence by its items, and an iterable by that."""

    def __getitem__(self, index):
        if index == 3:
            raise IndexError
        return 3 - index


BUILTIN = {
    "list_iterator": lambda: iter([1, 2, 3]),
    "list_reverseiterator": lambda: reversed([1, 2, 3]),
    "tuple_iterator": lambda: iter((1, 2, 3)),
    "range_iterator": lambda: iter(range(0, 10, 3)),
    "longrange_iterator": lambda: iter(range(10**30, 10**30 + 3)),
    "str_ascii_iterator": lambda: iter("abc"),
    "str_iterator": lambda: iter("äöü"),
    "bytes_iterator": lambda: iter(b"abc"),
    "bytearray_iterator": lambda: iter(bytearray(b"abc")),
    "memory_iterator": lambda: iter(memoryview(array.array("i", [1, 2, 3]))),
    "dict_keyiterator": lambda: iter({"a": 1, "b": 2, "c": 3}),
    "dict_valueiterator": lambda: iter({"a": 1, "b": 2, "c": 3}.values()),
    "dict_itemiterator": lambda: iter({"a": 1, "b": 2, "c": 3}.items()),
    "dict_reversekeyiterator": lambda: reversed({"a": 1, "b": 2, "c": 3}),
    "dict_reversevalueiterator": lambda: reversed({"a": 1, "b": 2, "c": 3}.values()),
    "dict_reverseitemiterator": lambda: reversed({"a": 1, "b": 2, "c": 3}.items()),
    "enumerate": lambda: enumerate("abc", 5),
    "zip": lambda: zip([1, 2, 3], "abc", strict=True),
    "map": lambda: map(divmod, [7, 8, 9], [2, 3, 4]),
    "filter": lambda: filter(str.isalpha, "a1b2c"),
    "reversed": lambda: reversed(Reversible()),
    "iterator (over __getitem__)": lambda: iter(Countdown()),
    "callable_iterator": lambda: iter([1, 2, 3, 4].pop, 1),
    "array.arrayiterator": lambda: iter(array.array("d", [1, 2, 3])),
    "collections._deque_iterator": lambda: iter(collections.deque([1, 2, 3])),
    "collections._deque_reverse_iterator": lambda: reversed(collections.deque([1, 2, 3])),
    "struct.iter_unpack": lambda: struct.iter_unpack("<H", b"a\0b\0c\0"),
    "callable_iterator (re.finditer)": lambda: re.finditer("a*|b", "aabaä"),
}


def power(base, exponent):
    return base**exponent


ITERTOOLS = {
    "accumulate": lambda: itertools.accumulate([1, 2, 3, 4]),
    "accumulate (function, initial)": lambda: itertools.accumulate([3, 2], power, initial=2),
    "batched": lambda: itertools.batched("abcdefg", 3),
    "chain": lambda: itertools.chain("ab", [1, 2]),
    "chain.from_iterable": lambda: itertools.chain.from_iterable(iter(["ab", "", "c"])),
    "combinations": lambda: itertools.combinations("abcd", 2),
    "combinations_with_replacement": lambda: itertools.combinations_with_replacement("abc", 2),
    "compress": lambda: itertools.compress("abcd", [1, 0, 1, 1]),
    "count": lambda: itertools.count(sys.maxsize - 1),
    "count (step)": lambda: itertools.count(0.5, 0.25),
    "cycle": lambda: itertools.cycle("abc"),
    "dropwhile": lambda: itertools.dropwhile(str.isspace, "  ab c"),
    "filterfalse": lambda: itertools.filterfalse(str.isalpha, "1a2b3"),
    "groupby": lambda: itertools.groupby("aabccc"),
    "groupby (key)": lambda: itertools.groupby([1, 3, 2, 4, 5], key=is_even),
    "islice": lambda: itertools.islice(iter(range(20)), 2, 12, 3),
    "islice (no stop)": lambda: itertools.islice(itertools.count(), 2, None, 3),
    "pairwise": lambda: itertools.pairwise("abcd"),
    "permutations": lambda: itertools.permutations("abcd", 2),
    "product": lambda: itertools.product("ab", [1, 2], repeat=1),
    "repeat": lambda: itertools.repeat("a"),
    "repeat (times)": lambda: itertools.repeat("a", 3),
    "starmap": lambda: itertools.starmap(power, [(2, 3), (3, 2), (4, 0)]),
    "takewhile": lambda: itertools.takewhile(str.isalpha, "abc1d"),
    "tee": lambda: itertools.tee("abcd")[0],
    "zip_longest": lambda: itertools.zip_longest("abcd", [1, 2], fillvalue=0),
}


def is_even(number):
    return number % 2 == 0


class Reversible(Countdown):
    def __len__(self):
        return 3


def plain(item):
    """What an iterator gave, in a form that can be compared."""
    if isinstance(item, re.Match):
        return item.span(), item.pos, item.endpos
    if isinstance(item, tuple) and len(item) == 2 and type(item[1]).__name__ == "_grouper":
        return item[0], list(item[1])
    return item


def rest(iterator):
    """What is left of it, or the beginning of that."""
    return [plain(item) for item in itertools.islice(iterator, 60)]


def moved(make, steps):
    """A new iterator, advanced at most so far."""
    iterator = make()
    for _ in itertools.islice(iterator, steps):
        pass
    return iterator


# What becomes a list_iterator over what is left: an order, or positions, that another process would not have.
OTHERS = {"set_iterator": lambda: iter({1, 2, 3}), "odict_iterator": lambda: iter(collections.OrderedDict(a=1, b=2))}
SINCE = {"batched": (3, 12)}

for _name, _make in BUILTIN.items():
    entry(_name, FORKED, rest, make=partial(moved, _make, 1))
for _name, _make in OTHERS.items():
    entry(
        _name,
        FORKED,
        sorted,
        same_type=False,
        remark="as an iterator over a list of what is left",
        make=partial(moved, _make, 1),
    )
for _name, _make in ITERTOOLS.items():
    entry(f"itertools.{_name}", FORKED, rest, since=SINCE.get(_name, (3, 11)), make=partial(moved, _make, 1))


@entry("itertools._grouper (a group of groupby)", FORKED, list)
def group():
    return advanced(next(itertools.groupby("aaab"))[1])


@entry("itertools.tee (several)", FORKED, lambda them: [rest(it) for it in them])
def several_tees():
    first, second, third = itertools.tee(iter(range(200)), 3)
    return advanced(first, 130), advanced(second, 57), third


@entry("itertools.tee (one that feeds itself)", FORKED, rest)
def fibonacci():
    def numbers():
        yield 1
        yield 1
        yield from map(sum, zip(ahead, itertools.islice(behind, 1, None)))

    result, ahead, behind = itertools.tee(numbers(), 3)
    return advanced(result, 10)


@entry("json.JSONDecoder", BY_VALUE, lambda decoder: decoder.decode('{"a": [1.5]}'))
def json_decoder():
    return json.JSONDecoder(parse_float=str)
