"""Classes: methods, class methods, static methods, inheritance, `super()`, classes defined inside functions."""

import dataclasses
import enum

from .registry import program


class Account:
    """State in attributes, behaviour in methods."""

    interest = 2
    opened = 0

    def __init__(self, balance):
        self.balance = balance

    def pay_in(self, amount, point):
        self.balance = point(self.balance) + point(amount)
        return self

    def grown(self, point):
        return self.balance * point(self.interest)

    @classmethod
    def with_interest(cls, point):
        return point(cls.__name__), point(cls.interest)

    @staticmethod
    def rounded(value, point):
        return point(value) // 10 * 10


class Savings(Account):
    interest = 3

    def pay_in(self, amount, point):
        point("savings")
        super().pay_in(amount * 2, point)
        return self

    def grown(self, point):
        return super().grown(point) + point(1)

    @classmethod
    def with_interest(cls, point):
        return super().with_interest(point) + (point("!"),)


class Described:
    def grown(self, point):
        return ("described", super().grown(point))


class Special(Described, Savings):
    pass


@program
def methods(point):
    account = Account(point(10))
    return account.rounded(17, point), account.grown(point), account.balance


@program(shares_heap=True)
def methods_that_change_the_object(point):
    account = Account(10)
    account.pay_in(5, point).pay_in(point(1), point)
    return account.balance


@program
def class_methods_and_static_methods(point):
    return Account.with_interest(point), Savings.with_interest(point), Savings(1).rounded(29, point), Account.rounded(5, point)


@program(shares_heap=True)
def methods_of_the_base_class(point):
    savings = Savings(1)
    savings.pay_in(point(2), point)
    return savings.grown(point), Account.grown(savings, point)


@program
def methods_along_the_resolution_order(point):
    return Special(point(4)).grown(point), [kind.__name__ for kind in Special.__mro__]


@program
def a_bound_method_as_a_value(point):
    account = Account(7)
    grown = account.grown
    point("held")
    return grown(point), grown.__self__ is account, Account.grown(account, point)


@program(shares_heap=True)
def methods_bound_to_one_object(point):
    account = Account(0)
    pay_in, grown = account.pay_in, account.grown
    pay_in(point(3), point)
    return grown(point), pay_in.__self__ is grown.__self__


class Node:
    """A linked structure, cyclic on purpose."""

    def __init__(self, name):
        self.name = name
        self.next = self

    def walk(self, count, point):
        return [] if count == 0 else [point(self.name), *self.next.walk(count - 1, point)]


@program(shares_heap=True)
def a_cyclic_structure(point):
    first, second = Node("a"), Node("b")
    first.next, second.next = second, first
    point("linked")
    return first.walk(3, point), first.next.next is first


@dataclasses.dataclass(frozen=True)
class Place:
    x: int
    y: int = 0


@program
def data_classes(point):
    place = Place(point(1), y=point(2))
    moved = dataclasses.replace(place, x=point(5))
    return dataclasses.astuple(moved), place == Place(1, point(2)), repr(point(place))


class Colour(enum.Enum):
    RED = 1
    GREEN = 2


@program
def enumerations(point):
    seen = ()
    for colour in Colour:
        seen += (point(colour).name, point(colour) is Colour.RED)
    return seen


class Meta(type):
    """A metaclass with a method that classes inherit."""

    def describe(cls, point):
        return point(cls.__name__)


class Made(metaclass=Meta):
    pass


@program
def a_method_of_the_metaclass(point):
    return Made.describe(point), point(type(Made).__name__)


@program(unsaveable=True)
def a_class_made_here_and_kept(point):
    factor = point(3)

    class Local:
        size = 7

        def scaled(self, value):
            return point(value) * factor

    local = Local()
    point("made")
    return local.scaled(point(2)), Local.size


def local_result(value):
    class Local(Account):
        interest = value

    return Local(value).interest


@program
def a_class_made_between_suspensions(point):
    return point(local_result(point(4))), point(local_result(5))


class Vector(tuple):
    """A subclass of a built-in type."""

    def scaled(self, factor, point):
        return Vector([point(item) * factor for item in self])


@program
def a_subclass_of_a_builtin(point):
    vector = Vector([1, point(2)])
    scaled = vector.scaled(3, point)
    return type(point(scaled)).__name__, tuple(scaled)


class Stack(list):
    def push(self, item, point):
        self.append(point(item))
        return self


@program(shares_heap=True)
def a_subclass_of_list_in_use(point):
    stack = Stack()
    for item in (1, 2):
        stack.push(item, point)
    seen = ()
    for item in stack:
        seen += (point(item),)
    return seen, type(stack).__name__


class Visitor:
    """Chooses a method by name."""

    def visit(self, node, point):
        method = getattr(self, f"visit_{type(node).__name__}")
        return method(node, point)

    def visit_int(self, node, point):
        return point(node)

    def visit_tuple(self, node, point):
        operator, left, right = node
        left = self.visit(left, point)
        right = self.visit(right, point)
        return left + right if operator == "+" else left * right


@program
def methods_chosen_by_name(point):
    return Visitor().visit(("+", 1, ("*", 2, ("+", 3, 4))), point)


class Private:
    def __hidden(self, point):
        return point("mangled")

    def shown(self, point):
        __local = self.__hidden(point)
        return point(__local)


@program
def mangled_names(point):
    return Private().shown(point)


@program
def the_class_cell(point):
    return Celled().name(point)


class Celled:
    def name(self, point):
        inner = lambda: point(__class__.__name__)  # noqa: E731
        return inner(), point(__class__ is Celled)
