"""Programs that call `point` beneath a C operation, one for each kind of C boundary.

Each registers the names of the operation, one of which the `BarrierError` has to hold. CPython inlines some of these
calls once the instruction is specialised (`__init__`, properties, `__getitem__`, `for` over a generator): no difference.
"""

import bisect
import contextlib
import contextvars
import functools
import importlib.abc
import importlib.machinery
import re
import sys
import weakref

from .registry import barrier


def until_313(*names):
    """A barrier that 3.14 has removed: `with` enters and, without an error, leaves by plain calls there (see syntax_314)."""
    return barrier(*names) if sys.version_info < (3, 14) else lambda function: function


def since_314(*names):
    """A barrier that 3.14 has brought."""
    return barrier(*names) if sys.version_info >= (3, 14) else lambda function: function


@barrier("sorted")
def sorted_with_a_key(point):
    return sorted([3, 1, 2], key=point)


@barrier("sort")
def list_sort_with_a_key(point):
    items = [3, 1, 2]
    items.sort(key=lambda item: -point(item))
    return items


@barrier("min", "max")
def min_with_a_key(point):
    return min([3, 1, 2], key=point)


@barrier("map", "for", "iteration")
def a_loop_over_map(point):
    seen = ()
    for item in map(point, [1, 2]):
        seen += (item,)
    return seen


@barrier("tuple", "map")
def a_tuple_of_map(point):
    return tuple(map(point, [1, 2]))


@barrier("filter", "for", "iteration")
def a_loop_over_filter(point):
    seen = ()
    for item in filter(lambda item: point(item) > 1, [1, 2]):
        seen += (item,)
    return seen


@barrier("reduce")
def reduce(point):
    return functools.reduce(lambda left, right: point(left + right), [1, 2, 3])


@barrier("partial")
def partial(point):
    return functools.partial(point, 5)()


def slow(value, point):
    return point(value)


@barrier("cached")
def a_cache_miss(point):
    cached = functools.lru_cache(slow)
    return cached(3, point)


@barrier("sub")
def a_replacement_function(point):
    return re.sub("b", lambda match: point(match.group()).upper(), "abc")


@barrier("bisect")
def bisect_with_a_key(point):
    return bisect.bisect_left([1, 2, 3], 2, key=lambda item: point(item))


@barrier("run")
def a_context_run(point):
    return contextvars.copy_context().run(point, 7)


class Made:
    def __init__(self, point):
        self.value = point(1)


@barrier("Made", "__init__")
def an_init(point):
    return Made(point).value


class Created:
    def __new__(cls, point):
        self = super().__new__(cls)
        self.value = point(2)
        return self


@barrier("Created", "__new__")
def a_new(point):
    return Created(point).value


class Everything:
    """Calls `point` from every special method."""

    def __init__(self, point):
        self.__dict__["point"] = point

    @property
    def computed(self):
        return self.point(1)

    @computed.setter
    def computed(self, value):
        self.point(value)

    def __getattr__(self, name):
        return self.__dict__["point"](name)

    def __setattr__(self, name, value):
        if name == "computed":
            object.__setattr__(self, name, value)
        else:
            self.__dict__[name] = self.point(value)

    def __delattr__(self, name):
        self.point(name)

    def __getitem__(self, key):
        return self.point(key)

    def __setitem__(self, key, value):
        self.point(value)

    def __delitem__(self, key):
        self.point(key)

    def __contains__(self, item):
        return self.point(item) == 3

    def __len__(self):
        return self.point(4)

    def __bool__(self):
        return self.point(True)

    def __iter__(self):
        self.point("iter")
        return iter((1, 2))

    def __call__(self, value):
        return self.point(value)

    def __add__(self, other):
        return self.point(other) + 1

    def __radd__(self, other):
        return self.point(other) + 2

    def __iadd__(self, other):
        self.point(other)
        return self

    def __neg__(self):
        return self.point(-1)

    def __eq__(self, other):
        return self.point(other) == 5

    def __lt__(self, other):
        return self.point(other) == 6

    def __hash__(self):
        return self.point(7)

    def __str__(self):
        return self.point("str")

    def __repr__(self):
        return self.point("repr")

    def __format__(self, specification):
        return self.point(specification)

    def __index__(self):
        return self.point(1)

    def __int__(self):
        return self.point(8)

    def __enter__(self):
        return self.point(9)

    def __exit__(self, *error):
        return None


@barrier("__getattr__", "computed", "attribute")
def a_property(point):
    return Everything(point).computed


@barrier("computed", "__setattr__")
def a_property_setter(point):
    Everything(point).computed = 5
    return "set"


@barrier("__getattr__", "missing", "attribute")
def a_getattr(point):
    return Everything(point).missing


class Intercepted:
    value = 1

    def __getattribute__(self, name):
        return POINTS[-1](name)


POINTS = []


@barrier("__getattribute__", "value", "attribute")
def a_getattribute(point):
    POINTS.append(point)
    try:
        return Intercepted().value
    finally:
        POINTS.pop()


@barrier("__setattr__", "name", "attribute")
def a_setattr(point):
    everything = Everything(point)
    everything.name = 5
    return everything.name


@barrier("__delattr__", "name", "attribute")
def a_delattr(point):
    del Everything(point).name
    return "deleted"


@barrier("__getitem__", "[...]")
def a_getitem(point):
    return Everything(point)["key"]


@barrier("__setitem__", "[...]")
def a_setitem(point):
    Everything(point)["key"] = 5
    return "stored"


@barrier("__delitem__", "[...]")
def a_delitem(point):
    del Everything(point)["key"]
    return "deleted"


@barrier("__contains__", " in ", "'in'", '"in"')
def a_contains(point):
    return 3 in Everything(point)


@barrier("len", "__len__")
def a_len(point):
    return len(Everything(point))


@barrier("__bool__", "truth", "bool", "condition")
def a_truth_value(point):
    if Everything(point):
        return "true"
    return "false"


@barrier("__iter__", "iter")
def an_iter(point):
    return [item for item in Everything(point)]


@barrier("a call")
def a_callable_instance(point):
    return Everything(point)(6)


@barrier("__add__", "+")
def an_add(point):
    return Everything(point) + 1


@barrier("__radd__", "+")
def a_reflected_add(point):
    return 1 + Everything(point)


@barrier("__iadd__", "+=")
def an_add_in_place(point):
    everything = Everything(point)
    everything += 1
    return type(everything).__name__


@barrier("__neg__", "-")
def a_negation(point):
    return -Everything(point)


@barrier("__eq__", "==")
def an_equality(point):
    return Everything(point) == 5


@barrier("__lt__", "<")
def an_ordering(point):
    return Everything(point) < 6


@barrier("hash", "__hash__")
def a_hash(point):
    return hash(Everything(point))


@barrier("__hash__", "dict", "hash", "display", "map")
def a_dict_key(point):
    return list({Everything(point): 1}.values())


@barrier("str", "__str__")
def a_str(point):
    return str(Everything(point))


@barrier("repr", "__repr__")
def a_repr(point):
    return repr(Everything(point))


@barrier("format", "__format__", "f-string")
def a_format(point):
    return f"{Everything(point):spec}"


@barrier("__index__", "[...]")
def an_index(point):
    return [10, 20, 30][Everything(point)]


@barrier("int", "__int__")
def an_int(point):
    return int(Everything(point))


@barrier("range", "__index__")
def a_range_bound(point):
    return list(range(Everything(point)))


@until_313("__enter__", "with")
def an_enter(point):
    with Everything(point) as value:
        pass
    return value


@since_314("__annotations__")
def annotations_that_are_asked_for(point):
    def typed(a: point(int), *b: point("star")) -> point(None):
        return a, b

    return typed(1), list(typed.__annotations__)


class Exits:
    def __init__(self, point):
        self.point = point

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.point("exit")


@until_313("__exit__", "with")
def an_exit(point):
    with Exits(point):
        value = 1
    return value


@barrier("__exit__", "with")
def an_exit_with_an_error(point):
    try:
        with Exits(point):
            raise KeyError("body")
    except KeyError as error:
        return str(error)


class Nexts:
    def __init__(self, point):
        self.point = point
        self.left = 3

    def __iter__(self):
        return self

    def __next__(self):
        self.left -= 1
        if not self.point(self.left):
            raise StopIteration
        return self.left


@barrier("__next__", "for", "iteration", "Nexts")
def a_next_in_a_loop(point):
    seen = ()
    for item in Nexts(point):
        seen += (item,)
    return seen


@barrier("__next__", "unpack", "Nexts", "iteration")
def an_unpacking(point):
    first, second = Nexts(point)
    return first, second


def generated(point):
    yield point(1)
    yield point(2)


@barrier("generated", "for", "generator")
def a_generator_in_a_loop(point):
    seen = ()
    for item in generated(point):
        seen += (item,)
    return seen


@barrier("next")
def a_generator_under_next(point):
    return next(generated(point))


@barrier("send")
def a_generator_under_send(point):
    return generated(point).send(None)


def delegating(point):
    yield from generated(point)


@barrier("generated", "delegating", "for", "generator", "yield from")
def a_delegating_generator(point):
    seen = ()
    for item in delegating(point):
        seen += (item,)
    return seen


@barrier("list")
def a_list_of_a_generator_expression(point):
    return list(point(item) for item in (1, 2))


@barrier("any")
def any_of_a_generator_expression(point):
    return any(point(item) > 1 for item in (1, 2))


@barrier("join")
def a_join_of_a_generator_expression(point):
    return "".join(point(item) for item in "ab")


@barrier("generator", "genexpr", "display", "unpack", "list")
def a_starred_generator(point):
    return [0, *(point(item) for item in (1, 2))]


async def awaiting(point):
    return point(3)


async def awaiting_twice(point):
    return await awaiting(point)


@barrier("send", "await")
def a_coroutine_under_send(point):
    try:
        awaiting_twice(point).send(None)
    except StopIteration as stop:
        return stop.value


@barrier("__build_class__", "class")
def a_class_body(point):
    class Local:
        value = point(1)

    return Local.value


class Base:
    points = []

    def __init_subclass__(cls):
        if Base.points:
            cls.value = Base.points[-1](1)


@barrier("__init_subclass__", "__build_class__", "class")
def an_init_subclass(point):
    Base.points.append(point)
    try:

        class Local(Base):
            pass

        return Local.value
    finally:
        Base.points.pop()


class Meta(type):
    def __call__(cls, point):
        return point(4)


class Instantiated(metaclass=Meta):
    pass


@barrier("__call__", "Instantiated")
def a_metaclass_call(point):
    return Instantiated(point)


class Descriptor:
    def __get__(self, owner, kind):
        return owner.point(1)

    def __set__(self, owner, value):
        owner.point(value)


class Described:
    attribute = Descriptor()

    def __init__(self, point):
        self.point = point


@barrier("__get__", "attribute")
def a_descriptor_get(point):
    return Described(point).attribute


@barrier("__set__", "attribute")
def a_descriptor_set(point):
    Described(point).attribute = 3
    return "set"


class Kind(type):
    points = []

    def __instancecheck__(cls, instance):
        return bool(Kind.points[-1](instance))


class Checked(metaclass=Kind):
    pass


@barrier("isinstance", "__instancecheck__")
def an_instance_check(point):
    Kind.points.append(point)
    try:
        return isinstance(5, Checked)
    finally:
        Kind.points.pop()


class Missing(dict):
    def __missing__(self, key):
        return POINTS[-1](key)


@barrier("__missing__", "[...]")
def a_missing_key(point):
    POINTS.append(point)
    try:
        return Missing()["key"]
    finally:
        POINTS.pop()


@barrier("exec")
def an_exec(point):
    names = {"point": point}
    exec("value = point(1)", names)
    return names["value"]


@barrier("eval")
def an_eval(point):
    return eval("point(2)", {"point": point})


class Hook(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports a module whose body is a call of `point`."""

    def __init__(self, point):
        self.point = point

    def find_spec(self, name, path, target=None):
        return importlib.machinery.ModuleSpec(name, self) if name == "imported_beneath_c" else None

    def exec_module(self, module):
        module.value = self.point(5)


@barrier("import", shares_state=True)
def an_import(point):
    hook = Hook(point)
    sys.meta_path.insert(0, hook)
    try:
        import imported_beneath_c

        return imported_beneath_c.value
    finally:
        sys.meta_path.remove(hook)
        sys.modules.pop("imported_beneath_c", None)


class Finalised:
    def __init__(self, point):
        self.point = point

    def __del__(self):
        self.point("del")


@barrier("__del__", "del", swallowed=True)
def a_finaliser(point):
    value = Finalised(point)
    del value
    return "deleted"


@barrier("weakref", "del", "callback", swallowed=True)
def a_weak_reference_callback(point):
    value = Exits(point)
    reference = weakref.ref(value, lambda reference: point("dead"))
    del value
    return reference()


@contextlib.contextmanager
def managed(point):
    yield point(1)


@barrier("next", "__enter__", "with")
def a_generator_manager(point):
    with managed(point) as value:
        pass
    return value


class Partial:
    def doubled(self, point, value):
        return point(value) * 2

    four = functools.partialmethod(doubled, value=4)


@barrier("four", "doubled", "partialmethod", "partial", "_method")
def a_partial_method(point):
    return Partial().four(point)


@barrier("sorted")
def a_barrier_beneath_a_barrier(point):
    return list(map(lambda item: sorted([item, -item], key=point), [1]))
