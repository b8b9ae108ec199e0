"""Settings of one run: a YAML file under the flags, checked by the settings model; every mistake is one line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from camtrap_tf.cli.flags import Flag, Value, flags_of, parse_switch, require_all, type_name
from camtrap_tf.errors import SettingError, suggestion

MAX_YAML_BYTES = 1_000_000
_NULL = "tag:yaml.org,2002:null"

Config = TypeVar("Config", bound=BaseModel)


def read_yaml(path: Path, flags: Mapping[str, Flag]) -> dict[str, Value]:
    """Returns the settings of a YAML file by key.

    A value is taken as it is written, as if it had been typed after its flag: `count: 011` is the text `011`.
    No tags are acted on, nothing is built from the file but texts and lists of texts.

    Args:
        path: the file; keys in snake_case or with hyphens.
        flags: the settings there are.

    Raises:
        SettingError: absent, too large, not YAML, an unknown key, a key given twice, or a nested value.
    """
    node = _composed(path)
    if node is None:
        return {}
    values: dict[str, Value] = {}
    for key_node, value_node in node.value:
        where = f"--config {path}, line {key_node.start_mark.line + 1}"
        written = key_node.value if isinstance(key_node, yaml.ScalarNode) else ""
        key = written.replace("-", "_")
        if key not in flags:
            raise SettingError(f"{where}: no setting {str(written)!r}{suggestion(key, flags)}")
        if key in values:
            raise SettingError(f"{where}: {written!r} is given twice; keep one")
        values[key] = _yaml_value(value_node, flags[key], f"{where}: {written}")
    return values


def yaml_keys(path: Path) -> tuple[str, ...]:
    """Returns the keys of a YAML file in our spelling, whether they are settings or not; raises as `read_yaml` does."""
    node = _composed(path)
    keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)] if node is not None else []
    return tuple(key.replace("-", "_") for key in keys)


def _composed(path: Path) -> yaml.MappingNode | None:
    """Returns the nodes of a YAML file with settings, None where it is empty.

    Raises:
        SettingError: absent, too large, not YAML, or no list of keys.
    """
    try:
        if path.stat().st_size > MAX_YAML_BYTES:
            raise SettingError(f"--config {path}: larger than {MAX_YAML_BYTES} bytes; this is not a file of settings")
        node = yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as err:
        raise SettingError(
            f"--config {path}: cannot be read ({getattr(err, 'strerror', None) or err}); check the path"
        ) from err
    except (yaml.YAMLError, RecursionError) as err:
        mark = getattr(err, "problem_mark", None)
        raise SettingError(
            f"--config {path}: not YAML{f', line {mark.line + 1}' if mark else ''}; write `key: value` lines"
        ) from err
    if node is None:
        return None
    if not isinstance(node, yaml.MappingNode):
        raise SettingError(f"--config {path}: not a list of `key: value` lines")
    return node


def _yaml_value(node: yaml.Node, flag: Flag, where: str) -> Value:
    if isinstance(node, yaml.SequenceNode) and flag.kind == "many":
        if not all(isinstance(item, yaml.ScalarNode) for item in node.value):
            raise SettingError(f"{where}: nested values are not possible; write a plain list")
        return [item.value for item in node.value]
    if not isinstance(node, yaml.ScalarNode):
        raise SettingError(f"{where}: takes {'a list' if flag.kind == 'many' else 'one value'}, nothing nested")
    if node.tag == _NULL and flag.optional:
        return None
    if flag.kind == "switch":
        said = parse_switch(node.value)
        if said is None:
            raise SettingError(f"{where}: {node.value!r} is neither true nor false")
        return said
    return [node.value] if flag.kind == "many" else str(node.value)


def make_config(
    model: type[Config], values: Mapping[str, Value], *, command: str, files: Mapping[str, Path] | None = None
) -> Config:
    """Returns the checked settings; `model_fields_set` of it holds the keys that were given.

    Args:
        model: settings model.
        values: what was given, by key.
        command: for messages, e.g. `train`.
        files: key → settings file that its value stands in, for messages; other values come from flags.

    Raises:
        SettingError: something is missing or cannot be; all of it in one line.
    """
    flags = flags_of(model)
    given = {key: _read(value, flags[key], command) for key, value in values.items()}
    require_all(dict(given), flags, command=command)
    try:
        return model.model_validate(given)
    except ValidationError as err:
        raise SettingError(f"{command}: {explain(err, flags, files or {})}") from err


def _read(value: Value, flag: Flag, command: str) -> Value:
    """Returns a value in the spelling that the model knows: `None`, and choices in another case."""
    if isinstance(value, list):
        return [str(_read(item, flag, command)) if flag.choices else item for item in value]
    if not isinstance(value, str):
        return value
    if value == "" and Path in flag.types:
        raise SettingError(f"{command}: {flag.name} is empty; give a path")
    if value.lower() == "none" and flag.optional:
        return None
    same = [choice for choice in flag.choices if choice.lower() == value.lower()]
    return same[0] if same and value not in flag.choices else value


def explain(error: ValidationError, flags: Mapping[str, Flag], files: Mapping[str, Path]) -> str:
    """Returns what pydantic found wrong as one line in the words of flags, or of the settings file a value stands in."""
    lines: dict[str, str] = {}
    for problem in error.errors(include_url=False):
        key = str(problem["loc"][0]) if problem["loc"] else ""
        lines.setdefault(
            key, _explain_one(problem, flags[key], files.get(key)) if key in flags else _plain(str(problem["msg"]))
        )
    return "; ".join(lines.values())


def _explain_one(problem: Any, flag: Flag, file: Path | None) -> str:
    value, kind = problem["input"], str(problem["type"])
    plain = isinstance(value, (str, int, float))
    subject = f"{flag.name} {value}:" if plain else f"{flag.name}:"
    if file is not None:
        subject = f"--config {file}: {flag.key}: {value!r} is" if plain else f"--config {file}: {flag.key}:"
    misread = kind == "literal_error" or "parsing" in kind or kind == "int_from_float"
    if flag.choices and not flag.types and misread:
        return f"{subject} not a choice{suggestion(str(value), flag.choices)}"
    if misread or (kind == "value_error" and flag.types == (int,)):
        return f"{subject} not {type_name(flag)}"
    return f"{subject.removesuffix(' is')} {_plain(str(problem['msg']))}"


def _plain(message: str) -> str:
    return (
        message.removeprefix("Value error, ")
        .replace("Input should be", "must be")
        .replace("Tuple should have", "must have")
        .replace(" after validation", "")
        .replace("\n", " ")
    )
