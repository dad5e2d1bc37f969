"""Nested loops over numbers: the Mandelbrot set, counted."""

import sys


def count(width, limit):
    inside = 0
    for row in range(width):
        for column in range(width):
            c = complex(3 * column / width - 2, 2 * row / width - 1)
            z = 0j
            for _ in range(limit):
                z = z * z + c
                if abs(z) > 2:
                    break
            else:
                inside += 1
    return inside


print(count(int(720 * float(sys.argv[1]) ** 0.5), 100))
