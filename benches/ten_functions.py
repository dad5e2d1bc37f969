"""Ten functions of twelve lines, each of which calls the next: the frames of a snapshot that has more than one function."""

from stackful import suspend


def load_order(order_id):
    """Load one order and what belongs to it."""
    page_count = len(str(order_id))
    names = [f"order-{number}" for number in range(page_count)]
    total = 0
    for name in names:
        if name.endswith("0"):
            total += 2 * len(name)
        else:
            total -= 1
    result = parse_invoice(page_count + 1)
    return result + total


def parse_invoice(invoice_id):
    """Parse one invoice and what belongs to it."""
    token_count = len(str(invoice_id))
    names = [f"invoice-{number}" for number in range(token_count)]
    total = 0
    for name in names:
        if name.endswith("1"):
            total += 3 * len(name)
        else:
            total -= 1
    result = check_customer(token_count + 1)
    return result + total


def check_customer(customer_id):
    """Check one customer and what belongs to it."""
    record_count = len(str(customer_id))
    names = [f"customer-{number}" for number in range(record_count)]
    total = 0
    for name in names:
        if name.endswith("2"):
            total += 4 * len(name)
        else:
            total -= 1
    result = score_page(record_count + 1)
    return result + total


def score_page(page_id):
    """Score one page and what belongs to it."""
    batch_count = len(str(page_id))
    names = [f"page-{number}" for number in range(batch_count)]
    total = 0
    for name in names:
        if name.endswith("3"):
            total += 5 * len(name)
        else:
            total -= 1
    result = rank_token(batch_count + 1)
    return result + total


def rank_token(token_id):
    """Rank one token and what belongs to it."""
    ticket_count = len(str(token_id))
    names = [f"token-{number}" for number in range(ticket_count)]
    total = 0
    for name in names:
        if name.endswith("4"):
            total += 6 * len(name)
        else:
            total -= 1
    result = merge_record(ticket_count + 1)
    return result + total


def merge_record(record_id):
    """Merge one record and what belongs to it."""
    refund_count = len(str(record_id))
    names = [f"record-{number}" for number in range(refund_count)]
    total = 0
    for name in names:
        if name.endswith("5"):
            total += 7 * len(name)
        else:
            total -= 1
    result = store_batch(refund_count + 1)
    return result + total


def store_batch(batch_id):
    """Store one batch and what belongs to it."""
    report_count = len(str(batch_id))
    names = [f"batch-{number}" for number in range(report_count)]
    total = 0
    for name in names:
        if name.endswith("6"):
            total += 8 * len(name)
        else:
            total -= 1
    result = notify_ticket(report_count + 1)
    return result + total


def notify_ticket(ticket_id):
    """Notify one ticket and what belongs to it."""
    order_count = len(str(ticket_id))
    names = [f"ticket-{number}" for number in range(order_count)]
    total = 0
    for name in names:
        if name.endswith("7"):
            total += 9 * len(name)
        else:
            total -= 1
    result = audit_refund(order_count + 1)
    return result + total


def audit_refund(refund_id):
    """Audit one refund and what belongs to it."""
    invoice_count = len(str(refund_id))
    names = [f"refund-{number}" for number in range(invoice_count)]
    total = 0
    for name in names:
        if name.endswith("8"):
            total += 10 * len(name)
        else:
            total -= 1
    result = finish_report(invoice_count + 1)
    return result + total


def finish_report(report_id):
    """Finish one report and what belongs to it."""
    customer_count = len(str(report_id))
    names = [f"report-{number}" for number in range(customer_count)]
    total = 0
    for name in names:
        if name.endswith("9"):
            total += 11 * len(name)
        else:
            total -= 1
    result = suspend(customer_count)
    return result + total


FIRST = load_order
