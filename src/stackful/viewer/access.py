"""Who may read, and who may act.

Reading is open to whoever reaches the server, which listens on the loopback interface unless told otherwise. Another web page that the
user has open reaches it, too: so answers go only to requests that name one of our own hosts (a page that bound its own name to
127.0.0.1 cannot), and carry headers that keep foreign content and framing out. Acting takes a token, in a header that no foreign page can send.
"""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Guard", "make_token", "may_act"]

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:;"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_LOOPBACK = {"localhost", "127.0.0.1", "[::1]"}


def make_token() -> str:
    """A token that nobody guesses: 256 bits in 43 characters of a URL."""
    return secrets.token_urlsafe(32)


def may_act(request: Request, token: str | None) -> str | None:
    """None if the request carries the token; else what is wrong, and the way out."""
    if token is None:
        return "this page is read-only; start it with `stackful serve --actions`"
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.encode(), token.encode()):
        return "this takes the token: open the page by the address that `stackful serve --actions` printed"
    return None


class Guard:
    """Refuses requests for other hosts, and puts the headers on every answer. (ASGI middleware; events flow through it as they come.)."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str] = frozenset()) -> None:
        self._app = app
        self._hosts = _LOOPBACK | hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await self._answering(scope)(scope, receive, send_with_headers)

    def _answering(self, scope: Scope) -> ASGIApp:
        if _host_of(Headers(scope=scope)) in self._hosts:
            return self._app
        return JSONResponse({"error": "this server goes by another name; see `stackful serve --public-name`"}, 421)


def _host_of(headers: Headers) -> str:
    host = headers.get("host", "")
    return host if host.endswith("]") else host.rpartition(":")[0] or host
