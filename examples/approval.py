"""A person approves, or asks for changes, again and again; days may pass in between, and processes may die.

python examples/approval.py start "Release 2.0 is out"      # starts a run and waits for it: kill it if you like
stackful ps                                                 # it waits for an answer ...
stackful signal publish-1 --answer ok=false --answer change=shorter
stackful signal publish-1 --answer ok=true                  # ... from whoever, whenever
python examples/approval.py work                            # and goes on wherever somebody works
"""

import sys
from urllib.parse import quote

from stackful import durable


def rewrite(draft, wish):
    return f"{draft} ({wish})"


def post(draft):
    print(f"posted /news/{quote(draft)}", flush=True)
    return f"/news/{quote(draft)}"


@durable.run
def publish(draft):
    while True:
        review = durable.ask(f"Publish {draft!r}?", {"ok": bool, "change": durable.Field(required=False)})
        if review["ok"]:
            return durable.step(post, draft)
        draft = durable.step(rewrite, draft, review["change"])


if __name__ == "__main__":
    import approval  # by its name: any process finds the function again

    command, *texts = sys.argv[1:] or ["help"]
    if (command, len(texts)) not in (("start", 1), ("work", 0)):
        sys.exit(__doc__)
    with durable.connect():
        if command == "start":
            durable.start(approval.publish, *texts, id="publish-1")
        print("published as", durable.Handle("publish-1").result(), flush=True)
