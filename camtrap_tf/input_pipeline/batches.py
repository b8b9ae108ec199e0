"""Batches of model inputs: records by number → read → parse → decode → window → resize → batch.

Records are read by position in chunks, parsed in chunks, and decoded one by one in parallel. What an example looks like
depends on (seed, epoch, record) alone. A picture that cannot be decoded stays in its place as a black one with
`valid` False and all targets missing, so that nothing else moves; `InputErrors` counts them.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from camtrap_tf.config.names import ImageChoice
from camtrap_tf.errors import DatasetError
from camtrap_tf.executors import available_cores
from camtrap_tf.input_pipeline.examples import Examples
from camtrap_tf.input_pipeline.frames import jpeg_input, random_windows, resized_crop_window, stacked_input
from camtrap_tf.input_pipeline.order import Sampling, occurrences
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.input_pipeline.seeds import FRAME, example_seeds, uniform
from camtrap_tf.input_pipeline.shard_set import ShardSet
from camtrap_tf.input_pipeline.targets import Blanks, target_lookup, target_widths
from camtrap_tf.labels import UNKNOWN, LabelMapping

CHUNK = 32
"""Records that are read and parsed at once."""
STACKED_FRAMES = 3
MAX_FAILED_SHARE = 0.05
"""Share of undecodable pictures above which training and evaluation fail."""

NO_BLANKS: Blanks = {}

Element = dict[str, Any]
Steps = tuple[Callable[..., Element], Callable[[Element], Element], Callable[[Element], Element]]
"""From a chunk of serialised records to elements, from one element to a decoded one, from a batch of these to what is given."""

_as_written = tf.autograph.experimental.do_not_convert
"""Functions here branch on tensors with `tf.cond` alone; not rewriting their Python halves the time until the first batch."""


def training_batches(
    shards: ShardSet,
    preprocessing: Preprocessing,
    mapping: LabelMapping,
    *,
    batch_size: int,
    epoch: int,
    seed: int,
    buffer_size: int = 0,
    drop_remainder: bool = False,
    threads: int | None = None,
    start_step: int = 0,
    frame_choice: ImageChoice | None = None,
    blanks: Blanks = NO_BLANKS,
    sampling: Sampling | None = None,
) -> tf.data.Dataset:
    """Returns one epoch of training examples, shuffled, zoomed and cropped; the rest is `augment_batch`'s.

    Args:
        shards: where examples come from.
        preprocessing: how they become model inputs.
        mapping: class → index, of the label types to train.
        batch_size: examples per batch.
        epoch: epoch, counted from the very first run.
        seed: seed of the run.
        buffer_size: shuffle window in records; 0: the whole set.
        drop_remainder: drop the last, smaller batch.
        threads: threads that decode; one per core where not given.
        start_step: batches that lie behind; nothing of them is read.
        frame_choice: which frame of a record; the preprocessing's where not given. `all` makes every frame an example.
        blanks: label types of which all observations count, with their classes that mean nothing is there.
        sampling: which examples an epoch has, and how often; each once where not given.

    Returns:
        Batches `{"images": [B, H, W, 3] float32 in 0…255, "seeds": [B, 2] int32, "targets": {label type: [B] int32, -1
        where missing; those in `blanks` [B, C] of 0, 1 and -1}, "several": [B, L] bool, whether a record has more
        observations of a label type than count, "records": [B] int64, "valid": [B] bool}`.

    Raises:
        LabelError: the shards lack a label type of the mapping.
    """
    shards.require_labels(mapping.label_types)
    choice = frame_choice or preprocessing.image_choice_for_sets
    examples = Examples(shards, choice)
    order = examples.order(sampling, seed=seed, epoch=epoch, window=buffer_size)
    draws = occurrences(order) if sampling is not None and sampling.repeats else np.zeros_like(order)
    order, draws = order[start_step * batch_size :], draws[start_step * batch_size :]

    def numbers(start: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns records, frames and seeds of the chunk that begins at `start`."""
        chosen, drawn = order[start : start + CHUNK], draws[start : start + CHUNK]
        records, frames = examples.locate(chosen)
        # an example that is drawn again looks different
        return records, frames, example_seeds(chosen + drawn * examples.count, seed=seed, epoch=epoch)

    steps = _training_steps(preprocessing, mapping, choice, blanks)
    chunks = _chunks(shards, len(order), numbers)
    return _assembled(chunks, steps, batch_size, drop_remainder=drop_remainder, threads=threads)


def _training_steps(preprocessing: Preprocessing, mapping: LabelMapping, choice: ImageChoice, blanks: Blanks) -> Steps:
    """Returns the functions that make training examples of serialised records."""
    targets = target_lookup(mapping, blanks)
    label_count = len(mapping.label_types)

    @_as_written
    def prepare(serialised: tf.Tensor, records: tf.Tensor, frames: tf.Tensor, seeds: tf.Tensor) -> Element:
        """Finds the pictures of a chunk and what goes along with each."""
        parsed = _parsed(serialised, mapping)
        several = [(parsed["observations"][label] > 1)[:, None] & (label not in blanks) for label in mapping.label_types]
        columns = [random_windows(seeds, preprocessing), seeds, records[:, None], *several]
        return {
            "jpegs": _chosen_jpegs(parsed, choice, frames, seeds),
            "facts": _packed([*columns, *targets(parsed["labels"], parsed["observations"])]),
        }

    @_as_written
    def decode(element: Element) -> Element:
        """Decodes the picture of one element."""
        facts = element["facts"]

        def window(jpeg: tf.Tensor) -> tf.Tensor:
            """Returns the part of a picture that is seen, which may depend on its shape."""
            if preprocessing.resized_crop_area is None:
                return tf.cast(facts[:4], tf.float32)
            return resized_crop_window(jpeg, tf.cast(facts[4:6], tf.int32), preprocessing)

        images, valid = _guarded(element["jpegs"], preprocessing, window if preprocessing.draws_windows else None)
        return {"images": images, "valid": valid, "facts": facts}

    def unpack(batch: Element) -> Element:
        """Takes apart what was packed into one tensor."""
        facts = batch["facts"]
        return {
            "images": batch["images"],
            "seeds": tf.cast(facts[:, 4:6], tf.int32),
            "targets": _valid_targets(facts[:, 7 + label_count :], mapping, blanks, batch["valid"]),
            "records": tf.cast(facts[:, 6], tf.int64),
            "valid": batch["valid"],
            # without any label types there would be rows of no width, which tf.data's unbatch cannot take
            **({"several": facts[:, 7 : 7 + label_count] > 0} if label_count else {}),
        }

    return prepare, decode, unpack


def example_count(shards: ShardSet, preprocessing: Preprocessing, sampling: Sampling | None = None) -> int:
    """Returns the number of training examples in an epoch: records, or frames where every frame is one."""
    examples = Examples(shards, preprocessing.image_choice_for_sets)
    if sampling is None or sampling.repeats:
        return examples.count
    return sampling.size(examples.records())


def evaluation_batches(
    shards: ShardSet,
    preprocessing: Preprocessing,
    mapping: LabelMapping,
    *,
    batch_size: int,
    threads: int | None = None,
    ids: bool = False,
    blanks: Blanks = NO_BLANKS,
) -> tf.data.Dataset:
    """Returns every frame of every record once, in order, nothing left to chance.

    Args:
        shards: where examples come from.
        preprocessing: how they become model inputs; with `grayscale_stacking` a record is one input, its frame is 0.
        mapping: class → index, of the label types to evaluate; label types that the shards lack are missing everywhere.
        batch_size: frames per batch.
        threads: threads that decode; one per core where not given.
        ids: add the ids of the records.
        blanks: as for `training_batches`.

    Returns:
        Batches `{"images": [B, H, W, 3] float32 in 0…255, "records": [B] int64, "frames": [B] int32, "targets": {label
        type: [B] int32, -1 where missing; those in `blanks` [B, C]}, "valid": [B] bool}`, with `ids` also `"ids": [B]
        string`. The last batch may be smaller. A record without any picture has one entry, which is not valid.
    """

    def numbers(start: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns records, frames and seeds of the chunk that begins at `start`; the latter two mean nothing here."""
        records = np.arange(start, min(start + CHUNK, len(shards)))
        return records, np.zeros(len(records), np.int32), np.zeros((len(records), 2), np.int32)

    steps = _evaluation_steps(preprocessing, mapping, blanks, ids=ids)
    return _assembled(_chunks(shards, len(shards), numbers), steps, batch_size, threads=threads)


def _evaluation_steps(preprocessing: Preprocessing, mapping: LabelMapping, blanks: Blanks, *, ids: bool) -> Steps:
    """Returns the functions that make an input of every frame of serialised records."""
    targets = target_lookup(mapping, blanks)

    @_as_written
    def prepare(serialised: tf.Tensor, records: tf.Tensor, frames: tf.Tensor, seeds: tf.Tensor) -> Element:
        """Finds the pictures of a chunk and what goes along with each."""
        parsed = _parsed(serialised, mapping)
        if preprocessing.stacked:
            rows = tf.range(tf.size(records))
            jpegs = _chosen_jpegs(parsed, "grayscale_stacking", frames, seeds)
        else:
            kept = tf.sequence_mask(tf.maximum(parsed["frames"], 1), tf.shape(parsed["images"])[1])
            places = tf.cast(tf.where(kept), tf.int32)
            rows, frames = places[:, 0], places[:, 1]
            jpegs = tf.gather_nd(parsed["images"], places)
        facts = _packed([records[:, None], *targets(parsed["labels"], parsed["observations"])])
        facts = tf.concat([tf.cast(frames, facts.dtype)[:, None], tf.gather(facts, rows)], axis=1)
        return {"jpegs": jpegs, "facts": facts} | ({"ids": tf.gather(parsed["ids"], rows)} if ids else {})

    @_as_written
    def decode(element: Element) -> Element:
        """Decodes the picture of one element."""
        images, valid = _guarded(element.pop("jpegs"), preprocessing, None)
        return {"images": images, "valid": valid, **element}

    def unpack(batch: Element) -> Element:
        """Takes apart what was packed into one tensor."""
        facts = batch.pop("facts")
        return {
            **batch,
            "records": tf.cast(facts[:, 1], tf.int64),
            "frames": tf.cast(facts[:, 0], tf.int32),
            "targets": _valid_targets(facts[:, 2:], mapping, blanks, batch["valid"]),
        }

    return prepare, decode, unpack


def stored_batches(
    pictures: Iterable[bytes | Sequence[bytes]], preprocessing: Preprocessing, *, batch_size: int, threads: int | None = None
) -> tf.data.Dataset:
    """Returns model inputs of pictures in stored form, in order.

    Args:
        pictures: JPEG bytes each; for stacked models the frames of a record each. Read lazily.
        preprocessing: how they become model inputs.
        batch_size: pictures per batch.
        threads: threads that decode; one per core where not given.

    Returns:
        Batches `{"images": [B, H, W, 3] float32 in 0…255, "valid": [B] bool}`; the last one may be smaller.
    """

    def rows() -> Iterable[Any]:
        """Yields the JPEG of each picture, of stacked ones all frames."""
        for picture in pictures:
            frames = [picture] if isinstance(picture, bytes) else list(picture)
            yield [*frames, *[b""] * STACKED_FRAMES][:STACKED_FRAMES] if preprocessing.stacked else frames[0]

    shape = [STACKED_FRAMES] if preprocessing.stacked else []
    workers = threads or available_cores()
    jpegs = tf.data.Dataset.from_generator(rows, output_signature=tf.TensorSpec(shape, tf.string))
    decoded = jpegs.map(
        _as_written(lambda one: dict(zip(("images", "valid"), _guarded(one, preprocessing, None), strict=True))),
        num_parallel_calls=workers,
    )
    return _with_threads(decoded.batch(batch_size).prefetch(2), workers)


class InputErrors:
    """Counts pictures that could not be decoded, and says when they are too many.

    Attributes:
        seen: examples so far.
        failed: those of them that could not be decoded.
        records: numbers of their records, the first hundred.
    """

    def __init__(self) -> None:
        self.seen = 0
        self.failed = 0
        self.records: list[int] = []

    def add(self, batch: Mapping[str, Any]) -> None:
        """Counts a batch of `training_batches` or `evaluation_batches`."""
        valid = np.asarray(batch["valid"])
        self.seen += len(valid)
        if not valid.all():
            self.failed += int((~valid).sum())
            self.records += np.asarray(batch["records"])[~valid].tolist()[: 100 - len(self.records)]

    def check(self, shards: ShardSet, *, limit: float = MAX_FAILED_SHARE) -> None:
        """Makes sure that not too many failed; to be called at the end of an epoch.

        Raises:
            DatasetError: the share of failures is above the limit.
        """
        if self.failed > limit * self.seen:
            raise DatasetError(
                f"{self.failed} of {self.seen} pictures in the shards cannot be decoded (limit {limit:.0%}), "
                f"e.g. in record {self.records[0]} below {shards.shards[0].parent}; run `dataset inspect --verify` on them"
            )

    def text(self) -> str:
        """Returns one line for logs."""
        return f"input errors: {self.failed} of {self.seen} pictures could not be decoded"


def _chunks(
    shards: ShardSet, total: int, numbers: Callable[[int], tuple[np.ndarray, np.ndarray, np.ndarray]]
) -> tf.data.Dataset:
    """Returns chunks of records: serialised `[c]`, record numbers `[c]`, frames `[c]`, seeds `[c, 2]`.

    Args:
        shards: where to read.
        total: number of examples.
        numbers: position of a chunk's first example → records, frames and seeds of the chunk.
    """

    def read(start: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Reads the chunk that begins at `start`."""
        records, frames, seeds = numbers(int(start))
        return np.array(shards.read_many(records), dtype=object), records.astype(np.int64), frames, seeds

    @_as_written
    def chunk(start: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Reads the chunk that begins at `start`, as tensors of known shape."""
        types = (tf.string, tf.int64, tf.int32, tf.int32)
        serialised, records, frames, seeds = tf.numpy_function(read, [start], types, stateful=False)
        return (
            tf.ensure_shape(serialised, [None]),
            tf.ensure_shape(records, [None]),
            tf.ensure_shape(frames, [None]),
            tf.ensure_shape(seeds, [None, 2]),
        )

    return tf.data.Dataset.range(0, total, CHUNK).map(chunk, num_parallel_calls=2)


def _parsed(serialised: tf.Tensor, mapping: LabelMapping) -> dict[str, Any]:
    """Parses a chunk of records.

    Returns:
        `images`: `[c, K]` strings, filled up with empty ones; `frames`: `[c]` int32, pictures per record; `ids`: `[c]`;
        `labels`: label type → `[c, O]` strings, classes of the observations, filled up; `observations`: label type → `[c]`,
        how many there are.
    """
    lists = {"images": tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True)}
    for label in mapping.label_types:
        lists[f"label/{label}"] = tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True)
    context, values, lengths = tf.io.parse_sequence_example(
        serialised,
        context_features={"id": tf.io.FixedLenFeature([], tf.string, default_value="")},
        sequence_features=lists,
    )
    images = tf.pad(values["images"], [[0, 0], [0, 1]])
    return {
        "images": images,
        "frames": tf.cast(lengths["images"], tf.int32),
        "ids": context["id"],
        "labels": {label: values[f"label/{label}"] for label in mapping.label_types},
        "observations": {label: lengths[f"label/{label}"] for label in mapping.label_types},
    }


def _chosen_jpegs(parsed: dict[str, Any], choice: ImageChoice, frames: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
    """Returns the picture of each example, `[c]` strings, or its first three frames, `[c, 3]`; empty where there is none."""
    images = parsed["images"]
    if choice == "grayscale_stacking":
        return tf.pad(images, [[0, 0], [0, STACKED_FRAMES]])[:, :STACKED_FRAMES]
    if choice == "random":
        drawn = uniform(seeds, stream=FRAME, count=1)[:, 0]
        frames = tf.cast(drawn * tf.cast(parsed["frames"], tf.float32), tf.int32)
        # rounding could give the number of frames itself
        frames = tf.clip_by_value(frames, 0, tf.maximum(parsed["frames"] - 1, 0))
    return tf.gather(images, frames, batch_dims=1)


def _guarded(
    jpegs: tf.Tensor, preprocessing: Preprocessing, window: Callable[[tf.Tensor], tf.Tensor] | None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes the picture of one example, or the frames of a stack; black and False where it cannot be decoded.

    Whole JPEGs begin and end with their markers, as all that `dataset create` and camera-trap-classifier store; those go
    straight to the decoder. Others are tried out first, outside the graph.
    """
    shape = [preprocessing.output_height, preprocessing.output_width, 3]
    size = tf.strings.length(jpegs)
    end = tf.strings.substr(jpegs, tf.maximum(size - 2, 0), 2 * tf.ones_like(size))
    whole = (tf.strings.substr(jpegs, 0 * size, 3 * tf.ones_like(size)) == b"\xff\xd8\xff") & (end == b"\xff\xd9")

    def decoded() -> tf.Tensor:
        """Returns the model input `[H, W, 3]`."""
        if preprocessing.stacked:
            return stacked_input(jpegs, preprocessing, window=None if window is None else window(jpegs[0]))
        return jpeg_input(jpegs, preprocessing, window=None if window is None else window(jpegs))

    if preprocessing.stacked:
        whole = whole[0] & tf.reduce_all(whole | (size == 0))
    valid = tf.cond(whole, lambda: True, lambda: tf.numpy_function(_decodable, [jpegs], tf.bool, stateful=False))
    valid = tf.ensure_shape(valid, [])
    return tf.cond(valid, decoded, lambda: tf.zeros(shape)), valid


def _decodable(jpegs: Any) -> np.bool_:
    """Tells whether all of some pictures are JPEGs that decode to their last line; there has to be at least one."""
    frames = [frame for frame in np.atleast_1d(np.asarray(jpegs, dtype=object)) if frame]
    try:
        for frame in frames:
            with Image.open(io.BytesIO(frame), formats=["JPEG"]) as image:
                image.load()
    except Exception:  # whatever a damaged file makes the decoder raise, it is not decodable
        return np.bool_(False)
    return np.bool_(bool(frames))


def _packed(columns: Sequence[tf.Tensor]) -> tf.Tensor:
    """Returns numbers of each example as one row of float64, which holds all of them exactly.

    What goes through the pipeline example by example costs about as much for each tensor as for a picture's bytes.
    """
    return tf.concat([tf.cast(column, tf.float64) for column in columns], axis=1)


def _valid_targets(columns: tf.Tensor, mapping: LabelMapping, blanks: Blanks, valid: tf.Tensor) -> dict[str, tf.Tensor]:
    """Returns label type → int32 targets, `[B]` or `[B, C]`; missing where there is no picture."""
    known = tf.where(valid[:, None], tf.cast(columns, tf.int32), UNKNOWN)
    widths = target_widths(mapping, blanks)
    parts = dict(zip(widths, tf.split(known, list(widths.values()), axis=1), strict=True)) if widths else {}
    return {label: part if label in blanks else part[:, 0] for label, part in parts.items()}


def _assembled(
    chunks: tf.data.Dataset, steps: Steps, batch_size: int, *, drop_remainder: bool = False, threads: int | None = None
) -> tf.data.Dataset:
    """Returns batches of examples that are prepared, decoded and unpacked, always in the same order."""
    prepare, decode, unpack = steps
    workers = threads or available_cores()
    examples = chunks.map(prepare, num_parallel_calls=2).unbatch().map(decode, num_parallel_calls=workers)
    return _with_threads(
        examples.batch(batch_size, drop_remainder=drop_remainder).map(_as_written(unpack)).prefetch(2), workers
    )


def _with_threads(dataset: tf.data.Dataset, workers: int) -> tf.data.Dataset:
    options = tf.data.Options()
    options.deterministic = True
    options.threading.private_threadpool_size = workers
    options.threading.max_intra_op_parallelism = 1
    # all numbers are given; and an iterator that ends was seen to wait until the tuner wakes up: after 10 ms, then twice as
    # long each time, so that up to half of a short epoch was waiting
    options.autotune.enabled = False
    return dataset.with_options(options)
