"""Numbers written as text: told from categories, explained, and read."""

import re
from collections.abc import Sequence

import pandas as pd
from pandas.api.types import is_string_dtype

__all__ = ["check_marks", "how_to_read", "looks_numeric", "read_numerals"]

SPACES = " \u00a0\u2009\u202f"  # plain, no-break, thin and narrow no-break
FEW = 10  # texts up to which "3D" and "1st" may be names and not quantities
SIDES = ("before", "currency", "error", "after")
ISO = "EUR|USD|GBP|CHF|JPY|CNY|INR|CAD|AUD|SEK|NOK|DKK|PLN|CZK|BRL|KRW"
UNIT = r"°?[^\W\d_]{1,4}(?:/[^\W\d_]{1,4})?[²³]?"
NUMERAL = re.compile(
    rf"""
    (?P<before> [\s'"“”‘’]* ) (?P<bound> (?: [<>]=? | [≤≥~≈] )? ) \s* (?P<sign> [+\-−]? )
    (?P<currency> (?: [$€£¥₹] | {ISO} )? ) \s* [+\-−]?
    (?: [1-9]\d{{0,2}} (?P<group> [{SPACES}.,'’_] ) \d{{3}} (?: (?P=group) \d{{3}} )* (?! [eE] )
      | \d+
      | (?= [.,]\d ) )
    (?: (?P<point> [.,] ) \d* )?
    (?: [eE] [+\-]? \d+ )?
    (?: \s* (?P<error> ± ) \s* [\d.,]+ )?
    (?P<after> \s* (?: [%‰°$€£¥₹] | (?P<unit> {UNIT} ) )? [\s'"“”‘’]* )
    """,
    re.VERBOSE,
)


def _numeral(text: str) -> re.Match[str] | None:
    """Return the parts of a number; one mark cannot stand for both decimals and thousands."""
    found = NUMERAL.fullmatch(text)
    return None if found is None or (found["point"] or "") == found["group"] else found


def looks_numeric(text: Sequence[str]) -> list[bool]:
    """Say of each of several different texts whether it is a number, however it is written.

    A few names that begin with a digit are names: units have to be the same, after a space. So are
    a few ranges with an open end.

    Example:
        >>> looks_numeric(["0,13", "1 234.5", "13%", "$7", "-", "Q1", "2020-01-01"])
        [True, True, True, True, False, False, False]
        >>> looks_numeric(["2D", "3D"]), looks_numeric(["2 mm", "3 mm"]), looks_numeric(["<5"])
        ([False, False], [True, True], [False])
    """
    plain = pd.to_numeric(pd.Series(list(text), dtype=object), errors="coerce").notna()
    found = list(map(_numeral, text))
    many = len(text) > FEW
    afters = {match["after"] for match in found if match and match["unit"]}
    measured = many or (len(afters) == 1 and min(afters)[:1].isspace())
    return [
        bool(number)
        or (match is not None and (measured or not match["unit"]) and (many or not match["bound"]))
        for number, match in zip(plain, found, strict=True)
    ]


def how_to_read(text: Sequence[str]) -> str:
    """Say how to read numbers that are written as text.

    Example:
        >>> how_to_read(["1.234,5 €", "0,13 €"])
        "take '€' away and read them with `decimal=','`, `thousands='.'`."
        >>> how_to_read(["1,234", "5,678"])
        "read them with `decimal=','` or `thousands=','`, whichever the comma is."
        >>> how_to_read(["1.5"])
        'turn them into numbers, `astype(float)`.'
    """
    found = [match for match in map(_numeral, text) if match]
    marks = {(match[side] or "").strip() for match in found for side in SIDES} - {""}
    advice = [f"take {', '.join(map(repr, sorted(marks)))} away"] if marks else []
    if bounds := sorted({match["bound"] for match in found} - {""}):
        advice.append(f"say what number stands for {', '.join(map(repr, bounds))}")
    if any(match["sign"] == "−" for match in found):
        advice.append("write '-' for '−'")
    options = _options({m["point"] for m in found}, {m["group"] for m in found})
    if options:
        advice.append(f"read them with {options}")
    if not advice:
        advice = ["turn them into numbers, `astype(float)`"]
        if all(value.strip().isdigit() for value in text):
            advice[0] += ", or codes into categories, `astype('category')`"
    return f"{' and '.join(advice)}."


def _options(points: set[str | None], groups: set[str | None]) -> str:
    """Name the arguments that read numbers with these marks."""
    thousands = sorted({" " if mark in SPACES else mark for mark in groups - points if mark})
    if thousands == [","] and points == {None}:
        return "`decimal=','` or `thousands=','`, whichever the comma is"
    decimal = ["`decimal=','`"] if "," in points else []
    return ", ".join([*decimal, *(f"`thousands={mark!r}`" for mark in thousands)])


def check_marks(decimal: str, thousands: str | None) -> None:
    """Raise unless both can be read in one number.

    Raises:
        ValueError: If ``decimal`` is neither "." nor ",", or ``thousands`` is no single mark
            beside it.
    """
    if decimal not in (".", ","):
        raise ValueError(f"Expected `decimal` to be '.' or ',', got {decimal!r}.")
    if thousands is None:
        return
    if len(thousands) != 1 or thousands.isalnum() or thousands in f"{decimal}+-":
        raise ValueError(
            f"Expected `thousands` to be one mark that is not `decimal`, got {thousands!r}."
        )


def read_numerals(frame: pd.DataFrame, decimal: str, thousands: str | None) -> pd.DataFrame:
    """Turn the columns of text that hold such numbers alone into numbers.

    Args:
        frame: The table.
        decimal: What stands before the decimals, "." or ",".
        thousands: What stands between groups of three digits; " " stands for every space.

    Example:
        >>> frame = pd.DataFrame({"a": ["1.234,5", "0,13"], "b": ["1,5", "x"]})
        >>> read_numerals(frame, decimal=",", thousands=".").to_dict("list")
        {'a': [1234.5, 0.13], 'b': ['1,5', 'x']}
    """
    mark = SPACES if thousands == " " else re.escape(thousands or "")
    grouped = rf"[1-9]\d{{0,2}}(?:[{mark}]\d{{3}})+|" if thousands else ""
    number = re.compile(
        rf"\s*[+-]?(?=.?\d)(?:{grouped}\d*)(?:{re.escape(decimal)}\d*)?(?:[eE][+-]?\d+)?\s*"
    )
    plain = str.maketrans(decimal, ".", SPACES if thousands == " " else thousands or "")
    columns = []
    for place in range(frame.shape[1]):
        column = frame.iloc[:, place]
        text = column.dropna()
        if len(text) and is_string_dtype(text) and all(map(number.fullmatch, text)):
            column = text.str.translate(plain).astype(float).reindex(column.index)
        columns.append(column)
    return pd.concat(columns, axis=1)
