"""Function calls and nothing else: Fibonacci numbers by the definition."""

import sys


def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


total = 0
for _ in range(round(80 * float(sys.argv[1])) or 1):
    total += fibonacci(27)
print(total)
