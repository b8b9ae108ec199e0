"""What forms of predictions are to be written, and all that stands in the way of them, found out before a model runs.

Whatever is missing or wrong is taken down, so that a user is told all of it at once; then records go through one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from camtrap_tf.config.predictions_out import ExportFormsConfig, timelapse_columns
from camtrap_tf.errors import CamtrapError, SettingError, shortened
from camtrap_tf.files import check_writable
from camtrap_tf.inventory.table import Inventory
from camtrap_tf.prediction.dry_run import DryRun
from camtrap_tf.prediction.export_camtrap_dp import CamtrapDp, camtrap_package
from camtrap_tf.prediction.export_classes import Meaning, meanings, without_name
from camtrap_tf.prediction.export_deployments import REQUIRED, Deployments, read_deployments, standard_names
from camtrap_tf.prediction.export_megadetector import megadetector_file
from camtrap_tf.prediction.export_model import ModelFacts, classifier_name
from camtrap_tf.prediction.export_package import CARRIED, plugin_facts, problems, read_facts, require_own_package
from camtrap_tf.prediction.export_pictures import FactBook, known_pictures
from camtrap_tf.prediction.export_timelapse import TimelapseCounts, columns_of, timelapse_table
from camtrap_tf.prediction.results import RecordPrediction
from camtrap_tf.sources.camtrap_dp import PACKAGE, read_described, read_resource
from camtrap_tf.sources.table_columns import TableColumns, read_table

CAMTRAP_DP, MEGADETECTOR, TIMELAPSE, ADDAXAI = "camtrap-dp", "megadetector", "timelapse", "addaxai"
CLASSES_SHOWN = 12
_OF_CLASSES = frozenset((CAMTRAP_DP, MEGADETECTOR, TIMELAPSE))
"""Forms that say what classes mean."""

Add = Callable[[RecordPrediction], None]
Pack = Callable[[Path, Path, Mapping[str, Any], Path | None], str]
"""Writes a plug-in folder for AddaxAI: bundle, folder, facts, table of taxa → a line that says so."""
Made = TypeVar("Made")


@dataclass(kw_only=True)
class ExportPlan:
    """What is to be written, checked as far as it can be without the model.

    Attributes:
        config: the settings.
        stem: folder and beginning of the names of what is written.
        book: facts of pictures.
        facts: what people said about package and plug-in.
        deployments: of a Camtrap DP; None where none is written.
        coverage: taxonomic coverage of the package that the deployments come from.
        package_is_known: False where deployments come from a package that could not be read: it may say what is missing.
        detector: name of the detector that found the boxes.
        told: class of the species label → what it means; filled by `model`.
        errors: what stands in the way, in the order in which it was found.
        lines: what was written, for a person; filled at the end.
    """

    config: ExportFormsConfig
    stem: Path
    book: FactBook
    facts: Mapping[str, Any] = field(default_factory=dict)
    deployments: Deployments | None = None
    coverage: Sequence[Mapping[str, Any]] = ()
    package_is_known: bool = True
    detector: str | None = None
    told: Mapping[str, Meaning] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    errors: list[CamtrapError] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        config: ExportFormsConfig,
        *,
        results: Path,
        root: Path | None,
        meta_fields: Sequence[str] = (),
        packs: bool = False,
        detector: str | None = None,
    ) -> ExportPlan:
        """Reads what the settings name; takes down all that is missing, is there already or cannot be read (`require`).

        Args:
            config: the settings.
            results: the table of predictions; names what is written.
            root: folder of the pictures, where the settings name none for these forms.
            meta_fields: columns of the predicted table.
            packs: whether there is something that packs a plug-in.
            detector: name of the detector that found the boxes.
        """
        stem = (config.export_dir or results.parent) / results.stem
        plan = cls(config=config, stem=stem, book=FactBook(root=config.export_root or root), detector=detector)
        if not config.export:
            return plan
        if ADDAXAI in config.export and not packs:
            problem = "--export addaxai is made by the command `camtrap predict`, or `camtrap export addaxai`"
            plan.errors.append(SettingError(problem))
        with plan.noting():
            check_writable(stem.parent, "--export-dir")
        for form in (CAMTRAP_DP, ADDAXAI):
            if form in config.export:
                with plan.noting():
                    plan._check_target(form)
        inventory = None if config.inventory is None else plan._noted(partial(Inventory.read, config.inventory))
        if inventory is not None:
            plan.book.inventory = known_pictures(inventory)
        facts = plan._noted(partial(read_facts, config.package_facts))
        plan.facts = facts or {}
        if ADDAXAI in config.export and facts is not None:
            plan._noted(partial(plugin_facts, facts))
        if CAMTRAP_DP in config.export:
            plan._prepare_package(meta_fields, facts_are_known=facts is not None)
        return plan

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Takes down an error of the block instead of raising it, so that all of them are found at once."""
        try:
            yield
        except CamtrapError as err:
            self.errors.append(err)

    def _noted(self, make: Callable[[], Made]) -> Made | None:
        """Returns what a function makes; None, and the error taken down, where it cannot."""
        with self.noting():
            return make()
        return None

    def require(self) -> None:
        """Makes sure that nothing stands in the way.

        Raises:
            CamtrapError: it does; a single error as it is, of several one that says them all in a line.
        """
        if len(self.errors) == 1:
            raise self.errors[0]
        if self.errors:
            said = " ".join(f"({number}) {error}" for number, error in enumerate(self.errors, start=1))
            raise SettingError(f"--export {' '.join(self.config.export)}: {len(self.errors)} things to mend: {said}")

    def _check_target(self, form: str) -> None:
        """Makes sure that nothing is in the way of a folder.

        Raises:
            SettingError: there is; with `--overwrite`, where it is anything but an earlier package.
        """
        target = self.target(form)
        if not target.exists() or (target.is_dir() and not any(target.iterdir())):
            return
        if form == CAMTRAP_DP and self.config.overwrite:
            require_own_package(target)
            return
        over = ", --overwrite replaces an earlier package" if form == CAMTRAP_DP else ""
        raise SettingError(f"--export {form}: {target} is there already; remove it, or give another --export-dir{over}")

    def target(self, form: str) -> Path:
        """Returns the file or folder of a form."""
        endings = {
            CAMTRAP_DP: ".camtrap-dp",
            MEGADETECTOR: ".megadetector.json",
            TIMELAPSE: ".timelapse.csv",
            ADDAXAI: ".addaxai",
        }
        return self.stem.with_name(self.stem.name + endings[form])

    def _prepare_package(self, meta_fields: Sequence[str], *, facts_are_known: bool) -> None:
        """Reads deployments and judges facts; takes down all that is missing or wrong, and where to give it."""
        missing = []
        offset, path = self.config.utc_offset, self.config.deployments
        if path is None:
            lacking = self._lacking(meta_fields)
            if lacking:
                missing.append(f"of the deployments {', '.join(lacking)} (--deployments: a CSV or a Camtrap DP package)")
            self.deployments = Deployments(given=False, utc_offset=offset)
        else:
            table = self._noted(partial(self._taken_over, path))
            if table is not None:
                self.deployments = self._noted(partial(read_deployments, table, offset))
            elif _is_package(path):
                self.package_is_known = False
                return
        wrong = problems(self.facts) if facts_are_known else []
        if wrong:
            missing.append(f"of the package {', '.join(wrong)} (--package-facts: a YAML file)")
        if missing:
            self.errors.append(SettingError(f"--export camtrap-dp cannot be written; missing or wrong: {'; '.join(missing)}"))

    def _lacking(self, meta_fields: Sequence[str]) -> list[str]:
        """Returns what neither the predicted table nor the inventory says of deployments."""
        of_inventory = {name for known in self.book.inventory.values() for name in known.meta}
        there = set(standard_names([*meta_fields, *of_inventory]).values())
        return [column for column in REQUIRED if column not in there]

    def _taken_over(self, path: Path) -> TableColumns:
        """Returns the deployments of a table or package as they are written; takes over what the package says.

        Raises:
            SourceError: a file cannot be read.
        """
        if not _is_package(path):
            return read_table(path, what="table of deployments", unit="record")
        package = path / PACKAGE if path.is_dir() else path
        described = read_described(package)
        carried = {key: described[key] for key in CARRIED if described.get(key)}
        self.facts = {**carried, **self.facts}
        covered = described.get("taxonomic")
        self.coverage = [one for one in covered if isinstance(one, dict)] if isinstance(covered, list) else []
        media = read_resource(package, described, "media", "picture")
        observations = read_resource(package, described, "observations", "observation")
        self.book.media = _media_rows(media)
        events = zip(observations.column("mediaID").to_pylist(), observations.column("eventID").to_pylist(), strict=True)
        self.book.events = {key: event for key, event in events if key and event}
        return read_resource(package, described, "deployments", "record")

    def check_model(
        self,
        class_names: Mapping[str, Sequence[str]],
        blanks: Mapping[str, str],
        path: Path | None,
        info: Mapping[str, Any] | None,
    ) -> None:
        """Takes down what `model` would refuse; the arguments are its own, with None where the model is not described."""
        if info is None or not _OF_CLASSES & set(self.config.export):
            return
        model = self._noted(lambda: self._described(class_names, blanks, path, info))
        if model is None or CAMTRAP_DP not in self.config.export:
            return
        self.errors += map(SettingError, self._unnamed(model, classes=self.package_is_known))

    def model(
        self, class_names: Mapping[str, Sequence[str]], blanks: Mapping[str, str], path: Path | None, info: Mapping[str, Any]
    ) -> ModelFacts:
        """Returns what the forms need to know about the model; without any form only its classes.

        Args:
            class_names: label type → classes by index.
            blanks: label types with a sigmoid head → name for nothing being there.
            path: of the bundle, where it is known.
            info: content of `bundle.json`.

        Raises:
            SettingError: it is not clear which label type is the species, or classes lack what a form needs.
            SourceError: the table of taxa cannot be used.
        """
        if not _OF_CLASSES & set(self.config.export):
            return ModelFacts(class_names, blanks, "")
        model = self._described(class_names, blanks, path, info)
        unnamed = self._unnamed(model) if CAMTRAP_DP in self.config.export else []
        if unnamed:
            raise SettingError("; ".join(unnamed))
        return model

    def _described(
        self, class_names: Mapping[str, Sequence[str]], blanks: Mapping[str, str], path: Path | None, info: Mapping[str, Any]
    ) -> ModelFacts:
        """Returns the model with its name, and learns what its classes mean; see `model`."""
        named = self.config.classified_by or (None if path is None else classifier_name(path, info))
        model = ModelFacts.of(class_names, blanks, species_label=self.config.species_label, classifier=named)
        self.told = meanings(model.names(model.species), taxa=self.config.taxa, coverage=self.coverage)
        return model

    def _unnamed(self, model: ModelFacts, *, classes: bool = True) -> list[str]:
        """Returns what keeps a Camtrap DP from naming classes and model, and what to give; a text each.

        Args:
            model: what makes the predictions.
            classes: whether to judge the classes, too.
        """
        found = []
        nameless = without_name(self.told) if classes else []
        if nameless:
            found.append(
                f"--export camtrap-dp: no scientific name is known for {shortened(nameless, most=CLASSES_SHOWN)}; give "
                "--taxa, a CSV with the columns model_class and scientificName (a line without a name says that there is none)"
            )
        if model.classifier is None:
            found.append("--export camtrap-dp: which model was it? give --model-path or --classified-by")
        return found

    def finished(self, model_path: Path | None, pack: Pack | None) -> list[str]:
        """Packs the plug-in where one is asked for; returns what was written in all, a line each."""
        if pack is not None and model_path is not None and ADDAXAI in self.config.export:
            self.lines.append(pack(model_path, self.target(ADDAXAI), plugin_facts(self.facts), self.config.taxa))
        order: dict[str, int] = {form: place for place, form in enumerate(self.config.export)}
        return sorted(self.lines, key=lambda line: order[line.partition(":")[0]])

    def add_targets(self, plan: DryRun) -> None:
        """Says in a dry run what would be written."""
        for form in self.config.export:
            target = self.target(form)
            plan.would_write(form, target, ", in the place of the package there" if target.is_dir() else "")

    @contextmanager
    def opened(self, model: ModelFacts) -> Iterator[Add]:
        """Gives a function that adds a record to every form; they appear when the block ends without an error.

        Args:
            model: what `model` returned.
        """
        if not model.species:
            yield lambda record: None
            return
        makers = {CAMTRAP_DP: self._package, MEGADETECTOR: self._megadetector, TIMELAPSE: self._timelapse}
        with ExitStack() as stack:
            adds = [stack.enter_context(makers[form](model)) for form in self.config.export if form in makers]

            def add(record: RecordPrediction) -> None:
                """Adds a record to every form."""
                for one in adds:
                    one(record)

            yield add

    @contextmanager
    def _package(self, model: ModelFacts) -> Iterator[Add]:
        """Opens a Camtrap DP."""
        assert self.deployments is not None  # `of` has seen to it
        config = self.config
        package = CamtrapDp(
            model=model,
            meanings=self.told,
            book=self.book,
            deployments=self.deployments,
            facts=self.facts,
            coverage=self.coverage,
            unknown_below=config.unknown_below,
            media_url=config.media_url,
            hashes=config.media_hashes,
            overwrite=config.overwrite,
        )
        folder = self.target(CAMTRAP_DP)
        with camtrap_package(folder, package) as add:
            yield add
        left_out = package.rejected.total()
        counts = ", ".join(f"{kind} {count}" for kind, count in package.observations.most_common())
        why = ", ".join(f"{reason} {count}" for reason, count in package.rejected.most_common())
        self.lines.append(
            f"camtrap-dp: {folder}: {package.media + left_out} pictures = {package.media} in it + {left_out} left out"
            + (f" ({why}; {folder.name}.rejects.csv)" if left_out else "")
            + f"; observations: {counts}; deployments: {len(package.used)}"
        )

    @contextmanager
    def _megadetector(self, model: ModelFacts) -> Iterator[Add]:
        """Opens a MegaDetector results file."""
        path = self.target(MEGADETECTOR)
        with megadetector_file(
            path, model, self.told, root=self.book.root, min_confidence=self.config.min_confidence, detector=self.detector
        ) as add:
            yield add
        left_out = [label for label in model.class_names if label != model.species]
        self.lines.append(f"megadetector: {path}" + (f" (not in it: {', '.join(left_out)})" if left_out else ""))

    @contextmanager
    def _timelapse(self, model: ModelFacts) -> Iterator[Add]:
        """Opens a table for Timelapse."""
        columns, counts, path = (
            columns_of(model, timelapse_columns(self.config.timelapse_columns)),
            TimelapseCounts(),
            self.target(TIMELAPSE),
        )
        with timelapse_table(path, model, self.book, columns, counts) as add:
            yield add
        notes = [f"{counts.rows} pictures", f"data labels: {', '.join(columns.values())}"]
        if counts.boxes:
            notes.append(f"of several boxes the surest: {counts.boxes} others are not in it")
        if counts.guarded_paths:
            notes.append(f"{counts.guarded_paths} file or folder names begin like formulas and got a ' before them")
        self.lines.append(f"timelapse: {path}: {'; '.join(notes)}")


def _is_package(path: Path) -> bool:
    """Returns whether deployments are given as a Camtrap DP package, by the name."""
    return path.is_dir() or path.suffix.lower() == ".json"


def _media_rows(media: TableColumns) -> dict[str, Mapping[str, str]]:
    """Returns file path, and file name where only one picture has it, → row of a package's media table."""
    columns = {name: column.to_pylist() for name, column in media.columns.items()}
    rows = [{name: values[i] for name, values in columns.items() if values[i]} for i in range(len(media))]
    by_name: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_name.setdefault(row.get("fileName", ""), []).append(row)
    found: dict[str, Mapping[str, str]] = {name: same[0] for name, same in by_name.items() if name and len(same) == 1}
    return {**found, **{row["filePath"]: row for row in rows if row.get("filePath")}}
