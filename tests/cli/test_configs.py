"""Configurations: those that are shipped, by name, beside a checkpoint, of a bearable size."""

import os
from pathlib import Path

import pytest
import yaml

from mine_lightning.cli import main
from mine_lightning.cli.configs import SHIPPED
from runs import CONFIGS, QUICK, fit


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_config_runs(config: Path, tmp_path: Path) -> None:
    fit(config, tmp_path)
    assert list(tmp_path.rglob("*.ckpt"))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_config_opens_with_the_command_that_runs_it(config: Path) -> None:
    first = config.read_text().splitlines()[0]
    assert first == f"# mine-lightning fit --config configs/{config.name}"


def test_the_package_ships_the_configurations_of_the_project() -> None:
    shipped = {path.name: path.read_text() for path in SHIPPED.glob("*.yaml")}
    assert shipped == {path.name: path.read_text() for path in CONFIGS}


@pytest.mark.parametrize("command", ["validate", "test", "predict"])
def test_random_weights_are_refused_and_the_newest_checkpoint_is_named(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = [f"--trainer.logger.init_args.save_dir={tmp_path}/lightning_logs"]
    with pytest.raises(SystemExit, match=r"weights are random, got none\. There is none in"):
        main([command, "--config=table", *where])
    for age, name in enumerate(["new", "old"]):
        path = tmp_path / "lightning_logs" / name / "checkpoints" / "last.ckpt"
        path.parent.mkdir(parents=True)
        path.touch()
        os.utime(path, (1e9 - age, 1e9 - age))
    with pytest.raises(SystemExit, match=r"The newest is .*/new/checkpoints/last\.ckpt\."):
        main([command, "--config=table", *where])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=r"The newest is .*/new/checkpoints/last\.ckpt\."):
        main([command])


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_configurations_are_found_by_name_and_beside_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    main(["fit", *QUICK])
    config = yaml.safe_load(Path("lightning_logs/version_0/config.yaml").read_text())
    assert config["data"]["class_path"] == "mine_lightning.GaussianDataModule"
    main(["fit", "--config", "donsker_varadhan", *QUICK])
    (checkpoint,) = Path("lightning_logs/version_1").rglob("last.ckpt")
    capsys.readouterr()
    main(["test", "--ckpt_path", str(checkpoint), "--trainer.logger=false"])
    assert "test/mi" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"got 'gausian'\. Did you mean `gaussian`"):
        main(["fit", "--config=gausian"])
    alone = checkpoint.rename(tmp_path / "alone.ckpt")
    with pytest.raises(SystemExit, match="Expected `config` for 'test', got none, and there is"):
        main(["test", f"--ckpt_path={alone}"])


def test_a_configuration_that_unfolds_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "laughs.yaml"
    levels = [f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 10)}]" for i in range(1, 10)]
    path.write_text("\n".join(["l0: &l0 [ha]", *levels]))
    with pytest.raises(SystemExit, match="at most 100,000 values with its aliases written out"):
        main(["fit", f"--config={path}"])
    path.write_text("a: &a [*a]")
    with pytest.raises(SystemExit, match=r"at most 100,000 values .* got inf"):
        main(["fit", "--config", str(path)])
    path.write_text("a: [1")
    with pytest.raises(SystemExit, match=r"Expected '.*laughs.yaml' to be a YAML file"):
        main(["fit", "-c", str(path)])
