"""Strings built while suspended: f-strings with every part, `format`, `%`, joins and concatenation."""

from .registry import program


@program
def every_part_of_an_f_string(point):
    name, width = point("name"), point(8)
    return f"[{point(name)}] [{name!r:>{point(width)}}] {point(3.14159):.{point(2)}f} {point(7)=} {{}} {point(name)!s:^{width}}!"


@program
def f_strings_inside_f_strings(point):
    return f"a{f'b{point(1)}c'}d{point(f'e{point(2)}')}" f"{point('joined')}"


@program
def conversions(point):
    value = point("é\n")
    return f"{point(value)!r}", f"{point(value)!a}", f"{point(value)!s}", f"{point(255):#x}", f"{point(1234567):,}"


@program
def an_f_string_with_expressions(point):
    items = (1, 2)
    return f"{point(1) if point(0) else point(2)} {[point(item) for item in items]} {(lambda: point(5))()} {items[point(0)]}"


@program
def an_f_string_over_lines(point):
    return f"""{point("first")}
    {point("second")!r}
    {
        point(3)
    }"""


@program
def percent_and_format(point):
    return (
        "%s-%05d-%r" % (point("a"), point(42), point("q")),
        "%(key)s" % {"key": point("v")},
        "{0}{1!r}{name}".format(point(1), point("2"), name=point(3)),
    )


@program
def strings_are_joined_and_repeated(point):
    text = ""
    for letter in "abc":
        text += point(letter)
        text = text + point("-")
    return text * point(2), ",".join([point(part) for part in text.split("-")]), point("x") + "y" + point("z")


@program
def bytes_are_built(point):
    data = b""
    for number in (1, 255):
        data += bytes([point(number)])
    return data + point(b"end"), data.hex(point("-"))


@program(shares_heap=True)
def a_bytearray_is_filled(point):
    data = bytearray()
    for number in b"abc":
        data.append(point(number))
        data += point(b".")
    return bytes(data)


@program
def a_table_is_laid_out(point):
    rows = [("one", 1), ("twelve", 12)]
    width = max([len(point(name)) for name, _ in rows])
    return "\n".join([f"{name:<{width}} | {point(value):>{point(4)}}" for name, value in rows])


@program
def formatting_fails(point):
    try:
        return f"{point('text'):{point('d')}}"
    except ValueError as error:
        return point(type(error).__name__)
