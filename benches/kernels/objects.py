"""Attributes, methods and lists: bodies that attract one another."""

import sys


class Body:
    def __init__(self, x, y, mass):
        self.x, self.y, self.mass = x, y, mass
        self.u = self.v = 0.0

    def pull(self, other, step):
        dx, dy = other.x - self.x, other.y - self.y
        force = step * other.mass / (dx * dx + dy * dy + 0.01) ** 1.5
        self.u += force * dx
        self.v += force * dy

    def move(self, step):
        self.x += self.u * step
        self.y += self.v * step


bodies = [Body(i % 5, i // 5, 1 + i % 3) for i in range(20)]
for _ in range(round(16000 * float(sys.argv[1])) or 1):
    for body in bodies:
        for other in bodies:
            if other is not body:
                body.pull(other, 0.001)
    for body in bodies:
        body.move(0.001)
print(f"{sum(body.x * body.y for body in bodies):.9f}")
