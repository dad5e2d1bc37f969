"""Assignments: to names, attributes, subscripts and slices, several at once, augmented, unpacked, annotated; `del`."""

from .registry import program


class Box:
    """An object with attributes."""

    kind = "box"

    def __init__(self, **attributes):
        self.__dict__.update(attributes)


class Slotted:
    """An object without `__dict__`."""

    __slots__ = ("left", "right")

    def __init__(self, left, right):
        self.left = left
        self.right = right


@program
def several_targets(point):
    a = b = c = point((1, 2))
    d = (e := point(3))
    return a is b is c, d, e, point(a)


@program
def swaps_and_rotations(point):
    a, b = point(1), point(2)
    a, b = b, point(a)
    a, b, c = point(b), a, point(3)
    a, b, c, d = point(a), c, point(b), c
    return a, b, c, d


@program
def unpacking(point):
    a, (b, [c, *d]), *e = point(1), (point(2), [3, 4, 5]), point(6), 7
    *f, g = point("xyz")
    (h,) = [point(8)]
    [i, j] = {point(9): 1, 10: 2}
    return a, b, c, d, e, f, g, h, i, j


@program
def failed_unpacking(point):
    seen = ()
    for value in ((1,), (1, 2, 3)):
        try:
            a, b = point(value)
        except ValueError as error:
            seen += (point(str(error)),)
    return seen


@program(shares_heap=True)
def attributes_and_subscripts(point):
    box = Box(value=point(1))
    box.value = point(box.value + 1)
    box.items = [0, 0, 0]
    box.items[point(1)] = point(7)
    box.items[point(0)], box.other = point(8), point(9)
    point(box).value, (point(box.items))[point(2)] = point((10, 11))
    return box.__dict__


@program(shares_heap=True)
def slices_are_assigned(point):
    items = list(range(6))
    items[point(1) : point(3)] = point([10, 20, 30])
    items[:: point(3)] = [point(-1), -2, -3]
    items[point(5) :] = ()
    return items


@program
def augmented_names(point):
    a = point(100)
    a += point(1)
    a -= point(2)
    a *= point(3)
    a //= point(4)
    a **= point(2)
    a %= point(1000)
    a <<= point(2)
    a >>= point(1)
    a |= point(1)
    a &= point(0xFFF)
    a ^= point(5)
    a /= point(2)
    return a


@program(shares_heap=True)
def augmented_attributes(point):
    box = Box(count=1, names=())
    box.count += point(2)
    point(box).count *= point(5)
    box.names += (point("a"), point("b"))
    return box.__dict__


@program(shares_heap=True)
def augmented_subscripts(point):
    table = {"a": [1, 2], "b": 3}
    table[point("b")] += point(4)
    table["a"][point(0)] -= point(10)
    table[point("a")] += [point(5)]
    table["a"][point(1) :] *= point(2)
    return table


@program(shares_heap=True)
def a_list_is_extended_in_place(point):
    items = alias = [point(1)]
    items += [point(2)]
    return items is alias, alias


@program
def annotated_names(point):
    count: int = point(3)
    unbound: str
    try:
        return unbound
    except UnboundLocalError:
        return point(count)


@program(shares_heap=True)
def annotated_targets(point):
    box = Box()
    box.value: int = point(1)
    table = {}
    table[point("k")]: str = point("v")
    return box.value, table


@program
def names_are_deleted(point):
    value = point(1)
    other = point(2)
    del value
    point("between")
    try:
        return value
    except UnboundLocalError:
        value = point(3)
    del (value, other)
    return point("gone")


@program(shares_heap=True)
def items_and_attributes_are_deleted(point):
    box = Box(a=1, b=2)
    items = [0, 1, 2, 3, 4, 5]
    table = {"x": 1, "y": 2}
    del box.a, items[point(0)], table[point("x")]
    del items[point(1) : point(3)], point(items)[-1]
    return box.__dict__, items, table


@program(shares_heap=True)
def slots(point):
    pair = Slotted(point(1), point(2))
    pair.left, pair.right = pair.right, point(pair.left)
    pair.left += point(10)
    del pair.right
    point("between")
    return pair.left, hasattr(pair, "right")


@program
def a_class_attribute_is_shadowed(point):
    box = Box()
    before = point(box.kind)
    box = Box(kind=point("own"))
    return before, point(box.kind), Box.kind


@program
def conditional_binding(point):
    for flag in (True, False):
        if point(flag):
            name = point("bound")
        else:
            del name
    point("end")
    return "name" in locals()


@program
def twenty_locals(point):
    a = point(1); b = a + 1; c = b + 1; d = c + point(1); e = d + 1; f = e + 1; g = f + 1; h = g + 1
    i = h + 1; j = i + point(1); k = j + 1; l = k + 1; m = l + 1; n = m + 1; o = n + 1; p = o + 1
    return (a, b, c, d, e, f, g, h, i, j, k, l, m, n, point(o), p)
