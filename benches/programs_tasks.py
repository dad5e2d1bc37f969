"""Programs of tasks: two that hand a value to each other, and skynet; written for whatever spawns, waits and hands over."""

import asyncio

LEAVES = 100_000  # of skynet (github.com/atemerev/skynet)


def skynet_answer(leaves):
    return leaves * (leaves - 1) // 2


def ping_pong(spawn, make_channel, send, receive):
    """A function of the number of messages there and back."""

    def loop(number):
        there, back = make_channel(), make_channel()

        def pong():
            for _ in range(number):
                send(back, receive(there))

        spawn(pong)
        for value in range(number):
            send(there, value)
            if receive(back) != value:
                raise AssertionError

    return loop


async def asyncio_ping_pong(number):
    there, back = asyncio.Queue(1), asyncio.Queue(1)

    async def pong():
        for _ in range(number):
            await back.put(await there.get())

    task = asyncio.create_task(pong())
    for value in range(number):
        await there.put(value)
        if await back.get() != value:
            raise AssertionError
    await task


def skynet(spawn, join):
    """A function of the number of leaves: each task but these starts ten, and adds up what they come to."""

    def node(number, leaves):
        if leaves == 1:
            return number
        leaves //= 10
        total = 0
        for child in [spawn(node, number + i * leaves, leaves) for i in range(10)]:
            total += join(child)
        return total

    return lambda leaves: node(0, leaves)


async def asyncio_skynet(number, leaves):
    if leaves == 1:
        return number
    leaves //= 10
    children = [asyncio.create_task(asyncio_skynet(number + i * leaves, leaves)) for i in range(10)]
    return sum(await asyncio.gather(*children))
