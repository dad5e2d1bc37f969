"""Loops: `for` over every built-in iterator, `while`, `else`, `break`, `continue`."""

from .registry import program


@program
def over_a_list(point):
    seen = ()
    for item in [point(1), point(2), point(3)]:
        seen += (point(item),)
    return seen


@program
def over_a_tuple(point):
    seen = ()
    for item in (point(1), 2, point(3)):
        seen = (*seen, point(item * 2))
    return seen


@program
def over_a_string(point):
    text = ""
    for letter in point("añ😀b"):
        text = point(letter) + text
    return text


@program
def over_bytes(point):
    total = 0
    for byte in point(b"\x00a\xff"):
        total = total * 256 + point(byte)
    return total


@program
def over_a_bytearray(point):
    total = 0
    for byte in bytearray(point(b"xyz")):
        total += point(byte)
    return total


@program
def over_a_range(point):
    seen = ()
    for i in range(point(3), point(12), point(4)):
        seen += (point(i),)
    for i in range(3, -3, -2):
        seen += (point(i),)
    return seen


@program
def over_a_huge_range(point):
    start = 2**70
    total = 0
    for i in range(point(start), start + 3):
        total += point(i) - start
    return total


@program
def over_dict_keys_and_values(point):
    table = {"one": 1, "two": 2, point("three"): point(3)}
    seen = ()
    for key in table:
        seen += (point(key),)
    for key in table.keys():
        seen += (point(table[key]),)
    for value in table.values():
        seen += (point(value),)
    return seen


@program
def over_dict_items(point):
    seen = ()
    for key, value in {"a": point(1), "b": 2, "c": 3}.items():
        seen += (point(key), point(value))
    for key, value in reversed({"a": 1, "b": 2}.items()):
        seen += ((point(key), value),)
    return seen


@program
def over_reversed_dict(point):
    table = {1: "a", 2: "b", 3: "c"}
    seen = ()
    for key in reversed(table):
        seen += (point(key),)
    for value in reversed(table.values()):
        seen += (point(value),)
    return seen


@program
def over_a_set(point):
    seen = ()
    for item in {point(5), 70, 900, point(-3)}:
        seen += (point(item),)
    for name in {"red", "green", "blue"}:
        seen += (len(point(name)),)
    return sorted(seen)


@program
def over_a_frozenset(point):
    seen = ()
    for item in frozenset([1, 8, 64, point(512)]):
        seen += (point(item),)
    return sorted(seen)


@program
def over_enumerate(point):
    seen = ()
    for index, letter in enumerate("abc", point(10)):
        seen += ((point(index), point(letter)),)
    return seen


@program
def over_zip(point):
    seen = ()
    for number, letter, flag in zip([1, 2, 3], "abcd", range(point(5))):
        seen += ((point(number), letter, point(flag)),)
    return seen


@program
def over_strict_zip(point):
    seen = ()
    try:
        for left, right in zip([1, 2, 3], (4, 5), strict=True):
            seen += (point(left) * point(right),)
    except ValueError as error:
        seen += (point(str(error)),)
    return seen


def double(value):
    return value * 2


def add(left, right):
    return left + right


@program
def over_map(point):
    seen = ()
    for value in map(double, [point(1), 2, 3]):
        seen += (point(value),)
    for value in map(add, (1, 2, 3), range(10, 12)):
        seen += (point(value),)
    for text in map(str, (1, 2)):
        seen += (point(text),)
    return seen


def is_odd(value):
    return value % 2 == 1


@program
def over_filter(point):
    seen = ()
    for value in filter(is_odd, range(point(6))):
        seen += (point(value),)
    for value in filter(None, [0, 1, "", "x"]):
        seen += (point(value),)
    return seen


@program
def over_map_with_a_lambda(point):
    offset = point(100)
    seen = ()
    for value in map(lambda item: item + offset, [1, 2, 3]):
        seen += (point(value),)
    return seen


@program
def over_reversed(point):
    seen = ()
    for item in reversed([1, 2, point(3)]):
        seen += (point(item),)
    for item in reversed((4, 5)):
        seen += (point(item),)
    for item in reversed(range(3)):
        seen += (point(item),)
    for letter in reversed("xy"):
        seen += (point(letter),)
    return seen


@program
def over_nested_iterators(point):
    seen = ()
    for index, (left, right) in enumerate(zip(map(double, [1, 2, 3]), filter(is_odd, reversed(range(6))))):
        seen += ((point(index), point(left), point(right)),)
    return seen


class Countdown:
    """A callable with a state, for `iter(callable, sentinel)`."""

    def __init__(self, start):
        self.value = start

    def __call__(self):
        self.value -= 1
        return self.value


@program(shares_heap=True)
def over_a_callable_and_its_sentinel(point):
    seen = ()
    for value in iter(Countdown(point(5)), 0):
        seen += (point(value),)
    return seen


def squares(limit):
    for number in range(limit):
        yield number * number


@program
def over_a_generator(point):
    seen = ()
    for square in squares(point(4)):
        seen += (point(square),)
    return seen


def flatten(tree):
    if isinstance(tree, tuple):
        for branch in tree:
            yield from flatten(branch)
    else:
        yield tree


@program
def over_a_delegating_generator(point):
    seen = ()
    for leaf in flatten((1, (2, (3, 4)), 5)):
        seen += (point(leaf),)
    return seen


@program
def over_a_generator_expression(point):
    base = point(10)
    seen = ()
    for value in (base + number for number in range(4) if number != 2):
        seen += (point(value),)
    return seen


class Chain:
    """A user-written iterable whose iterator is another object."""

    def __init__(self, *items):
        self.items = items

    def __iter__(self):
        return ChainIterator(self.items)


class ChainIterator:
    def __init__(self, items):
        self.items = items

    def __iter__(self):
        return self

    def __next__(self):
        if not self.items:
            raise StopIteration
        first, *rest = self.items
        self.items = rest
        return first


@program(shares_heap=True)
def over_a_user_written_iterator(point):
    seen = ()
    for item in Chain(1, 2, point(3)):
        seen += (point(item),)
    return seen


class Squared:
    """Iterable by the old protocol: `__getitem__` until IndexError."""

    def __getitem__(self, index):
        if index > 3:
            raise IndexError
        return index * index


@program
def over_the_sequence_protocol(point):
    seen = ()
    for item in Squared():
        seen += (point(item),)
    for item in reversed([0, *Squared()]):
        seen += (point(item),)
    return seen


@program(shares_heap=True)
def over_an_iterator_that_the_body_advances(point):
    numbers = iter([1, 2, 3, 4, 5, 6])
    seen = ()
    for number in numbers:
        point(number)
        following = next(numbers)
        seen += ((number, point(following)),)
    return seen


@program(shares_heap=True)
def over_a_list_that_grows(point):
    queue = [point(3)]
    seen = ()
    for item in queue:
        if point(item):
            queue.append(point(item - 1))
        seen += (item,)
    return seen


@program
def over_a_memoryview(point):
    total = 0
    for byte in bytes(memoryview(b"abc")[1:]):
        total += point(byte)
    return total


@program
def exhausted_loops_and_empty_ones(point):
    seen = ()
    for item in point(()):
        seen += (item,)
    for item in point([]):
        seen += (item,)
    else:
        seen += (point("else"),)
    for item in point({}):
        seen += (item,)
    return point(seen)


@program
def for_else_reached_and_skipped(point):
    seen = ()
    for wanted in (2, 7):
        for item in [1, 2, 3]:
            if point(item) == wanted:
                seen += (point("found"),)
                break
        else:
            seen += (point("missing"),)
    return seen


@program
def while_else(point):
    count = point(3)
    seen = ()
    while point(count) > 0:
        count -= point(1)
        if count == 1:
            continue
        seen += (point(count),)
    else:
        seen += (point("done"),)
    return seen


@program
def while_none_and_while_not_none(point):
    found, left = None, (1, 2, None)
    seen = ()
    while found is None:
        seen += (point("searching"),)
        found = point(7 if len(seen) > 2 else None)
    while left is not None:
        seen += (point(left[0]),)
        left = point(left[1:] or None)
    return seen


@program
def while_true_left_by_break(point):
    low, high = 0, point(100)
    steps = 0
    while True:
        middle = point((low + high) // 2)
        steps += 1
        if middle == 37:
            break
        if point(middle < 37):
            low = middle
        else:
            high = middle
    else:
        return "never"
    return steps, middle


@program
def nested_loops_with_continue(point):
    seen = ()
    for i in range(point(3)):
        for j in "xyz":
            if point(j) == "y":
                continue
            if i == 1:
                break
            seen += (f"{i}{point(j)}",)
        else:
            seen += (point("end"),)
            continue
        seen += ("broken",)
    return seen


@program
def return_from_the_middle_of_loops(point):
    for i in range(5):
        for j in [i, i + 1, i + 2]:
            while point(j) > 3:
                return point((i, j))
    return None


@program
def loop_target_is_unpacked(point):
    seen = ()
    for first, (second, *rest) in [(1, (2, 3, 4)), (point(5), [6])]:
        seen += (point(first), second, point(tuple(rest)))
    return seen


@program(shares_heap=True)
def loop_target_is_a_subscript(point):
    cell = [None, None]
    seen = ()
    for cell[point(1)] in range(3):
        seen += (point(cell[1]),)
    return seen, cell


@program
def five_iterators_on_one_stack(point):
    seen = ()
    for a in [1, 2]:
        for b in (3,):
            for c in {4: 5}:
                for d in "s":
                    for e in range(2):
                        seen += ((point(a), b, c, point(d), e),)
    return seen
