"""One thread for each test process: two spin on matrices as small as these."""

import os

import torch

os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)

pytest_plugins = ["outcomes"]
