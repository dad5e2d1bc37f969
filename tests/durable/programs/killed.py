"""Drive the runs of a store to their end; die by SIGKILL at the n-th commit, before or after it.

Arguments: n, "before" or "after", the store.
"""

import os
import signal
import sys
import threading

import shop

from stackful import durable
from stackful.durable.sqlite.database import Database

number, when, place = int(sys.argv[1]), sys.argv[2], sys.argv[3]
counting_one = threading.Lock()


def dying_at_a_commit(execute):
    """What `execute` does, but for the n-th commit."""

    def counting(text, *arguments, **keywords):
        global number
        # A step of a run that is alone is one statement, committed by itself.
        is_commit = text == "COMMIT" or str(text).lstrip().startswith(
            ("UPDATE stackful.states SET seq", "UPDATE states SET seq")
        )
        if not is_commit or not threading.current_thread().name.startswith("stackful"):
            return execute(text, *arguments, **keywords)
        with counting_one:  # other threads commit meanwhile
            number -= 1
            is_last = number == 0
        if is_last and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        done = execute(text, *arguments, **keywords)
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    return counting


class Dying:
    """A connection that counts its commits."""

    def __init__(self, db):
        self._db = db
        self.execute = dying_at_a_commit(db.execute)

    def __getattr__(self, name):
        return getattr(self._db, name)


if "://" in place:
    import psycopg

    from stackful.durable.postgres.statements import Session

    def count_commits(kind, name):
        plain = getattr(kind, name)
        setattr(
            kind,
            name,
            lambda session, text, *arguments, **keywords: dying_at_a_commit(
                lambda *rest, **named: plain(session, *rest, **named)
            )(text, *arguments, **keywords),
        )

    count_commits(psycopg.Connection, "execute")
    count_commits(Session, "ask")
else:
    plain = Database._connect
    Database._connect = lambda store: Dying(plain(store))

with durable.connect(place):
    main = durable.start(shop.everything, "one", id="main")
    durable.send(main, "approval", {"by": "me"}, key="once")
    print(main.result(timeout=60))
