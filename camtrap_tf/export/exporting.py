"""The stage `export`: looks at settings and paths, and only when all is well loads TensorFlow and writes the SavedModel."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from camtrap_tf.config.delivery import ExportConfig
from camtrap_tf.errors import ModelError
from camtrap_tf.export.layout import FRAMES_PER_STACK, OutputNames, versions
from camtrap_tf.files import check_writable, finished_folder, locked_folder, writable_folder
from camtrap_tf.logs import keep_logs
from camtrap_tf.models.companions import check_companions
from camtrap_tf.prediction.dry_run import DryRun, describe_model

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Exported:
    """Where an export is and how to ask it.

    Attributes:
        folder: of the version.
        name: of the folder of versions.
        input_name: `image` or `frames`.
        outputs: label type → names of its outputs.
        deviation: largest difference to the bundle's probabilities that the check found.
    """

    folder: Path
    name: str
    input_name: str
    outputs: dict[str, OutputNames]
    deviation: float

    def text(self) -> str:
        """Returns what was made and a request to try on it."""
        frames = f"[None, {FRAMES_PER_STACK}]" if self.input_name == "frames" else "[None]"
        picture = '{"b64": "\'$(base64 -w0 picture.jpg)\'"}'
        value = f"[{', '.join([picture] * FRAMES_PER_STACK)}]" if self.input_name == "frames" else picture
        names = [f"{names.scores}, {names.classes}" for names in self.outputs.values()]
        return "\n".join(
            [
                f"SavedModel: {self.folder}",
                f"  serving_default: {self.input_name} string {frames} -> {'; '.join(names)}",
                "  float:           images float32 [None, H, W, 3] in 0...255 -> the same",
                *(
                    []
                    if self.input_name == "frames"
                    else ["  event:           frames string [None, None] -> the same, per event"]
                ),
                f"  checked: differs from the bundle by {self.deviation:.1e} at most",
                "Ask TensorFlow Serving:",
                f'  curl -d \'{{"instances": [{{"{self.input_name}": {value}}}]}}\' '
                f"http://localhost:8501/v1/models/{self.name}:predict",
                f"Or serve it here: camtrap serve --saved-model {self.folder.parent}",
            ]
        )


def export(config: ExportConfig) -> Exported | DryRun:
    """Writes the SavedModel of a bundle to `<output-dir>/<version>/`, whole and checked, or not at all.

    With `dry_run` says what it would do, and writes nothing.

    Raises:
        ModelError: the bundle cannot be used, the version exists, or the SavedModel answers otherwise than the bundle.
        SettingError: a file is absent, or the output folder cannot be written to.
    """
    if config.dry_run:
        return _planned(config)
    _check_paths(config)
    from camtrap_tf.export.saved_model import check, full_precision, input_name, write_saved_model
    from camtrap_tf.models.bundle import Bundle

    bundle = Bundle.read(
        config.model,
        class_mapping_json=config.class_mapping_json,
        pre_processing_json=config.pre_processing_json,
        flag="--model",
    )
    writable_folder(config.output_dir, "--output-dir")
    keep_logs()
    with locked_folder(config.output_dir):
        target = config.output_dir / str(_free_version(config))
        with finished_folder(target) as folder:
            outputs = write_saved_model(bundle, folder)
            with full_precision():
                deviation = check(folder, bundle, outputs)
    log.info("Exported %s to %s", config.model, target)
    return Exported(
        folder=target,
        name=target.resolve().parent.name or "model",
        input_name=input_name(bundle),
        outputs=outputs,
        deviation=deviation,
    )


def _planned(config: ExportConfig) -> DryRun:
    """Returns what `export` would do; the model is known by the files beside it."""
    plan = DryRun("export")
    given = {"class_mapping_json": config.class_mapping_json, "pre_processing_json": config.pre_processing_json}
    with plan.noting():
        plan.lines.append(describe_model(config.model, **given, flag="--model").line())
    with plan.noting():
        plan.would_write("SavedModel", config.output_dir / str(_free_version(config)))
        check_writable(config.output_dir, "--output-dir")
    return plan


def _check_paths(config: ExportConfig) -> None:
    """Makes sure of what can be known of the paths without TensorFlow."""
    given = {"class_mapping_json": config.class_mapping_json, "pre_processing_json": config.pre_processing_json}
    _free_version(config)
    check_companions(config.model, **given, flag="--model")
    check_writable(config.output_dir, "--output-dir")


def _free_version(config: ExportConfig) -> int:
    """Returns the version number to write.

    Raises:
        ModelError: it exists.
    """
    number = config.version or max(versions(config.output_dir), default=0) + 1
    if (config.output_dir / str(number)).exists():
        raise ModelError(f"{config.output_dir / str(number)}: this version exists; leave --version out for the next number")
    return number
