import pytest

from mine_lightning.cli import main


def test_the_taps_of_a_configuration_are_listed(capsys: pytest.CaptureFixture) -> None:
    main(["taps", "--config", "gan"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["generator:input[0]", "128x64", "float32"] in lines
    assert ["generator:output", "128x2", "float32"] in lines
