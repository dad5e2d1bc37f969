"""What Python 3.12 added: type parameters, `type` statements, f-strings without limits, inlined comprehensions."""

from .registry import program


@program
def nested_quotes_in_f_strings(point):
    return f"{point("a" + f"{point("b")}")} {"".join([point("x"), f"{point('y')}"])} {point("\n")!r}"


@program
def comments_and_lines_in_f_strings(point):
    return f"{
        point(1)  # one
        + point(2)
    :>{
        point(5)
    }}"


def first[T](items: list[T], point) -> T:
    return point(items[0])


@program
def a_generic_function(point):
    return first([point(1), 2], point), [parameter.__name__ for parameter in first.__type_params__]


class Holder[T]:
    def __init__(self, value: T):
        self.value = value

    def read(self, point) -> T:
        return point(self.value)


@program
def a_generic_class(point):
    return Holder(point(3)).read(point), Holder[int](4).read(point), point(Holder.__name__)


type Pair[T] = tuple[T, T]


@program
def a_type_alias(point):
    return point(Pair.__name__), str(Pair[int].__origin__ is Pair)


@program(unsaveable=True)
def type_parameters_inside_a_function(point):
    def swap[A, B](pair: tuple[A, B]) -> tuple[B, A]:
        left, right = pair
        return point(right), point(left)

    type Local = int
    point("defined")
    return swap((1, 2)), Local.__name__


@program
def a_comprehension_reads_the_class_cell(point):
    return Scoped().names(point)


class Scoped:
    def names(self, point):
        return [point(__class__.__name__) for _ in range(2)]


@program
def comprehension_variables_hide_and_come_back(point):
    item = other = "outer"
    inner = [(point(item), [point(other) for other in (3,)]) for item in (1, 2) if point(item)]
    return item, other, inner


@program
def an_error_restores_the_hidden_variable(point):
    item = "outer"
    try:
        [1 // point(item) for item in (1, 0)]
    except ZeroDivisionError:
        return point(item)
