"""Memory that is freed and asked for again is not mapped anew."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from mine_lightning.support.memory import keep_freed_memory
keep_freed_memory()
def step():
    parts = [torch.zeros(2**18) for _ in range(30)]  # 30 MB
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other libraries have other rules")
def test_freed_memory_is_kept() -> None:
    run = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True)
    assert int(run.stdout) < 100  # of some 75,000 pages
