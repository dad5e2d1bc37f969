"""The commands, on runs of functions: in real processes, as a person uses them."""

import json

import pytest

pytestmark = pytest.mark.no_leakcheck("the programs run in other processes")

SHOP = """
from stackful import durable

def price(item):
    return 100 * len(item)

def pay(amount):
    import os
    if not os.path.exists("money"):
        raise OSError("no money")
    return amount

@durable.run(history=True)
def order(item, count):
    total = 0
    for _ in range(count):
        total += durable.step(price, item)
    answer = durable.ask("Ship it?", {"ok": bool, "size": ["S", "M"]})
    go = durable.wait_signal("go")
    return total, answer["size"], go

@durable.run
def fails():
    return durable.step(pay, durable.step(price, "x"))
"""
START = """
import shop, sys, time
from stackful import durable
with durable.connect() as engine:
    durable.start(shop.order, "tea", 2, id="order-1", attributes={"team": "a"})
    durable.start(shop.fails, id="fails-1").wait(60)
    while engine.store.run("order-1").question is None:
        time.sleep(0.01)
"""
WORK = """
import shop, sys
from stackful import durable
with durable.connect() as engine:
    for name in sys.argv[1:]:
        print(name, durable.Handle(name).wait(60).value, flush=True)
"""


@pytest.fixture
def shop(commands):
    """A store with a run that asks and one that has failed; nobody drives them."""
    commands.script(SHOP, "shop.py")
    assert commands.python(commands.script(START, "start.py")).returncode == 0
    commands.script(WORK, "work.py")
    return commands


def told(commands, *arguments):
    """What a command says, as data."""
    done = commands.stackful(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_runs_are_listed_and_filtered(shop):
    """By status, text, program and attribute."""
    assert [run["id"] for run in told(shop, "ps")] == ["fails-1", "order-1"]
    for filters, found in [
        (("--status", "failed"), ["fails-1"]),
        (("--text", "rder-"), ["order-1"]),
        (("--program", "shop:fails"), ["fails-1"]),
        (("--attribute", "team=a"), ["order-1"]),
        (("--attribute", "team=b"), []),
        (("--limit", "1"), ["fails-1"]),
    ]:
        assert [run["id"] for run in told(shop, "ps", *filters)] == found, filters
    assert "waiting (signal:ask-" in shop.stackful("ps").stdout


def test_a_run_shows_where_it_stands_and_stood(shop):
    """Its line, its variables, what it asks; at a checkpoint what they were then; a failed one its error."""
    shown = shop.stackful("show", "order-1").stdout
    assert "asks: Ship it?" in shown
    assert "total = 600" in shown
    assert '▶   18 │     answer = durable.ask("Ship it?"' in shown
    (frame,) = told(shop, "show", "order-1", "--at", "1")["frames"]
    assert frame["locals"]["total"] == "0"
    assert "OSError: no money" in shop.stackful("show", "fails-1").stdout
    assert [(state["seq"], state["step"], state["steps"]) for state in told(shop, "log", "order-1")] == [
        (1, "price", 1), (2, "price", 2), (3, "price", 2),
    ]  # fmt: skip
    assert "price (no. 2)" in shop.stackful("log", "order-1").stdout


def test_raw_bytes_are_shown_without_importing(shop):
    """Whatever has become of the program."""
    (shop.folder / "shop.py").unlink()
    assert "shop:order" in shop.stackful("show", "--raw", "order-1").stdout
    done = shop.stackful("show", "order-1")
    assert done.returncode == 68
    assert done.stdout.startswith("order-1  shop:order  waiting")  # of the run itself there is more to tell


def test_answers_and_signals_lead_a_run_to_its_end(shop):
    """One answer, one signal; what is not taken in is said, with the status of the store."""
    shop.stackful("signal", "order-1", "--answer", "ok=true", "--answer", "size=M")
    assert told(shop, "signal", "order-1", "go", '{"now": 1}', "--key", "k") == {"run": "order-1", "taken": True}
    assert shop.stackful("signal", "order-1", "go", "--key", "k").returncode == 74
    assert shop.python("work.py", "order-1").stdout == "order-1 finished\n"
    assert "result: (600, 'M', {'now': 1})" in shop.stackful("show", "order-1").stdout
    assert shop.stackful("signal", "order-1").returncode == 64
    wrong = shop.stackful("signal", "fails-1", "--answer", "ok=1")
    assert wrong.returncode == 74
    assert "fails-1" in wrong.stderr


def test_a_failed_run_is_retried_from_its_last_state(shop):
    """The step that failed is tried again, the one before is not."""
    (shop.folder / "money").touch()
    assert told(shop, "retry", "fails-1") == {"run": "fails-1"}
    assert shop.python("work.py", "fails-1").stdout == "fails-1 finished\n"


def test_a_fork_goes_its_own_way(shop):
    """From a checkpoint, with another value in a variable, under another name: tea first, then coffee."""
    made = told(shop, "fork", "order-1", "--at", "1", "--set", "item=coffee", "--name", "other")
    assert made == {"run": "other", "origin": "order-1"}
    for command in (("--answer", "ok=true", "--answer", "size=S"), ("go", "7")):
        with_worker(shop, "other", *command)
    assert "result: (900, 'S', 7)" in shop.stackful("show", "other").stdout
    assert told(shop, "ps", "--text", "order-1")[0]["status"] == "waiting"


def with_worker(shop, run, *command):
    """Give a signal while a worker drives the runs."""
    worker = shop.begin("worker", "shop")
    while shop.stackful("signal", run, *command).returncode:
        assert worker.poll() is None
    while command[0] == "go" and told(shop, "ps", "--text", run)[0]["status"] != "finished":
        assert worker.poll() is None
    worker.terminate()
    worker.wait(60)


def test_a_cancelled_run_ends(shop):
    """Its status says so once it was driven."""
    assert told(shop, "cancel", "order-1")["run"] == "order-1"
    assert shop.python("work.py", "order-1").stdout == "order-1 cancelled\n"


def test_the_doctor_names_what_would_not_go_on(shop):
    """Before the deploy, with the lines that changed, and status 68."""
    assert told(shop, "doctor") == [{"run": "fails-1", "findings": []}, {"run": "order-1", "findings": []}]
    path = shop.folder / "shop.py"
    path.write_text(path.read_text().replace("total = 0", "total = 10"))
    done = shop.stackful("doctor")
    assert done.returncode == 68
    assert "fails-1: would resume" in done.stdout
    assert "order-1: would not resume" in done.stdout
    assert "+    total = 10" in done.stdout


def test_what_has_ended_is_collected(shop):
    """Runs that can go on stay; the others go with all that belongs to them."""
    told(shop, "cancel", "order-1")
    shop.python("work.py", "order-1")
    assert told(shop, "gc", "--older-than", "0", "--dry-run")["deleted"] == 0
    assert "order-1" in told(shop, "gc", "--older-than", "0")["runs"]
    assert told(shop, "ps", "--text", "order-1") == []


def test_a_run_moves_to_another_store(shop):
    """Sealed anew with that one's key; who has not the key of the first gets nothing."""
    told(shop, "export", "order-1", "-o", "run.stackful")
    shop.python("-c", "from stackful import durable; durable.connect('other.db', work=False).close()")
    refused = shop.stackful("import", "run.stackful", "--store", "other.db")
    assert refused.returncode == 65
    moved = told(shop, "import", "run.stackful", "--store", "other.db", "--key", ".stackful/key", "--name", "moved")
    assert moved == {"run": "moved"}
    (frame,) = told(shop, "show", "moved", "--store", "other.db")["frames"]
    assert frame["locals"]["total"] == "600"
    assert shop.stackful("import", "run.stackful").returncode == 74  # its name is taken there


@pytest.mark.parametrize("command", ["show", "log", "signal", "cancel", "retry", "fork", "export"])
def test_a_run_that_is_not_there_is_named(shop, command):
    """With status 67, and nothing else is said."""
    extra = {"signal": ["go"]}.get(command, [])
    done = shop.stackful(command, "nobody", *extra)
    assert (done.returncode, done.stdout) == (67, "")
    assert "'nobody'" in done.stderr


def test_a_store_that_is_not_there_is_named(commands):
    """And none is made by looking for it."""
    for command in (["show", "x"], ["log", "x"], ["doctor"], ["gc"]):
        assert commands.stackful(*command).returncode == 74
    assert list(commands.folder.iterdir()) == []
