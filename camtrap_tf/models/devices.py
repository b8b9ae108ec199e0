"""Which devices there are, and which of them are used: from `--n-gpus` to their names. TensorFlow is asked only when needed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

from camtrap_tf.errors import SettingError
from camtrap_tf.logs import logger

_LOG = logger(__name__)
_GPU_FILES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/kfd")
"""What drivers of GPUs show on Linux: NVIDIA's, those of Windows below WSL, AMD's."""


def gpu_count() -> int:
    """Returns how many GPUs TensorFlow can use; on Linux it is not even loaded where no driver shows any."""
    if sys.platform == "linux" and not any(Path(file).exists() for file in _GPU_FILES):
        return 0
    import tensorflow as tf

    return len(tf.config.list_physical_devices("GPU"))


def count_to_use(n_gpus: Literal["auto"] | int, *, there: int, fewer_ok: bool = False) -> int:
    """Returns how many GPUs to use.

    Args:
        n_gpus: how many; `auto`: all there are; 0: the CPU.
        there: how many GPUs there are.
        fewer_ok: with fewer than asked for: warn and take those.

    Raises:
        SettingError: more GPUs than there are.
    """
    count = there if n_gpus == "auto" else n_gpus
    if count > there:
        found = f"there {'is' if there == 1 else 'are'} {there or 'none'}"
        if not fewer_ok:
            raise SettingError(f"--n-gpus {count}: {found} on this machine; give --n-gpus auto, or 0 for the CPU")
        _LOG.warning("--n-gpus %d: %s on this machine; going on with %s", count, found, there or "the CPU")
        count = there
    return count


def choose_devices(n_gpus: Literal["auto"] | int, *, there: int, fewer_ok: bool = False) -> list[str]:
    """Returns the devices to use, by TensorFlow's short names; settings as for `count_to_use`.

    Raises:
        SettingError: more GPUs than there are.
    """
    return [f"GPU:{number}" for number in range(count_to_use(n_gpus, there=there, fewer_ok=fewer_ok))] or ["CPU:0"]


def choose_gpus(n_gpus: Literal["auto"] | int) -> int:
    """Hides the GPUs that are not asked for and returns how many are left; to be called before anything runs on one.

    Args:
        n_gpus: how many; `auto`: all there are; 0: the CPU.

    Raises:
        SettingError: there are fewer.
    """
    known = gpu_count()
    wanted = count_to_use(n_gpus, there=known)
    if not known:
        return 0
    import tensorflow as tf

    there = tf.config.list_physical_devices("GPU")
    if tf.config.get_visible_devices("GPU") != there[:wanted]:
        try:
            tf.config.set_visible_devices(there[:wanted], "GPU")
        except RuntimeError:
            _LOG.warning("the GPUs are in use by this process already; taking those that it sees")
    let_memory_grow(wanted)
    return wanted


def let_memory_grow(count: int | None = None) -> None:
    """Lets the first GPUs (all, where no count is given) take memory as they need it, not all of it at once."""
    import tensorflow as tf

    for gpu in tf.config.list_physical_devices("GPU")[:count]:
        try:
            tf.config.experimental.set_memory_growth(gpu, True)
        except (RuntimeError, ValueError) as err:  # in use by this process already, with whatever was set then
            _LOG.debug("memory growth of %s stays as it is: %s", gpu.name, err)
