"""What a monitor can follow, listed."""

from pathlib import Path

import pytest

from mine_lightning.cli import main


def test_taps_lists_what_a_monitor_can_follow_and_trains_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    main(["taps", "--config", "gan"])
    rows = {line.split()[0]: line.split()[1] for line in capsys.readouterr().out.splitlines()}
    assert rows["generator:output"] == "128x2"
    assert rows["generator:input[0]"] == "128x64"
    assert not list(tmp_path.iterdir())
