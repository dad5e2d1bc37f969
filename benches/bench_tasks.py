"""Tasks and channels beside asyncio's and gevent's: a message there and back, and skynet, a tree of a hundred thousand tasks."""

import asyncio

from elsewhere import Elsewhere
from measure import Contender, Row, at_least, expect, interleaved, missing, time_text
from peers import is_installed
from programs_tasks import LEAVES, asyncio_ping_pong, asyncio_skynet, ping_pong, skynet, skynet_answer
from stackful import tasks

HAS_GEVENT = is_installed("gevent")


def with_gevent(*words: object) -> Contender:
    contender = Elsewhere("gevent", *words)
    if contender.failure:
        raise RuntimeError(f"gevent: {contender.failure}")
    return contender


def beside_gevent(subject: str, took: dict[str, float], limit: float | None) -> Row:
    if HAS_GEVENT:
        return at_least(subject, took["ours"], took["gevent"], "gevent", limit)
    return missing(subject, time_text(took["ours"]), "gevent", f"≥ {limit:g}x faster" if limit else "")


def ping_pong_rows(number: int, rounds: int) -> list[Row]:
    ours = ping_pong(tasks.spawn, tasks.Channel, tasks.Channel.send, tasks.Channel.receive)
    contenders: dict[str, Contender] = {
        "ours": lambda number: tasks.run(ours, number),
        "asyncio": lambda number: asyncio.run(asyncio_ping_pong(number)),
    }
    if HAS_GEVENT:
        contenders["gevent"] = with_gevent("ping-pong")
    took = interleaved(contenders, number, rounds)
    subject = "a message there and back"
    return [
        at_least(subject, took["ours"], took["asyncio"], "asyncio.Queue", 5),
        beside_gevent(subject, took, 3),
    ]


def skynet_rows(leaves: int, rounds: int) -> list[Row]:
    ours = skynet(tasks.spawn, tasks.Task.join)
    expect(tasks.run(ours, leaves), skynet_answer(leaves))
    expect(asyncio.run(asyncio_skynet(0, leaves)), skynet_answer(leaves))
    contenders: dict[str, Contender] = {
        "ours": lambda _: tasks.run(ours, leaves),
        "asyncio": lambda _: asyncio.run(asyncio_skynet(0, leaves)),
    }
    if HAS_GEVENT:
        contenders["gevent"] = with_gevent("skynet", leaves)
    took = interleaved(contenders, 1, rounds)
    subject = f"skynet, {leaves:,} tasks"
    return [
        at_least(subject, took["ours"], took["asyncio"], "asyncio", 3),
        beside_gevent(subject, took, None),
    ]


def benchmark(rounds: int, number: int) -> list[Row]:
    return [*ping_pong_rows(number, rounds), *skynet_rows(LEAVES, min(rounds, 5))]
