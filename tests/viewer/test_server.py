"""What the server answers, and to whom."""

import pytest
from starlette.testclient import TestClient

from stackful.viewer.server import make_app
from stackful.viewer.source import Source

TOKEN = "the token of these tests"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def client(store):
    """A page that only shows."""
    yield from clients(store, None)


@pytest.fixture
def acting(store):
    """A page with actions."""
    yield from clients(store, TOKEN)


def clients(store, token):
    source = Source(store)
    with TestClient(make_app(source, token), base_url="http://localhost") as client:
        yield client
    source.close()


def test_runs_come_newest_first_with_counts(client):
    """The list has a row for each run, and how many there are of each status."""
    answer = client.get("/api/runs").json()
    assert [run["id"] for run in answer["runs"]] == ["fails-1", "order-1"]
    assert (answer["total"], answer["counts"]) == (2, {"waiting": 1, "failed": 1})


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("text=order", ["order-1"]),
        ("status=failed", ["fails-1"]),
        ("text=shop:", ["fails-1", "order-1"]),
        ("text=x", []),
        ("limit=1", ["fails-1"]),
    ],
)
def test_filters_let_through_what_they_say(client, query, found):
    """By part of the id or program, by status, and no more than asked for."""
    assert [run["id"] for run in client.get(f"/api/runs?{query}").json()["runs"]] == found


def test_a_run_has_its_stack_with_source_and_locals(client):
    """The innermost call comes first, with the line that it stands at and its variables as trees."""
    run = client.get("/api/runs/order-1").json()
    (frame,) = run["stack"]
    assert frame["function"] == "order"
    assert dict(map(tuple, frame["source"]))[frame["line"]].strip().startswith("answer = durable.ask(")
    values = {name: value for name, value in frame["locals"]}
    assert values["total"] == {"kind": "int", "text": "600"}
    assert [name for name, _ in values["cart"]["parts"]] == ["items", "note"]
    assert run["question"]["text"] == "Ship <b>it</b>?"
    assert [each["step"] for each in run["checkpoints"]] == ["price"] * 3


def test_a_checkpoint_has_the_stack_of_its_time(client):
    """What the variables were then."""
    (frame,) = client.get("/api/runs/order-1/checkpoints/1").json()["stack"]
    assert dict(map(tuple, frame["locals"]))["total"]["text"] == "0"


def test_what_is_not_there_is_said(client):
    """No such run, no such action, a filter that is no status: a sentence, and a status of HTTP's."""
    for path, status in (("/api/runs/nobody", 404), ("/api/runs?status=odd", 400), ("/api/runs?limit=x", 400)):
        answer = client.get(path)
        assert answer.status_code == status, path
        assert answer.json()["error"]


@pytest.mark.parametrize("action", ["fork", "signal", "answer", "cancel", "retry"])
def test_without_a_token_nothing_can_be_done(client, acting, action):
    """Neither on a page that only shows, nor with a wrong token, nor with none."""
    path = f"/api/runs/order-1/{action}"
    answers = [
        client.post(path, headers=HEADERS),
        acting.post(path),
        acting.post(path, headers={"Authorization": "Bearer x"}),
    ]
    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert acting.get("/api/runs/order-1").json()["status"] == "waiting"


def test_with_the_token_runs_are_forked_and_cancelled(acting):
    """A fork goes on from where the run stands; a cancelled run is told when it is next driven."""
    made = acting.post("/api/runs/order-1/fork", headers=HEADERS, json={"at": 1}).json()["run"]
    assert acting.get(f"/api/runs/{made}").json()["origin"] == "order-1@1"
    assert acting.post(f"/api/runs/{made}/cancel", headers=HEADERS).json()["run"] == made


def test_bodies_that_make_no_sense_are_refused(acting):
    """No JSON, no object, a signal without a name."""
    for body in (b"{", b"[]", b"{}"):
        assert acting.post("/api/runs/order-1/signal", headers=HEADERS, content=body).status_code == 400
    assert acting.post("/api/runs/order-1/dance", headers=HEADERS).status_code == 404


def test_foreign_names_are_refused(client):
    """A page whose own name was made to lead here gets nothing (DNS rebinding)."""
    for host in ("evil.example", "evil.example:8700", "localhost.evil.example", ""):
        assert client.get("/api/runs", headers={"Host": host}).status_code == 421
    for host in ("localhost", "127.0.0.1:8700", "[::1]:1"):
        assert client.get("/api/runs", headers={"Host": host}).status_code == 200


def test_every_answer_keeps_foreign_content_out(client):
    """The page, its files, data, and refusals carry the same headers."""
    for path in ("/", "/static/viewer.js", "/api/runs", "/api/runs/nobody", "/nothing"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"], path
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_only_the_pages_own_files_are_served(client):
    """No path leads out of the folder."""
    for path in ("/static/../server.py", "/static/%2e%2e/server.py", "/static//etc/passwd", "/static/"):
        assert client.get(path).status_code == 404, path
