"""`--dry-run` of prediction, evaluation and export: counts, outputs, refusals; nothing written, no TensorFlow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.config.delivery import EvaluateConfig, ExportConfig, PredictConfig
from camtrap_tf.config.predictions_out import AddaxaiConfig, PredictExportConfig
from camtrap_tf.config.training_files import EvaluateResultsConfig, PredictSplitConfig
from camtrap_tf.errors import LabelError, ModelError
from camtrap_tf.evaluation.results_report import evaluate_results
from camtrap_tf.export.addaxai import export_addaxai
from camtrap_tf.export.exporting import export
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.inventory.of_splits import SplitFiles
from camtrap_tf.labels import LabelMapping
from camtrap_tf.prediction.dry_run import DryRun, describe_model
from camtrap_tf.prediction.earlier_measures import Measures
from camtrap_tf.prediction.exporting import export_predictions
from camtrap_tf.prediction.predictor import predict
from camtrap_tf.prediction.split_results import predict_split
from camtrap_tf.prediction.split_tables import write_measures
from camtrap_tf.prediction.writers import open_table
from camtrap_tf.sources.cct_document import CctDocument
from tests.commands import camtrap_alone
from tests.factories import make_jpeg
from tests.unit.prediction.export_support import CLASSES, EMPTY, record

HEADS: dict[str, Any] = {
    "species": {"type": "softmax", "classes": ["blank", "lion", "zebra"]},
    "seen": {"type": "sigmoid", "classes": ["cub", "adult"], "blank_classes": ["none"]},
}
BOX = [0.1, 0.1, 0.3, 0.6]


def write_companions(folder: Path) -> None:
    """Writes label mapping and image processing of a model with the heads beside it."""
    mapping = {label: [*head["classes"], *head.get("blank_classes", ())] for label, head in HEADS.items()}
    LabelMapping.from_classes(mapping).write(folder / "label_mappings.json")
    Preprocessing(output_height=64, output_width=64).write(folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Gives a described bundle whose model file is no model, and three pictures, one of them in a folder."""
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle/model.keras").write_bytes(b"none")
    (tmp_path / "bundle/bundle.json").write_text(json.dumps({"format_version": 2, "heads": HEADS}), encoding="utf-8")
    write_companions(tmp_path / "bundle")
    (tmp_path / "pictures/deep").mkdir(parents=True)
    for name in ("a.jpg", "b.jpg", "deep/c.jpg"):
        (tmp_path / "pictures" / name).write_bytes(make_jpeg(40, 30))
    return tmp_path


def all_of(folder: Path) -> dict[str, bytes]:
    """Returns the content of every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def planned(folder: Path, found: object, before: dict[str, bytes]) -> DryRun:
    """Returns the plan; nothing was written."""
    assert isinstance(found, DryRun)
    assert all_of(folder) == before
    return found


def of_prediction(folder: Path, **settings: Any) -> DryRun:
    """Plans a prediction of the pictures."""
    before = all_of(folder)
    values = {"model_path": folder / "bundle", "results_file": folder / "out/p.csv", "dry_run": True, **settings}
    if "csv_path" not in values:
        values.setdefault("image_dir", folder / "pictures")
    return planned(folder, predict(PredictConfig(**values)), before)


def test_pictures_of_a_folder(folder: Path) -> None:
    """Model, counts and outputs are said; what is no picture is counted apart."""
    (folder / "pictures/notes.txt").write_text("x")
    plan = of_prediction(folder, export=("megadetector", "timelapse"))
    said = plan.text()
    assert plan.exit_code == 0
    for part in (
        "species (3 classes), seen (2 classes)",
        "records: 3 = 3 to predict + 0 without a usable picture; besides, passed over as no pictures: 1 file",
        "pictures: 3 there; pictures and boxes that are not usable: 0",
        f"results: would write {folder}/out/p.csv, csv",
        f"megadetector: would write {folder}/out/p.megadetector.json",
        f"timelapse: would write {folder}/out/p.timelapse.csv",
    ):
        assert part in said
    assert "refused" not in said


def test_boxes(folder: Path) -> None:
    """Boxes above the threshold, those below it, and those of pictures that are not there are counted."""
    images = [
        {"file": "a.jpg", "detections": [{"category": "1", "conf": conf, "bbox": BOX} for conf in (0.9, 0.8, 0.1)]},
        {"file": "b.jpg", "detections": []},
        {"file": "gone.jpg", "detections": [{"category": "1", "conf": 0.9, "bbox": BOX}]},
    ]
    path = folder / "md.json"
    about = {"info": {"format_version": "1.4"}, "detection_categories": {"1": "animal"}, "images": images}
    path.write_text(json.dumps(about), encoding="utf-8")
    said = of_prediction(folder, detections=path, threshold=0.5).text()
    assert "boxes: 4 = 3 to classify + 1 below 0.5 + 0 rejected" in said
    assert "records: 4 = 2 to predict + 1 picture without a box to classify + 1 without a usable picture" in said
    assert "pictures: 1 there; pictures and boxes that are not usable: 1 (1 × missing_file)" in said


def test_a_wrong_folder_of_boxes(folder: Path) -> None:
    """Pictures that are not there are warned of with the exit code that the command would have; a bare picture excuses none."""
    box = {"category": "1", "conf": 0.9, "bbox": BOX}
    images = [{"file": "wrong/a.jpg", "detections": [box, box]}, {"file": "wrong/b.jpg", "detections": []}]
    about = {"info": {"format_version": "1.4"}, "detection_categories": {"1": "animal"}, "images": images}
    (folder / "md.json").write_text(json.dumps(about), encoding="utf-8")
    plan = of_prediction(folder, detections=folder / "md.json")
    assert plan.exit_code == 3
    (line,) = [one for one in plan.text().splitlines() if one.startswith("warning: ")]
    assert "1 of 1 pictures and 2 of 2 records cannot be used, more than --max-rejected-share 0.05 allows" in line
    assert "check --image-dir" in line
    (folder / "pictures/wrong").mkdir()
    (folder / "pictures/a.jpg").rename(folder / "pictures/wrong/a.jpg")
    plan = of_prediction(folder, detections=folder / "md.json")
    assert (plan.exit_code, plan.warning) == (0, "")


def test_tables(folder: Path) -> None:
    """Records with a picture that is there are to be predicted; reasons of the others are counted."""
    (folder / "t.csv").write_text("id,one,two\nx,a.jpg,gone.jpg\ny,lost.jpg,\nz,../out.jpg,\n", encoding="utf-8")
    table = {"csv_path": folder / "t.csv", "csv_id_col": "id", "csv_images_cols": ("one", "two")}
    said = of_prediction(folder, **table, csv_images_root_path=folder / "pictures").text()
    assert "records: 3 = 1 to predict + 2 without a usable picture" in said
    assert "pictures: 1 there; pictures and boxes that are not usable: 3 (2 × missing_file, 1 × outside_root)" in said


def test_everything_that_would_be_refused_is_said(folder: Path) -> None:
    """All obstacles are named at once, one a line, and the exit code is that of a refusal."""
    found = of_prediction(
        folder, model_path=folder / "bundel", results_file=folder / "pictures", export=("camtrap-dp",), deployments=None
    )
    assert found.exit_code == 2
    assert [said.partition(" ")[0] for said in found.refusals] == ["--model-path", "--results-file", "--export"]
    assert found.text().splitlines()[-4] == "would be refused:"


def test_a_package_that_lacks_facts_and_names_is_refused_in_one_go(folder: Path) -> None:
    """Deployments, facts and classes without a name are told at once, before TensorFlow; the dry run says the same."""
    words = "predict --model-path bundle --image-dir pictures --results-file p.csv --export camtrap-dp"
    done = camtrap_alone(words.split(), cwd=folder)
    assert done.stdout.splitlines()[-1] == "2"
    (said,) = done.stderr.splitlines()
    assert said.startswith("camtrap: error: --export camtrap-dp: 2 things to mend: (1) ")
    refusals = of_prediction(folder, export=("camtrap-dp",)).refusals
    assert len(refusals) == 2
    for part, refusal in zip(("latitude", "for lion, zebra; give --taxa"), refusals, strict=True):
        assert part in refusal
        assert refusal in said


def test_results_that_are_there(folder: Path) -> None:
    """A table that would be replaced is named as such."""
    (folder / "p.csv").write_text("x")
    assert "p.csv (is there already, would be replaced)" in of_prediction(folder, results_file=folder / "p.csv").text()


def test_export_of_a_table(folder: Path) -> None:
    """Records by status, forms and what is missing for one of them."""
    path = folder / "p.json"
    with open_table(path, file_type="json", legacy=False, class_names=CLASSES) as write:
        for one in (record(["x/1.jpg"]), record(["x/2.jpg"], EMPTY), record(["x/3.jpg"], None)):
            write(one)
    before = all_of(folder)
    settings = {"results": path, "export": ("megadetector",), "dry_run": True}
    plan = planned(folder, export_predictions(PredictExportConfig(**settings)), before)
    assert (plan.refusals, plan.exit_code) == ([], 0)
    assert "3 records (ok 2, failed 1) of 3 pictures" in plan.text()
    assert f"megadetector: would write {folder}/p.megadetector.json" in plan.text()
    plan = planned(folder, export_predictions(PredictExportConfig(**settings | {"export": ("camtrap-dp",)})), before)
    assert ["deployments" in said for said in plan.refusals] == [True, False]
    assert "which model was it?" in plan.refusals[1]
    assert plan.exit_code == 2


@pytest.fixture
def run(folder: Path) -> Path:
    """Gives a run folder of a training from files: a validation split of three pictures, one of them not there."""
    images = [{"id": str(k), "file_name": name} for k, name in enumerate(("a.jpg", "deep/c.jpg", "gone.jpg"))]
    annotations = [{"id": str(k), "image_id": str(k), "category_id": k} for k in range(3)]
    categories = [{"id": k, "name": name} for k, name in enumerate(("lion", "newt", "zebra"))]
    document = folder / "val.json"
    CctDocument(images=images, annotations=annotations, categories=categories).write(document)
    made = folder / "run"
    (made / "cache").mkdir(parents=True)
    heads = {"format_version": 2, "heads": {"species": HEADS["species"]}}
    (made / "run.json").write_text(json.dumps(heads), encoding="utf-8")
    (made / "model_best.keras").write_bytes(b"none")
    write_companions(made)
    files = SplitFiles(
        kind="cct", label="species", crops_dir=folder / "pictures", documents={"train": document, "val": document}
    )
    files.write(made / "cache")
    return made


def test_splits(folder: Path, run: Path) -> None:
    """Records of a split, those of known classes, its files, and the splits whose metrics stay, are said."""
    (folder / "predictions").mkdir()
    write_measures([], folder / "predictions")
    (folder / "predictions/overall_metrics.csv").write_text(
        "split,loss,loss_weighted,acc_top1,acc_top3,acc_weighted_top1,acc_weighted_top3\ntest,1,1,1,1,1,1\n", encoding="utf-8"
    )
    before = all_of(folder)
    config = PredictSplitConfig(run=run, split=("val",), dry_run=True)
    said = planned(folder, predict_split(config), before).text()
    assert "val: 3 in = 2 to predict + 1 not usable (1 × missing_file); 1 of known classes" in said
    for name in ("val_results.json", "outputs_val.csv.gz"):
        assert f"val: would write {folder}/predictions/{name}" in said
    assert f"those of val to {folder}/predictions/label_stats.csv; those of test stay in it" in said
    plan = planned(folder, predict_split(config.model_copy(update={"split": ("test",), "checkpoint": "7"})), before)
    assert len(plan.refusals) == 2
    assert plan.refusals[0].startswith("--checkpoint 7: ")


def test_evaluation_and_export(folder: Path) -> None:
    """Results are read and sheets counted; the number of an exported version is said."""
    images = [{"id": "1", "file_name": "a.jpg"}]
    annotations = [{"id": "1", "image_id": "1", "category_id": 0}]
    CctDocument(images=images, annotations=annotations, categories=[{"id": 0, "name": "lion"}]).write(folder / "c.json")
    lists = {"pred_labels": [0], "true_labels": [0], "logits": [[1]], "scores": [[1]], "filepaths": ["a.jpg"]}
    (folder / "val_results.json").write_text(json.dumps(lists), encoding="utf-8")
    before = all_of(folder)
    settings = {"results": folder / "val_results.json", "cct": folder / "c.json", "output_dir": folder / "e", "dry_run": True}
    said = planned(folder, evaluate_results(EvaluateResultsConfig(**settings)), before).text()
    assert "species: 1 class; 1 picture, 1 with a true class" in said
    assert f"report: would write {folder}/e/confusion.csv" in said
    (folder / "net/3").mkdir(parents=True)
    plan = planned(folder, export(ExportConfig(model=folder / "bundle", output_dir=folder / "net", dry_run=True)), before)
    assert f"SavedModel: would write {folder}/net/4" in plan.text()
    config = ExportConfig(model=folder / "bundle", output_dir=folder / "net", version=3, dry_run=True)
    assert "this version exists" in planned(folder, export(config), before).text()


def test_plug_in(folder: Path) -> None:
    """Facts that are missing and a folder that is there are refused at once."""
    config = AddaxaiConfig(model=folder / "bundle", output_dir=folder / "pictures", dry_run=True)
    plan = planned(folder, export_addaxai(config), all_of(folder))
    assert len(plan.refusals) == 2
    assert "is there already" in plan.refusals[1]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("p.csv.gz", ""),
        ("p.json.gz", "no .gz file is written; its name has to end in .csv or .json"),
        ("p.jpg", "no .jpg file is written"),
        ("t.csv", "is the file that is read"),
        ("pictures", "is a folder"),
    ],
)
def test_tables_that_would_hide_something(folder: Path, name: str, said: str) -> None:
    """The table of predictions is refused where its name says another form, or is that of what is read."""
    (folder / "t.csv").write_text("id,path\n1,a.jpg\n", encoding="utf-8")
    settings = {"csv_path": folder / "t.csv", "csv_id_col": "id", "csv_images_cols": ("path",)}
    refusals = of_prediction(folder, **settings, csv_images_root_path=folder / "pictures", results_file=folder / name).refusals
    assert len(refusals) == bool(said)
    assert said in "".join(refusals)


def test_a_column_per_class(folder: Path) -> None:
    """The form is said; a name that says JSON is refused, and a label type of which there may be several."""
    plan = of_prediction(folder, export_file_type="class-columns", results_file=folder / "o.csv.gz")
    assert (plan.refusals, "o.csv.gz, class-columns" in plan.text()) == ([], True)
    plan = of_prediction(folder, export_file_type="class-columns", results_file=folder / "o.json")
    assert "no .json file" in plan.refusals[0]
    described = {"format_version": 2, "heads": {"seen": HEADS["seen"]}}
    (folder / "bundle/bundle.json").write_text(json.dumps(described), encoding="utf-8")
    assert "has any number" in of_prediction(folder, export_file_type="class-columns").refusals[0]


def test_a_model_that_lost_a_file_is_refused(folder: Path) -> None:
    """A bundle without its image processing is refused once, as the command itself would refuse it; so is a later format."""
    (folder / "bundle/image_processing.json").unlink()
    (refusal,) = of_prediction(folder).refusals
    assert refusal.startswith(f"{folder}/bundle: no image_processing.json beside model.keras; copy it from")
    (folder / "bundle/bundle.json").write_text(json.dumps({"format_version": 99, "heads": HEADS}), encoding="utf-8")
    (refusal,) = of_prediction(folder).refusals
    assert "format 99 is newer than this version reads" in refusal


def test_evaluation_without_shards(folder: Path) -> None:
    """Shards that are not there are refused, and the report is still named."""
    from camtrap_tf.evaluation.evaluate import evaluate

    config = EvaluateConfig(model_path=folder / "bundle", tfr_path=(folder / "no",), output_dir=folder / "e", dry_run=True)
    plan = planned(folder, evaluate(config), all_of(folder))
    assert plan.refusals
    assert f"report: would write {folder}/e/report.html" in plan.text()


@pytest.mark.parametrize(
    "words",
    [
        "predict --model-path bundle --image-dir pictures --results-file out/p.csv --export megadetector",
        "predict split --run run --split val",
        "evaluate --model-path bundle --tfr-path shards --output-dir e",
        "export --model bundle --output-dir net",
    ],
)
def test_no_tensorflow_and_no_logs(folder: Path, run: Path, words: str) -> None:
    """The command line neither loads TensorFlow nor leaves a log file."""
    before = all_of(folder)
    done = camtrap_alone([*words.split(), "--dry-run"], cwd=folder)
    assert done.stdout.splitlines()[-1] in ("0", "2"), done.stderr
    assert f"Plan of {' '.join(word for word in words.split()[:2] if not word.startswith('-'))}" in done.stdout
    assert all_of(folder) == before


def test_descriptions_of_models(tmp_path: Path) -> None:
    """Classes come from the description, else from the label mapping; blank classes of a sigmoid head are none of them."""
    (tmp_path / "m.keras").write_bytes(b"")
    with pytest.raises(ModelError, match=r"no label_mappings\.json and no image_processing\.json beside m\.keras"):
        describe_model(tmp_path / "m.keras")
    Preprocessing(output_height=64, output_width=64).write(tmp_path)
    mapping = {"species": {"none": 0, "fox": 1}}
    (tmp_path / "label_mappings.json").write_text(json.dumps(mapping), encoding="utf-8")
    assert describe_model(tmp_path / "m.keras").class_names == {"species": ("none", "fox")}
    (tmp_path / "x.json").write_text("[]", encoding="utf-8")
    with pytest.raises(LabelError):
        describe_model(tmp_path / "m.keras", class_mapping_json=tmp_path / "x.json")


def test_empty_measures_change_nothing() -> None:
    """Measures without a split leave those that are there as they are."""
    some = Measures({"val": ("val", "1")})
    assert some.updated(Measures()) == some
