"""Which devices prediction runs on: the CPU, one GPU, or batches shared out over several."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from camtrap_tf.errors import SettingError
from camtrap_tf.logs import logger
from camtrap_tf.models.bundle import Bundle, probabilities_of

LOG = logger(__name__)


def choose_gpus(n_gpus: Literal["auto"] | int) -> int:
    """Hides the GPUs that are not asked for and returns how many are left; to be called before anything runs on one.

    Args:
        n_gpus: how many; `auto`: all there are; 0: the CPU.

    Raises:
        SettingError: there are fewer.
    """
    there = tf.config.list_physical_devices("GPU")
    wanted = len(there) if n_gpus == "auto" else n_gpus
    if wanted > len(there):
        raise SettingError(f"--n-gpus {wanted}: this machine has {len(there)}; give a number up to that, or auto")
    if tf.config.get_visible_devices("GPU") != there[:wanted]:
        try:
            tf.config.set_visible_devices(there[:wanted], "GPU")
        except RuntimeError:
            LOG.warning("the GPUs are in use by this process already; taking those that it sees")
    for gpu in there[:wanted]:
        try:
            tf.config.experimental.set_memory_growth(gpu, True)
        except (RuntimeError, ValueError) as err:
            LOG.debug("memory growth of %s stays as it is: %s", gpu.name, err)
    return wanted


class SharedOut:
    """The probabilities of a bundle, each batch shared out over several devices.

    Args:
        bundle: read inside `strategy.scope()`, so that every device has its copy.
        strategy: the devices.
    """

    def __init__(self, bundle: Bundle, strategy: tf.distribute.Strategy) -> None:
        self._strategy = strategy
        answer = functools.partial(probabilities_of, bundle.model)
        self._step = tf.function(lambda shares: strategy.run(answer, args=(shares,)), reduce_retracing=True)

    def __call__(self, images: Any) -> Mapping[str, np.ndarray]:
        """Returns label type → `[B, C]`, in the order of `images` `[B, H, W, 3]`."""
        devices, size = self._strategy.num_replicas_in_sync, len(images)
        # Every device gets a picture: some kernels do not take an empty batch.
        padded = tf.concat([images, tf.repeat(images[-1:], max(0, devices - size), axis=0)], axis=0)
        starts = [i * len(padded) // devices for i in range(devices + 1)]
        parts = [padded[start:end] for start, end in itertools.pairwise(starts)]
        shares = self._strategy.experimental_distribute_values_from_function(
            lambda context: parts[context.replica_id_in_sync_group]
        )
        answers = self._step(shares)
        return {
            label: np.concatenate([part.numpy() for part in self._strategy.experimental_local_results(values)])[:size]
            for label, values in answers.items()
        }
