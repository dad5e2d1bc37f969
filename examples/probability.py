"""Exact discrete probability: a model is an ordinary function that tosses coins, and its distribution is computed, not sampled.

Every run of the model is followed, with its weight; equal results are added up. Conditions are what makes a run fail.
"""

from fractions import Fraction

from stackful import choose
from stackful.search import Branch, explore, require


def toss(probability=Fraction(1, 2)):
    """True with this probability."""
    side, _ = choose([(True, probability), (False, 1 - probability)])
    return side


def die():
    """One of the six sides."""
    side, _ = choose([(side, Fraction(1, 6)) for side in range(1, 7)])
    return side


def weighted(branch: Branch, weight=Fraction(1)):
    """Each result with the weight of the path to it."""
    if branch.is_solved:
        yield branch.value, weight
    for option in branch.options:
        yield from weighted(branch.take(option), weight * option[1])


def distribution(model, *arguments):
    """Result -> probability, given that the model's conditions hold."""
    total = {}
    for value, weight in weighted(explore(model, *arguments)):
        total[value] = total.get(value, 0) + weight
    whole = sum(total.values())
    return {value: total[value] / whole for value in sorted(total)}


def two_dice():
    return die() + die()


def grass():
    """It rains, or the sprinkler ran; the grass is wet. Did it rain?"""
    rain = toss(Fraction(1, 5))
    sprinkler = toss(Fraction(1, 100) if rain else Fraction(2, 5))
    wet = (
        toss(Fraction(99, 100) if rain and sprinkler else Fraction(4, 5) if rain else Fraction(9, 10))
        if rain or sprinkler
        else False
    )
    require(wet)
    return rain


def boys():
    """Two children, one of whom is a boy: is the other?"""
    first, second = toss(), toss()
    require(first or second)
    return first and second


def main():
    for model in (two_dice, grass, boys):
        print(f"{model.__name__}:", ", ".join(f"{value} {chance}" for value, chance in distribution(model).items()))


if __name__ == "__main__":
    main()
