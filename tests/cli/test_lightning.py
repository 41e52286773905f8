"""``fit``, ``validate``, ``test`` and ``predict`` as a person runs them."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from mine_lightning.cli import main
from runs import QUICK, ROOT, fit


def test_fit_needs_no_configuration_for_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    table = ["--data=TableDataModule", f"--data.path={ROOT}/examples/wine.csv"]
    main(["fit", *table, "--data.x=[hue]", "--data.z=[ash]", "--data.batch_size=64", *QUICK])
    assert "truth                 unknown" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_a_run_is_validated_tested_and_predicted_from_its_own_config(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    fit(ROOT / "configs/table.yaml", tmp_path)
    (checkpoint,) = tmp_path.rglob("epoch=*.ckpt")
    config = tmp_path / "version_0" / "config.yaml"
    common = ["--config", str(config), "--ckpt_path", str(checkpoint), "--trainer.logger=false"]
    capsys.readouterr()
    for command in ("validate", "test"):
        main([command, *common])
        assert f"{'val' if command == 'validate' else 'test'}/mi" in capsys.readouterr().out
    for suffix in ("csv", "parquet"):
        output = tmp_path / f"pointwise.{suffix}"
        main(["predict", *common, "--output", str(output)])
        frame = pd.read_csv(output) if suffix == "csv" else pd.read_parquet(output)
        assert frame.columns.tolist() == ["row", "split", "pointwise_mi"]
        assert frame["row"].tolist() == list(range(178))
        assert frame["split"].value_counts().to_dict() == {"train": 106, "val": 36, "test": 36}


def test_a_checkpoint_of_the_command_line_reloads_in_a_fresh_process(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    fit(ROOT / "configs/digits.yaml", tmp_path, "--trainer.limit_test_batches=1.0")
    reported = capsys.readouterr().out.split("estimate (test rows)")[1].split()[0]
    (checkpoint,) = tmp_path.rglob("epoch=*.ckpt")
    script = (
        "import sys; from lightning.pytorch import Trainer\n"
        "from mine_lightning import DigitsDataModule, MutualInformationEstimator\n"
        "model = MutualInformationEstimator.load_from_checkpoint(sys.argv[1], weights_only=True)\n"
        "trainer = Trainer(logger=False, enable_progress_bar=False)\n"
        "(result,) = trainer.test(model, DigitsDataModule(seed=0), verbose=False)\n"
        "print(f\"{result['test/mi']:.4f}\")\n"
    )
    command = [sys.executable, "-c", script, str(checkpoint)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert run.stdout.strip().splitlines()[-1] == reported
    loaded = torch.load(checkpoint, weights_only=True)
    assert loaded["hyper_parameters"]["critic"]["class_path"].endswith("ConcatCritic")


def test_a_configuration_of_an_earlier_run_is_not_overwritten(tmp_path: Path) -> None:
    version = "--trainer.logger.init_args.version=5"
    fit(ROOT / "configs/table.yaml", tmp_path, version)
    saved = (tmp_path / "version_5" / "config.yaml").read_text()
    with pytest.raises(SystemExit, match="without a configuration of an earlier run"):
        fit(ROOT / "configs/table.yaml", tmp_path, version, "--seed_everything=3")
    assert (tmp_path / "version_5" / "config.yaml").read_text() == saved


def test_an_interrupted_run_goes_on_in_its_own_directory(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    config, reported = ROOT / "configs/table.yaml", {}
    for name, epochs in (("whole", 5), ("broken", 3)):
        fit(config, tmp_path / name, f"--trainer.max_epochs={epochs}")
        reported[name] = capsys.readouterr().out
    run = tmp_path / "broken" / "version_0"
    saved = (run / "config.yaml").read_text()
    last = f"--ckpt_path={run}/checkpoints/last.ckpt"
    main(["fit", "--config", str(config), *QUICK, "--trainer.max_epochs=5", last])
    reported["broken"] = capsys.readouterr().out
    assert reported["broken"].replace("broken", "whole") == reported["whole"]
    assert list((tmp_path / "broken").iterdir()) == [run]
    assert (run / "config.yaml").read_text() == saved
    whole, broken = (
        torch.load(tmp_path / name / "version_0/checkpoints/last.ckpt", weights_only=True)
        for name in ("whole", "broken")
    )
    for name, tensor in whole["state_dict"].items():
        assert torch.equal(tensor, broken["state_dict"][name])
    best = [
        next(state for key, state in saved["callbacks"].items() if "ModelCheckpoint" in key)
        for saved in (whole, broken)
    ]
    assert best[0]["best_model_score"] == best[1]["best_model_score"]


@pytest.mark.parametrize("command", ["fit", "validate", "test", "predict"])
def test_a_damaged_checkpoint_is_named_in_one_line(command: str, tmp_path: Path) -> None:
    path = tmp_path / "half.ckpt"
    torch.save({"state_dict": {}}, path)
    path.write_bytes(path.read_bytes()[:300])
    common = ["--config=configs/table.yaml", "--trainer.logger=false", *QUICK]
    with pytest.raises(
        SystemExit, match=r"error: Expected '.*half\.ckpt' to be a whole checkpoint"
    ):
        main([command, *common, f"--ckpt_path={path}"])
    assert list(tmp_path.iterdir()) == [path]


def test_a_checkpoint_of_another_architecture_is_named_in_one_line(tmp_path: Path) -> None:
    fit(ROOT / "configs/table.yaml", tmp_path)
    (path,) = tmp_path.rglob("last.ckpt")
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["hyper_parameters"]["critic"]["init_args"]["hidden_features"] = [3]
    torch.save(checkpoint, path)
    with pytest.raises(SystemExit, match=r"error: .*size mismatch for critic"):
        main(["test", "--config=configs/table.yaml", *QUICK, f"--ckpt_path={path}"])


def test_a_missing_checkpoint_is_named_in_one_line() -> None:
    with pytest.raises(SystemExit, match=r"error: .*nowhere\.ckpt"):
        main(["fit", "--config=configs/table.yaml", *QUICK, "--ckpt_path=nowhere.ckpt"])


def test_printed_configs_run_again(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["fit", "--config", "configs/infonce.yaml", "--print_config"])
    assert stop.value.code == 0
    printed = tmp_path / "printed.yaml"
    printed.write_text(capsys.readouterr().out)
    assert yaml.safe_load(printed.read_text())["model"]["init_args"]["all_pairs"] is True
    fit(printed, tmp_path / "logs")


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_an_output_of_predict_is_no_input_and_is_replaced_only_when_told(tmp_path: Path) -> None:
    table = tmp_path / "wine.csv"
    table.write_bytes((ROOT / "examples/wine.csv").read_bytes())
    fit(ROOT / "configs/table.yaml", tmp_path, f"--data.path={table}")
    (checkpoint,) = tmp_path.rglob("last.ckpt")
    common = ["predict", f"--ckpt_path={checkpoint}", "--trainer.logger=false"]
    content = table.read_bytes()
    for more in ([], ["--overwrite"]):
        with pytest.raises(SystemExit, match="to be another file than the input, got"):
            main([*common, f"--output={table}", *more])
    assert table.read_bytes() == content
    output = tmp_path / "values.csv"
    output.write_text("kept")
    with pytest.raises(SystemExit, match=r"Expected `output` not to exist, got .*--overwrite"):
        main([*common, f"--output={output}"])
    assert output.read_text() == "kept"
    main([*common, f"--output={output}", "--overwrite"])
    assert len(pd.read_csv(output)) == 178


def test_fit_prints_its_table_and_nothing_of_lightning(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    fit(ROOT / "configs/gaussian.yaml", tmp_path, "--trainer.enable_progress_bar=true")
    shown = capsys.readouterr()
    assert shown.out.startswith("estimate (test rows)")
    assert "epoch 1 of at most 1" in shown.err
    assert "\n" not in shown.err
