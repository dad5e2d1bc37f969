"""``python -m stackful`` is ``stackful``."""

from __future__ import annotations

from stackful.cli.main import main

if __name__ == "__main__":
    main()
