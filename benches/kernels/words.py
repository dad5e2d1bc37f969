"""Strings, dictionaries and while loops: words made up, counted and sorted."""

import sys


def words(number):
    state = 1
    while number:
        state = (state * 1103515245 + 12345) % 2147483648
        length = 1 + (state >> 16) % 4
        word = ""
        while length:
            state = (state * 1103515245 + 12345) % 2147483648
            word += "aeioubcdst"[(state >> 16) % 10]
            length -= 1
        yield word
        number -= 1


counts = {}
for word in words(round(3_000_000 * float(sys.argv[1]))):
    counts[word] = counts.get(word, 0) + 1
print(len(counts), sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:3])
