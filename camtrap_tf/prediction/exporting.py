"""Predictions in other systems' forms: while they are made (`predict --export`), or afterwards (`predict export`).

Whatever is missing is found out before a model runs, as far as settings and files can say it. Records go through one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from camtrap_tf.config.delivery import PredictConfig
from camtrap_tf.config.predictions_out import ExportFormsConfig, PredictExportConfig, timelapse_columns
from camtrap_tf.errors import SettingError, counted
from camtrap_tf.files import check_writable, writable_folder
from camtrap_tf.inventory.table import Inventory
from camtrap_tf.logs import keep_logs
from camtrap_tf.prediction.box_source import BoxSource
from camtrap_tf.prediction.dry_run import DryRun
from camtrap_tf.prediction.export_camtrap_dp import CamtrapDp, camtrap_package
from camtrap_tf.prediction.export_classes import Meaning, meanings, without_name
from camtrap_tf.prediction.export_deployments import REQUIRED, Deployments, read_deployments, standard_names
from camtrap_tf.prediction.export_megadetector import megadetector_file
from camtrap_tf.prediction.export_model import ModelFacts, classifier_name, described_model
from camtrap_tf.prediction.export_package import CARRIED, plugin_facts, problems, read_facts, require_own_package
from camtrap_tf.prediction.export_pictures import FactBook, known_pictures, relative_path
from camtrap_tf.prediction.export_timelapse import TimelapseCounts, columns_of, timelapse_table
from camtrap_tf.prediction.results import RecordPrediction
from camtrap_tf.prediction.results_reading import ResultsFile
from camtrap_tf.prediction.sources import PictureFolder, PictureTable
from camtrap_tf.progress import track
from camtrap_tf.sources.camtrap_dp import PACKAGE, read_described, read_resource
from camtrap_tf.sources.table_columns import TableColumns, read_table

CAMTRAP_DP, MEGADETECTOR, TIMELAPSE, ADDAXAI = "camtrap-dp", "megadetector", "timelapse", "addaxai"
CLASSES_SHOWN = 12

Source = PictureFolder | PictureTable | BoxSource
Add = Callable[[RecordPrediction], None]
Pack = Callable[[Path, Path, Mapping[str, Any], Path | None], str]
"""Writes a plug-in folder for AddaxAI: bundle, folder, facts, table of taxa → a line that says so."""


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
        detector: name of the detector that found the boxes.
        told: class of the species label → what it means; filled by `model`.
        lines: what was written, for a person; filled at the end.
    """

    config: ExportFormsConfig
    stem: Path
    book: FactBook
    facts: Mapping[str, Any] = field(default_factory=dict)
    deployments: Deployments | None = None
    coverage: Sequence[Mapping[str, Any]] = ()
    detector: str | None = None
    told: Mapping[str, Meaning] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

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
        """Reads what the settings name.

        Args:
            config: the settings.
            results: the table of predictions; names what is written.
            root: folder of the pictures, where the settings name none for these forms.
            meta_fields: columns of the predicted table.
            packs: whether there is something that packs a plug-in.
            detector: name of the detector that found the boxes.

        Raises:
            SettingError: something is missing, is there already or cannot be read; names all of it.
            SourceError: a table cannot be read.
        """
        stem = (config.export_dir or results.parent) / results.stem
        plan = cls(config=config, stem=stem, book=FactBook(root=config.export_root or root), detector=detector)
        if not config.export:
            return plan
        if ADDAXAI in config.export and not packs:
            raise SettingError("--export addaxai is made by the command `camtrap predict`, or `camtrap export addaxai`")
        check_writable(stem.parent, "--export-dir")
        for form in (CAMTRAP_DP, ADDAXAI):
            if form in config.export:
                plan._check_target(form)
        plan.facts = read_facts(config.package_facts)
        if ADDAXAI in config.export:
            plugin_facts(plan.facts)
        if config.inventory is not None:
            plan.book.inventory = known_pictures(Inventory.read(config.inventory))
        if CAMTRAP_DP in config.export:
            plan._prepare_package(meta_fields)
        return plan

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

    def _prepare_package(self, meta_fields: Sequence[str]) -> None:
        """Reads deployments and facts.

        Raises:
            SettingError: lists all that is missing, and where to give it.
        """
        missing = []
        offset = self.config.utc_offset
        if self.config.deployments is not None:
            self.deployments = self._given_deployments(self.config.deployments, offset)
        else:
            of_inventory = {name for known in self.book.inventory.values() for name in known.meta}
            there = set(standard_names([*meta_fields, *of_inventory]).values())
            lacking = [column for column in REQUIRED if column not in there]
            if lacking:
                missing.append(f"of the deployments {', '.join(lacking)} (--deployments: a CSV or a Camtrap DP package)")
            self.deployments = Deployments(given=False, utc_offset=offset)
        wrong = problems(self.facts)
        if wrong:
            missing.append(f"of the package {', '.join(wrong)} (--package-facts: a YAML file)")
        if missing:
            raise SettingError(f"--export camtrap-dp cannot be written; missing: {'; '.join(missing)}")

    def _given_deployments(self, path: Path, offset: str | None) -> Deployments:
        """Returns the deployments of a table or package; takes over what the package says."""
        package = path / PACKAGE if path.is_dir() else path
        if package.suffix.lower() != ".json":
            return read_deployments(read_table(path, what="table of deployments", unit="record"), offset)
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
        return read_deployments(read_resource(package, described, "deployments", "record"), offset)

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
        if not {CAMTRAP_DP, MEGADETECTOR, TIMELAPSE} & set(self.config.export):
            return ModelFacts(class_names, blanks, "")
        named = self.config.classified_by or (None if path is None else classifier_name(path, info))
        model = ModelFacts.of(class_names, blanks, species_label=self.config.species_label, classifier=named)
        self.told = meanings(model.names(model.species), taxa=self.config.taxa, coverage=self.coverage)
        if CAMTRAP_DP in self.config.export:
            self._check_names(model)
        return model

    def _check_names(self, model: ModelFacts) -> None:
        """Makes sure that a Camtrap DP can name classes and model.

        Raises:
            SettingError: it cannot.
        """
        nameless = without_name(self.told)
        if nameless:
            more = f" and {len(nameless) - CLASSES_SHOWN} more" if len(nameless) > CLASSES_SHOWN else ""
            raise SettingError(
                f"--export camtrap-dp: no scientific name is known for {', '.join(nameless[:CLASSES_SHOWN])}{more}; give "
                "--taxa, a CSV with the columns model_class and scientificName (a line without a name says that there is none)"
            )
        if model.classifier is None:
            raise SettingError("--export camtrap-dp: which model was it? give --model-path or --classified-by")

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


def _media_rows(media: TableColumns) -> dict[str, Mapping[str, str]]:
    """Returns file path, and file name where only one picture has it, → row of a package's media table."""
    columns = {name: column.to_pylist() for name, column in media.columns.items()}
    rows = [{name: values[i] for name, values in columns.items() if values[i]} for i in range(len(media))]
    by_name: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_name.setdefault(row.get("fileName", ""), []).append(row)
    found: dict[str, Mapping[str, str]] = {name: same[0] for name, same in by_name.items() if name and len(same) == 1}
    return {**found, **{row["filePath"]: row for row in rows if row.get("filePath")}}


def exports_of(config: PredictConfig, source: Source, pack: Pack | None) -> ExportPlan:
    """Returns what `predict` is to write besides its table; checked as far as it can be without the model.

    Raises:
        SettingError: something is missing; says what and where to give it.
        SourceError: what is joined to the predictions cannot be read.
    """
    root = config.image_dir or (config.csv_images_root_path if config.csv_images_root_path != Path() else None)
    outside = root is not None and config.export_root is not None and not _lies_in(root, config.export_root)
    if config.export and outside:
        raise SettingError(f"--export-root {config.export_root}: {root} does not lie below it; give a folder that it is in")
    detector = source.plan.detector if isinstance(source, BoxSource) else None
    return ExportPlan.of(
        config,
        results=config.results_file,
        root=root,
        meta_fields=source.meta_fields,
        packs=pack is not None,
        detector=detector,
    )


def _lies_in(folder: Path, root: Path) -> bool:
    """Returns whether a folder is another one, or below it."""
    return folder.resolve().is_relative_to(root.resolve())


@dataclass
class PredictExportSummary:
    """What was written; `text` is printed.

    Attributes:
        records: read.
        lines: one per form.
    """

    records: int = 0
    lines: Sequence[str] = ()

    def text(self) -> str:
        """Returns what was written, for a person."""
        return "\n".join([f"records: {self.records} read", *self.lines])


def export_predictions(config: PredictExportConfig, pack: Pack | None = None) -> PredictExportSummary | DryRun:
    """Writes a table of predictions in other forms; no model runs. With `dry_run` says what it would do.

    Args:
        config: the settings.
        pack: packs a plug-in for AddaxAI.

    Raises:
        SettingError: something is missing; says what and where to give it.
        SourceError: the table, or what is joined to it, cannot be read.
    """
    if config.dry_run:
        return _planned(config, pack)
    found = ResultsFile.open(config.results)
    plan = ExportPlan.of(config, results=config.results, root=None, meta_fields=found.meta_fields, packs=pack is not None)
    info = {} if config.model_path is None else described_model(config.model_path)
    model = plan.model(found.class_names, found.blanks, config.model_path, info)
    _check_root(plan, found)
    writable_folder(plan.stem.parent, "--export-dir")
    keep_logs()
    summary = PredictExportSummary()
    with plan.opened(model) as add:
        for record in track(found.records(), total=None, description="Writing", unit="records"):
            add(record)
            summary.records += 1
    summary.lines = plan.finished(config.model_path, pack)
    return summary


def _planned(config: PredictExportConfig, pack: Pack | None) -> DryRun:
    """Returns what `export_predictions` would do."""
    plan = DryRun("predict export")
    found: ResultsFile | None = None
    info: Mapping[str, Any] = {}
    with plan.noting():
        found = ResultsFile.open(config.results)
        counts: Counter[str] = Counter()
        pictures = 0
        for record in found.records():
            counts[record.status] += 1
            pictures += len(record.pictures)
        told = ", ".join(f"{status} {count}" for status, count in counts.most_common())
        records = counted(counts.total(), "record")
        plan.lines.append(f"table: {config.results}: {records} ({told}) of {counted(pictures, 'picture')}")
        plan.lines += [f"  {label}: {counted(len(names), 'class', 'es')}" for label, names in found.class_names.items()]
    with plan.noting():
        info = {} if config.model_path is None else described_model(config.model_path)
    if found is not None:
        with plan.noting():
            exports = ExportPlan.of(
                config, results=config.results, root=None, meta_fields=found.meta_fields, packs=pack is not None
            )
            exports.add_targets(plan)
            exports.model(found.class_names, found.blanks, config.model_path, info)
            _check_root(exports, found)
    return plan


def _check_root(plan: ExportPlan, found: ResultsFile) -> None:
    """Makes sure that paths can be made relative where a form needs it.

    Raises:
        SettingError: they are absolute, and no root is given or they do not lie below it.
    """
    root = plan.book.root
    if root is None and not {CAMTRAP_DP, TIMELAPSE} & set(plan.config.export):
        return
    first = next((one.path for record in found.records() for one in record.pictures), "")
    if not Path(relative_path(first, root)).is_absolute():
        return
    if root is None:
        raise SettingError(f"--export-root is missing: the folder that pictures such as {first} are to be relative to")
    raise SettingError(f"--export-root {root}: {first} does not lie below it; give a folder that all pictures are in")
