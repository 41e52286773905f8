"""Names in sentences: quoted, printable, and what a mistaken one may have meant."""

import difflib
from collections.abc import Iterable

__all__ = ["near", "printable", "quoted"]


def printable(name: str) -> str:
    r"""Return a name whose control characters are spelled out: a terminal would obey them.

    Example:
        >>> printable("a\x1b[2J")
        'a\\x1b[2J'
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in name)


def quoted(names: Iterable[str], most: int = 10) -> str:
    """Join names with commas, the first few of them if there are many.

    Example:
        >>> quoted(["a", "b", "c"], most=2)
        '`a`, `b` and 1 more'
    """
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(f"`{printable(name)}`" for name in names[:most]) + more


def near(name: str, known: Iterable[str]) -> str:
    """Say which of the known names a user may have meant, or which there are.

    Example:
        >>> near("alchol", ["alcohol", "hue"])
        'Did you mean `alcohol`?'
        >>> near("zzz", ["alcohol", "hue"])
        'There are: `alcohol`, `hue`.'
        >>> near("zzz", [])
        'There is none.'
    """
    lower = {other.lower(): other for other in known}
    found = difflib.get_close_matches(name.lower(), lower)
    if found:
        return f"Did you mean {' or '.join(quoted([lower[other]]) for other in found)}?"
    return f"There are: {quoted(known)}." if lower else "There is none."
