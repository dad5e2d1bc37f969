"""What an open page is told."""

import asyncio
import json

from stackful.viewer.changes import Changes


def test_a_page_is_told_which_runs_have_changed():
    """What changes while an event is on its way goes into the next one, together."""

    async def main():
        changes = Changes()
        stream = changes.stream()
        await anext(stream)
        changes.note("a")
        first = await anext(stream)
        for run in ("b", "c", "b", None):
            changes.note(run)
        second = await anext(stream)
        await stream.aclose()
        return first, second

    first, second = asyncio.run(main())
    assert first == b'event: changed\ndata: ["a"]\n\n'
    assert json.loads(second.split(b"data: ")[1]) == ["b", "c"]


def test_closing_ends_the_streams():
    """No page holds the server up."""

    async def main():
        changes = Changes()
        stream = changes.stream()
        await anext(stream)
        changes.close()
        return [event async for event in stream]

    assert asyncio.run(main()) == []


def test_who_has_gone_is_told_nothing():
    """A page that went away is forgotten."""

    async def main():
        changes = Changes()
        stream = changes.stream()
        await anext(stream)
        await stream.aclose()
        changes.note("a")
        return changes._pages

    assert asyncio.run(main()) == set()
