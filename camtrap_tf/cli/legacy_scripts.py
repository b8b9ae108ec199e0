"""The scripts of Animl and of MegaDetector's classification tools, as commands of ours.

A script is a table of arguments and a function that turns a call of it into words of ours, with a notice for everything that
means nothing here. Nothing is dropped without one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from camtrap_tf.cli.legacy_arguments import Argument, Given
from camtrap_tf.config.names import BACKBONES, HUB_PREFIX
from camtrap_tf.errors import SettingError, suggestion

Words = tuple[list[str], list[str]]
"""Words of ours, and notices."""

BUCKET = "s3://animl-images-serving-prod"
ISLAND = "Island Conservation Camera Traps"
DEFAULT_CONFIG = Path("configs/exp_resnet18.yaml")
"""What Animl's `train.py` and `predict.py` read where no file is named."""
_PROBED_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A script of theirs.

    Attributes:
        words: the command that it is here.
        arguments: what it takes.
        become: turns a call into words after those of the command, and notices.
    """

    words: tuple[str, ...]
    arguments: tuple[Argument, ...] = field(default=())
    become: Callable[[Given], Words]


def _whole(script: str, flag: str, text: str) -> int:
    """Returns a whole number from 1; raises a SettingError that names script and flag where the text is none."""
    if not (text.isascii() and text.isdigit() and int(text)):
        raise SettingError(f"legacy {script}: {flag} {text} is not a whole number from 1")
    return int(text)


def _download_images(given: Given) -> Words:
    at_once = str(min(_whole("download_images", "--max-threads", given.text("max_threads", "50")), 256))
    words = [given.text("coco_file"), "--output-dir", given.text("output_dir"), "--base-url", BUCKET]
    words += ["--key-field", "serving_bucket_key", "--connections", at_once, "--per-host", at_once]
    notices = ["files that are there with the right size are not fetched again; what fails is in failed.csv (--retry)"]
    if "--profile" not in given.rest:
        words += ["--profile", "animl"]
        notices.append("profile animl, as there (--profile names another); the region is that of the AWS configuration")
    return words, notices


def _cct_to_md(given: Given) -> Words:
    notices = ["pictures without width and height stay, their boxes are listed; the format is 1.4"]
    return [given.text("input_filename"), *given.passed(("output_filename", "--output"))], notices


def _md_to_queried_images(given: Given) -> Words:
    words = [given.text("input_filename"), "--dataset", given.text("dataset")]
    return [*words, *given.passed(("output_filename", "--output"))], []


def _holds(path: Path, key: str) -> bool:
    """Tells whether a JSON file names a key at its beginning or end, where members of the document stand."""
    try:
        with path.open("rb") as file:
            head = file.read(_PROBED_BYTES)
            file.seek(max(0, path.stat().st_size - _PROBED_BYTES))
            return f'"{key}"'.encode() in head + file.read()
    except OSError:
        return False


def _crop_detections(given: Given) -> Words:
    if given.has("container_url"):
        raise SettingError(
            "legacy crop_detections: --container-url: fetch the pictures first (`camtrap download cct`, `camtrap "
            "download s3`), then give --images-dir"
        )
    file, of_detections = given.text("detections_json"), _holds(Path(given.text("detections_json")), "detection_categories")
    strategy = given.text("crop_strategy") or ("square" if given.has("square_crops") or not of_detections else "tight")
    words = [file, "--output-dir", given.text("cropped_images_dir"), "--crop-strategy", strategy, "--legacy-geometry"]
    words += ["--threshold", given.text("threshold", "0")] if of_detections or given.has("threshold") else []
    pairs = (("images_dir", "--image-root"), ("check_crops_valid", "--check-crops-valid"), ("logdir", "--log-outdir"))
    words += given.passed(*pairs, ("detector_version", "--detector-name"))
    notices = given.notices(
        save_full_images="does nothing here, as there without --container-url: pictures are in --images-dir already",
    )
    if given.has("threads"):
        from camtrap_tf.executors import available_cores  # here, as `camtrap --help` needs no processes

        threads = _whole("crop_detections", "--threads", given.text("threads"))
        at_once = min(threads, available_cores())
        words += [] if "--workers" in given.rest else ["--workers", str(at_once)]
        if at_once < threads:
            notices.append(
                f"--threads {threads}: pictures are cut by processes, of which more than {at_once} (cores) gain nothing"
            )
    notices.append("windows are cut pixel for pixel as there; without --legacy-geometry squares stay inside the picture")
    return words, notices


def _create_classification_dataset(given: Given) -> Words:
    source = given.text("cct_json") or given.text("queried_images_json")
    is_cct = given.has("cct_json") or (bool(source) and _holds(Path(source), "annotations"))
    words = [given.text("output_dir"), *given.passed(("mode", "--mode"))]
    words += (["--cct", source] if is_cct else ["--queried-images", source]) if source else []
    pairs = ("crops_dir", "match_test", "val_frac", "test_frac", "method", "label_spec", "min_locs", "seed")
    words += given.passed(*((key, "--" + key.replace("_", "-")) for key in pairs))
    notices = []
    if is_cct or not source:
        why = "means nothing where boxes come from a COCO Camera Traps file" if is_cct else "means nothing for splits alone"
        notices += given.notices(detector_output_cache_dir=why, detector_version=why, threshold=why)
    else:
        cache = ("detector_output_cache_dir", "--detections-dir")
        words += given.passed(cache, ("detector_version", "--detector-version"), ("threshold", "--threshold"))
        words += ["--split-score", "ms"]
    return words, notices


_EFFICIENTNET_DROPOUT = ("0.2", "0.2", "0.3", "0.3", "0.4", "0.4", "0.5", "0.5")
_RESNETS = ("18", "34", "50", "101", "152")
_HUB_RESNETS = ("18", "50", "101", "152")


def _backbone(name: str, weights: str) -> tuple[list[str], str]:
    """Returns flags for a network as `train_classifier` names it, or by our name, and the recipe it is trained by.

    Args:
        name: of the network.
        weights: `none`, `imagenet` or a file.

    Raises:
        SettingError: there is no such network, or no ImageNet weights for it.
    """
    kind, _, size = name.partition("-b")
    if kind == "efficientnet" and size.isdigit() and int(size) < len(_EFFICIENTNET_DROPOUT):
        words = ["--model", f"EfficientNetB{size}", "--dropout", _EFFICIENTNET_DROPOUT[int(size)]]
        return [*words, "--weights", weights], "animl-efficientnet"
    number = name.removeprefix("resnet")
    if name.startswith("resnet") and number in _RESNETS:
        if weights == "imagenet" and number not in _HUB_RESNETS:
            raise SettingError(f"--model-name {name}: has no ImageNet weights here; take resnet18, resnet50 or efficientnet-b0")
        backbone = f"hub:resnet_{number}_imagenet" if weights == "imagenet" else f"ResNet{number}"
        return ["--model", backbone, "--weights", weights], "animl-resnet"
    if name in BACKBONES or name.startswith(HUB_PREFIX):
        return ["--model", name, "--weights", weights], "animl-resnet"
    known = [*(f"efficientnet-b{one}" for one in range(8)), *(f"resnet{one}" for one in _RESNETS)]
    raise SettingError(f"--model-name {name}: no such network here{suggestion(name, known)}")


def _train_classifier(given: Given) -> Words:
    if not given.has("epochs"):
        raise SettingError("legacy train_classifier: --epochs is missing; without it nothing is trained there either")
    folder, logs = Path(given.text("dataset_dir")), Path(given.text("logdir", "."))
    words = ["--classification-csv", str(folder / "classification_ds.csv"), "--splits", str(folder / "splits.json")]
    words += ["--label-index", str(folder / "label_index.json"), "--crops-dir", given.text("cropped_images_dir")]
    weights = "imagenet" if given.values.get("pretrained") is True else given.text("pretrained", "none")
    network, recipe = _backbone(given.text("model_name", "efficientnet-b0"), weights)
    words += [*network, "--recipe", recipe]
    pairs = (("epochs", "--max-epochs"), ("batch_size", "--batch-size"), ("weight_decay", "--weight-decay"))
    words += given.passed(*pairs, ("num_workers", "--n-cpus"), ("seed", "--seed"), ("finetune", "--head-epochs"))
    words += ["--initial-learning-rate", given.text("lr"), "--no-scale-learning-rate"] if given.has("lr") else []
    words += given.passed(("label_weighted", "--label-weighted"), ("log_extreme_examples", "--log-extreme-examples"))
    if given.has("weight_by_detection_conf"):
        curve = given.values["weight_by_detection_conf"]
        words += ["--weight-by-detection-conf", *([] if curve is True else ["--detection-conf-calibration", str(curve)])]
    words += ["--head-types", "species=sigmoid"] if given.has("multilabel") else []
    words += ["--run-outputs-dir", str(logs / "run"), "--model-save-dir", str(logs / "bundle")]
    notices = [f"the run is {logs / 'run'}, not a folder per start: the same command again goes on where it stopped"]
    notices.append(f"recipe {recipe}: optimiser, rates, augmentation and end of training as there")
    notices += given.notices(cache="shards are read fast enough without; run/cache holds them", multilabel="a sigmoid head")
    return words, notices


def _evaluate_model(given: Given) -> Words:
    if not given.has("splits"):
        raise SettingError(
            "legacy evaluate_model: without --splits it only makes a compiled model there; here that is `camtrap export`"
        )
    if given.has("target_mapping") != given.has("label_index"):
        raise SettingError("legacy evaluate_model: --target-mapping and --label-index go together; give both or none")
    folder = Path(given.text("params_json")).parent
    run = folder / "run" if (folder / "run").is_dir() else folder
    checkpoint = Path(given.text("ckpt_path"))
    words = ["--run", str(run), "--checkpoint", str(checkpoint) if checkpoint.exists() else checkpoint.name, "--split"]
    words += [*given.values["splits"], "--output-dir", given.text("output_dir", str(folder))]
    words += given.passed(("batch_size", "--batch-size"), ("num_workers", "--n-cpus"), ("target_mapping", "--target-mapping"))
    words += given.passed(("label_index", "--target-index"))
    if given.has("dataset_dir"):
        words += ["--classification-csv", str(Path(given.text("dataset_dir")) / "classification_ds.csv")]
    notices = given.notices(model_name="the model file says what network it is")
    notices.append(f"{given.text('params_json')}: its settings are those of the run {run}")
    return words, notices


def _train(given: Given) -> Words:
    words = ["--config", given.text("config", str(DEFAULT_CONFIG))]
    return [*words, *(["--no-resume"] if given.has("no_resume") else ["--resume"] if given.has("resume") else [])], []


def _predict(given: Given) -> Words:
    words = ["--config", given.text("config", str(DEFAULT_CONFIG)), *given.passed(("checkpoint", "--checkpoint"))]
    split = given.text("split", "test")
    return [*words, "--split", split], ["--split test is the test split; there it was val"] if split == "test" else []


def _download_lila_cct(_: Given) -> Words:
    notice = "the data set that the script names; --dataset takes others, `camtrap download lila` lists them"
    return ["--dataset", ISLAND, "--what", "annotations"], [notice]


def _download_lila_subset(given: Given) -> Words:
    words = ["--dataset", ISLAND, "--location-from-path", "2"]
    if "--category" not in given.rest:
        words += ["--category", "rat", "iguana", "cat", "pig", "--absent-categories-ok"]
    notices = ["data set, categories and number are those that the script names; flags of `camtrap download lila` change them"]
    notices.append("a seeded sample of 25000; there the first 25000, which are of few places")
    return [*words, "--max-pictures", "25000"], notices


def _torch_test(_: Given) -> Words:
    return [], ["looks at TensorFlow, which trains here; `camtrap env` says what to install where it finds no GPU"]


def _run_classifier(given: Given) -> Words:
    words = [
        "--image-dir",
        given.text("crops_dir"),
        "--model-path",
        given.text("model"),
        "--results-file",
        given.text("output"),
    ]
    form = "--export-file-type"
    words += [] if any(word.partition("=")[0] == form for word in given.rest) else [form, "class-columns"]
    words += given.passed(("batch_size", "--batch-size"), ("num_workers", "--n-cpus"))
    words += ["--n-gpus", "0"] if given.text("device") == "cpu" else []
    return words, given.notices(
        detections_json="all crops of the folder are classified; their names say the box",
        classifier_categories="the bundle knows the names of its classes",
        image_size="the bundle says the size",
        device="cpu is --n-gpus 0; else every GPU there is",
    )


def _aggregate_probs(given: Given) -> Words:
    words = [given.text("classifier_results_csv"), "--target-mapping", given.text("target_mapping")]
    words += ["--output", given.text("output_csv"), "--output-index", given.text("output_label_index")]
    return words, ["classes that the mapping leaves out are added up as `other`; there they were an error"]


def _mislabeled_candidates(given: Given) -> Words:
    if not given.has("splits"):
        raise SettingError("legacy identify_mislabeled_candidates: --splits is missing; without it nothing is looked at there")
    folder = Path(given.text("logdir"))
    words = ["--results-file", *(str(folder / f"outputs_{split}.csv.gz") for split in given.values["splits"])]
    words += ["--margin", given.text("margin", "0.5"), "--output", str(folder / "mislabeled_candidates.csv")]
    notices = [
        "one table with label, probabilities and path of each candidate; there a list of file names per split and data set"
    ]
    notices += given.notices(include_dataset_in_filename="paths are as the tables of answers have them, with their data set")
    return words, notices


def _check_image_metadata(given: Given) -> Words:
    words = [given.text("input_dir"), "--output", given.text("output_file", "./outputs/output.csv")]
    return words, ["texts with commas are quoted; what cannot be read is in a table of rejects, not in this one"]


def _bulk_exif_update(given: Given) -> Words:
    words = [given.text("csv"), "--output-dir", given.text("output_dir", "./outputs")]
    return words, ["pictures stay as they are and copies keep their sub-folders; there files were moved, by their names alone"]


_INPUT = Argument(("-i", "--input_filename"), "the file", required=True)
_OUTPUT = Argument(("-o", "--output_filename"), "--output")
_WORKERS = Argument(("--num-workers",), "--n-cpus")
_BATCH = Argument(("--batch-size",), "--batch-size")

_CROP = (
    Argument(("detections_json",), "the file: COCO Camera Traps or MegaDetector results"),
    Argument(("cropped_images_dir",), "--output-dir"),
    Argument(("-i", "--images-dir"), "--image-root"),
    Argument(("-c", "--container-url"), "refused: fetch the pictures first"),
    Argument(("-v", "--detector-version"), "--detector-name"),
    Argument(("--save-full-images",), "nothing", "switch"),
    Argument(("--square-crops",), "--crop-strategy square", "switch"),
    Argument(("--crop-strategy",), "--crop-strategy"),
    Argument(("--check-crops-valid",), "--check-crops-valid", "switch"),
    Argument(("-t", "--threshold"), "--threshold"),
    Argument(("-n", "--threads"), "--workers, at most one per core"),
    Argument(("--logdir",), "--log-outdir"),
)
_CLASSIFICATION = (
    Argument(("output_dir",), "the folder"),
    Argument(("--mode",), "--mode", "many"),
    Argument(("--match-test",), "--match-test", "many", count=2),
    Argument(("-q", "--queried-images-json"), "--queried-images, or --cct where it is a COCO Camera Traps file"),
    Argument(("--cct-json",), "--cct"),
    Argument(("-c", "--crops-dir", "--cropped-images-dir"), "--crops-dir"),
    Argument(("-d", "--detector-output-cache-dir"), "--detections-dir; nothing with a COCO Camera Traps file"),
    Argument(("-v", "--detector-version"), "--detector-version; nothing with a COCO Camera Traps file"),
    Argument(("-t", "--threshold"), "--threshold; nothing with a COCO Camera Traps file"),
    Argument(("--val-frac",), "--val-frac"),
    Argument(("--test-frac",), "--test-frac"),
    Argument(("--method",), "--method"),
    Argument(("--label-spec",), "--label-spec"),
    Argument(("--min-locs",), "--min-locs"),
    Argument(("--seed",), "--seed"),
)
_TRAIN_CLASSIFIER = (
    Argument(("dataset_dir",), "--classification-csv, --splits and --label-index in it"),
    Argument(("cropped_images_dir",), "--crops-dir"),
    Argument(("--multilabel",), "--head-types species=sigmoid", "switch"),
    Argument(("-m", "--model-name"), "--model, with its dropout"),
    Argument(("--pretrained",), "--weights imagenet, or the file", "maybe"),
    Argument(("--finetune",), "--head-epochs"),
    Argument(("--label-weighted",), "--label-weighted", "switch"),
    Argument(("--weight-by-detection-conf",), "--weight-by-detection-conf and --detection-conf-calibration", "maybe"),
    Argument(("--epochs",), "--max-epochs"),
    _BATCH,
    Argument(("--lr",), "--initial-learning-rate --no-scale-learning-rate"),
    Argument(("--weight-decay",), "--weight-decay"),
    _WORKERS,
    Argument(("--logdir",), "--run-outputs-dir <logdir>/run, --model-save-dir <logdir>/bundle"),
    Argument(("--log-extreme-examples",), "--log-extreme-examples"),
    Argument(("--seed",), "--seed"),
    Argument(("--cache",), "nothing: shards are kept in run/cache", "many"),
)
_EVALUATE_MODEL = (
    Argument(("params_json",), "--run: its folder"),
    Argument(("ckpt_path",), "--checkpoint"),
    Argument(("-o", "--output-dir"), "--output-dir"),
    Argument(("--splits",), "--split", "many"),
    Argument(("--target-mapping",), "--target-mapping"),
    Argument(("--label-index",), "--target-index"),
    Argument(("--model-name",), "nothing: the model file says it"),
    _BATCH,
    _WORKERS,
    Argument(("--dataset-dir",), "--classification-csv in it"),
)
_RUN_CLASSIFIER = (
    Argument(("model",), "--model-path"),
    Argument(("crops_dir",), "--image-dir"),
    Argument(("output",), "--results-file"),
    Argument(("-d", "--detections-json"), "nothing: all crops of the folder are classified"),
    Argument(("-c", "--classifier-categories"), "nothing: the bundle knows its classes"),
    Argument(("--image-size",), "nothing: the bundle says it"),
    _BATCH,
    Argument(("--device",), "--n-gpus 0 for cpu"),
    _WORKERS,
)

SCRIPTS: Mapping[str, Script] = {
    "download_images": Script(
        words=("download", "cct"),
        arguments=(
            Argument(("--coco-file",), "the file", required=True),
            Argument(("--output-dir",), "--output-dir", required=True),
            Argument(("--max-threads",), "--connections and --per-host"),
        ),
        become=_download_images,
    ),
    "cct_to_md": Script(words=("cct", "to-md"), arguments=(_INPUT, _OUTPUT), become=_cct_to_md),
    "md_to_queried_images": Script(
        words=("classification", "queried-images"),
        arguments=(_INPUT, Argument(("-d", "--dataset"), "--dataset", required=True), _OUTPUT),
        become=_md_to_queried_images,
    ),
    "crop_detections": Script(words=("crop",), arguments=_CROP, become=_crop_detections),
    "create_classification_dataset": Script(
        words=("classification", "create"), arguments=_CLASSIFICATION, become=_create_classification_dataset
    ),
    "train_classifier": Script(words=("train", "files"), arguments=_TRAIN_CLASSIFIER, become=_train_classifier),
    "train_classifier_tf": Script(words=("train", "files"), arguments=_TRAIN_CLASSIFIER, become=_train_classifier),
    "evaluate_model": Script(words=("predict", "split"), arguments=_EVALUATE_MODEL, become=_evaluate_model),
    "train": Script(
        words=("train", "files"),
        arguments=(
            Argument(("--config",), f"--config; without it {DEFAULT_CONFIG}"),
            Argument(("--resume",), "--resume", "switch"),
            Argument(("--no-resume",), "--no-resume", "switch"),
        ),
        become=_train,
    ),
    "predict": Script(
        words=("predict", "split"),
        arguments=(
            Argument(("--config",), f"--config; without it {DEFAULT_CONFIG}"),
            Argument(("--checkpoint",), "--checkpoint"),
            Argument(("--split",), "--split; without it test"),
        ),
        become=_predict,
    ),
    "download_lila_dataset_cct": Script(words=("download", "lila"), become=_download_lila_cct),
    "download_lila_subset": Script(words=("download", "lila"), become=_download_lila_subset),
    "aggregate_classifier_probs": Script(
        words=("predict", "aggregate"),
        arguments=(
            Argument(("classifier_results_csv",), "the table"),
            Argument(("-t", "--target-mapping"), "--target-mapping", required=True),
            Argument(("-o", "--output-csv"), "--output", required=True),
            Argument(("-i", "--output-label-index"), "--output-index", required=True),
        ),
        become=_aggregate_probs,
    ),
    "identify_mislabeled_candidates": Script(
        words=("predict", "suspects"),
        arguments=(
            Argument(("logdir",), "outputs_<split>.csv.gz in it; mislabeled_candidates.csv is written there"),
            Argument(("--margin",), "--margin"),
            Argument(("--splits",), "--results-file: a table per split", "many"),
            Argument(("-d", "--include-dataset-in-filename"), "nothing: paths have their data set", "switch"),
        ),
        become=_mislabeled_candidates,
    ),
    "check_image_metadata": Script(
        words=("exif", "check"),
        arguments=(Argument(("input_dir",), "the folder"), Argument(("--output_file",), "--output")),
        become=_check_image_metadata,
    ),
    "bulk_exif_update": Script(
        words=("exif", "set"),
        arguments=(Argument(("csv",), "the table"), Argument(("--output_dir",), "--output-dir")),
        become=_bulk_exif_update,
    ),
    "torch_test": Script(words=("env",), become=_torch_test),
    "run_classifier": Script(words=("predict",), arguments=_RUN_CLASSIFIER, become=_run_classifier),
}
"""Name → script."""
