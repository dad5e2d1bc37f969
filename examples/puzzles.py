"""Puzzles by guessing: each program says what must hold, `choose` guesses, and the search makes it guess right.

Multiple dwelling, the liars and the Pythagorean triples are from Abelson and Sussman, "Structure and Interpretation of Computer Programs",
4.3.2; the logic puzzle is Lewis Carroll's kind: five houses, of whom one keeps the zebra.
"""

from itertools import permutations

from stackful import choose, solutions
from stackful.search import breadth_first, require


def multiple_dwelling():
    """Who lives on which of five floors?"""
    floors = range(1, 6)
    fletcher = choose(floors)
    require(fletcher not in {1, 5})
    cooper = choose(floors)
    require(cooper != 1 and abs(cooper - fletcher) > 1)
    smith = choose(floors)
    require(abs(smith - fletcher) > 1)
    baker = choose(floors)
    require(baker != 5)
    miller = choose(floors)
    require(miller > cooper and len({baker, cooper, fletcher, miller, smith}) == 5)
    return {"Baker": baker, "Cooper": cooper, "Fletcher": fletcher, "Miller": miller, "Smith": smith}


def liars():
    """Five girls wrote home about an examination: one statement of each is true, the other false."""
    betty, ethel, joan, kitty, mary = choose(permutations(range(1, 6)))
    require((kitty == 2) != (betty == 3))
    require((ethel == 1) != (joan == 2))
    require((joan == 3) != (ethel == 5))
    require((kitty == 2) != (mary == 4))
    require((mary == 4) != (betty == 1))
    return {"Betty": betty, "Ethel": ethel, "Joan": joan, "Kitty": kitty, "Mary": mary}


def integers(low):
    """Any integer from `low` on: a path without end, so that only a fair strategy is of use."""
    return low if choose([True, False]) else integers(low + 1)


def pythagorean_triple():
    """All of them, however large: the largest number first, then what fits under it."""
    c = integers(5)
    b = choose(range(1, c))
    a = choose(range(1, b + 1))
    require(a * a + b * b == c * c)
    return a, b, c


def zebra():
    """Five houses in a row: who keeps the zebra?"""
    first, middle = 1, 3
    orders = list(permutations(range(1, 6)))
    red, green, ivory, yellow, blue = choose(orders)
    require(green == ivory + 1)
    english, spaniard, japanese, ukrainian, norwegian = choose(orders)
    require(english == red and norwegian == first and abs(norwegian - blue) == 1)
    coffee, tea, milk, juice, _water = choose(orders)
    require(coffee == green and ukrainian == tea and milk == middle)
    old_gold, kools, chesterfields, lucky_strike, parliaments = choose(orders)
    require(kools == yellow and lucky_strike == juice and japanese == parliaments)
    dog, snails, fox, horse, zebra = choose(orders)
    require(spaniard == dog and old_gold == snails)
    require(abs(chesterfields - fox) == 1 and abs(kools - horse) == 1)
    names = {
        english: "English",
        spaniard: "Spanish",
        japanese: "Japanese",
        ukrainian: "Ukrainian",
        norwegian: "Norwegian",
    }
    return names[zebra]


def main():
    for puzzle in (multiple_dwelling, liars):
        print(*(", ".join(f"{name} {place}" for name, place in found.items()) for found in solutions(puzzle)), sep="\n")
    triples = solutions(pythagorean_triple, strategy=breadth_first)
    print(*(next(triples) for _ in range(4)))
    print("the zebra's keeper:", *solutions(zebra))


if __name__ == "__main__":
    main()
