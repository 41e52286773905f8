"""What a process does with memory that it frees."""

import torch

__all__ = ["keep_freed_memory"]

BLOCK = 2**25 - 2**16  # bytes: the C library learns from no larger one


def keep_freed_memory() -> None:
    """Let the C library keep up to 64 MB of freed memory for what is asked for next.

    A training step frees some ten megabytes and asks for them again. Where they are handed back to
    the system, it empties and maps each page anew, which takes a fifth of the step. glibc keeps
    twice the largest block freed so far, 256 kB at first; this one is never written to, and so
    takes neither memory nor time.

    References:
        Linux manual page mallopt(3), on the dynamic threshold of ``M_MMAP_THRESHOLD``.
    """
    torch.empty(BLOCK, dtype=torch.uint8)
