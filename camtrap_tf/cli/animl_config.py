"""Animl's `config.yml`, read as settings of ours: each of its keys is taken over, said, or refused with the reason.

| Animl | here |
| --- | --- |
| `seed`, `batch_size`, `weight_decay` | the same |
| `num_classes`, `crops_dir` | the same; the first is checked, the second is in `data_root` |
| `data_root` | `train_cct`, `val_cct`: `<data_root>/train_cct.json`, `val_cct.json` |
| `num_epochs`, `learning_rate` | `max_epochs`, `initial_learning_rate` |
| `image_size [height, width]` | `output_height`, `output_width` |
| `device` | `n_gpus`: `cpu` 0, `cuda` 1 (the CPU, with a warning, where there is none) |
| `num_workers` | `n_cpus` (0: 1) |

Settings of ours may stand beside them. The recipe is `animl`, the run is `run/` and the bundle `bundle/` beside the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from camtrap_tf.cli.flags import Flag, Value
from camtrap_tf.cli.settings import read_yaml
from camtrap_tf.errors import SettingError

MODEL = "hub:resnet_18_imagenet"
"""The backbone of Animl's training: ResNet-18 with ImageNet weights."""
RUN, BUNDLE, PREDICTIONS = "run", "bundle", "predictions"

_DEVICE = re.compile(r"cuda(?::(\d+))?")


def _flag(key: str, *, kind: Literal["one", "many"] = "one") -> Flag:
    return Flag(
        key=key, kind=kind, types=(str,), choices=(), optional=False, required=False, default=None, description="key of Animl"
    )


KEYS: dict[str, Flag] = {
    **{key: _flag(key) for key in ("device", "num_workers", "data_root", "num_epochs", "learning_rate")},
    "image_size": _flag("image_size", kind="many"),
}
"""Keys of Animl's files that are no settings of ours."""


def is_animl(keys: Iterable[str]) -> bool:
    """Tells whether a file with these keys is one of Animl's: it has a key that is none of ours."""
    return any(key in KEYS for key in keys)


def read_for_training(path: Path, flags: Mapping[str, Flag], given: Mapping[str, Value]) -> tuple[dict[str, Value], list[str]]:
    """Returns the settings of a file of Animl's for `camtrap train`, and what the user should know.

    Args:
        path: the file.
        flags: the settings of the command.
        given: what the command line says, which wins.

    Raises:
        SettingError: it cannot be read, a key is unknown, or a value cannot be used.
    """
    written = read_yaml(path, {**flags, **KEYS})
    theirs = {key: written.pop(key) for key in KEYS if key in written}
    notices = [f"{path} is a file of Animl's"]
    for key, here in (("num_epochs", "max_epochs"), ("learning_rate", "initial_learning_rate")):
        if key in theirs:
            _once(written, here, f"{key} of {path}")
            written[here] = theirs[key]
    if "image_size" in theirs:
        height, width = _two(theirs["image_size"], path)
        written |= {"output_height": height, "output_width": width}
    notices += _data(theirs, written, path)
    notices += _machine(theirs, written, path)
    if written.get("n_gpus") == "1":
        written.setdefault("fewer_gpus_ok", True)
    written.setdefault("recipe", "animl")
    if "model" not in written and "model" not in given:
        notices.append(_model(written, given))
    written.setdefault("run_outputs_dir", str(path.parent / RUN))
    written.setdefault("model_save_dir", str(path.parent / BUNDLE))
    if {**written, **given}["recipe"] == "animl":
        notices.append("recipe animl: no augmentation, a constant rate, as there; pictures are scaled as the weights expect")
    return written, notices


def _model(written: dict[str, Value], given: Mapping[str, Flag]) -> str:
    """Writes down the backbone of Animl's training, and returns what to say of it."""
    weights = {**written, **given}.get("weights", "imagenet")
    if weights == "none":
        written["model"] = "ResNet18"
        return "model: ResNet18, without trained weights; --model names another"
    written |= {"model": MODEL, "weights": written.get("weights", "imagenet")}
    return f"model: ResNet-18 with ImageNet weights, as there ({MODEL}); --model names another"


def read_for_prediction(
    path: Path, flags: Mapping[str, Flag], training: Mapping[str, Flag]
) -> tuple[dict[str, Value], list[str]]:
    """Returns the settings of a training's file for `camtrap predict --split`; what is about training alone is passed over.

    Args:
        path: the file.
        flags: the settings of the command.
        training: the settings of `camtrap train`, which may stand in the file too.

    Raises:
        SettingError: it cannot be read, or a key is unknown.
    """
    written = read_yaml(path, {**training, **flags, **KEYS})
    values = {key: value for key, value in written.items() if key in flags and key not in ("crops_dir", "log_outdir")}
    notices = _machine({key: written[key] for key in KEYS if key in written}, values, path)
    if values.get("n_gpus") == "1":
        values["n_gpus"] = "auto"
    values.setdefault("run", written.get("run_outputs_dir") or str(path.parent / RUN))
    values.setdefault("output_dir", str(path.parent / PREDICTIONS))
    notices.append(f"{path} is of a training; its splits are the files that {values['run']} was trained from")
    return values, notices


def _once(written: Mapping[str, Value], key: str, what: str) -> None:
    if key in written:
        raise SettingError(f"{what} and {key} say the same; keep one of them")


def _two(value: Value, path: Path) -> tuple[str, str]:
    """Returns height and width of `image_size`; one number is both."""
    sizes = value if isinstance(value, list) else [str(value)]
    if not 1 <= len(sizes) <= 2 or not all(size.isdigit() and int(size) for size in sizes):
        raise SettingError(f"{path}: image_size {sizes} is not [height, width] in px, e.g. [224, 224]")
    return sizes[0], sizes[-1]


def _data(theirs: Mapping[str, Value], written: dict[str, Value], path: Path) -> list[str]:
    """Puts the files of `data_root` in place; returns what the user should know."""
    if "data_root" not in theirs:
        return []
    said = Path(str(theirs["data_root"]))
    root = said if said.is_dir() or said.is_absolute() else path.parent / said
    if not root.is_dir():
        raise SettingError(
            f"{path}: data_root {said}: no such folder, neither below the current folder nor beside that file; mend the path"
        )
    crops = str(written.get("crops_dir") or "")
    written["crops_dir"] = str(root / crops) if crops else str(root)
    for split in ("train", "val"):
        _once(written, f"{split}_cct", f"data_root of {path}")
        written[f"{split}_cct"] = str(root / f"{split}_cct.json")
    return [f"data_root: trained on {root}/train_cct.json, measured on val_cct.json, pictures in {written['crops_dir']}"]


def _machine(theirs: Mapping[str, Value], written: dict[str, Value], path: Path) -> list[str]:
    """Puts device and workers in place; returns what the user should know."""
    notices = []
    if "device" in theirs:
        device = str(theirs["device"]).lower()
        match = _DEVICE.fullmatch(device)
        if device != "cpu" and match is None:
            raise SettingError(f"{path}: device {device!r} is neither cpu nor cuda (cuda:0 …)")
        _once(written, "n_gpus", f"device of {path}")
        written["n_gpus"] = "0" if match is None else "1"
        if match is not None:
            number = match[1] or "0"
            notices.append(
                f"device {device}: the first GPU that is to be seen, which CUDA_VISIBLE_DEVICES={number} makes number {number}"
            )
    if "num_workers" in theirs:
        text = str(theirs["num_workers"])
        if not text.isdigit():
            raise SettingError(f"{path}: num_workers {text!r} is not a whole number from 0")
        _once(written, "n_cpus", f"num_workers of {path}")
        written["n_cpus"] = str(max(1, int(text)))
        notices.append(f"num_workers {text}: threads that read and decode (--n-cpus)")
    return notices
