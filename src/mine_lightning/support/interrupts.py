"""Ctrl-C in a run of Lightning, which belongs to whoever started the program."""

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["interruptible"]

LOGGER = "lightning.pytorch.utilities.rank_zero"


@contextmanager
def interruptible() -> Iterator[None]:
    """Let a Ctrl-C within a Trainer's run arrive as ``KeyboardInterrupt``.

    Lightning turns it into a remark and ``SystemExit(1)``, and ignores every further one in the
    process.

    Raises:
        KeyboardInterrupt: If the block was interrupted.
    """
    handler, remarks = signal.getsignal(signal.SIGINT), logging.getLogger(LOGGER)
    remarks.addFilter(is_no_remark)
    try:
        yield
    except SystemExit as error:
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None
    finally:
        remarks.removeFilter(is_no_remark)


def is_no_remark(record: logging.LogRecord) -> bool:
    """Whether a log record is another one than Lightning's on a Ctrl-C."""
    return "Detected KeyboardInterrupt" not in record.getMessage()
