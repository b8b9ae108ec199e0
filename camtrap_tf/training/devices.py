"""How devices train: order of operations, compilation, and the strategy that makes them one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from camtrap_tf.config.optimisation import JitCompile
from camtrap_tf.errors import SettingError
from camtrap_tf.logs import logger
from camtrap_tf.models.devices import let_memory_grow

if TYPE_CHECKING:
    import tensorflow as tf

_LOG = logger(__name__)


def order_operations(devices: Sequence[str]) -> None:
    """Lets the CPU, where it trains, work off operations one after the other, each on all cores: equal steps give equal bits.

    Source: with several at once, averaged weights were seen to differ in their last bits between runs.
    """
    if any(device.startswith("GPU") for device in devices):
        return
    import tensorflow as tf

    try:
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:  # TensorFlow has begun to work in this process, with whatever was set then
        if tf.config.threading.get_inter_op_parallelism_threads() != 1:
            _LOG.debug("several operations run at once in this process; last bits may differ from run to run")


def strategy_on(devices: Sequence[str], *, synchronised: bool = False) -> tf.distribute.Strategy:
    """Returns a strategy that keeps a copy of the model on each device and trains them as one.

    Args:
        devices: by short names.
        synchronised: layers exchange values within a step too. Collective operations are numbered on each device by itself,
            and were seen to be paired wrongly there; so all exchange goes through one place.
    """
    import tensorflow as tf

    let_memory_grow()
    if len(devices) == 1:
        return tf.distribute.OneDeviceStrategy(f"/{devices[0]}")
    if not synchronised:
        return tf.distribute.MirroredStrategy(list(devices))
    on_gpus = all(device.startswith("GPU") for device in devices)
    exchange = tf.distribute.NcclAllReduce() if on_gpus else tf.distribute.ReductionToOneDevice()
    return tf.distribute.MirroredStrategy(list(devices), cross_device_ops=exchange)


def compiles(jit_compile: JitCompile, devices: Sequence[str]) -> bool:
    """Returns whether the training step is compiled with XLA; `auto`: on one GPU, where it pays.

    Raises:
        SettingError: asked for on several devices, whose exchange cannot be compiled in.
    """
    if jit_compile == "on" and len(devices) > 1:
        raise SettingError(f"--jit-compile on: works on one device, not on {len(devices)}; give auto or off")
    return jit_compile == "on" or (jit_compile == "auto" and len(devices) == 1 and devices[0].startswith("GPU"))
