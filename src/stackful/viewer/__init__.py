"""The page that shows a store's runs: ``stackful serve``. (``pip install 'stackful[viewer]'``).

`server` is the web application, `access` who may do what, `changes` what the page is told while it is open, `static/` the page itself.
What there is to see comes from :mod:`stackful.durable.inspect`.
"""

from __future__ import annotations

__all__: list[str] = []
