"""Drive the runs of a store to their end; die by SIGKILL at the n-th commit, before or after it."""

import os
import signal
import sys
import threading

import shop

from stackful import durable
from stackful.durable.sqlite.database import Database

number, when = int(sys.argv[1]), sys.argv[2]


class Dying:
    """A connection that counts its commits."""

    def __init__(self, db):
        self._db = db

    def __getattr__(self, name):
        return getattr(self._db, name)

    def execute(self, text, *arguments):
        global number
        if text != "COMMIT" or not threading.current_thread().name.startswith("stackful"):
            return self._db.execute(text, *arguments)
        number -= 1
        if number == 0 and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        done = self._db.execute(text, *arguments)
        if number == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return done


plain = Database._connect
Database._connect = lambda store: Dying(plain(store))

with durable.connect("runs.db"):
    main = durable.start(shop.everything, "one", id="main")
    durable.send(main, "approval", {"by": "me"}, key="once")
    print(main.result(timeout=60))
