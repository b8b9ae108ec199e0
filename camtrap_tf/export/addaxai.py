"""A model as a plug-in folder for AddaxAI: SavedModel, `inference.py`, `taxonomy.csv`, `manifest.json`, `README.md`.

Source: AddaxAI 7, its template of custom classification models and its schema of manifests.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from camtrap_tf.config.predictions_out import AddaxaiConfig
from camtrap_tf.errors import ModelError, SettingError
from camtrap_tf.export import addaxai_inference
from camtrap_tf.files import atomic_file, check_writable, finished_folder, sha256_file, write_json, write_text
from camtrap_tf.logs import keep_logs
from camtrap_tf.models.companions import check_companions
from camtrap_tf.prediction.dry_run import DryRun, describe_model
from camtrap_tf.prediction.export_classes import ANIMAL, Meaning, meanings
from camtrap_tf.prediction.export_model import ModelFacts, classifier_name
from camtrap_tf.prediction.export_package import plugin_facts, read_facts

WEIGHTS = "saved_model.pb"
TAXONOMY_COLUMNS = ("model_class", "class", "order", "family", "genus", "species")


@dataclass(frozen=True, slots=True)
class Packed:
    """A plug-in folder; `text` is printed.

    Attributes:
        line: what was written.
    """

    line: str

    def text(self) -> str:
        """Returns what was written, for a person."""
        return self.line


def export_addaxai(config: AddaxaiConfig) -> Packed | DryRun:
    """Writes the plug-in folder of a bundle; with `dry_run` says what it would do.

    Raises:
        SettingError: the folder is there already, or facts of the model are missing.
        ModelError: the bundle cannot be used, or takes several pictures at once.
        SourceError: the table of taxa cannot be read.
    """
    if config.dry_run:
        return _planned(config)
    facts = plugin_facts(read_facts(config.package_facts))
    check_companions(config.model, flag="--model")
    _check_folder(config.output_dir)
    keep_logs()
    return Packed(pack(config.model, config.output_dir, facts, config.taxa, species_label=config.species_label))


def _check_folder(folder: Path) -> None:
    """Makes sure that a folder can be written and is not there; raises a SettingError."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SettingError(f"--output-dir {folder}: is there already; remove it, or choose another")
    check_writable(folder.parent, "--output-dir")


def _planned(config: AddaxaiConfig) -> DryRun:
    """Returns what `export_addaxai` would do; the model is known by the files beside it."""
    plan = DryRun("export addaxai")
    with plan.noting():
        plugin_facts(read_facts(config.package_facts))
    with plan.noting():
        model = describe_model(config.model, flag="--model")
        plan.lines.append(model.line())
        facts = ModelFacts.of(model.class_names, model.blanks, species_label=config.species_label)
        meanings(model.class_names[facts.species], taxa=config.taxa)
    with plan.noting():
        _check_folder(config.output_dir)
        plan.would_write("plug-in", config.output_dir)
    return plan


def pack(model_path: Path, folder: Path, facts: Mapping[str, Any], taxa: Path | None, species_label: str | None = None) -> str:
    """Writes a plug-in folder, whole or not at all; returns a line that says so.

    Args:
        model_path: bundle.
        folder: to write; must not be there.
        facts: of the model, see `plugin_facts`.
        taxa: table that says what classes are.
        species_label: label type with the species.

    Raises:
        ModelError: the bundle cannot be used, or takes several pictures at once.
        SettingError: it is not clear which label type is the species.
        SourceError: the table of taxa cannot be read.
    """
    from camtrap_tf.export.saved_model import write_saved_model
    from camtrap_tf.models.bundle import Bundle

    bundle = Bundle.read(model_path)
    if bundle.preprocessing.stacked:
        raise ModelError(f"{model_path}: takes three pictures of an event at once; AddaxAI gives models one crop at a time")
    names = {label: bundle.mapping.names(label) for label in bundle.labels}
    model = ModelFacts.of(names, bundle.blanks, species_label=species_label)
    classes = list(names[model.species])
    told = meanings(classes, taxa=taxa)
    with finished_folder(folder) as scratch:
        outputs = write_saved_model(bundle, scratch)
        source = Path(addaxai_inference.__file__)
        write_text(scratch / "inference.py", source.read_text(encoding="utf-8"))
        own = {
            "classes": classes,
            "scores": outputs[model.species].scores,
            "input": "image",
            "crop_strategy": facts.get("crop_strategy", "square"),
            "classifier": classifier_name(model_path, bundle.info),
            "saved_model_sha256": sha256_file(scratch / WEIGHTS),
        }
        write_json(scratch / addaxai_inference.FACTS, own)
        _write_taxonomy(scratch / "taxonomy.csv", told)
        manifest = _manifest(facts, classes, str(own["classifier"]))
        write_text(scratch / "README.md", _readme(manifest, model, told))
        write_json(scratch / "manifest.json", manifest, indent=2)
    bare = [name for name, meaning in told.items() if not meaning.taxon and not _parts(meaning)[0] and meaning.kind == ANIMAL]
    lacking = f" (without taxonomy: {', '.join(bare[:3])}{' …' if len(bare) > 3 else ''}; see --taxa)" if bare else ""
    return f"addaxai: {folder}: {len(classes)} classes{lacking}"


def _manifest(facts: Mapping[str, Any], classes: list[str], classifier: str) -> dict[str, Any]:
    """Returns what AddaxAI shows of the model, and how it runs it."""
    model_id = re.sub(r"[^A-Za-z0-9._-]+", "-", classifier.partition(" ")[0]).strip("-") or "model"
    given = {key: value for key, value in facts.items() if key != "crop_strategy"}
    return {
        "model_id": model_id,
        "friendly_name": model_id,
        "env": "tensorflow-v2",
        "model_fname": WEIGHTS,
        "description": f"{len(classes)} classes; {classifier}",
        "min_app_version": "7.0.0",
        **given,
        "species_list": classes,
    }


def _write_taxonomy(path: Path, told: Mapping[str, Meaning]) -> None:
    """Writes a row per class in small letters; what is not known stays empty."""
    with atomic_file(path, "w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(TAXONOMY_COLUMNS)
        for name, meaning in told.items():
            genus, species = _parts(meaning)
            above = [meaning.taxon.get(rank, "") for rank in ("class", "order", "family")]
            cells = [*above, genus, species] if meaning.kind == ANIMAL else [""] * 5
            table.writerow([name, *(cell.lower() for cell in cells)])


def _parts(meaning: Meaning) -> tuple[str, str]:
    """Returns genus and epithet of a class: as the table says, else by its scientific name of two words."""
    words = meaning.name.split()
    genus = meaning.taxon.get("genus") or (words[0] if len(words) > 1 else "")
    return genus, meaning.taxon.get("species") or (words[1] if len(words) > 1 else "")


def _readme(manifest: Mapping[str, Any], model: ModelFacts, told: Mapping[str, Meaning]) -> str:
    """Returns a page for people who find the folder."""
    others = [label for label in model.class_names if label != model.species]
    lines = [
        f"# {manifest['friendly_name']}",
        "",
        f"{manifest['description']}. A classification model for AddaxAI: put this folder, named `{manifest['model_id']}`, into "
        "`models/cls/` of AddaxAI's folder.",
        "",
        f"- environment: `{manifest['env']}`; runs on TensorFlow alone, `inference.py` reads `{WEIGHTS}` and `camtrap.json`",
        f"- developer: {manifest['developer']} ({manifest['info_url']})",
        f"- classes: {', '.join(told)}",
    ]
    if others:
        lines.append(f"- the model also answers {', '.join(others)}, which AddaxAI has no place for")
    return "\n".join(lines) + "\n"
