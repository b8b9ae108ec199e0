"""`camtrap env`: what TensorFlow finds on this machine, whether it works, and what to install where it does not."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from camtrap_tf import __version__
from camtrap_tf.config.environment import EnvironmentConfig

DRIVER_FILE = Path("/proc/driver/nvidia/version")
DEVICE_FILE = Path("/dev/nvidiactl")
QUERY = ("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")
MATRIX_SIDE = 1024
EXIT_UNUSABLE = 2


@dataclass(frozen=True, slots=True)
class Environment:
    """What was found.

    Attributes:
        facts: name → what was found.
        trials: name → what came of it; begins with `works` where it does.
        advice: what to do, one line each.
    """

    facts: dict[str, str]
    trials: dict[str, str]
    advice: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """2 where something that training needs does not work."""
        return 0 if all(outcome.startswith("works") for outcome in self.trials.values()) else EXIT_UNUSABLE

    def text(self) -> str:
        """Returns the list for people."""
        lines = [f"{name}: {value}" for name, value in (*self.facts.items(), *self.trials.items())]
        return "\n".join([*lines, *(f"to do: {line}" for line in self.advice)])


def look(config: EnvironmentConfig) -> Environment:
    """Looks at versions, processors, GPUs and drivers; multiplies matrices and decodes a picture on what there is."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    build = tf.sysconfig.get_build_info()
    driver = nvidia_driver()
    facts = {
        "camtrap_tf": __version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        **versions(),
        "CPU": f"{len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} cores",
        "memory": memory(),
        "NVIDIA driver": driver or "none found",
        "CUDA that TensorFlow was built with": str(build.get("cuda_version", "none: a build for the CPU alone")),
        "cuDNN that TensorFlow was built with": str(build.get("cudnn_version", "none")),
        "GPUs that TensorFlow can use": "; ".join(described(tf, gpu) for gpu in gpus) or "none",
    }
    devices = [f"/GPU:{number}" for number in range(len(gpus))] or ["/CPU:0"]
    trials = {f"matrix product on {device[1:]}": multiplied(tf, device) for device in devices}
    trials["decoding a JPEG"] = decoded(tf)
    return Environment(facts, trials, tuple(advice(bool(driver), len(gpus), bool(build.get("is_cuda_build")), trials)))


def versions() -> dict[str, str]:
    """Returns the versions of the libraries that training stands on."""
    from importlib import metadata

    found = {}
    for name in ("tensorflow", "keras", "keras-hub", "numpy"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def memory() -> str:
    """Returns how much memory the machine has."""
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB"
    except (AttributeError, ValueError, OSError):
        return "not known"


def nvidia_driver() -> str | None:
    """Returns what the NVIDIA driver says of itself and its GPUs, or None where there is none."""
    try:
        asked = subprocess.run(QUERY, capture_output=True, text=True, timeout=20, check=True)
        return "; ".join(line.strip() for line in asked.stdout.splitlines() if line.strip()) or None
    except (OSError, subprocess.SubprocessError):
        pass
    if DRIVER_FILE.is_file():
        return DRIVER_FILE.read_text(encoding="utf-8").splitlines()[0]
    return "a device file, but nvidia-smi does not answer" if DEVICE_FILE.exists() else None


def described(tf: Any, gpu: Any) -> str:
    """Returns name and compute capability of a GPU."""
    details = tf.config.experimental.get_device_details(gpu)
    capability = ".".join(map(str, details.get("compute_capability", ()))) or "not known"
    return f"{details.get('device_name', gpu.name)} (compute capability {capability})"


def multiplied(tf: Any, device: str) -> str:
    """Multiplies two matrices on a device, compares with NumPy, and says how fast."""
    import numpy as np

    left, right = (np.random.default_rng(seed).normal(size=(MATRIX_SIDE, MATRIX_SIDE)).astype(np.float32) for seed in (0, 1))
    try:
        with tf.device(device):
            a, b = tf.constant(left), tf.constant(right)
            product = tf.matmul(a, b).numpy()
            started = time.perf_counter()
            tf.matmul(a, b).numpy()
            seconds = time.perf_counter() - started
    except Exception as err:  # whatever a driver and its libraries raise is what the user wants to know
        return f"FAILS: {str(err).splitlines()[0][:300]}"
    if not np.allclose(product, left @ right, atol=1.0):
        return "FAILS: the result is wrong"
    return f"works, {2 * MATRIX_SIDE**3 / seconds / 1e9:.0f} GFLOP/s"


def decoded(tf: Any) -> str:
    """Encodes a grey picture and decodes it again."""
    import numpy as np

    picture = np.full((32, 48, 3), 128, np.uint8)
    try:
        again = tf.io.decode_jpeg(tf.io.encode_jpeg(picture), channels=3, dct_method="INTEGER_ACCURATE").numpy()
    except Exception as err:  # as above
        return f"FAILS: {str(err).splitlines()[0][:300]}"
    same = again.shape == picture.shape and int(np.abs(again.astype(int) - picture).max()) <= 2
    return "works" if same else "FAILS: the picture comes out otherwise"


def advice(driver: bool, gpus: int, cuda_build: bool, trials: dict[str, str]) -> list[str]:
    """Returns what to install or change.

    Args:
        driver: whether there is an NVIDIA driver.
        gpus: how many GPUs TensorFlow can use.
        cuda_build: whether this TensorFlow could use any.
        trials: name → what came of it.
    """
    lines = []
    if driver and not gpus:
        if not cuda_build:
            lines.append(
                "this TensorFlow is built for the CPU alone; pip install --force-reinstall 'tensorflow[and-cuda]~=2.20.0'"
            )
        else:
            lines.append(
                "there is an NVIDIA driver, but TensorFlow finds no usable GPU: pip install 'camtrap_tf[gpu]' brings the CUDA "
                "libraries; if they are there, the driver is too old for them (CUDA 12 needs 525 or newer)"
            )
    if not driver and not gpus:
        lines.append(
            "training runs on the CPU, which is slow; for a GPU: a machine with an NVIDIA GPU and driver 525 or newer, then "
            "pip install 'camtrap_tf[gpu]'"
        )
    lines += [f"{name}: {outcome.removeprefix('FAILS: ')}" for name, outcome in trials.items() if outcome.startswith("FAILS")]
    return lines
