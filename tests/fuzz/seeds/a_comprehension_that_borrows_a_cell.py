# {"seed": "borrowed cell", "shares": true, "stars": false}
def program(point, n=2):
    outer = lambda: i
    i = 5
    while n:
        n -= 1
        try:
            [(lambda: i)() + point(i) for i in range(n)]
        except ValueError:
            point(1)
    return i + outer() + point(i)
