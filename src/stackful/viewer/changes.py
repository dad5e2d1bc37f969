"""What an open page is told: that runs have changed, and which. Server-sent events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

__all__ = ["Changes"]

_PAUSE = 0.3
"""Seconds between two events: runs may change thousands of times a second, and a page shows what people can read."""
_BEAT = 15.0
"""Seconds after which something is said in any case, so that neither side, nor a proxy, waits for a dead connection."""


class Changes:
    """Collects the ids of runs that have changed, for any number of pages.

    Example:
        >>> changes = Changes()
        >>> changes.note("order-1")  # from any thread, once some page listens
    """

    def __init__(self) -> None:
        self._pages: set[_Page] = set()

    @property
    def is_watched(self) -> bool:
        """Whether any page is open."""
        return bool(self._pages)

    def note(self, run: str | None) -> None:
        """A run has changed, or None: nobody knows which; to be called from any thread."""
        for page in tuple(self._pages):
            page.loop.call_soon_threadsafe(page.note, run)

    def close(self) -> None:
        """End the streams of all pages; to be called from any thread."""
        for page in tuple(self._pages):
            page.loop.call_soon_threadsafe(page.end)

    async def stream(self) -> AsyncIterator[bytes]:
        """The events for one page, until it goes away."""
        page = _Page()
        self._pages.add(page)
        try:
            yield b": welcome\n\n"
            while True:
                runs = await page.wait()
                if runs is None:
                    return
                yield b": still here\n\n" if not runs else _event(runs)
                await asyncio.sleep(_PAUSE)
        finally:
            self._pages.discard(page)


class _Page:
    """What one page has yet to hear; used on its event loop only."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._runs: set[str] = set()
        self._is_over = False

    def note(self, run: str | None) -> None:
        self._runs.add(run or "")
        self._changed.set()

    def end(self) -> None:
        self._is_over = True
        self._changed.set()

    async def wait(self) -> set[str] | None:
        """The runs that have changed; none after a while without; None when all is over."""
        try:
            async with asyncio.timeout(_BEAT):
                await self._changed.wait()
        except TimeoutError:
            return set()
        if self._is_over:
            return None
        runs, self._runs = self._runs, set()
        self._changed.clear()
        return runs


def _event(runs: set[str]) -> bytes:
    return f"event: changed\ndata: {json.dumps(sorted(runs - {''}))}\n\n".encode()
