"""Every code block of the README and of the pages runs, and prints what stands there.

A decimal number may differ from the one on the page by a fifth or 0.1, as it does on another
processor, a duration by any amount, and a note may be missing whose threshold is near; everything
else is compared as it is. ``python`` blocks run one after the other in the namespace of their page,
``console`` blocks in a folder with the examples and configurations of the repository, and paths in
``sh`` blocks have to exist.
"""

import doctest
import json
import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from mine_lightning.cli import main
from mine_lightning.estimate import diagnostics

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
QUICK = {"README", "index"}
FENCE = re.compile(
    r"^(?P<ticks>`{3,})(?P<kind>[\w{}-]*)[^\n]*\n(?P<text>.*?)^(?P=ticks)$", re.M | re.S
)
NUMBER = re.compile(r"(-?\d[\d,]*(?:\.\d+)?(?:e-?\d+)?)")
LANGUAGES = {"python", "console", "sh", "yaml", "text"}
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Block(NamedTuple):
    """A fenced block of a page."""

    kind: str
    text: str
    line: int


def blocks(path: Path) -> Iterator[Block]:
    """Yield the code blocks of a page, not the directives."""
    page = path.read_text()
    for found in FENCE.finditer(page):
        if not found["kind"].startswith("{"):
            line = page.count("\n", 0, found.start("text"))
            yield Block(found["kind"], found["text"], line)


class Approximate(doctest.OutputChecker):
    """Compare text as it is, decimal numbers to a fifth or 0.1, and durations not at all."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        if super().check_output(want, got, optionflags):
            return True
        plain = (re.sub(r"^note: .*$", "", text, flags=re.M).split() for text in (want, got))
        wanted, given = (NUMBER.split(" ".join(words)) for words in plain)
        return len(wanted) == len(given) and all(
            self._agree(a, b, after, place)
            for place, (a, b, after) in enumerate(
                zip(wanted, given, [*wanted[1:], ""], strict=True)
            )
        )

    def _agree(self, want: str, got: str, after: str, place: int) -> bool:
        number = place % 2 == 1
        if not number or ("." not in want and not after.startswith(" s")):
            return want == got
        a, b = (float(text.replace(",", "")) for text in (want, got))
        return after.startswith(" s") or abs(a - b) <= max(0.1, abs(a) / 5)


def run_python(page: Path) -> None:
    """Run the blocks of a page in one namespace."""
    names: dict[str, object] = {"__name__": "__main__"}
    runner = doctest.DocTestRunner(Approximate(), verbose=False, optionflags=FLAGS)
    for block in (block for block in blocks(page) if block.kind == "python"):
        if ">>>" not in block.text:
            exec(compile("\n" * block.line + block.text, str(page), "exec"), names)
            continue
        parser = doctest.DocTestParser()
        test = parser.get_doctest(block.text, {}, page.name, str(page), block.line)
        test.globs = names
        report: list[str] = []
        runner.run(test, out=report.append, clear_globs=False)
        assert not runner.failures, "".join(report)


def run_command(arguments: list[str]) -> str:
    """Run a command; return the line that a mistake ends in."""
    try:
        main(arguments)
    except SystemExit as stop:
        return f"{stop.code}\n" if isinstance(stop.code, str) else ""
    return ""


def run_console(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Run the commands after ``$`` and compare what they print."""
    for block in (block for block in blocks(page) if block.kind == "console"):
        for command, *wanted in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block.text, re.M):
            program, *arguments = shlex.split(command)
            assert program == "mine-lightning", command
            capsys.readouterr()
            told = run_command([*arguments, "--quiet"] if arguments[0] == "estimate" else arguments)
            printed = capsys.readouterr()
            got = told or printed.out or printed.err
            assert Approximate().check_output(wanted[0], got, FLAGS), f"{command}\n{got}"


def cases() -> list[object]:
    return [
        pytest.param(page, id=page.stem, marks=[] if page.stem in QUICK else [pytest.mark.slow])
        for page in PAGES
    ]


@pytest.mark.parametrize("page", cases())
@pytest.mark.filterwarnings("ignore::UserWarning:lightning")
def test_the_code_on_a_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("examples", "configs"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    monkeypatch.chdir(tmp_path)
    run_python(page)
    run_console(page, capsys)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_shows_only_what_is_checked(page: Path) -> None:
    kinds = {block.kind for block in blocks(page)}
    assert kinds <= LANGUAGES, f"unknown kinds of block: {kinds - LANGUAGES}"
    for block in (block for block in blocks(page) if block.kind == "sh"):
        for path in re.findall(r"\b(?:benchmarks|docs|configs|notebooks|examples)/\S+", block.text):
            assert (ROOT / path).exists(), path


def test_every_flag_has_a_paragraph_of_its_own() -> None:
    page = (ROOT / "docs" / "interval.md").read_text()
    for flag in diagnostics.FLAGS:
        assert f"({flag.__name__[1:]})=" in page


def test_the_readme_is_one_screen_of_a_few_kilobytes() -> None:
    assert (ROOT / "README.md").stat().st_size <= 9_000


def test_the_table_of_figures_is_what_its_file_says() -> None:
    script = runpy.run_path(str(ROOT / "docs" / "figures.py"))
    figures = json.loads(script["VALUES"].read_text())
    (found,) = script["TABLE"].findall(script["PAGE"].read_text())
    assert found == script["table"](figures)
    for figure in figures:
        assert (ROOT / figure["command"].split()[1]).is_file()
    with pytest.raises(ValueError, match=r"of figures.json, got 'speed.eagre'"):
        script["set_values"](figures, ["speed.eagre=1.1"])
