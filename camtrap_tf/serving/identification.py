"""From encoded pictures of one event to named classes with scores."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from camtrap_tf.errors import PictureError, suggestion
from camtrap_tf.images.stored_form import StoredForm, to_stored_form
from camtrap_tf.prediction.aggregation import best_answer, combine
from camtrap_tf.serving.backends import Backend
from camtrap_tf.serving.names import OTHERWISE, VernacularNames, language
from camtrap_tf.serving.refusals import RefusedError
from camtrap_tf.serving.schemas import Identification, ModelInfo, Result, Score

DEFAULT_RESULTS = 10
DECIMALS = 6
"""Decimals of a score, as in the tables of `predict`."""
TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclass(frozen=True, slots=True)
class Question:
    """What a client wants to know about its pictures.

    Attributes:
        label: label type that `results` answers.
        nb_results: classes per label at most.
        info: whether to add the other labels and the model.
        lang: language of vernacular names, ISO 639-1.
    """

    label: str
    nb_results: int = DEFAULT_RESULTS
    info: bool = True
    lang: str = OTHERWISE

    @classmethod
    def parse(cls, texts: Mapping[str, str], labels: Sequence[str]) -> Question:
        """Checks the text fields of a request.

        Args:
            texts: `label`, `nb_results`, `info` and `lang`, as far as given.
            labels: label types of the model; the first is the default.

        Raises:
            RefusedError: unknown label, or a value of the wrong kind.
        """
        label = texts.get("label") or labels[0]
        if label not in labels:
            raise RefusedError(422, "unknown_label", f"the model has no label {label[:80]!r}{suggestion(label[:80], labels)}")
        count = texts.get("nb_results") or str(DEFAULT_RESULTS)
        if not (count.isascii() and count.isdigit() and len(count) < 10 and int(count) >= 1):
            raise RefusedError(422, "bad_value", f"nb_results {count[:80]!r} is not a whole number from 1")
        info = texts.get("info") or "true"
        if info.lower() not in TRUTH:
            raise RefusedError(422, "bad_value", f"info {info[:80]!r} is neither true nor false")
        return cls(label=label, nb_results=int(count), info=TRUTH[info.lower()], lang=language(texts.get("lang", "")))


def identify(
    backend: Backend,
    pictures: Sequence[bytes],
    question: Question,
    *,
    max_pixels: int,
    names: VernacularNames = VernacularNames(),  # noqa: B008 - frozen
) -> Identification:
    """Returns what the pictures show; several are frames of one event, and their probabilities are averaged.

    Args:
        backend: the model.
        pictures: encoded, as they were sent; at least one.
        question: what is asked.
        max_pixels: larger pictures are refused before they are decoded.
        names: of classes, by language.

    Raises:
        RefusedError: a picture cannot be used.
    """
    card = backend.card
    form = dataclasses.replace(card.stored_form, max_pixels=max_pixels)
    stored = [_stored(data, form, image) for image, data in enumerate(pictures)]
    ranked = {
        label: rank(card.classes[label], values, question.nb_results, blank=card.blanks.get(label))
        for label, values in event_probabilities(backend, stored).items()
    }
    results = [
        Result(name=score.name, score=score.score, vernacularName=names.of(score.name, question.lang))
        for score in ranked[question.label]
    ]
    if not question.info:
        return Identification(label=question.label, results=results)
    model = ModelInfo(name=card.name, version=card.version, model_sha256=card.model_sha256)
    return Identification(label=question.label, results=results, labels=ranked, images=len(pictures), model=model)


def event_probabilities(backend: Backend, stored: Sequence[bytes]) -> dict[str, np.ndarray]:
    """Returns `[C]` probabilities per label type, of several pictures the mean.

    Args:
        backend: the model.
        stored: pictures in stored form; at least one.

    Raises:
        RefusedError: the model gave no numbers.
    """
    probabilities = {label: combine(values, "mean") for label, values in backend.probabilities(stored).items()}
    if not all(np.isfinite(values).all() for values in probabilities.values()):
        raise RefusedError(500, "no_number", "the model answered with something that is not a number")
    return probabilities


def _stored(data: bytes, form: StoredForm, image: int) -> bytes:
    try:
        return to_stored_form(data, form)
    except PictureError as err:
        raise RefusedError.of_picture(err, image) from err


def rank(names: Sequence[str], values: np.ndarray, count: int, *, blank: str | None = None) -> list[Score]:
    """Returns classes and scores, likeliest first; before them the blank of a sigmoid head none of whose classes is there."""
    if blank is not None:
        top, score = best_answer(values, names, blank)
        if top == blank:
            first = Score(name=blank, score=round(score, DECIMALS))
            return [first, *rank(names, values, count - 1)]
    # A stable sort keeps equal scores in the order of the classes.
    order = np.argsort(-values, kind="stable")[:count]
    return [Score(name=names[i], score=round(float(values[i]), DECIMALS)) for i in order]
