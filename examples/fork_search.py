"""Search by forking: where a function must choose, it is copied, and each copy goes on with another choice.

`place_queens` is written as if it always guessed right. Who runs it decides what "right" means: `solve` copies the
suspended fiber once for each alternative. The `for` loop around the choice is forked with the frame.
"""

import copy

from stackful import Fiber, suspend


class DeadEndError(Exception):
    """This choice leads nowhere."""


def choose(alternatives):
    """One of the alternatives: all of them, each in a copy of the program."""
    return suspend(alternatives)


def place_queens(size):
    """Put a queen in each column so that none attacks another."""
    rows = ()
    for column in range(size):
        row = choose(range(size))
        for earlier, taken in enumerate(rows):
            if row == taken or abs(row - taken) == column - earlier:
                raise DeadEndError
        rows += (row,)
    return rows


def solve(fiber, choice=None):
    """All results that the fiber can come to."""
    try:
        alternatives = fiber.resume(choice)
    except DeadEndError:
        return
    if fiber.status == "dead":
        yield fiber.result
        return
    for alternative in alternatives:
        yield from solve(copy.copy(fiber), alternative)


def main():
    solutions = list(solve(Fiber(place_queens, 6)))
    print(f"{len(solutions)} solutions for 6 queens")
    for row in range(6):
        print(" ".join("Q" if taken == row else "." for taken in solutions[0]))


if __name__ == "__main__":
    main()
