"""Walk a tree by plain recursion and hand out its values one by one: no `yield from` on any level.

With generators, every level of the recursion has to pass each value on to the next one up. Here `visit` is an
ordinary function; whoever calls it need not know that something below suspends.
"""

from dataclasses import dataclass

from stackful import Fiber, suspend


@dataclass
class Node:
    value: int
    left: "Node | None" = None
    right: "Node | None" = None


def insert(node, value):
    if node is None:
        return Node(value)
    if value < node.value:
        node.left = insert(node.left, value)
    else:
        node.right = insert(node.right, value)
    return node


def visit(node):
    if node is not None:
        visit(node.left)
        suspend(node.value)
        visit(node.right)


def main():
    tree = None
    for value in (50, 30, 70, 20, 40, 60, 80):
        tree = insert(tree, value)

    walk = Fiber(visit, tree)
    value = walk.resume()
    while walk.status != "dead":
        print(f"{value}   depth of the suspended stack: {len(walk.frames)}")
        value = walk.resume()


if __name__ == "__main__":
    main()
