"""Programs for the page to show."""

from stackful import durable


class Cart:
    def __init__(self, items):
        self.items = items
        self.note = "<img src=x onerror=document.title='broken'>"


def price(item):
    return 100 * len(item)


@durable.run(history=True)
def order(item, count):
    cart = Cart([item] * count)
    total = 0
    for _ in cart.items:
        total += durable.step(price, item)
    answer = durable.ask("Ship <b>it</b>?", {"address": str, "size": ["S", "M"], "gift": bool})
    return total, answer


@durable.run
def fails():
    durable.step(price, "tea")
    raise ValueError("<script>document.title='broken'</script>")
