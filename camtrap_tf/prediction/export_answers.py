"""A prediction as what was seen: per animal one observation in the words of Camtrap DP, from the probabilities of all heads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from camtrap_tf.labels import PRESENT_FROM
from camtrap_tf.prediction.aggregation import best_answer, present
from camtrap_tf.prediction.export_classes import ANIMAL, UNKNOWN, Meaning
from camtrap_tf.prediction.export_model import ModelFacts

LIFE_STAGES = {"adult": "adult", "subadult": "subadult", "juvenile": "juvenile", "young": "juvenile"}
SEXES = {"female": "female", "male": "male", "f": "female", "m": "male"}
MISSING_WORDS = frozenset(("", "-1", "na", "nan", "none", "unknown", "unspecified"))
"""Classes that say that nothing is known, in small letters."""
DECIMALS = 6
_WHOLE = re.compile(r"[1-9]\d{0,8}")
_NOT_IN_TAGS = re.compile(r"[|:\s]+")


@dataclass(frozen=True, slots=True)
class Answer:
    """One thing that a model sees in a picture or event.

    Attributes:
        class_name: as the model calls it.
        meaning: of that class.
        probability: in [0, 1].
        kind: observation type; `unknown` where the model is not sure enough.
        cells: `count`, `lifeStage`, `sex`, `behavior`, `observationTags` as texts, of those there are.
    """

    class_name: str
    meaning: Meaning
    probability: float
    kind: str
    cells: Mapping[str, str]


def answers(
    probabilities: Mapping[str, np.ndarray],
    model: ModelFacts,
    meanings: Mapping[str, Meaning],
    *,
    unknown_below: float = 0.0,
) -> list[Answer]:
    """Returns what is seen: one answer, or one per class that is there where several may be (sigmoid head).

    What the standard has no column or word for becomes a tag `label:class`, also classes without a scientific name.

    Args:
        probabilities: label type → `[C]`; empty: no answer.
        model: what its label types are.
        meanings: class of the species label → what it means.
        unknown_below: a species less sure than this is `unknown`.
    """
    if model.species not in probabilities:
        return []
    values, names = probabilities[model.species], model.class_names[model.species]
    blank = model.blanks.get(model.species)
    seen = [best_answer(values, names, blank)]
    if blank is not None:
        chance = dict(zip(names, values, strict=True))
        seen = [(name, float(chance[name])) for name in present(values, names)] or seen
    return [_answer(name, chance, probabilities, model, meanings[name], unknown_below) for name, chance in seen]


def _answer(
    name: str,
    chance: float,
    probabilities: Mapping[str, np.ndarray],
    model: ModelFacts,
    meaning: Meaning,
    unknown_below: float,
) -> Answer:
    """Returns the answer of one class, with the cells and tags of the other label types."""
    chance = min(1.0, max(0.0, round(chance, DECIMALS)))
    kind = meaning.kind if chance >= unknown_below else UNKNOWN
    cells, tags = _further(probabilities, model) if kind == ANIMAL else ({}, [])
    if (kind == ANIMAL and not meaning.name) or kind != meaning.kind:
        tags.insert(0, tag(model.species, name))
    if tags:
        cells["observationTags"] = " | ".join(tags)
    return Answer(name, meaning, chance, kind, cells)


def _further(probabilities: Mapping[str, np.ndarray], model: ModelFacts) -> tuple[dict[str, str], list[str]]:
    """Returns the cells of the label types beside the species, and tags for what fits into none."""
    cells: dict[str, str] = {}
    tags: list[str] = []
    for role, label in model.roles.items():
        if label not in probabilities:
            continue
        found = _classes(probabilities[label], model, label)
        if role == "behavior":
            words = [_NOT_IN_TAGS.sub(" ", one) for one in found]
            if words:
                cells[role] = " | ".join(words)
            continue
        for one in found:
            word = _word(role, one)
            if word is None or role in cells:
                tags.append(tag(label, one))
            else:
                cells[role] = word
    for label in model.others:
        if label in probabilities:
            tags += [tag(label, one) for one in _classes(probabilities[label], model, label)]
    return cells, tags


def _classes(values: np.ndarray, model: ModelFacts, label: str) -> list[str]:
    """Returns the classes of a label type that hold; none where they say that nothing is known."""
    names, blank = model.class_names[label], model.blanks.get(label)
    if blank is not None:
        found = present(values, names) if np.max(values, initial=0.0) >= PRESENT_FROM else []
    else:
        found = [best_answer(values, names)[0]]
    return [one for one in found if one.strip().lower() not in MISSING_WORDS]


def _word(role: str, name: str) -> str | None:
    """Returns a class in the standard's words; None where it has none."""
    plain = re.sub(r"[\s_\-]+", "", name).lower()
    if role == "count":
        return name.strip() if _WHOLE.fullmatch(name.strip()) else None
    return (LIFE_STAGES if role == "lifeStage" else SEXES).get(plain)


def tag(key: str, value: str) -> str:
    """Returns `key:value` as Camtrap DP writes tags: without `|` and `:` inside."""
    return f"{_NOT_IN_TAGS.sub(' ', key).strip()}:{_NOT_IN_TAGS.sub(' ', value).strip()}"
