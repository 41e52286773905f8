"""Tables of numbers in files of every kind."""

import numpy as np
import pandas as pd

ROWS = 500


def numbers():
    generator = np.random.default_rng(0)
    values = generator.normal(size=(ROWS, 3)) * 10.0 ** generator.integers(-9, 9, (ROWS, 3))
    return pd.DataFrame(values, columns=["a", "b", "c"]).assign(d=range(ROWS))


def write(frame, path):
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".npz":
        np.savez(path, **{name: frame[name].to_numpy() for name in frame})
    elif path.suffix == ".npy":
        np.save(path, frame.to_numpy())
    else:
        frame.to_csv(path, index=False, sep="\t" if path.suffix.lower() == ".tsv" else ",")
    return path


def correlated(rows=400):
    generator = np.random.default_rng(0)
    x = generator.normal(size=rows)
    return pd.DataFrame({"x": x, "z": 0.8 * x + 0.6 * generator.normal(size=rows)})
