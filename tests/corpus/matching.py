"""`match` with every kind of pattern, suspended in the subject, the guards and the bodies."""

import dataclasses

from .registry import program


class Limits:
    LOW = 1
    HIGH = 10


@dataclasses.dataclass
class Spot:
    x: int
    y: int


class Pair:
    __match_args__ = ("left", "right")

    def __init__(self, left, right):
        self.left = left
        self.right = right


@program
def literals_values_and_the_wildcard(point):
    seen = ()
    for subject in (0, "a", b"b", None, True, -1.5, 10, object):
        match point(subject):
            case 0:
                seen += (point("zero"),)
            case "a" | b"b":
                seen += (point("letter"),)
            case None:
                seen += (point("none"),)
            case True:
                seen += (point("true"),)
            case -1.5:
                seen += (point("float"),)
            case Limits.HIGH:
                seen += (point("high"),)
            case _:
                seen += (point("other"),)
    return seen


@program
def sequences(point):
    seen = ()
    for subject in ([], [1], (1, 2), [1, 2, 3, 4], "text", range(5)):
        match subject:
            case []:
                seen += (point("empty"),)
            case [only]:
                seen += (point(only),)
            case [first, second]:
                seen += (point(first), point(second))
            case [first, *middle, last] if point(first) == 1:
                seen += (point(tuple(middle)), last)
            case [*everything]:
                seen += (point(len(everything)),)
            case str(text):
                seen += (point(text),)
    return seen


@program
def mappings(point):
    seen = ()
    for subject in ({}, {"kind": "a", "size": 1}, {"kind": "b", "x": 2, "y": 3}, {"size": None}):
        match point(subject):
            case {"kind": "a", "size": size}:
                seen += (point(size),)
            case {"kind": str(kind), **rest} if point(rest):
                seen += (point(kind), sorted(rest.items()))
            case {"size": None as nothing}:
                seen += (point(nothing),)
            case {}:
                seen += (point("any"),)
    return seen


@program
def class_patterns(point):
    seen = ()
    for subject in (Spot(0, 5), Spot(3, 3), Spot(1, 2), Pair(1, [2, 3]), Pair("x", None), 5, 2.5):
        match subject:
            case Spot(x=0, y=y):
                seen += (point(y),)
            case Spot(x, y) if point(x) == point(y):
                seen += (point("diagonal"),)
            case Spot():
                seen += (point("spot"),)
            case Pair(int(left), [first, *_]):
                seen += (point(left), first)
            case Pair(left=left):
                seen += (point(left),)
            case int() | float() as number:
                seen += (point(number),)
    return seen


@program
def guards_that_fall_through(point):
    seen = ()
    for subject in range(4):
        match point(subject):
            case value if point(value) < 1:
                seen += (point("first"),)
            case value if point(value) < 2 and point(True):
                seen += (point("second"),)
            case 2 | 3 as value if point(value) == 3:
                seen += (point("third"),)
    return seen


@program
def or_patterns_bind_the_same_names(point):
    seen = ()
    for subject in ((1, "x"), ["y", 2], {"n": 3}):
        match subject:
            case (int(number), str(name)) | [str(name), int(number)]:
                seen += (point(name), point(number))
            case {"n": number as name}:
                seen += (point(number), name)
    return seen


@program
def nested_patterns_in_a_loop(point):
    total = 0
    commands = [("add", (1, 2)), ("mul", (3, 4)), ("neg", 5), ("stop",), ("add", (100, 100))]
    for command in commands:
        match command:
            case ("add" | "mul" as operator, (left, right)):
                total += point(left) + right if operator == "add" else left * point(right)
            case ("neg", value):
                total -= point(value)
                continue
            case ("stop",):
                point("stop")
                break
    return total


@program
def the_subject_is_a_tuple_display(point):
    match point(1), point([2, 3]):
        case 1, [2, point_value] if point(point_value):
            return point(("matched", point_value))
    return None


def evaluate(node, point):
    match node:
        case int() | float():
            return point(node)
        case ("+", left, right):
            return evaluate(left, point) + evaluate(right, point)
        case ("-", operand):
            return -evaluate(operand, point)
        case ("let", name, value, body):
            return (point(name), evaluate(value, point), evaluate(body, point))
        case _:
            raise ValueError(point(node))


@program
def a_recursive_evaluator(point):
    return evaluate(("+", 1, ("-", ("+", 2.5, 3))), point), evaluate(("let", "x", 1, ("-", 2)), point)


@program
def an_error_out_of_a_match(point):
    return evaluate(("+", 1, ("?",)), point)


@program
def match_inside_try_inside_match(point):
    match point("outer"):
        case str() as text:
            try:
                match 1 // point(0):
                    case value:
                        return value
            except ZeroDivisionError as error:
                match point(error):
                    case ZeroDivisionError(args=(message,)):
                        return text, point(message)
