"""What Lightning says to everyone, and nobody asked."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["without_remarks"]

LOGGERS = ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.seed")


@contextmanager
def without_remarks() -> Iterator[None]:
    """Silence Lightning's remarks on the hardware and its advertisement, not its warnings."""
    remarks = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in remarks]
    for logger in remarks:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*LeafSpec.* is deprecated")
            yield
    finally:
        for logger, level in zip(remarks, levels, strict=True):
            logger.setLevel(level)
