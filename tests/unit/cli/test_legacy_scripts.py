"""Scripts of Animl and of MegaDetector's classification tools, in our words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.cli import main as cli
from camtrap_tf.cli.legacy_animl import REFUSED, translated
from camtrap_tf.cli.legacy_scripts import SCRIPTS
from camtrap_tf.cli.main import parse
from camtrap_tf.errors import SettingError

TRAIN = "train_classifier b c --epochs 5"
EXAMPLES = [
    (
        "~/utils/download_images.py --coco-file x_cct.json --output-dir images --max-threads 500",
        "download cct x_cct.json --output-dir images --base-url s3://animl-images-serving-prod --key-field serving_bucket_key "
        "--connections 256 --per-host 256 --profile animl",
    ),
    ("cct_to_md.py -i x.json -o y.json", "cct to-md x.json --output y.json"),
    ("cct_to_md.py --input_filename x.json", "cct to-md x.json"),
    ("md_to_queried_images.py -i x.json -d ds -o q.json", "classification queried-images x.json --dataset ds --output q.json"),
    (
        "create_classification_dataset.py o --mode csv splits -c crops -d md -v 5.0b -t 0 -q q.json --min-locs 3 --val-frac .2 "
        "--test-frac .2 --method random",
        "classification create o --mode csv splits --queried-images q.json --crops-dir crops --val-frac .2 --test-frac .2 "
        "--method random --min-locs 3 --detections-dir md --detector-version 5.0b --threshold 0 --split-score ms",
    ),
    (
        "create_classification_dataset.py o --mode splits --val-frac 0.2 --match-test a.csv b.json",
        "classification create o --mode splits --match-test a.csv b.json --val-frac 0.2",
    ),
    (
        "create_classification_dataset o --crops-dir c --cct-json x.json --seed 3 --label-spec s --val-frac .2 --test-frac 0",
        "classification create o --cct x.json --crops-dir c --val-frac .2 --test-frac 0 --label-spec s --seed 3",
    ),
    ("evaluate_model.py r/params.json ck/ckpt_4.pt --splits val test -o o",
     "predict split --run r --checkpoint ckpt_4.pt --split val test --output-dir o"),
    (
        "evaluate_model r/params.json c.pt --splits val --target-mapping m.json --label-index i.json --batch-size 2 "
        "--num-workers 3 --dataset-dir d",
        "predict split --run r --checkpoint c.pt --split val --output-dir r --batch-size 2 --n-cpus 3 --target-mapping m.json "
        "--target-index i.json --classification-csv d/classification_ds.csv",
    ),
    ("train.py --config c.yml --no-resume", "train files --config c.yml --no-resume"),
    ("predict.py --config c.yml --checkpoint 200.pt", "predict split --config c.yml --checkpoint 200.pt --split test"),
    ("~/MegaDetector/sandbox/torch_test.py", "env"),
    (
        "download_lila_subset.py --locations-file rats.csv",
        "download lila --dataset 'Island Conservation Camera Traps' --location-from-path 2 --category rat iguana cat pig "
        "--absent-categories-ok --max-pictures 25000 --locations-file rats.csv",
    ),
    (
        "download_lila_subset.py --category goat",
        "download lila --dataset 'Island Conservation Camera Traps' --location-from-path 2 --max-pictures 25000 "
        "--category goat",
    ),
    ("download_lila_dataset_cct.py", "download lila --dataset 'Island Conservation Camera Traps' --what annotations"),
    (
        "run_classifier m c o.csv --batch-size 4 --num-workers 2 --device cpu",
        "predict --image-dir c --model-path m --results-file o.csv --export-file-type class-columns --batch-size 4 --n-cpus 2 "
        "--n-gpus 0",
    ),
    (
        "run_classifier.py bundle crops out.csv.gz -d md.json --image-size 224 --export-file-type=csv",
        "predict --image-dir crops --model-path bundle --results-file out.csv.gz --export-file-type=csv",
    ),
    (
        "aggregate_classifier_probs.py c.csv.gz -t m.json --output-csv o.csv.gz -i index.json",
        "predict aggregate c.csv.gz --target-mapping m.json --output o.csv.gz --output-index index.json",
    ),
    ("check_image_metadata.py pics", "exif check pics --output ./outputs/output.csv"),
    ("check_image_metadata.py pics --output_file o.csv", "exif check pics --output o.csv"),
    ("bulk_exif_update.py o.csv --output_dir out --dry-run", "exif set o.csv --output-dir out --dry-run"),
    (
        "identify_mislabeled_candidates.py b/l --margin 0.9 --splits val test -d",
        "predict suspects --results-file b/l/outputs_val.csv.gz b/l/outputs_test.csv.gz --margin 0.9 "
        "--output b/l/mislabeled_candidates.csv",
    ),
    (
        f"{TRAIN} --model-name efficientnet-b3 --pretrained --label-weighted --lr 3e-5 --log-extreme-examples 3",
        "train files --classification-csv b/classification_ds.csv --splits b/splits.json --label-index b/label_index.json "
        "--crops-dir c --model EfficientNetB3 --dropout 0.3 --weights imagenet --recipe animl-efficientnet --max-epochs 5 "
        "--initial-learning-rate 3e-5 --no-scale-learning-rate --label-weighted --log-extreme-examples 3 "
        "--run-outputs-dir run --model-save-dir bundle",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("theirs", "ours"), EXAMPLES)
def test_scripts_in_our_words(theirs: str, ours: str) -> None:
    """A call of a script is this command of ours, and says so."""
    found = translated(theirs.split())
    assert found is not None
    assert found.notices[0] == f"this is now: camtrap {ours}"


@pytest.mark.parametrize(("theirs", "ours"), [one for one in EXAMPLES if not one[0].startswith(("train.py", "predict.py"))])
def test_our_words_are_settings(theirs: str, ours: str) -> None:
    """What a call becomes is a call of ours that can be read."""
    assert parse(["legacy", *theirs.split()]).notices[0].startswith("this is now")


@pytest.mark.parametrize(("word", "flag"), [("./classifier/train.py", "-train_tfr_path"), ("predict", "-image_dir")])
def test_a_name_of_two_programs(
    word: str, flag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without flags both are named, unless the file lies there that Animl's reads then; help shows the flags of both."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingError, match=f"--config <config.yml>.*{flag} ") as caught:
        translated([word])
    assert "\n" not in str(caught.value)
    assert translated([f"ctc.{Path(word).stem}"]) is None
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/exp_resnet18.yaml").write_text("num_epochs: 1\n")
    found = translated([word])
    assert found is not None
    assert "--config configs/exp_resnet18.yaml" in found.notices[0]
    assert cli.main(["legacy", word, "--help"]) == 0
    said = capsys.readouterr().out
    assert said.index("without it configs/exp_resnet18.yaml") < said.index(flag.replace("_", "-"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_argument_is_dropped_silently(name: str) -> None:
    """Every argument of every script changes the words it becomes, or brings a notice that names it."""
    script = SCRIPTS[name]
    words = {"queried-images-json": "q.json"}
    needed = [token for one in script.arguments for token in _as_given(one) if one.required or not one.names[0].startswith("-")]
    if name.startswith("train_classifier"):
        needed += ["--epochs", "3"]
    if name in ("evaluate_model", "identify_mislabeled_candidates"):
        needed += ["--splits", "val"]
    if name == "create_classification_dataset":
        needed += ["--queried-images-json", words["queried-images-json"]]
    if name in ("train", "predict"):
        needed += ["--config", "c.yml"]
    plain = translated([name, *needed])
    assert plain is not None
    for one in script.arguments:
        is_plain = one.required or not one.names[0].startswith("-") or one.names[0] in needed
        if (
            is_plain or one.becomes.startswith("refused") or one.key == "square_crops"
        ):  # squares are what a lone file gets anyway
            continue
        more = [*needed, *_as_given(one)]
        if one.key in ("target_mapping", "label_index"):
            more += ["--target-mapping", "m", "--label-index", "i"]
        found = translated([name, *more])
        assert found is not None
        assert found.words != plain.words or any(one.key.replace("_", "-") in said for said in found.notices), one


def _as_given(one: Any) -> list[str]:
    """Returns an argument with a value of its kind."""
    if not one.names[0].startswith("-"):
        return [f"{one.key}.x"]
    value = {"max_threads": "7", "model_name": "resnet34"}.get(one.key, "7")
    return [one.names[-1], *([] if one.takes == "switch" else [value] * (one.count or 1))]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("cct_to_md.py", "the following arguments are required: -i/--input_filename"),
        ("cct_to_md.py -i x --outputs y", "no flag --outputs; did you mean '--output'"),
        ("cct_to_md.py -i x y", "unexpected 'y'"),
        ("download_images --coco-file x --output-dir y --max-threads 0", "--max-threads 0 is not a whole number from 1"),
        ("crop_detections x y --container-url https://z", "fetch the pictures first"),
        ("train_classifier b c", "--epochs is missing"),
        (f"{TRAIN} --model-name resnet35", "did you mean 'resnet50'"),
        (f"{TRAIN} --model-name resnet34 --pretrained", "has no ImageNet weights here"),
        (f"{TRAIN} --model-name efficientnet-b8", "no such network here"),
        ("evaluate_model p c", "camtrap export"),
        ("evaluate_model p c --splits val --target-mapping m", "go together"),
        ("identify_mislabeled_candidates l", "--splits is missing"),
        ("merge_classification_detection_output", "predict export <its table> --export megadetector"),
        ("crop_detection x y", "did you mean 'crop_detections'"),
        *((name, "legacy " + name) for name in REFUSED),
    ],
)
def test_calls_that_cannot_be(capsys: pytest.CaptureFixture[str], call: str, message: str) -> None:
    """A call that has no counterpart ends in one line that says why, or what to do instead."""
    assert cli.main(["legacy", *call.split()]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert (captured.err.count("\n"), captured.out) == (1, "")


def test_strategy_follows_the_file(tmp_path: Path) -> None:
    """Without a strategy, boxes of annotations are cut as squares, detections as they are: each as its script did."""
    (tmp_path / "cct.json").write_text('{"images": [], "annotations": [], "categories": []}', encoding="utf-8")
    (tmp_path / "md.json").write_text('{"detection_categories": {}, "images": []}', encoding="utf-8")
    for name, flags, strategy in (("cct", [], "square"), ("md", [], "tight"), ("md", ["--square-crops"], "square")):
        config: Any = parse(["legacy", "crop_detections", str(tmp_path / f"{name}.json"), "o", *flags]).config
        assert (config.crop_strategy, config.legacy_geometry) == (strategy, True)
        assert config.threshold == (0 if name == "md" else None)


def test_queried_images_may_be_a_cct(tmp_path: Path) -> None:
    """`-q` with a COCO Camera Traps file is the second generation's; flags of the detector then say why they do nothing."""
    (tmp_path / "x.json").write_text('{"images": [], "annotations": [], "categories": []}', encoding="utf-8")
    flags = ["-q", str(tmp_path / "x.json"), "-d", "md", "-v", "5", "-t", "0", "--val-frac", "0.2", "--test-frac", "0"]
    call = parse(["legacy", "create_classification_dataset.py", "o", *flags])
    config: Any = call.config
    assert (config.cct, config.queried_images, config.split_score) == (tmp_path / "x.json", None, "animl")
    assert sum("COCO Camera Traps file" in notice for notice in call.notices) == 3


def test_programs_of_one_name() -> None:
    """`train.py` with one-dash flags, or none of Animl's, is camera-trap-classifier's; `ctc.train` always is."""
    assert translated(["train.py", "--config", "c.yml", "-train_tfr_path", "x"]) is None
    assert translated(["train.py", "-train_tfr_path", "x"]) is None
    assert translated(["ctc.train", "--config", "c.yml"]) is None
    assert translated(["predict.py", "--split", "val"]) is not None


@pytest.mark.parametrize(("flags", "told"), [([], True), (["--split", "test"], True), (["--split", "val"], False)])
def test_only_the_test_split_was_another(flags: list[str], told: bool) -> None:
    """What `--split test` was there is told where that split is asked for, as it is by default."""
    call = translated(["predict.py", "--checkpoint", "2.pt", *flags])
    assert call is not None
    assert any("there it was val" in notice for notice in call.notices) is told


def test_our_flags_may_stand_beside_theirs() -> None:
    """A flag of ours in a call of a script counts, and `--profile` there is the user's."""
    flags = ["--coco-file", "x", "--output-dir", "y", "--profile", "mine", "--dry-run"]
    config: Any = parse(["legacy", "download_images", *flags]).config
    assert (config.profile, config.dry_run) == ("mine", True)


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    """Help of `legacy` names the scripts, help of a script says what its arguments become."""
    assert cli.main(["legacy", "--help"]) == 0
    assert "crop_detections" in capsys.readouterr().out
    assert cli.main(["legacy", "download_images.py", "--help"]) == 0
    out = capsys.readouterr().out
    assert "`camtrap download cct`" in out
    assert "--connections and --per-host" in out


def test_refusals_are_settings_errors() -> None:
    """A script without a command raises as any mistake does."""
    with pytest.raises(SettingError, match="is a notebook"):
        translated(["notebooks/inspect_dataset.ipynb"])


@pytest.mark.parametrize("python", ["python", "python3", "/usr/bin/python3.11"])
def test_a_line_of_a_shell_script_is_pasted_whole(python: str) -> None:
    """The Python in front of a script is no word of it."""
    plain = parse(["legacy", "cct_to_md.py", "-i", "x.json"])
    assert parse(["legacy", python, "~/utils/cct_to_md.py", "-i", "x.json"]) == plain


def test_threads_become_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most one per core, which is said; a number of ours wins; what is no number is refused."""
    monkeypatch.setattr("camtrap_tf.executors.available_cores", lambda: 8)
    call = ["crop_detections.py", "x.json", "crops", "--threads"]
    for threads, workers, said in (("50", "8", True), ("8", "8", False), ("3", "3", False)):
        found = translated([*call, threads])
        assert found is not None
        assert found.words[found.words.index("--workers") + 1] == workers
        assert any("--threads 50" in notice for notice in found.notices) is said
    found = translated([*call, "50", "--workers", "2"])
    assert found is not None
    assert [found.words.count("--workers"), found.words[-1]] == [1, "2"]
    with pytest.raises(SettingError, match="--threads many is not a whole number"):
        translated([*call, "many"])


@pytest.mark.parametrize("name", REFUSED)
def test_scripts_without_a_command_are_in_the_guide(name: str) -> None:
    """Who looks for a script there finds what to do instead."""
    assert name in (Path(__file__).parents[3] / "docs" / "MIGRATION-animl.md").read_text(encoding="utf-8")
