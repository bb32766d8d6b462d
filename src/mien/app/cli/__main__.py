"""``python -m mien.app.cli`` is ``mien``."""

from mien.app.cli import main

main()
