"""A search to be shared out, in a module that worker processes import."""

from stackful.search import choose, fail


def digits(levels: int, work: int) -> int:
    """Each number of so many digits takes this much work; one in 97 is a solution."""
    number = 0
    for _ in range(levels):
        number = 10 * number + choose(range(10))
    for _ in range(work):
        number = (number * 6364136223846793005 + 1442695040888963407) % (1 << 64)
    if number % 97:
        fail()
    return number
