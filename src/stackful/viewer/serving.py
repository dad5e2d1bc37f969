"""The server: a socket, the application, and what is printed for the person who started it."""

from __future__ import annotations

import socket
from types import FrameType

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
        _Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2)).run(sockets=[listener])
    except KeyboardInterrupt:
        pass  # uvicorn has ended well, and then raises it again
    finally:
        source.close()
        listener.close()


class _Server(uvicorn.Server):
    """Ends the streams of open pages as soon as it is to stop, for it waits until all answers are complete."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.config.app.state.changes.close()  # type: ignore[union-attr]
        super().handle_exit(sig, frame)


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise StoreError(
            f"{host} port {port} cannot be listened on: {error.strerror}; choose another --port"
        ) from error


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
