"""A SimPy simulation that survives kill -9: its processes are generators in the middle of their loops, and are stored there.

pip install simpy
stackful run examples/simulation.py          # kill it whenever you like ...
stackful resume                              # ... it goes on in the same simulated minute
"""

import random
import sys

import simpy

from stackful import checkpoint


def run(env, until, every):
    """As env.run(until), with a checkpoint after each `every` units of simulated time."""
    while env.now < until:
        env.run(min(env.now + every, until))
        checkpoint()


def car(env, station, waits):
    """Arrives, waits for a pump, fuels, drives; again and again."""
    while True:
        yield env.timeout(random.expovariate(1 / 20))
        arrived = env.now
        with station.request() as turn:
            yield turn
            waits.append(env.now - arrived)
            yield env.timeout(random.uniform(3, 6))


def main(days):
    random.seed(7)
    env = simpy.Environment()
    station = simpy.Resource(env, capacity=2)
    waits = []
    for _ in range(10):
        env.process(car(env, station, waits))
    for day in range(1, days + 1):
        run(env, until=day * 1440, every=60)
        print(f"day {day}: {len(waits)} cars so far, {sum(waits) / len(waits):.3f} minutes of waiting each", flush=True)


main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
