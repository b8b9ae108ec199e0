"""Every flag of camera-trap-classifier's five programs is accepted and means what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.cli import legacy
from camtrap_tf.cli.main import parse
from camtrap_tf.errors import SettingError
from camtrap_tf.training.recipes import with_recipe

NEEDED = {
    "create_dataset_inventory csv": "-path t.csv -export_path i.json -capture_id_field id -image_fields p -label_fields s",
    "create_dataset_inventory json": "-path t.json -export_path i.json",
    "create_dataset_inventory dir": "-path d -export_path i.json",
    "create_dataset_inventory panthera": "-path t.csv -export_path i.json",
    "create_dataset": "-inventory i.json -output_dir out/",
    "train": (
        "-train_tfr_path t -val_tfr_path v -class_mapping_json m.json -run_outputs_dir r/ -model_save_dir s/ "
        "-model ResNet18 -labels species count"
    ),
    "predict": "-image_dir d -results_file r.csv -model_path m -class_mapping_json l.json -pre_processing_json p.json",
    "export": "-model m.hdf5 -class_mapping_json l.json -pre_processing_json p.json -output_dir o/",
}
"""What each program asked for at least."""

FLAGS: list[tuple[str, str, dict[str, Any]]] = [
    *((f"create_dataset_inventory {sub}", *rest) for sub in ("csv", "json", "dir", "panthera") for rest in [
        ("-path other", {"path": Path("other")}),
        ("-export_path o.json", {"export_path": Path("o.json")}),
        ("-log_outdir logs", {"log_outdir": Path("logs")}),
        ("-discard_missing", {"discard_missing": True}),
        ("", {"discard_missing": False, "log_outdir": None}),
    ]),
    ("create_dataset_inventory csv", "-capture_id_field c", {"capture_id_field": "c"}),
    ("create_dataset_inventory csv", "-image_fields a b", {"image_fields": ("a", "b")}),
    ("create_dataset_inventory csv", "-label_fields a b", {"label_fields": ("a", "b")}),
    ("create_dataset_inventory csv", "-meta_data_fields a b", {"meta_data_fields": ("a", "b")}),
    ("create_dataset_inventory csv", "", {"meta_data_fields": (), "rows_are": "observations"}),
    ("create_dataset", "-inventory o.json", {"inventory": Path("o.json")}),
    ("create_dataset", "-output_dir other", {"output_dir": Path("other")}),
    ("create_dataset", "-log_outdir logs", {"log_outdir": Path("logs")}),
    ("create_dataset", "-split_names a b -split_percent 0.5 0.5", {"split_names": ("a", "b"), "split_percent": (0.5, 0.5)}),
    ("create_dataset", "", {"split_names": ("train", "val", "test"), "split_percent": (0.9, 0.05, 0.05)}),
    ("create_dataset", "-split_percent 0.7 0.2 0.1", {"split_percent": (0.7, 0.2, 0.1)}),
    ("create_dataset", "-split_by_meta split_name", {"split_by_meta": "split_name"}),
    (
        "create_dataset",
        "-balanced_sampling_min -balanced_sampling_label empty",
        {"balanced_sampling_min": True, "balanced_sampling_label": "empty"},
    ),
    (
        "create_dataset",
        "-remove_label_name empty empty -remove_label_value empty vehicle",
        {"remove_label_name": ("empty", "empty"), "remove_label_value": ("empty", "vehicle")},
    ),
    (
        "create_dataset",
        "-keep_label_name species -keep_label_value -1",
        {"keep_label_name": ("species",), "keep_label_value": ("-1",)},
    ),
    ("create_dataset", "-remove_multi_label_records", {"keep_multi_observation": False}),
    ("create_dataset", "", {"keep_multi_observation": False, "split_group": "none", "overwrite": False}),
    ("create_dataset", "-image_root_path /data", {"image_root_path": Path("/data")}),
    ("create_dataset", "", {"side_smallest_px": 500, "image_save_side_max": None, "image_save_quality": 90}),
    ("create_dataset", "-image_save_side_smallest 300", {"side_smallest_px": 300}),
    ("create_dataset", "-image_save_side_max 500", {"side_smallest_px": None, "image_save_side_max": 500}),
    ("create_dataset", "-image_save_quality 75", {"image_save_quality": 75}),
    ("create_dataset", "-image_save_quality 0", {"image_save_quality": 1}),
    ("create_dataset", "-overwrite", {"overwrite": True}),
    ("create_dataset", "-write_tfr_in_parallel", {"workers": None}),
    ("create_dataset", "-process_images_in_parallel", {"workers": None}),
    ("create_dataset", "-process_images_in_parallel_size 640", {"workers": None}),
    ("create_dataset", "-processes_images_in_parallel_n_processes 16", {"workers": 16}),
    ("create_dataset", "-max_records_per_file 100", {"max_records_per_file": 100}),
    ("create_dataset", "", {"max_records_per_file": 5000}),
    ("train", "-train_tfr_path other", {"train_tfr_path": (Path("other"),)}),
    ("train", "-val_tfr_path other", {"val_tfr_path": (Path("other"),)}),
    ("train", "-test_tfr_path other", {"test_tfr_path": (Path("other"),)}),
    ("train", "", {"test_tfr_path": (), "pattern_is_substring": False}),
    *(("train", f"-{split}_tfr_pattern other", {f"{split}_tfr_pattern": ("other",)}) for split in ("train", "val", "test")),
    ("train", "-train_tfr_pattern train S1", {"train_tfr_pattern": ("train", "S1"), "pattern_is_substring": True}),
    ("train", "-class_mapping_json o.json", {"class_mapping_json": Path("o.json")}),
    ("train", "-run_outputs_dir o", {"run_outputs_dir": Path("o")}),
    ("train", "-model_save_dir o", {"model_save_dir": Path("o")}),
    ("train", "-log_outdir logs", {"log_outdir": Path("logs")}),
    ("train", "-model Xception", {"model": "Xception"}),
    ("train", "-labels class", {"labels": ("class",)}),
    ("train", "-labels_loss_weights 1 0.5", {"labels_loss_weights": (1.0, 0.5)}),
    ("train", "-batch_size 16", {"batch_size": 16}),
    ("train", "-n_cpus 32", {"n_cpus": 32}),
    ("train", "-n_gpus 4", {"n_gpus": 4, "fewer_gpus_ok": True}),
    ("train", "-n_gpus 0", {"n_gpus": 0}),
    ("train", "", {"n_gpus": 1, "fewer_gpus_ok": True, "batch_size": 128, "buffer_size": 32768}),
    ("train", "-buffer_size 16", {"buffer_size": 16}),
    ("train", "-n_parallel_file_reads 50", {}),
    ("train", "-max_epochs 50", {"max_epochs": 50}),
    ("train", "", {"max_epochs": 70, "initial_learning_rate": 0.01, "optimizer": "sgd"}),
    ("train", "-starting_epoch 10", {"starting_epoch": 10}),
    ("train", "-n_batches_per_epoch_train 3", {"n_batches_per_epoch_train": 3}),
    ("train", "-initial_learning_rate 0.001", {"initial_learning_rate": 0.001}),
    ("train", "-learning_rate 0.001", {"initial_learning_rate": 0.001}),
    ("train", "-optimizer rmsprop", {"optimizer": "rmsprop"}),
    ("train", "-early_stopping_patience 5", {"early_stopping_patience": 5}),
    ("train", "-reduce_lr_on_plateau_patience 5", {"reduce_lr_on_plateau_patience": 5}),
    ("train", "", {"early_stopping_patience": 3, "reduce_lr_on_plateau_patience": 2}),
    ("train", "-model_to_load m", {"unused_model_ok": True, "model_to_load": Path("m")}),
    ("train", "-transfer_learning -model_to_load m", {"transfer_learning": True, "model_to_load": Path("m")}),
    (
        "train",
        "-transfer_learning -transfer_learning_type all_layers -model_to_load m",
        {"transfer_learning_type": "all_layers"},
    ),
    ("train", "-transfer_learning -model_to_load m", {"transfer_learning_type": "last_layer"}),
    ("train", "-continue_training -model_to_load m", {"continue_training": True, "rebuild_model": False, "starting_epoch": 0}),
    ("train", "-continue_training -rebuild_model -model_to_load m", {"rebuild_model": True}),
    (
        "train",
        "-transfer_learning -transfer_learning_type all_layers -continue_training -model_to_load m",
        {"continue_training": True, "transfer_learning": False, "transfer_learning_type": "last_layer"},
    ),
    ("train", "-color_augmentation None", {"color_augmentation": "none"}),
    *(("train", f"-color_augmentation {how}", {"color_augmentation": how}) for how in ("little", "full_fast")),
    ("train", "", {"color_augmentation": "full_randomized", "crop_factor": 0.1, "zoom_factor": 0.1, "rotate_by_angle": 5}),
    ("train", "-preserve_aspect_ratio", {"preserve_aspect_ratio": True}),
    ("train", "-ignore_aspect_ratio", {"preserve_aspect_ratio": False}),
    ("train", "", {"preserve_aspect_ratio": False, "randomly_flip_horizontally": True, "image_choice_for_sets": "random"}),
    ("train", "-randomly_flip_horizontally", {"randomly_flip_horizontally": True}),
    ("train", "-dont_randomly_flip_horizontally", {"randomly_flip_horizontally": False}),
    ("train", "-crop_factor 0.2 -rotate_by_angle 90", {"crop_factor": 0.2, "rotate_by_angle": 90}),
    ("train", "-zoom_factor 0", {"zoom_factor": 0}),
    ("train", "-image_choice_for_sets grayscale_stacking", {"image_choice_for_sets": "grayscale_stacking"}),
    ("train", "-output_width 100 -output_height 80", {"output_width": 100, "output_height": 80}),
    ("predict", "-image_dir other", {"image_dir": Path("other")}),
    ("predict", "-export_file_type csv", {"export_file_type": "csv"}),
    ("predict", "-export_file_type json", {"export_file_type": "json"}),
    ("predict", "-results_file o.csv -model_path o.hdf5", {"results_file": Path("o.csv"), "model_path": Path("o.hdf5")}),
    (
        "predict",
        "-class_mapping_json o.json -pre_processing_json q.json",
        {"class_mapping_json": Path("o.json"), "pre_processing_json": Path("q.json")},
    ),
    ("predict", "-batch_size 7", {"batch_size": 7}),
    ("predict", "", {"batch_size": 128, "aggregation_mode": None, "legacy_format": False}),
    *(("predict", f"-aggregation_mode {mode}", {"aggregation_mode": mode}) for mode in ("mean", "max", "min")),
    ("export", "-model o -output_dir p", {"model": Path("o"), "output_dir": Path("p")}),
    (
        "export",
        "-class_mapping_json o.json -pre_processing_json q.json",
        {"class_mapping_json": Path("o.json"), "pre_processing_json": Path("q.json")},
    ),
    ("export", "-log_outdir logs", {"log_outdir": Path("logs")}),
    ("export", "-estimator_save_dir e/", {}),
]  # fmt: skip
"""Program, flags beyond those it needs, and what they set."""


def _parse(line: str) -> Any:
    return parse(line.split())


def _call(program: str, flags: str, *, through: str = "legacy") -> Any:
    name, *sub = program.split()
    words = ["legacy", f"{name}.py"] if through == "legacy" else list(legacy.PROGRAMS[name].words)
    return parse([*words, *sub, *NEEDED[program].split(), *flags.split()])


@pytest.mark.parametrize(("program", "flags", "expected"), FLAGS)
@pytest.mark.parametrize("through", ["legacy", "camtrap"])
def test_old_flag(program: str, flags: str, expected: dict[str, Any], through: str) -> None:
    """The flag is accepted, by the old program's name and by our command's, and sets what it says."""
    config = _call(program, flags, through=through).config
    assert {key: getattr(config, key) for key in expected} == expected


@pytest.mark.parametrize(("program", "flags", "expected"), [case for case in FLAGS if case[1]])
def test_old_flag_with_two_dashes_and_hyphens(program: str, flags: str, expected: dict[str, Any]) -> None:
    """The same flags with two dashes and hyphens mean the same."""
    modern = " ".join(
        "--" + token[1:].replace("_", "-") if token[0] == "-" and token[1].isalpha() else token for token in flags.split()
    )
    config = _call(program, modern).config
    assert {key: getattr(config, key) for key in expected} == expected


def test_every_flag_of_the_tables_is_tested() -> None:
    """No flag that the rewriting knows is missing from the table above."""
    for name, program in legacy.PROGRAMS.items():
        cases = " ".join(f"{NEEDED[case]} {flags}" for case, flags, _ in FLAGS if case.split()[0] == name)
        tested = {token[1:] for token in cases.split()} | set(NEEDED_BY_CSV_MODE)
        assert set(program.flags) | set(program.older) <= tested, name


NEEDED_BY_CSV_MODE = ("csv_path", "csv_images_root_path", "csv_id_col", "csv_images_cols")


def test_predict_from_a_csv() -> None:
    """The CSV mode of `predict` takes its four flags."""
    config: Any = _parse(
        "legacy ctc.predict -csv_path t.csv -csv_images_root_path /d -csv_id_col id -csv_images_cols a b "
        "-results_file r.json -export_file_type json -model_path m"
    ).config
    assert (config.csv_path, config.csv_images_root_path) == (Path("t.csv"), Path("/d"))
    assert (config.csv_id_col, config.csv_images_cols) == ("id", ("a", "b"))


@pytest.mark.parametrize(
    ("program", "flags", "expected"),
    [
        ("train", "-batch 16", {"batch_size": 16}),
        ("train", "-max 3", {"max_epochs": 3}),
        ("train", "-color little", {"color_augmentation": "little"}),
        ("train", "-early 7", {"early_stopping_patience": 7}),
        ("create_dataset", "-max 10", {"max_records_per_file": 10}),
        ("create_dataset", "-image_save_side 200", {"side_smallest_px": 200}),
        ("create_dataset", "-processes 3", {"workers": 3}),
        ("predict", "-aggregation max", {"aggregation_mode": "max"}),
        ("predict", "-model m2", {"model_path": Path("m2")}),
        ("export", "-out o2", {"output_dir": Path("o2")}),
    ],
)
def test_unambiguous_beginning(program: str, flags: str, expected: dict[str, Any]) -> None:
    """A beginning that fits one old flag stands for it, whatever newer flags begin alike."""
    config = _call(program, flags).config
    assert {key: getattr(config, key) for key in expected} == expected


def test_ambiguous_beginning() -> None:
    """A beginning that fits several flags is refused, naming them."""
    with pytest.raises(SettingError, match="-split_names, -split_percent, -split_by_meta"):
        _call("create_dataset", "-split x")


def test_beginnings_are_not_taken_with_two_dashes_in_our_commands() -> None:
    """`camtrap train --batch` is a mistake, even beside an older flag."""
    with pytest.raises(SettingError, match=r"no flag --batch; did you mean '--batch-size'\?"):
        _call("train", "--batch 3", through="camtrap")


@pytest.mark.parametrize(
    "flags",
    ["-log_outdir logs -discard_missing csv", "-discard_missing -log_outdir logs csv", "-log_outdir=logs -discard csv"],
)
def test_flags_before_the_sub_command(flags: str) -> None:
    """`-log_outdir` and `-discard_missing` stand before the sub-command as well as after it."""
    needed = NEEDED["create_dataset_inventory csv"]
    config: Any = parse(f"legacy ctc.create_dataset_inventory {flags} {needed}".split()).config
    assert (config.log_outdir, config.discard_missing) == (Path("logs"), True)


def test_mixed_spellings() -> None:
    """An older call may set newer settings, and what is said wins over the older defaults."""
    config: Any = _parse("dataset -inventory i.json -output_dir o --split-group sequence -image_save_side_max 500").config
    assert (config.split_group, config.image_save_side_max) == ("sequence", 500)


def test_newer_flag_with_one_dash() -> None:
    """A newer setting with one dash is understood too."""
    config: Any = _parse("dataset -inventory i.json -output_dir o -split_group sequence -dry_run -seed 3").config
    assert (config.split_group, config.dry_run, config.seed) == ("sequence", True, 3)


def test_our_commands_keep_our_defaults() -> None:
    """Without an older spelling nothing of the older defaults is taken over."""
    config: Any = _parse("dataset --inventory i.json --output-dir o --image_save_quality 80").config
    assert (config.split_group, config.image_save_quality) == ("auto", 80)
    config = _parse(
        "train --train-tfr-path t --val-tfr-path v --run-outputs-dir r --model-save-dir s --model ResNet18 --labels a"
    ).config
    assert (config.n_gpus, config.fewer_gpus_ok, config.color_augmentation) == ("auto", False, "none")


def test_opposites_last_wins() -> None:
    """Of `-ignore_aspect_ratio` and `-preserve_aspect_ratio` the last one counts."""
    assert _call("train", "-ignore_aspect_ratio -preserve_aspect_ratio").config.preserve_aspect_ratio is True
    assert _call("train", "-preserve_aspect_ratio -ignore_aspect_ratio").config.preserve_aspect_ratio is False


def test_switch_that_lost_its_value_is_refused() -> None:
    """Old switches take no value, and old flags with a value need one."""
    with pytest.raises(SettingError, match="unexpected 'yes'"):
        _call("create_dataset", "-process_images_in_parallel yes")
    with pytest.raises(SettingError, match="-process_images_in_parallel_size needs a value"):
        _call("create_dataset", "-process_images_in_parallel_size")


def test_notices() -> None:
    """A call in the older way says how its command is called now, and what became of a flag that is gone."""
    notices = _call("create_dataset", "-process_images_in_parallel_size 640").notices
    assert "camtrap dataset create" in notices[0]
    assert notices[1].startswith("-process_images_in_parallel_size: ")


def test_console_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    """The five console scripts exist and lead to our commands."""
    for name in legacy.PROGRAMS:
        assert getattr(legacy, name)(["--help"]) == 0
        assert "usage: camtrap" in capsys.readouterr().out
        assert getattr(legacy, name)(["-no_such_flag"]) == 2


def test_old_spelling_with_weights_fine_tunes(tmp_path: Path) -> None:
    """`--weights`, which old programs had no flag for, brings the recipe for them, flags still winning; a note says so."""
    settled = with_recipe(_call("train", "--weights w.h5 -batch_size 32").config)
    assert (settled.recipe, settled.color_augmentation, settled.optimizer) == ("finetune", "none", "adamw")
    assert settled.batch_size == 32
    (notice,) = [one for one in _call("train", "--weights w.h5").notices if "recipe" in one]
    assert "finetune" in notice
    assert "--recipe legacy" in notice
    (tmp_path / "c.yaml").write_text("weights: imagenet\n")
    assert with_recipe(_call("train", f"--config {tmp_path / 'c.yaml'}").config).recipe == "finetune"


@pytest.mark.parametrize(
    "flags",
    [
        "", "--weights none", "--weights w.h5 --recipe legacy", "--weights w.h5 -transfer_learning -model_to_load m.hdf5",
        "--weights w.h5 -continue_training -model_to_load m.hdf5",
    ],
)  # fmt: skip
def test_old_spelling_otherwise_trains_as_ever(flags: str) -> None:
    """Without trained weights, with the recipe by name, or from a trained model: camera-trap-classifier's way, with no note."""
    call = _call("train", flags)
    settled = with_recipe(call.config)
    assert (settled.recipe, settled.color_augmentation, settled.optimizer) == ("legacy", "full_randomized", "sgd")
    assert not any("recipe" in notice for notice in call.notices)


def test_old_spelling_with_another_recipe() -> None:
    """A recipe that is named with the weights sets everything that no flag does."""
    assert with_recipe(_call("train", "--weights w.h5 --recipe animl").config).color_augmentation == "none"
