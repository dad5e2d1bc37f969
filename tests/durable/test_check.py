"""`stackful check` and the function beneath it: what could not be saved of a program, ahead of time."""

import json

import pytest

from stackful.durable.program import ScriptError
from stackful.durable.readiness import check
from stackful.durable.suspects import find_suspects

CLEAN = """
    import stackful
    def count(n):
        for i in range(n):
            stackful.checkpoint()
        return n
    print(count(3))
"""
HOLDS_A_LOCK = """
    import stackful, threading
    def hold():
        lock = threading.Lock()
        with lock:
            stackful.checkpoint()
    hold()
    print("went on")
"""
HOLDS_A_SOCKET = """
    import socket
    def work():
        connection = socket.socket()
        for i in range(100): pass
        connection.close()
    work()
"""


def program(commands, text):
    """The path of a script."""
    return commands.folder / commands.script(text)


def when(report):
    return [finding.when for finding in report.findings]


def test_a_clean_program_has_no_findings(commands):
    """Each moment has been tried."""
    report = check(program(commands, CLEAN))
    assert (report.findings, report.exit_status, report.error) == ((), 0, None)
    assert report.tried >= 4
    assert report.places >= 2


def test_a_checkpoint_that_would_fail_is_an_error(commands):
    """With the line of the call and the variable; the program goes on as if it had been stored."""
    report = check(program(commands, HOLDS_A_LOCK), stdout=2)
    (finding,) = report.errors
    assert (finding.line, finding.function, finding.kind) == (6, "hold", "_thread.lock")
    assert 'local "lock"' in finding.path
    assert report.exit_status == 0


def test_a_moment_of_every_that_would_be_left_out_is_a_warning(commands):
    """Found at many passes, reported once."""
    report = check(program(commands, HOLDS_A_SOCKET))
    (finding,) = report.findings
    assert (finding.when, finding.kind, finding.is_error) == ("--every", "socket.socket", False)
    assert 8 < finding.count < 20


def test_the_text_is_read_where_the_program_does_not_come_by(commands):
    """A function that is not called, or no rehearsal at all."""
    written = program(commands, "import sqlite3\ndef never():\n    db = sqlite3.connect('a')\n    print(db)\n")
    assert [(f.when, f.line, f.path) for f in check(written).findings] == [("text", 3, "db")]
    assert [(f.when, f.line, f.path) for f in check(written, run=False).findings] == [("text", 3, "db")]
    assert not check(written, run=False).was_run


def test_what_the_rehearsal_found_the_text_does_not_repeat(commands):
    """One finding for one variable."""
    assert when(check(program(commands, HOLDS_A_LOCK), stdout=2)) == ["checkpoint()"]
    assert when(check(program(commands, HOLDS_A_LOCK), run=False)) == ["text"]


def test_what_has_a_reconnector_is_no_finding(commands):
    """Neither in the text nor in the rehearsal."""
    written = program(
        commands,
        """
        import socket, stackful
        from stackful import snapshot
        snapshot.reconnector(socket.socket, save=lambda s: s.family, reopen=socket.socket)
        with socket.socket() as connection:
            stackful.checkpoint()
    """,
    )
    assert check(written).findings == ()


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("import socket as s\nc = s.socket()\nprint(c)", ["c"]),
        ("from subprocess import Popen\nwith Popen(['true']) as process: print(1)", ["process"]),
        ("import hashlib\ndef f(self):\n    self.digest = hashlib.sha256()\n    self.digest.update(b'')", ["digest"]),
        ("import hashlib\nif (d := hashlib.new('md5')): print(d)", ["d"]),
        ("import hashlib\ndef f():\n    return hashlib.sha256(b'').hexdigest()", []),
        ("import socket\ndef f():\n    c = socket.socket()\n    return c", []),
        ("import socket\nc = socket.socket()\ndel c\nprint(1)", []),
        ("import os\nfor entry in os.scandir('.'): pass", []),
        ("socket = object\nx = socket()\nprint(x)", []),
        ("import psycopg\nc: object = psycopg.connect()\nwhile c: pass", ["c"]),
        ("import threading, stackful\nl = threading.RLock()\nwith l:\n    stackful.checkpoint()", ["l"]),
        ("import threading, stackful\nl = threading.RLock()\nwith l:\n    print(1)\nstackful.checkpoint()", []),
    ],
)
def test_the_text_gives_suspects(body, names):
    """A name that is bound to what cannot be saved, while something else may happen; by whatever name it was imported."""
    assert [suspect.name for suspect in find_suspects(body.encode(), "x.py")] == names


def test_a_program_that_fails_is_reported_as_it_failed(commands):
    """What was found until then counts."""
    report = check(program(commands, "for i in range(3): pass\n1 / 0\n"))
    assert (report.exit_status, report.error) == (1, "ZeroDivisionError: division by zero")
    assert report.tried == 3


def test_a_program_that_does_not_end_is_ended(commands):
    """By `timeout`; what was found until then counts."""
    written = program(commands, "import socket\ns = socket.socket()\nwhile True: pass\n")
    report = check(written, timeout=5)
    assert (report.timed_out, report.exit_status, when(report)) == (True, None, ["--every"])


def test_a_program_may_end_in_any_way(commands):
    """Even without a word."""
    report = check(program(commands, "import os, socket\ns = socket.socket()\nfor i in range(2): pass\nos._exit(5)\n"))
    assert (report.exit_status, when(report)) == (5, ["--every"])


def test_arguments_are_passed_on(commands):
    """As `stackful run` does."""
    report = check(program(commands, "import sys\nassert sys.argv[1:] == ['a', '--b']\n"), ["a", "--b"])
    assert report.exit_status == 0


def test_there_must_be_a_program(tmp_path):
    """ScriptError, SyntaxError."""
    with pytest.raises(ScriptError, match="cannot be read"):
        check(tmp_path / "missing.py")
    (tmp_path / "bad.py").write_text("def")
    with pytest.raises(SyntaxError):
        check(tmp_path / "bad.py")


def test_the_command_says_by_its_status_what_it_found(commands):
    """0, 71 for what would fail, 1 for a program that fails; --strict counts warnings."""
    assert commands.stackful("check", commands.script(CLEAN)).returncode == 0
    done = commands.stackful("check", commands.script(HOLDS_A_LOCK))
    assert (done.returncode, done.stdout.splitlines()[-1][:20]) == (71, "1 error, 0 warnings;")
    assert "went on\n" in done.stdout
    assert commands.stackful("check", commands.script("1 / 0")).returncode == 1
    assert commands.stackful("check", commands.script(HOLDS_A_SOCKET)).returncode == 0
    assert commands.stackful("check", "--strict", commands.script(HOLDS_A_SOCKET)).returncode == 71
    done = commands.stackful("check", "--no-run", commands.script("1 / 0"))
    assert (done.returncode, done.stdout) == (0, "0 errors, 0 warnings; the program was not run\n")


def test_the_command_prints_data_for_programs(commands):
    """Nothing else is on standard output: what the program prints goes to standard error."""
    done = commands.stackful("check", "--json", commands.script(HOLDS_A_LOCK))
    facts = json.loads(done.stdout)
    assert (done.returncode, facts["exit_status"], facts["was_run"]) == (71, 0, True)
    assert [(f["level"], f["when"], f["line"], f["kind"]) for f in facts["findings"]] == [
        ("error", "checkpoint()", 6, "_thread.lock")
    ]
    assert "went on\n" in done.stderr
