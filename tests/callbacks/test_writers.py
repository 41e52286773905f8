"""Predictions in files."""

import numpy as np
import pandas as pd
import torch
from lightning.pytorch import Trainer

from disk_pairs import ON_CPU, fit, gaussian
from mine_lightning import PointwiseWriter


def test_pointwise_values_are_written_in_the_order_of_the_file(tmp_path):
    path = gaussian(tmp_path, rows=2000)
    model, data, _ = fit(path, 20, enable_checkpointing=False)
    output = tmp_path / "pointwise.csv"
    writer = Trainer(callbacks=[PointwiseWriter(str(output))], **ON_CPU)
    values = torch.cat(writer.predict(model, data))
    frame = pd.read_csv(output)
    assert frame["row"].tolist() == list(range(2000))
    assert frame["split"].tolist() == data.split_of_rows()
    np.testing.assert_allclose(frame["pointwise_mi"], values.double(), rtol=1e-6)
    x, z = torch.from_numpy(np.load(path)).unsqueeze(2).unbind(1)
    with torch.no_grad():
        scores = model.critic(data.x_transform(x), data.z_transform(z)) - model.log_partition
    torch.testing.assert_close(values, scores, rtol=1e-4, atol=1e-5)
