"""Batches shared out over several devices: a processor that stands for two."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TWO_DEVICES = """
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

from camtrap_tf.models.bundle import Bundle
from camtrap_tf.prediction.sharing import SharedOut
from tests.integration.bundles import untrained_bundle
import sys, pathlib

folder = pathlib.Path(sys.argv[1])
untrained_bundle().write(folder)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    bundle = Bundle.read(folder)
shared = SharedOut(bundle, strategy)
for size in (5, 1):
    images = tf.random.stateless_uniform([size, 50, 50, 3], [1, size]) * 255
    alone = Bundle.read(folder).probabilities(images)
    together = shared(images)
    for label, values in alone.items():
        np.testing.assert_allclose(together[label], values, atol=1e-5)
print("devices", strategy.num_replicas_in_sync)
"""


@pytest.mark.slow
def test_shared_batches_give_the_same_answers(tmp_path: Path) -> None:
    """Answers of two devices are those of one, in order, also when the batch is smaller than the number of devices."""
    command = [sys.executable, "-c", TWO_DEVICES, str(tmp_path / "bundle")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=Path(__file__).parents[3])
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.endswith("devices 2\n")
