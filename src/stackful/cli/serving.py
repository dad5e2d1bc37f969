"""``stackful serve``: the page."""

from __future__ import annotations

import ipaddress
import sys

import click

from stackful.cli.options import command, connected, store

__all__ = ["COMMANDS"]


@command("serve")
@store
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8700, show_default=True, help="0: any free one.")
@click.option(
    "--actions", is_flag=True, help="Let who has the token that is printed fork, signal, cancel, retry and answer."
)
@click.option(
    "--public-name", "names", multiple=True, metavar="HOST", help="Answer to this name, too; needed behind a proxy."
)
def _serve(store: str, host: str, port: int, actions: bool, names: tuple[str, ...]) -> None:
    """Show the runs on a web page: where each stands, live.

    Whoever reaches the address can read what runs hold. It listens on this machine only, unless --host says otherwise.
    """
    try:
        from stackful.viewer.serving import serve
    except ImportError as error:
        raise click.ClickException(f"the page needs {error.name}; pip install 'stackful[viewer]'") from None
    with connected(store):
        pass  # a store that is not there is told before a server is started
    if not _is_loopback(host):
        print(f"warning: {host} is reached by other machines, and nothing asks them who they are", file=sys.stderr)
    serve(store, host, port, actions, frozenset(names))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


COMMANDS = (_serve,)
