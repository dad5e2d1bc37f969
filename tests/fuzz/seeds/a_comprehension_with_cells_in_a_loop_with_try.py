# {"seed": "comprehension in a loop", "shares": true, "stars": false}
def program(point, n=2):
    found = ()
    while n:
        n -= 1
        try:
            found += (*[(lambda: x)() + point(x) for x in range(n)],)
        except ValueError:
            point(1)
    return found, point(n)
