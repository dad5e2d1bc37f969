"""Monte-Carlo tree search over a game that knows nothing of it: `play` is a plain function that asks two players for their moves.

A position is a `Branch`: the game, suspended at a move. Trying a move forks it. (Kocsis and Szepesvári, "Bandit based Monte-Carlo Planning", 2006.)
"""

import math
import random

from stackful import choose
from stackful.search import explore

LINES = [(0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6)]


def has_won(board, player):
    """Three in a line; a function of its own, because a variable that an inner scope uses is shared by all forks of its function."""
    return any(all(board[place] == player for place in line) for line in LINES)


def free_places(board):
    return [place for place in range(9) if board[place] == "."]


def play(board="........."):
    """Noughts and crosses: the winner, or None."""
    for turn in range(board.count("."), 0, -1):
        player = "X" if turn % 2 else "O"
        place = choose(free_places(board))
        board = board[:place] + player + board[place + 1 :]
        if has_won(board, player):
            return player
    return None


class Position:
    """A node of the tree: a suspended game, and how often its mover's opponent won from here."""

    def __init__(self, branch, player):
        self.branch, self.player = branch, player
        self.children = {}
        self.visits = self.score = 0

    def best(self, curiosity):
        """The child with the best upper confidence bound."""
        return max(
            self.children.values(),
            key=lambda child: child.score / child.visits + curiosity * math.sqrt(math.log(self.visits) / child.visits),
        )

    def visit(self, chance):
        """One play-out through this position; returns the winner."""
        untried = [move for move in self.branch.options if move not in self.children]
        if self.branch.is_solved:
            winner = self.branch.value
        elif untried:
            move = chance.choice(untried)
            child = self.children[move] = Position(self.branch.take(move), other(self.player))
            winner = child.roll_out(chance)
            child.note(winner)
        else:
            winner = self.best(1.4).visit(chance)
        self.note(winner)
        return winner

    def roll_out(self, chance):
        """Play at random to the end."""
        branch = self.branch
        while not branch.is_solved:
            branch = branch.take(chance.choice(branch.options))
        return branch.value

    def note(self, winner):
        """Count a play-out for the player who moved here."""
        self.visits += 1
        self.score += 0.5 if winner is None else winner != self.player


def other(player):
    return "O" if player == "X" else "X"


def best_move(board, player, visits=1500, seed=1):
    """The move that was tried most often; X moves when an odd number of places is free."""
    root = Position(explore(play, board), player)
    chance = random.Random(seed)
    for _ in range(visits):
        root.visit(chance)
    return max(root.children, key=lambda move: root.children[move].visits)


def main():
    print("X wins at", best_move("XX.OO....", "X"))
    print("O must block at", best_move("XX..O....", "O"))


if __name__ == "__main__":
    main()
