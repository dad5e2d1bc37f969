"""Which of CPython's test modules are run, in which ways, and where a fiber may make a difference."""

# Module -> the first version that has it.
MODULES = {
    "test_generators": (3, 11),
    "test_coroutines": (3, 11),
    "test_asyncgen": (3, 11),
    "test_yield_from": (3, 11),
    "test_contextlib": (3, 11),
    "test_contextlib_async": (3, 11),
    "test_with": (3, 11),
    "test_except_star": (3, 11),
    "test_frame": (3, 11),
    "test_context": (3, 11),
    "test_traceback": (3, 11),
    "test_gc": (3, 11),
    "test_sys_settrace": (3, 11),
    "test_monitoring": (3, 12),
}

# In these `make test` runs the ways of QUICK_WAYS; all else is slow.
QUICK = {"test_generators", "test_yield_from", "test_contextlib", "test_with", "test_except_star", "test_frame"}
QUICK_WAYS = {"inside", "everywhere"}

# Way -> the modules that are left out, and why.
LEFT_OUT = {
    "inside": {},
    "parked": {},
    "everywhere": {},
    "relayed": {},
    "shown": {
        "test_sys_settrace": "who looks at the frames runs Python code, which the tests' own trace functions would see",
        "test_monitoring": "as above",
        "test_gc": "who looks at the frames makes objects, and the tests count how many there are",
    },
    "threads": {
        "test_generators": "signals arrive in the main thread",
        "test_coroutines": "sys.set_coroutine_origin_tracking_depth is set for one thread",
        "test_context": "each thread has a context of its own",
        "test_contextlib_async": "the event loop of 3.11 belongs to one thread",
        "test_traceback": "the stack of another thread is another stack",
        "test_gc": "new threads are new objects, and are counted",
        "test_sys_settrace": "a trace function is set for one thread",
        "test_monitoring": "the calls that start a thread are counted",
    },
    "copied": {
        "test_generators": "what the replaced fibers refer to lives on, and the tests wait for its end",
        "test_coroutines": "as above",
        "test_context": "as above",
        "test_gc": "as above",
        "test_traceback": "as above",
        "test_frame": "the frame that a test has got hold of is the replaced fiber's",
        "test_sys_settrace": "as above: its f_trace and f_lineno too",
        "test_monitoring": "counts the calls that make a copy",
    },
}

# (module, way, test) -> why it does not come to the same in a fiber.
DIFFERENCES = {
    ("test_coroutines", "relayed", "CoroutineTest.test_stack_in_coroutine_throw"): (
        "compares the depth of the stack at two moments, and the second time another fiber has resumed this one"
    ),
    ("test_traceback", "relayed", "LimitTests.test_extract_stack"): "compares whole stacks at two moments, as above",
    ("test_traceback", "relayed", "TestStack.test_walk_stack"): "compares whole stacks at two moments, as above",
    ("test_contextlib", "threads", "LockContextTestCase.testWithRLock"): "an RLock belongs to the thread that took it",
    ("test_contextlib", "threads", "LockContextTestCase.testWithCondition"): "as above: a Condition has an RLock",
    ("test_yield_from", "copied", "TestPEP380Operation.test_attempted_yield_from_loop"): (
        "a generator that runs itself through a variable of its own: the copy of a fiber has a copy of the generator that its"
        " `for` loop runs, and shares the variable"
    ),
}
