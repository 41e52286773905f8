"""``mine-lightning estimate`` as a person runs it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mine_lightning.cli import main
from mine_lightning.estimate.results import MutualInformationEstimate
from runs import SHORT, names_choices


def test_it_prints_the_estimate_and_writes_json(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    output = tmp_path / "result.json"
    columns = ["--x", "alcohol,malic_acid", "--z", "color_intensity, hue"]
    main(["estimate", str(table), *columns, "--seed=3", "--output", str(output), *SHORT])
    lines = capsys.readouterr().out.splitlines()
    stored = json.loads(output.read_text())
    assert lines[0].startswith(f"{stored['nats']:.3f} nats ({stored['bits']:.3f} bits), 95 %")
    assert f"{stored['standard_error']:.3f}" in lines[1]
    assert "178 rows used, seed 3" in lines[1]
    assert all(line.startswith("note: ") for line in lines[2:])
    assert len(lines) == 2 + len(stored["diagnostics"])
    assert stored["rows"] == 178
    assert stored["settings"]["x_columns"] == ["alcohol", "malic_acid"]


def test_rows_that_belong_together_are_held_out_together(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(120, 2))
    frame = pd.DataFrame(values, columns=["a", "b"]).assign(patient=np.arange(120) // 4)
    frame.to_csv(tmp_path / "rows.csv", index=False)
    stored = []
    for option in ("--groups=patient", "--blocks=4"):
        output = tmp_path / f"{option}.json"
        arguments = ["--x=a", "--z=b", option, "--output", str(output), *SHORT]
        main(["estimate", str(tmp_path / "rows.csv"), *arguments])
        stored.append(MutualInformationEstimate.load(output))
    assert stored[0] == stored[1]
    assert stored[0].settings["groups"] == 30


def test_npz_output_holds_the_pointwise_values(table: Path, tmp_path: Path) -> None:
    output = tmp_path / "result.npz"
    main(["estimate", str(table), "--x=0", "--z=hue", "--output", str(output), *SHORT])
    assert MutualInformationEstimate.load(output).pointwise.shape == (178,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--x=alcool", "--z=hue"], "Did you mean `alcohol`"),
        (["--x=hue", "--z=hue"], "no column in common"),
        (["--x=hue"], "Expected `z`, got no value."),
        (["--x=hue", "--z=ash", "--groups=id"], "`groups` to name columns of the table, got 'id'"),
        (["--x=hue", "--z=ash", "--folds=1"], "Expected `folds` to be an integer of at least 2"),
        (["--x=hue", "--z=ash", "--folds=many"], "Expected `--folds` to be int, got 'many'."),
        (["--x=hue", "--z=ash", "--output=result.pkl"], "Expected `output` to end in one of"),
        pytest.param(
            ["--x=hue", "--z=ash", "--x_transform=cubes"],
            "`--x_transform` to be one of 'rank', 'standardize', 'identity', got 'cubes'.",
            marks=names_choices,
        ),
        (["--x=hue", "--z=ash", "--colour=red"], "got `--colour`. There are: `--x`"),
        (["--x=hue", "--z=ash", "--fouls=3"], "got `--fouls`. Did you mean `--folds`"),
    ],
)
def test_a_mistake_gives_one_line_and_a_failing_status(
    arguments: list[str], message: str, table: Path, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["estimate", str(table), *arguments, *SHORT])
    text = stop.value.code if isinstance(stop.value.code, str) else capsys.readouterr().err
    assert stop.value.code not in (0, None)
    assert message in text
    assert "Traceback" not in text


def test_a_missing_file_is_named() -> None:
    with pytest.raises(SystemExit) as stop:
        main(["estimate", "nowhere.csv", "--x=a", "--z=b"])
    assert "no such file" in str(stop.value.code)


def test_incomplete_rows_are_refused_or_dropped(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = tmp_path / "rows.csv"
    rows = [f"{i % 7 + i / 100},{i % 5 - i / 77}" for i in range(80)]
    path.write_text("\n".join(["a,b", *rows, ",1.5"]))
    with pytest.raises(SystemExit) as stop:
        main(["estimate", str(path), "--x=a", "--z=b", *SHORT])
    assert "1 in column `a`" in str(stop.value.code)
    with pytest.warns(UserWarning, match="Dropped 1 of 81 rows"):
        main(["estimate", str(path), "--x=a", "--z=b", "--missing=drop", *SHORT])
    assert "80 rows used" in capsys.readouterr().out


def test_an_output_is_no_input_and_is_replaced_only_when_told(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    own = tmp_path / "in.npz"
    np.savez(own, x=np.arange(50.0), z=np.arange(50.0) % 7)
    content, link = own.read_bytes(), tmp_path / "link.npz"
    link.symlink_to(own)
    for output in (own, link, tmp_path / "." / "in.npz"):
        arguments = [str(own), "--x=x", "--z=z", "--output", str(output), "--overwrite"]
        with pytest.raises(SystemExit, match="Expected `output` to be another file than the input"):
            main(["estimate", *arguments])
    assert own.read_bytes() == content
    output = tmp_path / "result.json"
    output.write_text("kept")
    arguments = ["estimate", str(table), "--x=hue", "--z=ash", "--output", str(output), *SHORT]
    with pytest.raises(SystemExit, match=r"Expected `output` not to exist, got .*--overwrite"):
        main(arguments)
    assert output.read_text() == "kept"
    main([*arguments, "--overwrite"])
    assert "nats" in json.loads(output.read_text())


def test_numbers_of_other_places(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = tmp_path / "table.csv"
    rng = np.random.default_rng(0)
    rows = [f"{a:,.2f};{a + b:,.2f}" for a, b in 1e4 * rng.normal(size=(60, 2))]
    path.write_text("a;b\n" + "\n".join(rows).translate(str.maketrans(",.", ".,")))
    columns = [str(path), "--x=a", "--z=b", *SHORT]
    marks = ["--delimiter=;", "--decimal=,", "--thousands=."]
    advice = ["`delimiter=';'`", "`decimal=','`, `thousands='.'`", "`thousands='.'`"]
    for count, sentence in enumerate(advice):
        with pytest.raises(SystemExit) as stop:
            main(["estimate", *columns, *marks[:count]])
        assert sentence in str(stop.value.code)
    main(["estimate", *columns, *marks])
    assert "nats" in capsys.readouterr().out
    main(["matrix", str(path), *marks, *SHORT])
    assert "nan" not in capsys.readouterr().out
