"""A data loader that can say where it is, in the middle of an epoch, and go on from there: without a line of code for that.

    python examples/data_loader.py

Frameworks ask loaders for state_dict() and load_state_dict(). Written by hand these are a steady source of bugs: the position in the file,
in the shuffled order, in the half-filled batch. Here the loader is a plain generator, and its suspended frame is its state.
"""

import random

from stackful import snapshot


def examples(shards, epochs, batch, seed):
    """Batches of a shuffled data set: three nested loops, and a batch that goes over from one shard to the next."""
    rng = random.Random(seed)
    waiting = []
    for epoch in range(epochs):
        for shard in rng.sample(shards, len(shards)):
            for example in rng.sample(shard, len(shard)):
                waiting.append(example)
                if len(waiting) == batch:
                    yield epoch, waiting
                    waiting = []


class Resumable:
    """Any generator as an iterator with state_dict() and load_state_dict()."""

    def __init__(self, generator):
        self._generator = generator

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._generator)

    def state_dict(self):
        return {"generator": snapshot.dumps(self._generator)}

    def load_state_dict(self, state):
        self._generator = snapshot.loads(state["generator"])


def loader():
    shards = [[f"{name}{number}" for number in range(5)] for name in "abcd"]
    return Resumable(examples(shards, epochs=2, batch=3, seed=1))


def main():
    training = loader()
    for _ in range(5):  # into the second shard
        next(training)
    saved = training.state_dict()  # a checkpoint, as a trainer would write it beside the weights
    expected = list(training)

    resumed = loader()
    resumed.load_state_dict(saved)
    rest = list(resumed)
    print(
        f"after a resume: {len(rest)} batches, first {' '.join(rest[0][1])} of epoch {rest[0][0]}; {len(saved['generator'])} bytes of state"
    )
    print("the same as without:", rest == expected)


if __name__ == "__main__":
    main()
