"""Parsers whose arguments and help are a function's."""

import pytest

from mine_lightning.cli import main


def test_help_names_every_option(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["estimate", "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert all(option in text for option in ("--x", "--z", "--output", "--seed", "--missing"))
