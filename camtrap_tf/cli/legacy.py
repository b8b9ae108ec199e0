"""camera-trap-classifier's spellings, rewritten into ours before anything else looks at them.

A long flag with one dash (`-batch_size 8`) anywhere, or a program name `ctc.*`, makes a call an older one. Its flags are
looked up in the tables below, beginnings included (`-batch 8`), then its defaults are put where ours differ. What the
user says himself always wins over these defaults.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from camtrap_tf.cli.flags import Option, Value, is_flag, parse_switch
from camtrap_tf.cli.legacy_scripts import SCRIPTS
from camtrap_tf.errors import SettingError, suggestion


@dataclass(frozen=True, slots=True, kw_only=True)
class Old:
    """What an older flag becomes.

    Attributes:
        key: our setting (`no_` before it: switched off); None: there is nothing to set.
        takes: how many values the older flag has, where there is no setting of ours to say so.
        notice: what the user should know.
    """

    key: str | None = None
    takes: int = 0
    notice: str = ""


def _same(names: str) -> dict[str, Old]:
    """Returns entries for flags that kept their names."""
    return {name: Old(key=name) for name in names.split()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One older program.

    Attributes:
        words: the command it is now.
        flags: its flags, as of its last version.
        older: spellings of earlier versions; beginnings are looked up in `flags` first.
        defaults: its defaults where ours differ.
        leading: flags that may stand before its sub-command, with their number of values.
    """

    words: tuple[str, ...]
    flags: Mapping[str, Old]
    older: Mapping[str, Old] = field(default_factory=dict)
    defaults: Mapping[str, Value] = field(default_factory=dict)
    leading: Mapping[str, int] = field(default_factory=dict)


_WORKERS = Old(notice="pictures are processed in parallel anyway, one process per core (--workers sets another number)")
_HANDED_OUT = Old(takes=1, notice="worker processes get small portions of records; there is no size to set for them")
_READERS = Old(takes=1, notice="shards are read by record offset; --n-cpus sets how many threads read and decode")
_ESTIMATOR = Old(takes=1, notice="there is no Estimator in between any more; nothing is written to that folder")

PROGRAMS: dict[str, Program] = {
    "create_dataset_inventory": Program(
        words=("inventory",),
        flags=_same("log_outdir discard_missing path export_path capture_id_field image_fields label_fields meta_data_fields"),
        leading={"log_outdir": 1, "discard_missing": 0},
    ),
    "create_dataset": Program(
        words=("dataset", "create"),
        flags={
            **_same(
                "inventory output_dir log_outdir split_names split_percent split_by_meta balanced_sampling_min "
                "balanced_sampling_label remove_label_name remove_label_value keep_label_name keep_label_value "
                "image_root_path image_save_side_smallest image_save_quality overwrite max_records_per_file"
            ),
            "remove_multi_label_records": Old(key="no_keep_multi_observation"),
            "write_tfr_in_parallel": _WORKERS,
            "process_images_in_parallel": _WORKERS,
            "process_images_in_parallel_size": _HANDED_OUT,
            "processes_images_in_parallel_n_processes": Old(key="workers"),
        },
        older=_same("image_save_side_max"),
        defaults={"split_group": "none"},
    ),
    "train": Program(
        words=("train",),
        flags={
            **_same(
                "train_tfr_path val_tfr_path test_tfr_path train_tfr_pattern val_tfr_pattern test_tfr_pattern "
                "class_mapping_json run_outputs_dir model_save_dir log_outdir model labels labels_loss_weights batch_size "
                "n_cpus n_gpus buffer_size max_epochs starting_epoch n_batches_per_epoch_train initial_learning_rate "
                "optimizer early_stopping_patience reduce_lr_on_plateau_patience transfer_learning transfer_learning_type "
                "continue_training rebuild_model model_to_load color_augmentation preserve_aspect_ratio "
                "randomly_flip_horizontally crop_factor zoom_factor rotate_by_angle image_choice_for_sets "
                "output_width output_height"
            ),
            "ignore_aspect_ratio": Old(key="no_preserve_aspect_ratio"),
            "dont_randomly_flip_horizontally": Old(key="no_randomly_flip_horizontally"),
            "n_parallel_file_reads": _READERS,
        },
        older={"learning_rate": Old(key="initial_learning_rate")},
        defaults={
            "n_gpus": "1",
            "fewer_gpus_ok": True,
            "unused_model_ok": True,
            "color_augmentation": "full_randomized",
            "recipe": "legacy",
        },
    ),
    "predict": Program(
        words=("predict",),
        flags=_same(
            "image_dir csv_path csv_images_root_path csv_id_col csv_images_cols results_file export_file_type model_path "
            "class_mapping_json pre_processing_json batch_size aggregation_mode"
        ),
        defaults={"max_rejected_share": "1"},
    ),
    "export": Program(
        words=("export",),
        flags={
            **_same("model class_mapping_json pre_processing_json output_dir log_outdir"),
            "estimator_save_dir": _ESTIMATOR,
        },
    ),
}
"""The five programs of camera-trap-classifier."""


@dataclass(slots=True)
class Rewritten:
    """An older call in our words.

    Attributes:
        options: flags of ours, in the order they were given.
        defaults: settings that hold where the user says nothing.
        notices: what the user should know, one line each.
    """

    options: list[Option] = field(default_factory=list)
    defaults: dict[str, Value] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)


def program_of(name: str) -> Program | None:
    """Returns the older program of a name such as `ctc.train`, `train.py` or `train`."""
    return PROGRAMS.get(name.rpartition("/")[2].removeprefix("ctc.").removesuffix(".py"))


def command_line(tokens: Sequence[str]) -> list[str]:
    """Returns the words and flags of `legacy <old program> <its flags>` with our words in front.

    Raises:
        SettingError: no such program.
    """
    program = program_of(tokens[0]) if tokens else None
    if program is None:
        named = tokens[0] if tokens else ""
        known = [*PROGRAMS, *SCRIPTS]
        raise SettingError(
            f"legacy: no camera-trap-classifier program {named!r}, and no script of Animl's{suggestion(named, known)}"
        )
    return [*program.words, *tokens[1:]]


def sub_command_first(tokens: Sequence[str]) -> list[str]:
    """Puts the sub-command of `inventory` in front of flags that stand before it (`-log_outdir x -discard_missing csv …`)."""
    leading = PROGRAMS["create_dataset_inventory"].leading
    position = 0
    while position < len(tokens) and is_flag(tokens[position]):
        option = Option.from_token(tokens[position])
        fitting = [name for name in leading if name.startswith(option.key)]
        if len(fitting) != 1:
            return list(tokens)
        position += 1 if option.inline else 1 + leading[fitting[0]]
    if position >= len(tokens):
        return list(tokens)
    return [tokens[position], *tokens[:position], *tokens[position + 1 :]]


def is_older(options: Sequence[Option]) -> bool:
    """Tells whether a call is written in the older way: a long flag has one dash."""
    return any(option.single_dash for option in options)


def rewrite(options: Sequence[Option], words: tuple[str, ...], known: Mapping[str, object], *, every_flag: bool) -> Rewritten:
    """Rewrites the flags of an older call.

    Args:
        options: the call, cut into flags.
        words: the command, e.g. `("train",)`.
        known: keys of the command's settings.
        every_flag: flags with two dashes may be beginnings too (calls of `ctc.*`).

    Raises:
        SettingError: a beginning fits several flags, or a flag has the wrong number of values.
    """
    program = next((one for one in PROGRAMS.values() if one.words == words[: len(one.words)]), Program(words=words, flags={}))
    result = Rewritten(defaults=dict(program.defaults))
    for option in options:
        old = _look_up(option, program, known, beginnings=every_flag or option.single_dash)
        if old is None:
            result.options.append(option)
            continue
        if old.notice:
            result.notices.append(f"{option.written}: {old.notice}")
        if old.key is None:
            _check_values(option, old.takes)
        else:
            result.options.append(replace(option, key=old.key))
    _keep_meanings(result)
    return result


def _look_up(option: Option, program: Program, known: Mapping[str, object], *, beginnings: bool) -> Old | None:
    key = option.key
    for table in (program.flags, program.older):
        if key in table:
            return table[key]
    if key in known or not beginnings:
        return None
    for table in (program.flags, program.older):
        fitting = [name for name in table if name.startswith(key)]
        if len(fitting) > 1:
            raise SettingError(f"{option.written} could be {', '.join('-' + name for name in fitting)}; write it out")
        if fitting:
            return table[fitting[0]]
    return None


def _check_values(option: Option, expected: int) -> None:
    if len(option.values) > expected:
        raise SettingError(f"unexpected {option.values[expected]!r} after {option.written}")
    if len(option.values) < expected:
        raise SettingError(f"{option.written} needs a value")


def leave_recipe(defaults: dict[str, Value], said: Mapping[str, Value]) -> str | None:
    """Takes the defaults of older trainings away where trained weights are given, which older programs had no flag for.

    Args:
        defaults: of the older program; changed.
        said: what flags and settings file say.

    Returns:
        What the user should know; None where all stays.
    """
    from_model = any(parse_switch(str(said.get(key, False))) for key in ("continue_training", "transfer_learning"))
    if "recipe" not in defaults or from_model or said.get("weights", "none") == "none":
        return None
    del defaults["recipe"], defaults["color_augmentation"]
    if "recipe" in said:
        return None
    return (
        "--weights: trained by recipe finetune where no flag says otherwise, since trained weights are given; "
        "--recipe legacy trains as camera-trap-classifier does"
    )


def _keep_meanings(result: Rewritten) -> None:
    """Keeps what the older programs meant by values whose meaning changed."""
    given = {option.key: option.values for option in result.options}
    if any(len(given.get(f"{split}_tfr_pattern", ())) > 1 for split in ("train", "val", "test")):
        result.defaults["pattern_is_substring"] = True
        result.notices.append("several patterns: each has to occur in a shard's name (--no-pattern-is-substring: split names)")
    if "continue_training" in given:
        result.defaults["starting_epoch"] = "0"
        _continue_wins(result)
    if given.get("image_save_quality") == ["0"]:
        given["image_save_quality"][:] = ["1"]


def _continue_wins(result: Rewritten) -> None:
    """Leaves transfer learning out beside `-continue_training`, which older programs let win without a word."""
    beside = [option for option in result.options if option.key in ("transfer_learning", "transfer_learning_type")]
    on = {option.key: not option.values or parse_switch(option.values[0]) is True for option in result.options}
    if on["continue_training"] and on.get("transfer_learning"):
        result.options = [option for option in result.options if option not in beside]
        written = " ".join(option.written for option in beside)
        result.notices.append(f"warning: no effect: {written} (-continue_training wins; leave one of the two out)")


def _run(program: str, argv: Sequence[str] | None) -> int:
    import sys

    from camtrap_tf.cli.main import main

    return main(["legacy", f"ctc.{program}", *(sys.argv[1:] if argv is None else argv)], is_process=argv is None)


def create_dataset_inventory(argv: Sequence[str] | None = None) -> int:
    """Runs `ctc.create_dataset_inventory`; returns the exit code."""
    return _run("create_dataset_inventory", argv)


def create_dataset(argv: Sequence[str] | None = None) -> int:
    """Runs `ctc.create_dataset`; returns the exit code."""
    return _run("create_dataset", argv)


def train(argv: Sequence[str] | None = None) -> int:
    """Runs `ctc.train`; returns the exit code."""
    return _run("train", argv)


def predict(argv: Sequence[str] | None = None) -> int:
    """Runs `ctc.predict`; returns the exit code."""
    return _run("predict", argv)


def export(argv: Sequence[str] | None = None) -> int:
    """Runs `ctc.export`; returns the exit code."""
    return _run("export", argv)
