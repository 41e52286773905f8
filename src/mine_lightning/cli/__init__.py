"""The command line, ``mine-lightning``."""

from mine_lightning.cli.lightning import main

__all__ = ["main"]
