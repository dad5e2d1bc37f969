"""Same fringe: do two trees have the same leaves in the same order, whatever their shapes?

Each tree is walked by plain recursion, one leaf at a time, and both walks stop at the first difference.
"""

from stackful import Fiber, suspend


def visit(tree):
    """Suspend with every leaf, from left to right, however deep it lies."""
    if isinstance(tree, tuple):
        for branch in tree:
            visit(branch)
    else:
        suspend(tree)


def leaves(tree):
    """The leaves of a tree, one at a time: a fiber as an iterator."""
    walk = Fiber(visit, tree)
    while True:
        leaf = walk.resume()
        if walk.status == "dead":
            return
        yield leaf


def same_fringe(one, other):
    """Compare leaf by leaf; return the verdict and how many pairs were looked at."""
    end = object()
    left, right = leaves(one), leaves(other)
    looked_at = 0
    while True:
        looked_at += 1
        a, b = next(left, end), next(right, end)
        if a != b:
            return False, looked_at
        if a is end:
            return True, looked_at


def main():
    balanced = ((1, 2), (3, 4))
    leaning = (1, (2, (3, (4,))))
    longer = (((1, 9), 3), (4, tuple(range(1000))))
    for other in (leaning, longer):
        same, looked_at = same_fringe(balanced, other)
        print("same fringe" if same else "different", f"after {looked_at} pairs")


if __name__ == "__main__":
    main()
