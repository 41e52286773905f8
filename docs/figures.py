"""Write the table of figures into ``docs/figures.md`` from ``docs/figures.json``.

    python docs/figures.py                                    # the table, as the file has it
    python docs/figures.py accuracy.error_1000=.0401 speed.eager=1.09    # after new runs

A value is what a command printed, which ``figures.json`` names. Tests compare table and file.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("figures.md")
VALUES = Path(__file__).with_name("figures.json")
TABLE = re.compile(r"(?<=<!-- table -->\n).*?(?=<!-- end -->)", re.S)


def table(figures: list[dict[str, Any]]) -> str:
    """Return the table of all figures."""
    rows = [
        f"| {part['what'].format(**part['values'])} | {part['measured'].format(**part['values'])} "
        f"| `{part['command'].removeprefix('python ')}` |"
        for part in figures
    ]
    return "\n".join(["| what | measured | command, after `python` |", "|---|---|---|", *rows, ""])


def set_values(figures: list[dict[str, Any]], given: list[str]) -> None:
    """Put new values, ``figure.value=text``, in the place of those that are there."""
    by_name = {part["name"]: part["values"] for part in figures}
    for assignment in given:
        place, text = assignment.split("=", 1)
        name, value = place.split(".")
        if value not in by_name.get(name, {}):
            raise ValueError(f"Expected a figure and a value of {VALUES.name}, got {place!r}.")
        by_name[name][value] = text


def main() -> None:
    figures = json.loads(VALUES.read_text())
    set_values(figures, sys.argv[1:])
    VALUES.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
    PAGE.write_text(TABLE.sub(lambda _: table(figures), PAGE.read_text()))


if __name__ == "__main__":
    main()
