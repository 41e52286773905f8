"""Results in files, JSON or NPZ, in which nothing is executed."""

import json
import math
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mine_lightning.support.files import check_output, written_whole

__all__ = ["read_errors", "read_result", "write_result"]

Result = TypeVar("Result")
Arrays = Mapping[str, NDArray[np.float64]]


def write_result(path: str | Path, plain: dict[str, Any], arrays: Arrays) -> None:
    """Write a result, whole or not at all: ``.json``, or ``.npz`` with the arrays compressed.

    Raises:
        ValueError: If the suffix is another one, or the directory is missing or read-only.
    """
    path = check_output(path, (".json", ".npz"))
    with written_whole(path) as temporary:
        if path.suffix == ".json":
            lists = {name: array.tolist() for name, array in arrays.items()}
            temporary.write_text(_text({**plain, "arrays": lists}) + "\n", encoding="utf-8")
            return
        content = BytesIO()
        np.savez_compressed(content, result=np.array(_text(plain)), **arrays)  # type: ignore[arg-type]
        temporary.write_bytes(content.getvalue())


def _text(plain: dict[str, Any]) -> str:
    """Return JSON, in which numbers that it does not know are words: ``"nan"``, ``"inf"``."""
    return json.dumps(_spelt(plain), indent=2, allow_nan=False)


def _spelt(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _spelt(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_spelt(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def read_result(path: str | Path, build: Callable[[dict[str, Any], Arrays], Result]) -> Result:
    """Read what :func:`write_result` wrote.

    Args:
        path: The file.
        build: Makes the result of its plain data and its arrays.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file holds no result.
    """
    with Path(path).open("rb") as file:
        try:
            content = BytesIO(file.read())
            return build(*_parts(content))
        except Exception as error:  # a damaged file makes its reader raise anything
            absent = "no " if isinstance(error, KeyError) else ""
            reason = absent + " ".join(str(error).split()) or type(error).__name__
            raise ValueError(
                f"Expected `path` to be a saved result (.json or .npz), got {str(path)!r}: {reason}"
            ) from error


def _parts(content: BytesIO) -> tuple[dict[str, Any], Arrays]:
    if content.getvalue().lstrip()[:1] == b"{":
        plain = json.load(content)
        arrays = {name: np.array(rows, dtype=np.float64) for name, rows in plain["arrays"].items()}
        return plain, arrays
    with np.load(content, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files if name != "result"}
        return json.loads(str(stored["result"])), arrays


def read_errors(plain: dict[str, Any]) -> dict[str, Any]:
    """Return the standard errors of a stored result, which may be infinite."""
    errors = plain.get("errors")
    return {
        "standard_error": float(plain["standard_error"]),
        "errors": None if errors is None else tuple(map(float, errors)),
    }
