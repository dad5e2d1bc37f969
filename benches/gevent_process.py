"""Runs one contender with gevent, in a process of its own: it loads greenlet, and fibers have no C stacks then (elsewhere.py asks).

`gevent_process.py ping-pong | skynet LEAVES`
"""

import sys

import gevent
from gevent.queue import Channel

from measure import expect
from programs_tasks import ping_pong, skynet, skynet_answer
from serving import serve, serve_loop


def main() -> None:
    name, *rest = sys.argv[1:]
    if name == "ping-pong":
        serve_loop(ping_pong(gevent.spawn, Channel, Channel.put, Channel.get))
        return
    leaves = int(rest[0])
    run = skynet(gevent.spawn, gevent.Greenlet.get)
    expect(run(leaves), skynet_answer(leaves))
    serve(lambda: run(leaves))


if __name__ == "__main__":
    main()
