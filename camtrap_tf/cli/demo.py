"""The command `demo`: a drawn sample goes through every stage, up to an answer over HTTP.

Each stage is called as the command of that name would call it; the command is shown, so that it can be typed again
with other pictures.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from camtrap_tf.cli.commands import COMMANDS
from camtrap_tf.cli.flags import flags_of
from camtrap_tf.config.base import StageConfig
from camtrap_tf.config.dataset import DatasetConfig
from camtrap_tf.config.delivery import DemoConfig, EvaluateConfig, ExportConfig, PredictConfig, ServeConfig
from camtrap_tf.config.inventory import CsvInventoryConfig
from camtrap_tf.config.sample import SampleConfig
from camtrap_tf.config.training import TrainConfig
from camtrap_tf.errors import CamtrapError, ModelError
from camtrap_tf.files import digest_of, locked_folder, read_json, sha256_file, writable_folder, write_json

LABELS = ("species", "count", "behaviour", "posture")
INPUT_WIDTH, INPUT_HEIGHT = 96, 72
STORED_SIDE_PX = 96
SERVICE_START_S = 120.0


@dataclass(frozen=True)
class DemoPlan:
    """The settings of every stage of a demo, in the order in which they run."""

    sample: SampleConfig
    inventory: CsvInventoryConfig
    dataset: DatasetConfig
    train: TrainConfig
    evaluate: EvaluateConfig
    export: ExportConfig
    serve: ServeConfig

    @classmethod
    def of(cls, config: DemoConfig) -> DemoPlan:
        """Returns the settings that a demo with this folder, size and seed uses."""
        folder = config.output_dir
        sample, dataset, bundle = folder / "sample", folder / "dataset", folder / "bundle"
        return cls(
            sample=SampleConfig(output_dir=sample, events=config.events, seed=config.seed),
            inventory=CsvInventoryConfig(
                path=sample / "sample.csv",
                export_path=folder / "inventory.json",
                capture_id_field="event_id",
                image_fields=("image_1", "image_2", "image_3"),
                label_fields=LABELS,
                meta_data_fields=("location", "datetime"),
            ),
            dataset=DatasetConfig(
                inventory=folder / "inventory.json",
                image_root_path=sample,
                output_dir=dataset,
                split_percent=(0.65, 0.12, 0.23),
                split_group="location",
                image_save_side_smallest=STORED_SIDE_PX,
                seed=config.seed,
            ),
            train=TrainConfig(
                train_tfr_path=(dataset,),
                val_tfr_path=(dataset,),
                test_tfr_path=(dataset,),
                run_outputs_dir=folder / "run",
                model_save_dir=bundle,
                model="ResNet18",
                labels=LABELS,
                output_width=INPUT_WIDTH,
                output_height=INPUT_HEIGHT,
                batch_size=16,
                optimizer="adam",
                initial_learning_rate=0.001,
                max_epochs=config.max_epochs,
                early_stopping_patience=0,
                reduce_lr_on_plateau_patience=0,
                learning_rate_schedule="cosine",
                warmup_epochs=min(1.0, config.max_epochs / 2),
                color_augmentation="little",
                seed=config.seed,
            ),
            evaluate=EvaluateConfig(model_path=bundle, tfr_path=(dataset,), output_dir=folder / "report"),
            export=ExportConfig(model=bundle, output_dir=folder / "export"),
            serve=ServeConfig(saved_model=folder / "export", port=0),
        )

    def predict(self, location: str) -> PredictConfig:
        """Returns the settings for predicting the pictures of one camera site."""
        folder = self.evaluate.output_dir.parent
        return PredictConfig(
            model_path=self.evaluate.model_path,
            image_dir=self.sample.output_dir / "images" / location,
            results_file=folder / "predictions.csv",
        )


@dataclass(frozen=True)
class DemoResult:
    """What a demo comes to.

    Attributes:
        folder: where everything is.
        heads: label → its part of the report.
        seconds: how long it took.
    """

    folder: Path
    heads: Mapping[str, Mapping[str, Any]]
    seconds: float

    def text(self) -> str:
        """Returns test accuracy per head beside what always saying the most frequent class would score."""
        lines = [
            "",
            "Test pictures come from locations that the model has never seen.",
            f"{'label':<12}{'test events':>12}{'accuracy':>12}{'majority':>12}",
        ]
        for label, head in self.heads.items():
            majority = head["baseline"]["accuracy"] if head["baseline"] else None
            shares = "".join(f"{'-' if share is None else f'{share:.1%}':>12}" for share in (head["accuracy"], majority))
            lines.append(f"{label:<12}{head['n_labelled']:>12}{shares}")
        lines += ["", f"Everything is in {self.folder} ({self.seconds:.0f} s)."]
        return "\n".join(lines)


def demo(config: DemoConfig) -> DemoResult:
    """Walks a drawn sample through every stage; finished pieces of an earlier demo in the folder are kept.

    Raises:
        SettingError: the folder cannot be used.
        CamtrapError: a stage could not do its work.
    """
    started = time.monotonic()
    folder = writable_folder(config.output_dir, "--output-dir")
    plan = DemoPlan.of(config)
    with locked_folder(folder):
        _run("Draw a sample", plan.sample)
        _run("List its pictures and labels", plan.inventory)
        _run("Build shards; locations stay whole", plan.dataset)
        _train(plan, folder)
        report = _run("Measure it on the test split", plan.evaluate).report
        place, picture = test_picture(plan)
        _run("Predict the pictures of a location it has not seen", plan.predict(place))
        _export(plan)
        _ask_service(plan.serve, picture)
    return DemoResult(folder, report["heads"], time.monotonic() - started)


def command_of(config: StageConfig) -> str:
    """Returns the command line that has these settings: the words, and a flag for each setting that was given."""
    command = next(command for command in COMMANDS if command.model() is type(config))
    flags = flags_of(type(config))
    words = ["camtrap", *command.words]
    for key in type(config).model_fields:
        if key not in config.model_fields_set:
            continue
        value = getattr(config, key)
        if flags[key].kind == "switch":
            words.append(flags[key].name if value else "--no-" + flags[key].name[2:])
            continue
        words += [flags[key].name, *(str(part) for part in (value if isinstance(value, tuple) else (value,)))]
    return shlex.join(words)


def _heading(title: str, command: str) -> None:
    print(f"\n=== {title}\n$ {command}", flush=True)


def _run(title: str, config: StageConfig) -> Any:
    """Runs a stage under a heading, prints what it has to say, and returns its result."""
    command = next(command for command in COMMANDS if command.model() is type(config))
    _heading(title, command_of(config))
    result = command.function()(config)
    print(result.text(), flush=True)
    return result


def _train(plan: DemoPlan, folder: Path) -> None:
    """Trains, unless the bundle of the same settings and shards is there."""
    note = folder / "trained.json"
    made_of = {
        "settings": digest_of(json.loads(plan.train.model_dump_json())),
        "dataset": sha256_file(plan.dataset.output_dir / "dataset.json"),
    }
    bundle = plan.train.model_save_dir
    if (bundle / "bundle.json").is_file() and note.is_file() and read_json(note) == made_of:
        _heading("Train", command_of(plan.train))
        print(f"{bundle}: kept, made with these settings from these shards", flush=True)
        return
    note.unlink(missing_ok=True)
    _run("Train a network with one head per label", plan.train)
    write_json(note, made_of)


def _export(plan: DemoPlan) -> None:
    """Exports the bundle, unless its newest export is there."""
    from camtrap_tf.export.layout import Export, find_version

    title = "Export for serving"
    try:
        newest = Export.read(find_version(plan.export.output_dir))
        kept = newest.model_sha256 == sha256_file(plan.export.model / "model.keras")
    except ModelError:
        kept = False
    if not kept:
        _run(title, plan.export)
        return
    _heading(title, command_of(plan.export))
    print(f"{newest.folder}: kept, made from this bundle", flush=True)


def test_picture(plan: DemoPlan) -> tuple[str, Path]:
    """Returns a location of the test split and a picture from it."""
    from camtrap_tf.dataset.discovery import find_shards
    from camtrap_tf.dataset.framing import read_records
    from camtrap_tf.dataset.schema import decode_example

    for shard in find_shards([plan.dataset.output_dir], ["test"], flag="--tfr-path"):
        for data in read_records(shard):
            example = decode_example(data)
            if example.images and example.labels.get("species", ("blank",))[0] not in {"blank", "-1"}:
                return example.meta_data["location"], plan.sample.output_dir / example.image_paths[0]
    raise CamtrapError(f"{plan.dataset.output_dir}: the test split shows no animal; give a larger --events")


def _ask_service(config: ServeConfig, picture: Path) -> None:
    """Starts the service, asks it what a picture shows, prints the answer, and stops it."""
    _heading("Serve, and ask over HTTP", command_of(config))
    with service(config) as address:
        print(f"$ curl -F image=@{shlex.quote(str(picture))} {address}/identify", flush=True)
        answer = identify(address, picture)
    for label, scores in answer["labels"].items():
        best = ", ".join(f"{score['name']} {score['score']:.2f}" for score in scores[:3])
        print(f"  {label:<12}{best}")
    sys.stdout.flush()


@contextmanager
def service(config: ServeConfig) -> Iterator[str]:
    """Runs the service in a process of its own and gives its address once it answers.

    Raises:
        CamtrapError: it ended, or did not answer in two minutes.
    """
    words = shlex.split(command_of(config))[1:]
    code = "import sys; from camtrap_tf.cli.main import main; sys.exit(main(sys.argv[1:]))"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    said: list[str] = []
    ready = threading.Event()
    assert process.stderr is not None
    listener = threading.Thread(target=_listen, args=(process.stderr, said.append, ready), daemon=True)
    listener.start()
    try:
        ready.wait(SERVICE_START_S)
        found = re.search(r"on (http://\S+)", "".join(said))
        if found is None:
            last = said[-1].strip() if said else "it said nothing"
            raise CamtrapError(f"the service did not start: {last}; try it alone: {command_of(config)}")
        yield found[1]
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        listener.join(5)
        process.stderr.close()


def _listen(stream: Any, keep: Callable[[str], None], ready: threading.Event) -> None:
    """Reads what a service says, until it ends; says when it is there."""
    for line in stream:
        keep(line)
        if " on http://" in line:
            ready.set()
    ready.set()


def identify(address: str, picture: Path) -> dict[str, Any]:
    """Posts a picture to a service and returns its answer."""
    boundary = uuid.uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{picture.name}"\r\n'
    body = head.encode() + b"Content-Type: image/jpeg\r\n\r\n" + picture.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    request = urllib.request.Request(
        f"{address}/identify", body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        answer: dict[str, Any] = json.load(reply)
    return answer
