"""Ordinary functions that await, and the coroutines that they are measured against; `await_` is whichever it is given."""

import asyncio

BLOCK = 100  # awaits in an operation: entering the loop is a small part of it then
DEPTH = 10


async def at_once():
    return 1


def once():
    return asyncio.sleep(0, 1)


MAKERS = {"at once": at_once, "once": once, "deep": once, "behind C": once}


def awaiting(await_, name: str):
    """A function of a number of operations."""
    make = MAKERS[name]

    def plain(number):
        total = 0
        for _ in range(number * BLOCK):
            total += await_(make())
        return total

    def descend(depth):
        return await_(once()) if depth == 1 else descend(depth - 1)

    def deep(number):
        total = 0
        for _ in range(number * BLOCK):
            total += descend(DEPTH)
        return total

    def behind_c(number):
        total = 0
        for _ in range(number * BLOCK):
            total += max((1,), key=lambda _: await_(once()))
        return total

    return {"deep": deep, "behind C": behind_c}.get(name, plain)


def natively(name: str):
    """The coroutine function that does the same."""
    make = MAKERS[name]

    async def plain(number):
        total = 0
        for _ in range(number * BLOCK):
            total += await make()
        return total

    async def descend(depth):
        return await once() if depth == 1 else await descend(depth - 1)

    async def deep(number):
        total = 0
        for _ in range(number * BLOCK):
            total += await descend(DEPTH)
        return total

    return deep if name == "deep" else plain
