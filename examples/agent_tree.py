"""An agent explores several branches from one state: what led there is not paid for again. The model is a fake one, behind a real HTTP server.

python examples/agent_tree.py
"""

import json
import tempfile
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.request import Request, urlopen

from stackful import durable

QUESTION = "How do we halve the waiting time?"
IDEAS = ["more staff", "appointments", "a second door", "music"]


# --- the agent: ordinary code, and ten lines to explore it -----------------------------------------------------------


def ask_model(address, prompt):
    request = Request(address, json.dumps({"prompt": prompt}).encode(), {"Content-Type": "application/json"})
    with urlopen(request, timeout=30) as response:
        return json.load(response)["text"]


@durable.run(history=True)
def agent(address, question):
    idea = "nothing new"
    context = durable.step(ask_model, address, f"read everything about: {question}")
    proposal = durable.step(ask_model, address, f"propose {idea}, given {context}")
    grade = durable.step(ask_model, address, f"grade: {proposal}")
    return float(grade), idea


def explore(engine, address, question, ideas):
    root = durable.start(agent, address, question)
    root.result()
    branches = [engine.fork(root.id, at=1, edit={"idea": idea}) for idea in ideas]  # each goes on after the first step
    return sorted((branch.result() for branch in branches), reverse=True)


# --- the model -------------------------------------------------------------------------------------------------------


class Model(BaseHTTPRequestHandler):
    """Answers at once, and always the same."""

    calls: ClassVar = Counter()

    def do_POST(self):
        prompt = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["prompt"]
        self.calls[prompt.split()[0].rstrip(":")] += 1
        text = {"read": "a long context", "propose": prompt.partition(",")[0], "grade:": str(len(prompt) / 10)}
        body = json.dumps({"text": text[prompt.split()[0]]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder, durable.connect(Path(folder) / "runs.db") as engine:
        found = explore(engine, f"http://127.0.0.1:{server.server_port}/", QUESTION, IDEAS)
    for grade, idea in found:
        print(f"{grade:4.1f}  {idea}")
    print("calls of the model:", ", ".join(f"{kind} {count}" for kind, count in Model.calls.items()))
    server.shutdown()
    server.server_close()


if __name__ == "__main__":
    main()
