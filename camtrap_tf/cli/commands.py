"""The table of commands: words → settings model and stage function, as names that are imported when the command runs."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from camtrap_tf.config.base import StageConfig
from camtrap_tf.errors import SettingError, suggestion


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command.

    Attributes:
        words: what is typed after `camtrap`.
        config: settings model, `module:Class` below `camtrap_tf`.
        stage: function of that config, `module:function` below `camtrap_tf`.
        logs_to: setting whose folder takes the log files where `--log-outdir` is not given; None: no log files.
        by_flags: the flags of a command of one word choose it too (see `variants`).
        first: setting that a word without a flag, right after the command, is the value of; None: there is no such word.
    """

    words: tuple[str, ...]
    config: str
    stage: str
    logs_to: str | None = None
    first: str | None = None
    by_flags: bool = False

    @property
    def name(self) -> str:
        """The words as one text, e.g. `inventory csv`."""
        return " ".join(self.words)

    def model(self) -> type[StageConfig]:
        """Returns the settings model."""
        model: type[StageConfig] = _load(self.config)
        return model

    def function(self) -> Callable[[Any], Any]:
        """Returns the stage function; this is where the heavy imports happen."""
        function: Callable[[Any], Any] = _load(self.stage)
        return function

    def summary(self) -> str:
        """Returns the one line that the list of commands shows."""
        return (self.model().__doc__ or "").strip().splitlines()[0]


COMMANDS: tuple[Command, ...] = (
    Command(words=("sample",), config="config.sample:SampleConfig", stage="sample.drawing:draw_sample"),
    Command(
        words=("inventory", "csv"),
        config="config.inventory:CsvInventoryConfig",
        stage="inventory.building:build_from_csv",
        logs_to="export_path",
    ),
    Command(
        words=("inventory", "folders"),
        config="config.inventory:FolderInventoryConfig",
        stage="inventory.building:build_from_folders",
        logs_to="export_path",
    ),
    Command(
        words=("inventory", "json"),
        config="config.inventory:JsonInventoryConfig",
        stage="inventory.building:build_from_json",
        logs_to="export_path",
    ),
    Command(
        words=("inventory", "panthera"),
        config="config.inventory:PantheraInventoryConfig",
        stage="inventory.building:build_from_panthera",
        logs_to="export_path",
    ),
    Command(
        words=("inventory", "coco"),
        config="config.picture_sources:CocoInventoryConfig",
        stage="inventory.building_from_standards:build_from_coco",
        logs_to="export_path",
    ),
    Command(
        words=("inventory", "classification-csv"),
        config="config.classification:ClassificationCsvInventoryConfig",
        stage="inventory.building_from_crops:build_from_classification_csv",
        logs_to="export_path",
    ),
    Command(
        words=("inventory", "queried-images"),
        config="config.classification:QueriedImagesInventoryConfig",
        stage="inventory.building_from_crops:build_from_queried_images",
        logs_to="export_path",
    ),
    Command(
        words=("inventory", "megadetector"),
        config="config.picture_sources:MegadetectorInventoryConfig",
        stage="inventory.building_from_standards:build_from_megadetector",
        logs_to="export_path",
    ),
    Command(
        words=("inventory", "camtrap-dp"),
        config="config.picture_sources:CamtrapDpInventoryConfig",
        stage="inventory.building_from_standards:build_from_camtrap_dp",
        logs_to="export_path",
    ),
    Command(
        words=("inventory", "wildlife-insights"),
        config="config.picture_sources:WildlifeInsightsInventoryConfig",
        stage="inventory.building_from_standards:build_from_wildlife_insights",
        logs_to="export_path",
    ),
    Command(
        words=("inventory", "timelapse"),
        config="config.picture_sources:TimelapseInventoryConfig",
        stage="inventory.building_from_standards:build_from_timelapse",
        logs_to="export_path",
    ),
    Command(
        words=("inventory", "merge"),
        config="config.inventory:InventoryMergeConfig",
        stage="inventory.building:merge_inventories",
    ),
    Command(
        words=("inventory", "inspect"),
        config="config.inventory:InventoryInspectConfig",
        stage="inventory.building:inspect_inventory",
    ),
    Command(
        words=("cct", "validate"), config="config.cct:CctValidateConfig", stage="cct.validating:validate_file", first="path"
    ),
    Command(words=("cct", "clean"), config="config.cct:CctCleanConfig", stage="cct.cleaning:clean_file", first="path"),
    Command(words=("cct", "combine"), config="config.cct:CctCombineConfig", stage="cct.combining:combine_files"),
    Command(words=("cct", "counts"), config="config.cct:CctCountsConfig", stage="cct.counting:count_file", first="path"),
    Command(
        words=("cct", "categories"),
        config="config.cct:CctCategoriesConfig",
        stage="cct.categories:change_categories",
        first="path",
    ),
    Command(
        words=("cct", "category-map"),
        config="config.cct:CctCategoryMapConfig",
        stage="cct.categories:write_category_map",
        first="path",
    ),
    Command(
        words=("cct", "subsample"), config="config.cct:CctSubsampleConfig", stage="cct.sampling:subsample_file", first="path"
    ),
    Command(words=("cct", "drop"), config="config.cct:CctDropConfig", stage="cct.sampling:drop_from_file", first="path"),
    Command(words=("cct", "split"), config="config.cct:CctSplitConfig", stage="cct.splitting:split_file", first="path"),
    Command(
        words=("cct", "locations-with"),
        config="config.cct:CctLocationsConfig",
        stage="cct.counting:find_locations",
        first="path",
    ),
    Command(
        words=("cct", "to-md"),
        config="config.cct:CctToMegadetectorConfig",
        stage="cct.megadetector:to_megadetector_file",
        first="path",
    ),
    Command(
        words=("cct", "from-md"),
        config="config.cct:CctFromMegadetectorConfig",
        stage="cct.megadetector:from_megadetector_file",
        first="path",
    ),
    Command(
        words=("cct", "to-inventory"),
        config="config.picture_sources:CocoInventoryConfig",
        stage="inventory.building_from_standards:build_from_coco",
        logs_to="export_path",
        first="path",
    ),
    Command(
        words=("download", "urls"),
        config="config.download:UrlsDownloadConfig",
        stage="acquire.downloading:download_urls",
        first="path",
    ),
    Command(
        words=("download", "inventory"),
        config="config.download:InventoryDownloadConfig",
        stage="inventory.downloading:download_inventory",
        first="path",
    ),
    Command(
        words=("download", "cct"),
        config="config.download:CctDownloadConfig",
        stage="cct.downloading:download_cct",
        first="path",
    ),
    Command(
        words=("download", "lila"),
        config="config.download:LilaDownloadConfig",
        stage="cct.downloading:download_lila",
    ),
    Command(
        words=("download", "s3"),
        config="config.download:ObjectsDownloadConfig",
        stage="acquire.downloading:download_objects",
        first="path",
    ),
    Command(words=("detect",), config="config.crop:DetectConfig", stage="curation.detecting:detect"),
    Command(
        words=("crop",), config="config.crop:CropConfig", stage="curation.cropping:crop", logs_to="output_dir", first="path"
    ),
    Command(
        words=("exif", "check"), config="config.exif:ExifCheckConfig", stage="curation.exif_check:check_exif", first="path"
    ),
    Command(words=("exif", "set"), config="config.exif:ExifSetConfig", stage="curation.exif_serials:set_serials", first="path"),
    Command(
        words=("classification", "create"),
        config="config.classification:ClassificationConfig",
        stage="curation.classification_sets:make_classification_set",
        first="output_dir",
    ),
    Command(
        words=("classification", "inspect"),
        config="config.classification:ClassificationInspectConfig",
        stage="curation.classification_report:inspect_classification_set",
        first="path",
    ),
    Command(
        words=("classification", "queried-images"),
        config="config.classification:QueriedImagesConfig",
        stage="curation.queried_images:make_queried_images",
        first="path",
    ),
    Command(
        words=("classification", "label-spec"),
        config="config.classification:LabelSpecConfig",
        stage="curation.label_specs:convert_label_spec",
        first="path",
    ),
    Command(
        words=("dataset", "create"),
        config="config.dataset:DatasetConfig",
        stage="dataset.writing:create_dataset",
        logs_to="output_dir",
    ),
    Command(
        words=("dataset", "inspect"),
        config="config.dataset:DatasetInspectConfig",
        stage="dataset.inspection:inspect_dataset",
    ),
    Command(
        words=("dataset", "preview"),
        config="config.variation:PreviewConfig",
        stage="input_pipeline.preview:preview",
    ),
    Command(
        words=("split",),
        config="config.splits:SplitConfig",
        stage="curation.split_stage:split",
        logs_to="output_dir",
    ),
    Command(
        words=("labels", "merge"),
        config="config.dataset:LabelsMergeConfig",
        stage="curation.mappings:merge_label_mappings",
    ),
    Command(words=("train",), config="config.training:TrainConfig", stage="training.train:train", logs_to="run_outputs_dir"),
    Command(
        words=("train", "files"),
        config="config.training_files:TrainFilesConfig",
        stage="cli.training_from_files:train_from_files",
        logs_to="run_outputs_dir",
        by_flags=True,
    ),
    Command(
        words=("train", "recipe"),
        config="config.optimisation:RecipeConfig",
        stage="training.recipes:print_recipe",
        first="name",
    ),
    Command(words=("train", "doctor"), config="config.doctor:DoctorConfig", stage="training.doctor:examine"),
    Command(words=("train", "plot"), config="config.watching:PlotConfig", stage="training.plotting:plot", first="run"),
    Command(
        words=("predict",),
        config="config.delivery:PredictConfig",
        stage="cli.predicting:predict",
        logs_to="results_file",
    ),
    Command(
        words=("predict", "export"),
        config="config.predictions_out:PredictExportConfig",
        stage="cli.predicting:export_predictions",
        first="results",
    ),
    Command(
        words=("predict", "aggregate"),
        config="config.predictions_used:PredictAggregateConfig",
        stage="prediction.aggregating:aggregate_predictions",
        first="results_file",
    ),
    Command(
        words=("predict", "suspects"),
        config="config.predictions_used:PredictSuspectsConfig",
        stage="prediction.suspects:find_suspects",
        first="results_file",
    ),
    Command(
        words=("predict", "split"),
        config="config.training_files:PredictSplitConfig",
        stage="prediction.split_results:predict_split",
        by_flags=True,
    ),
    Command(
        words=("evaluate",),
        config="config.delivery:EvaluateConfig",
        stage="evaluation.evaluate:evaluate",
        logs_to="output_dir",
    ),
    Command(
        words=("evaluate", "results"),
        config="config.training_files:EvaluateResultsConfig",
        stage="evaluation.results_report:evaluate_results",
        by_flags=True,
    ),
    Command(words=("export",), config="config.delivery:ExportConfig", stage="export.exporting:export", logs_to="output_dir"),
    Command(words=("export", "addaxai"), config="config.predictions_out:AddaxaiConfig", stage="export.addaxai:export_addaxai"),
    Command(words=("serve",), config="config.delivery:ServeConfig", stage="serving.app:serve"),
    Command(words=("demo",), config="config.delivery:DemoConfig", stage="cli.demo:demo"),
    Command(words=("env",), config="config.environment:EnvironmentConfig", stage="cli.environment:look"),
)

OWN_FLAGS = ("--help", "-h", "--version")
"""Flags of `camtrap` itself."""

ALIASES: dict[tuple[str, ...], tuple[str, ...]] = {("inventory", "dir"): ("inventory", "folders"), ("train", "run"): ("train",)}
"""Other words for a command, e.g. those of camera-trap-classifier."""


def verbs() -> tuple[str, ...]:
    """Returns the first words, in order, each once."""
    return tuple(dict.fromkeys(command.words[0] for command in COMMANDS))


def group(verb: str) -> tuple[Command, ...]:
    """Returns the commands that begin with this word; a bare group means its first one."""
    return tuple(command for command in COMMANDS if command.words[0] == verb)


def find(verb: str, following: str | None) -> tuple[Command, int]:
    """Finds a command by its words.

    Args:
        verb: the first word.
        following: the token after it, if there is one.

    Returns:
        The command, and how many of the two words were used up.

    Raises:
        SettingError: no such command; names the nearest.
    """
    members = group(verb)
    if verb.startswith("-"):
        wanted = suggestion(verb, OWN_FLAGS).replace("choose from: ", "before the command there are ")
        raise SettingError(f"no flag {verb!r}{wanted} (`camtrap --help` lists the commands)")
    if not members:
        raise SettingError(f"no command {verb!r}{suggestion(verb, (*verbs(), 'legacy'))} (`camtrap --help` lists them)")
    if following is None or following.startswith("-"):
        return members[0], 1
    words = ALIASES.get((verb, following), (verb, following))
    for command in members:
        if command.words == words:
            return command, 2
    if len(members[0].words) == 1 and all(member.by_flags for member in members[1:]):
        return members[0], 1
    second = [command.words[1] for command in members if len(command.words) > 1]
    raise SettingError(f"no command '{verb} {following}'{suggestion(following, second)}")


def _load(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(f"camtrap_tf.{module}"), attribute)
