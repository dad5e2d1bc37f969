"""The server: a socket, the application, and what is printed for the person who started it."""

from __future__ import annotations

import socket

import uvicorn

from stackful.errors import StoreError
from stackful.viewer.access import make_token
from stackful.viewer.server import make_app
from stackful.viewer.source import Source

__all__ = ["serve"]


def serve(store: str, host: str, port: int, actions: bool, names: frozenset[str]) -> None:
    """Serve the page for a store until Ctrl-C.

    Args:
        store: its path or URL.
        host, port: where to listen; port 0 for any that is free.
        actions: whether whoever has the token, which is printed, may act.
        names: what the server is called by others.

    Raises:
        StoreError: the store cannot be used, or the address is taken.
    """
    listener = _listen(host, port)
    token = make_token() if actions else None
    source = Source(store)
    try:
        fragment = f"#token={token}" if token else ""
        print(f"The runs of {source.store}: http://{_shown(host)}:{listener.getsockname()[1]}/{fragment}", flush=True)
        app = make_app(source, token, names | {_shown(host)})
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2)
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        source.close()
        listener.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise StoreError(f"{host} port {port} cannot be listened on: {error.strerror}; choose another --port") from error


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
