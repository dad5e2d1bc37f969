"""Runs test suites of CPython's within a portal, with `patched`: ``cpython_suites.py (threads|tasks) NAME...``, names as unittest has them.

"tasks": what the suite of locks starts as threads is started as tasks. The last line is a JSON object: test -> what is wrong with it.
"""

import asyncio
import contextlib
import json
import sys
import threading
import types
import unittest

from test import lock_tests, support
from test.support import threading_helper

from stackful import aio
from stackful.aio import locks


def suite_of_locks():
    """As test.test_threading makes them of lock_tests; those of conditions, events and so on are made of our locks by `patched`."""
    made = {
        "Lock": (lock_tests.LockTests, "locktype", locks.Lock),
        "RLock": (lock_tests.RLockTests, "locktype", locks.RLock),
        "Event": (lock_tests.EventTests, "eventtype", threading.Event),
        "ConditionAsRLock": (lock_tests.RLockTests, "locktype", threading.Condition),
        "Condition": (lock_tests.ConditionTests, "condtype", threading.Condition),
        "Semaphore": (lock_tests.SemaphoreTests, "semtype", threading.Semaphore),
        "BoundedSemaphore": (lock_tests.BoundedSemaphoreTests, "semtype", threading.BoundedSemaphore),
        "Barrier": (lock_tests.BarrierTests, "barriertype", threading.Barrier),
    }
    suite = unittest.TestSuite()
    for name, (base, attribute, kind) in made.items():
        members = {attribute: staticmethod(kind)}
        if name == "ConditionAsRLock":
            members["test_recursion_count"] = None  # conditions do not have it
            members["test_constructor_noargs"] = None  # they take a lock
        case = type(f"{name}Tests", (base,), members)
        suite.addTests(unittest.defaultTestLoader.loadTestsFromTestCase(case))
    return suite


def start_tasks_for_threads():
    tasks = []
    lock_tests.start_new_thread = lambda function, args: tasks.append(aio.spawn(function, *args))
    lock_tests.threading = types.SimpleNamespace(**{**vars(threading), "get_ident": lambda: id(asyncio.current_task())})
    threading_helper.wait_threads_exit = lambda timeout=None: contextlib.nullcontext()


# What the loop, or the program that runs the tests, cannot have.
LEFT_OUT = {
    "nterrupt": "a signal handler that raises does so in the event loop, and ends it",
    "VSOCK": "not about the local machine",
    "testRefCountGetNameInfo": "the exception that it counts by comes from another thread",
    "test_select.SelectTestCase.test_disallow_instantiation": "Poll is a Python class",
    "test_select.SelectTestCase.test_select_mutated": "lists that change while they are read are read twice",
}


def flattened(suite):
    for test in suite:
        yield from flattened(test) if isinstance(test, unittest.TestSuite) else [test]


class Suites:
    def __init__(self, names):
        self.names = names

    def run(self):
        with aio.patched():
            suite = unittest.TestSuite()
            for name in self.names:
                found = suite_of_locks() if name == "locks" else unittest.defaultTestLoader.loadTestsFromName(name)
                suite.addTests(test for test in flattened(found) if not any(part in test.id() for part in LEFT_OUT))
            return unittest.TextTestRunner(verbosity=2).run(suite)


def main():
    way, *names = sys.argv[1:]
    support.use_resources = ["cpu", "network"]  # these are about the local one
    if way == "tasks":
        start_tasks_for_threads()
    result = aio.run(Suites(names).run)
    wrong = {test.id().removeprefix("__main__."): text for test, text in result.failures + result.errors}
    print(json.dumps({"run": result.testsRun, "skipped": len(result.skipped), "wrong": wrong}))


if __name__ == "__main__":
    main()
