"""`camtrap predict` and `camtrap predict export`: prediction, and the packing of the model as a plug-in where it is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from camtrap_tf.config.delivery import PredictConfig
from camtrap_tf.config.predictions_out import PredictExportConfig
from camtrap_tf.prediction import exporting, predictor
from camtrap_tf.prediction.dry_run import DryRun


def predict(config: PredictConfig) -> predictor.PredictSummary | DryRun:
    """Runs the stage `predict`; see there."""
    return predictor.predict(config, _pack)


def export_predictions(config: PredictExportConfig) -> exporting.PredictExportSummary | DryRun:
    """Runs the stage `export_predictions`; see there."""
    return exporting.export_predictions(config, _pack)


def _pack(model_path: Path, folder: Path, facts: Mapping[str, Any], taxa: Path | None) -> str:
    """Writes a plug-in folder for AddaxAI; TensorFlow waits until then."""
    from camtrap_tf.export.addaxai import pack

    return pack(model_path, folder, facts, taxa)
