"""``python -m asyncflags``: the shell command."""

from __future__ import annotations

from asyncflags._cli.main import main

if __name__ == "__main__":
    main()
