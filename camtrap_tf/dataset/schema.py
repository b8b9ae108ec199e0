"""The content of a record in a shard: `tensorflow.SequenceExample` messages with camera-trap-classifier's keys.

Receives events with their pictures in stored form, hands on bytes; and the other way round, also for shards that
camera-trap-classifier wrote. The message types are built here, field by field as TensorFlow's `feature.proto` and
`example.proto` number them, in a descriptor pool of their own, so that TensorFlow need not be imported and does not
collide with them where it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from camtrap_tf.errors import DatasetError
from camtrap_tf.labels import LabelMapping
from camtrap_tf.records import MISSING, CaptureEvent

LABEL_PREFIX = "label/"
LABEL_NUM_PREFIX = "label_num/"
RAW_META = "meta_data"
"""Key that a free text in the place of meta data is given when it is read."""


@dataclass(frozen=True)
class Example:
    """A record as a shard holds it.

    Attributes:
        id: id of the event.
        images: JPEG bytes of the frames, in time order.
        image_paths: their paths; shards of camera-trap-classifier may list pictures here that it could not read.
        image_index: position of each of `images` among the pictures of the event.
        labels: label type → class per observation, `"-1"` where missing; empty where the shard has no such list.
        meta_data: further facts as texts.
    """

    id: str
    images: tuple[bytes, ...]
    image_paths: tuple[str, ...]
    image_index: tuple[int, ...]
    labels: Mapping[str, tuple[str, ...]]
    meta_data: Mapping[str, str]


def encode_example(
    event: CaptureEvent, pictures: Sequence[tuple[int, bytes]], mapping: LabelMapping, *, label_types: Sequence[str]
) -> bytes:
    """Returns a record as serialised SequenceExample; equal arguments give equal bytes.

    Args:
        event: the record.
        pictures: index into `event.media` and JPEG bytes of each frame that could be read, in time order.
        mapping: numbers for `label_num/*`; -1 for a class that it lacks.
        label_types: label types to store, every one for every observation, `"-1"` where it is missing.
    """
    observations = [[one.labels.get(label, MISSING) for label in label_types] for one in event.observations]
    texts = (f"#{label}:{value}" for values in observations for label, value in zip(label_types, values, strict=True))
    meta = json.dumps(dict(event.meta_data), ensure_ascii=False, sort_keys=True) if event.meta_data else ""
    message = sequence_example()()
    context = message.context.feature
    context["id"].bytes_list.value.append(event.event_id.encode("utf-8"))
    context["n_images"].int64_list.value.append(len(pictures))
    context["n_labels"].int64_list.value.append(len(event.observations))
    context["meta_data"].bytes_list.value.append(meta.encode("utf-8"))
    context["labelstext"].bytes_list.value.append("".join(texts).encode("utf-8"))
    lists = message.feature_lists.feature_list
    _add_bytes(lists["images"], (jpeg for _, jpeg in pictures))
    _add_bytes(lists["image_paths"], (event.media[index].path.encode("utf-8") for index, _ in pictures))
    _add_numbers(lists["image_index"], (index for index, _ in pictures))
    for position, label in enumerate(label_types):
        values = [row[position] for row in observations]
        known = label in mapping.classes
        _add_bytes(lists[LABEL_PREFIX + label], (value.encode("utf-8") for value in values))
        _add_numbers(lists[LABEL_NUM_PREFIX + label], (mapping.index(label, value) if known else -1 for value in values))
    data: bytes = message.SerializeToString(deterministic=True)
    return data


def decode_example(data: bytes) -> Example:
    """Returns a record from its serialised SequenceExample, ours or camera-trap-classifier's.

    Raises:
        DatasetError: the bytes are no SequenceExample with an id.
    """
    try:
        message = sequence_example().FromString(data)
        context, lists = message.context.feature, message.feature_lists.feature_list
        images = tuple(_bytes(lists, "images"))
        labels = {
            key.removeprefix(LABEL_PREFIX): tuple(value.decode("utf-8") for value in _bytes(lists, key))
            for key in sorted(lists)
            if key.startswith(LABEL_PREFIX)
        }
        numbers = tuple(_numbers(lists, "image_index"))
        return Example(
            id=_context_text(context, "id"),
            images=images,
            image_paths=tuple(value.decode("utf-8") for value in _bytes(lists, "image_paths")),
            image_index=numbers if len(numbers) == len(images) else tuple(range(len(images))),
            labels=labels,
            meta_data=_meta_data(_context_text(context, "meta_data") if "meta_data" in context else ""),
        )
    except (DecodeError, UnicodeDecodeError, IndexError, KeyError) as err:
        raise DatasetError(f"a record is no SequenceExample of pictures and labels ({err})") from err


def decode_observations(data: bytes | memoryview, label: str) -> tuple[str, ...]:
    """Returns the classes of a label type of a record, without looking at its pictures.

    Walks over the fields of the message: what is passed over is not even read where `data` is a mapped file.

    Raises:
        DatasetError: the bytes are no SequenceExample.
    """
    key = (LABEL_PREFIX + label).encode("utf-8")
    try:
        for lists in _submessages(data, 2):
            for entry in _submessages(lists, 1):
                if bytes(next(_submessages(entry, 1), b"")) == key:
                    features = (one for value in _submessages(entry, 2) for one in _submessages(value, 1))
                    texts = (text for feature in features for one in _submessages(feature, 1) for text in _submessages(one, 1))
                    return tuple(bytes(text).decode("utf-8") for text in texts)
    except (IndexError, UnicodeDecodeError) as err:
        raise DatasetError(f"a record is no SequenceExample of pictures and labels ({err})") from err
    return ()


def decode_meta(data: bytes | memoryview) -> dict[str, str]:
    """Returns the meta data of a record, without looking at its pictures; empty where it has none.

    Raises:
        DatasetError: the bytes are no SequenceExample.
    """
    try:
        for context in _submessages(data, 1):
            for entry in _submessages(context, 1):
                if bytes(next(_submessages(entry, 1), b"")) == b"meta_data":
                    lists = (one for feature in _submessages(entry, 2) for one in _submessages(feature, 1))
                    texts = (bytes(text).decode("utf-8") for one in lists for text in _submessages(one, 1))
                    return _meta_data(next(texts, ""))
    except (IndexError, UnicodeDecodeError) as err:
        raise DatasetError(f"a record is no SequenceExample of pictures and labels ({err})") from err
    return {}


def _submessages(data: bytes | memoryview, wanted: int) -> Iterator[memoryview]:
    """Yields the contents of a field that has a length, each time it occurs.

    Source: "Encoding" in the documentation of Protocol Buffers.
    """
    view, place = memoryview(data), 0
    while place < len(view):
        tag, place = _varint(view, place)
        if tag & 7 == 2:
            length, place = _varint(view, place)
            if place + length > len(view):
                raise IndexError("cut off")
            if tag >> 3 == wanted:
                yield view[place : place + length]
            place += length
        elif tag & 7 == 0:
            _, place = _varint(view, place)
        elif tag & 7 in (1, 5):
            place += 8 if tag & 7 == 1 else 4
        else:
            raise IndexError("no such type of field")


def _varint(view: memoryview, place: int) -> tuple[int, int]:
    """Returns a number of seven bits a byte, and the place after it."""
    value = shift = 0
    while True:
        byte = view[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place


@cache
def sequence_example() -> Any:
    """Returns the message class `tensorflow.SequenceExample`, from a descriptor pool of our own."""
    pool = descriptor_pool.DescriptorPool()
    pool.Add(_file_descriptor())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.SequenceExample"))


_Field = descriptor_pb2.FieldDescriptorProto
# message → its fields: name, number, type (of a message where it is a text), repeated, member of the oneof `kind`
_MESSAGES: dict[str, tuple[tuple[str, int, Any, bool, bool], ...]] = {
    "BytesList": (("value", 1, _Field.TYPE_BYTES, True, False),),
    "FloatList": (("value", 1, _Field.TYPE_FLOAT, True, False),),
    "Int64List": (("value", 1, _Field.TYPE_INT64, True, False),),
    "Feature": (
        ("bytes_list", 1, "BytesList", False, True),
        ("float_list", 2, "FloatList", False, True),
        ("int64_list", 3, "Int64List", False, True),
    ),
    "Features": (("feature", 1, "Features.FeatureEntry", True, False),),
    "FeatureList": (("feature", 1, "Feature", True, False),),
    "FeatureLists": (("feature_list", 1, "FeatureLists.FeatureListEntry", True, False),),
    "SequenceExample": (("context", 1, "Features", False, False), ("feature_lists", 2, "FeatureLists", False, False)),
}
# map entries: message that holds the map, name of the entry, type of its values
_MAPS = (("Features", "FeatureEntry", "Feature"), ("FeatureLists", "FeatureListEntry", "FeatureList"))


def _file_descriptor() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="camtrap_tf/example.proto", package="tensorflow", syntax="proto3")
    messages = {}
    for name, fields in _MESSAGES.items():
        messages[name] = file.message_type.add(name=name)
        if any(field[-1] for field in fields):
            messages[name].oneof_decl.add(name="kind")
        for field in fields:
            _add_field(messages[name], *field)
    for holder, entry_name, value in _MAPS:
        entry = messages[holder].nested_type.add(name=entry_name)
        entry.options.map_entry = True
        _add_field(entry, "key", 1, _Field.TYPE_STRING, False, False)
        _add_field(entry, "value", 2, value, False, False)
    return file


def _add_field(message: Any, name: str, number: int, kind: Any, repeated: bool, in_oneof: bool) -> None:
    field = message.field.add(name=name, number=number)
    field.label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
    if isinstance(kind, str):
        field.type = _Field.TYPE_MESSAGE
        field.type_name = f".tensorflow.{kind}"
    else:
        field.type = kind
    if in_oneof:
        field.oneof_index = 0


def _add_bytes(feature_list: Any, values: Iterable[bytes]) -> None:
    for value in values:
        feature_list.feature.add().bytes_list.value.append(value)


def _add_numbers(feature_list: Any, values: Iterable[int]) -> None:
    for value in values:
        feature_list.feature.add().int64_list.value.append(value)


def _bytes(lists: Any, key: str) -> Iterable[bytes]:
    return (feature.bytes_list.value[0] for feature in lists[key].feature) if key in lists else ()


def _numbers(lists: Any, key: str) -> Iterable[int]:
    return (feature.int64_list.value[0] for feature in lists[key].feature) if key in lists else ()


def _context_text(context: Any, key: str) -> str:
    if key not in context:
        raise KeyError(key)
    text: str = context[key].bytes_list.value[0].decode("utf-8")
    return text


def _meta_data(text: str) -> dict[str, str]:
    """Returns meta data from its JSON text; a free text, which camera-trap-classifier allows, is kept under one key."""
    if not text:
        return {}
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = text
    if not isinstance(value, dict):
        return {RAW_META: text}
    return {key: one if isinstance(one, str) else json.dumps(one) for key, one in value.items()}
