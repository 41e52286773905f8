"""The command line, ``mine-lightning``."""

from mine_lightning.cli.main import main

__all__ = ["main"]
