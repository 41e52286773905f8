"""Packages that are not there."""

import pytest
from lightning_utilities.core.imports import RequirementCache

from mine_lightning.cli import main


@pytest.mark.parametrize(("logger", "package"), [("MLFlow", "mlflow"), ("Wandb", "wandb")])
def test_a_logger_that_is_not_installed_names_its_extra(
    logger: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = f"lightning.pytorch.loggers.{package}._{package.upper()}_AVAILABLE"
    monkeypatch.setattr(known, RequirementCache(f"{package}>=999"))
    with pytest.raises(SystemExit) as stop:
        main(["fit", f"--trainer.logger={logger}Logger"])
    assert f"not met: pip install 'mine-lightning[{package}]'" in str(stop.value.code)
