"""What Python 3.14 added: template strings, annotations that are computed later, `except` without brackets."""

from .registry import program


def shown(template):
    """A template as plain values."""
    fields = [(field.value, field.expression, field.conversion, field.format_spec) for field in template.interpolations]
    return list(template.strings), fields


@program
def a_template(point):
    return shown(t"{point(1)} and {point('two')!r:>{point(9)}}.")


@program
def a_template_without_texts(point):
    return shown(t"{point(1)}{point(2)}")


@program
def templates_side_by_side(point):
    return shown(t"a{point(1)}" t"{point(2)}b" + t"{point(3)}")


@program
def a_template_in_a_template(point):
    return shown(t"{shown(t'{point(1)}x')}{point(2)}")


if point_is_conditional := True:
    noted: int = 1


@program
def annotations_asked_for_by_a_plain_call(point):
    def typed(a: point(int), *b: point("star")) -> point(None):
        return a, b

    return typed(point(1)), list(typed.__annotate__(1))


@program
def annotations_that_never_work(point):
    def typed(a: NobodyKnows):
        return point(a)

    return typed(1), point(2)


@program
def exceptions_without_brackets(point):
    try:
        {}[point(1)]
    except ValueError, KeyError:
        return point("missing")


@program
def a_loop_while_a_local_is_borrowed(point):
    word, items = "x", [1, 2]
    return [word + point(str(item)) + word for item in items], (word, point(3), word), word


def pair(first, second, point):
    return first, point(2), second


@program
def arguments_that_are_borrowed(point):
    one, two = [1], [2]
    return pair(one, pair(two, one, point), point), one, two


class Manager:
    def __init__(self, point):
        self.point = point

    def __enter__(self):
        return self.point("enter")

    def __exit__(self, *error):
        self.point("exit")


@program
def a_manager_that_suspends(point):
    with Manager(point) as first, Manager(point):
        return first, point("body")
