"""What is decided after an epoch, against Keras' own callbacks."""

import math

import keras
import numpy as np
import pytest

from camtrap_tf.config.optimisation import MONITORED, SCORES_OF
from camtrap_tf.labels import LabelMapping
from camtrap_tf.models.heads import HeadSpec
from camtrap_tf.models.metrics import HeadScore, Scores
from camtrap_tf.training.callbacks import Best, EarlyStopping, Flat, Plateau, judged, monitored, score_text, unjudged

LOSSES = [2.0, 1.5, 1.5, 1.49995, 1.6, 1.7, 1.2, 1.3, 1.3, 1.3, 1.3, 1.3, 1.3, 1.3, 1.3, 1.25, 1.3, 1.3, 1.3]


@pytest.mark.parametrize(("patience", "cooldown"), [(1, 1), (2, 1), (3, 1), (1, 0), (2, 0), (1, 3), (2, 4)])
def test_plateau_equals_keras(patience: int, cooldown: int) -> None:
    """Rates over a series of losses equal those of Keras' ReduceLROnPlateau with the same numbers."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.01))
    theirs = keras.callbacks.ReduceLROnPlateau(factor=0.1, patience=patience, min_delta=1e-4, cooldown=cooldown, min_lr=1e-5)
    theirs.set_model(model)
    theirs.on_train_begin()
    ours, rate, expected, got = Plateau(), 0.01, [], []
    for epoch, loss in enumerate(LOSSES):
        theirs.on_epoch_end(epoch, {"val_loss": loss})
        expected.append(float(model.optimizer.learning_rate))
        rate = ours.update(loss, rate=rate, flat=Flat(patience=patience, cooldown=cooldown))
        got.append(rate)
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    assert min(got) < 0.01


def rates_of_pytorch(losses: list[float], rate: float, *, patience: int) -> list[float]:
    """Returns the rates of a plateau as PyTorch's documentation words it: relative threshold, no cooldown, no least rate.

    A rate falls in the epoch after `patience` bad ones that are allowed.
    """
    best, bad, got = math.inf, 0, []
    for loss in losses:
        better = loss < best * (1 - 1e-4)
        best = loss if better else best
        bad = 0 if better else bad + 1
        if bad > patience:
            rate, bad = rate * 0.1, 0
        got.append(rate)
    return got


@pytest.mark.parametrize("patience", [0, 1, 2, 3])
def test_plateau_equals_pytorch(patience: int) -> None:
    """With a relative threshold and no least rate, one epoch more of patience gives PyTorch's rates, far down too."""
    losses = [loss * 1e-3 for loss in LOSSES] + [1.2e-3] * 20
    ours, rate, got = Plateau(), 0.1, []
    for loss in losses:
        rate = ours.update(loss, rate=rate, flat=Flat(patience=patience + 1, cooldown=0, min_rate=0.0, relative=True))
        got.append(rate)
    assert got == pytest.approx(rates_of_pytorch(losses, 0.1, patience=patience))
    assert min(got) < 1e-5


@pytest.mark.parametrize("patience", [1, 3, 5])
def test_early_stopping_equals_keras(patience: int) -> None:
    """Training stops after the same epoch as with Keras' EarlyStopping."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.stop_training = False
    theirs = keras.callbacks.EarlyStopping(monitor="val_loss", mode="min", patience=patience)
    theirs.set_model(model)
    theirs.on_train_begin()
    ours, stops = EarlyStopping(), []
    for epoch, loss in enumerate(LOSSES):
        theirs.on_epoch_end(epoch, {"val_loss": loss})
        stops.append((model.stop_training, ours.update(loss, patience=patience)))
        if any(stops[-1]):
            break
    assert stops[-1] == (True, True)


def test_patience_zero_never_acts() -> None:
    """With patience 0 nothing stops and the rate stays."""
    stopping, plateau = EarlyStopping(), Plateau()
    assert not any(stopping.update(1.0, patience=0) for _ in range(9))
    assert {plateau.update(1.0, rate=0.5, flat=Flat(patience=0)) for _ in range(9)} == {0.5}


def test_best_takes_the_first_and_every_better_one() -> None:
    """The first epoch is the best so far, then only lower losses are."""
    best = Best()
    assert [best.update(loss, epoch=epoch) for epoch, loss in enumerate([3.0, 3.0, 2.0, 2.5], start=1)] == [
        True,
        False,
        True,
        False,
    ]
    assert (best.best, best.epoch) == (2.0, 3)


@pytest.mark.parametrize("watcher", [EarlyStopping(1.5, 2), Plateau(math.inf, 1, 1), Best(0.5, 0, 7)])
def test_state_round_trip(watcher: EarlyStopping | Plateau | Best) -> None:
    """A counter restored from its state equals it; the state holds no infinity."""
    state = watcher.state()
    assert math.inf not in state.values()
    assert type(watcher)().restore(state) == watcher


def test_monitored_metric() -> None:
    """Epochs are compared by the loss, or by an accuracy with its sign changed; labels without any label do not count."""
    scores = Scores({"a": HeadScore(), "b": HeadScore(), "c": HeadScore()})
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]])
    scores.heads["a"].add_rows(np.array([0, 0, 1, 0]), probabilities)
    scores.heads["b"].add_rows(np.array([1, 1, -1, 1]), probabilities)
    assert monitored("loss", scores, 1.5) == 1.5
    assert monitored("accuracy/a", scores, 1.5) == -0.75
    assert monitored("accuracy", scores, 1.5) == pytest.approx(-(0.75 + 1 / 3) / 2)


def test_best_remembers_its_loss() -> None:
    """Where epochs are compared by accuracy, the best one's loss is kept beside."""
    best = Best()
    assert best.update(-0.5, epoch=1, loss=2.0)
    assert not best.update(-0.4, epoch=2, loss=1.0)
    assert (best.epoch, best.loss) == (1, 2.0)
    assert Best().restore(best.state()) == best


@pytest.mark.parametrize("kind", ["softmax", "ordinal", "sigmoid"])
def test_every_score_that_may_be_monitored_is_there(kind: str) -> None:
    """The table of scores per kind of head names just what heads of that kind report."""
    spec = HeadSpec(kind, order=(0, 1, 2) if kind == "ordinal" else ())
    score = HeadScore(spec)
    targets = np.eye(3, dtype=int) if kind == "sigmoid" else np.arange(3)
    score.add_rows(targets, np.full((3, 3), 1 / 3))
    assert set(score.as_dict()) == SCORES_OF[kind]
    assert set(MONITORED) == set().union(*SCORES_OF.values())


def test_epochs_are_not_judged_by_what_training_never_sees() -> None:
    """Rows of classes without a training record take no part in what is monitored; the scores themselves keep them."""
    targets, values = np.array([0, 0, 1, 2]), np.array([[0.8, 0.1, 0.1], [0.6, 0.2, 0.2], [0.3, 0.6, 0.1], [0.9, 0.099, 0.001]])
    score, other = HeadScore(), HeadScore()
    score.add_rows(targets, values)
    other.add_rows(targets[:3], values[:3])
    fair = judged(Scores({"a": score, "b": score}, 0.25), {"a": np.array([False, False, True])})
    assert fair.heads["a"].as_dict() == other.as_dict()
    assert fair.heads["b"].as_dict() == score.as_dict()
    assert monitored("loss", fair, fair.total_loss({"a": 1.0})) == pytest.approx(-np.log([0.8, 0.6, 0.6]).mean() + 0.25)


def test_a_head_of_unseen_classes_alone_is_judged_whole() -> None:
    """Where nothing else is there to go by, all rows count."""
    score = HeadScore()
    score.add_rows(np.array([1, 1]), np.array([[0.7, 0.3], [0.6, 0.4]]))
    assert judged(Scores({"a": score}), {"a": np.array([False, True])}).heads["a"] is score


def test_what_was_monitored_is_told_as_people_know_it() -> None:
    """Scores of which more is better lose the sign that they are compared with."""
    assert score_text("loss", 0.51234) == "loss 0.5123"
    assert score_text("accuracy/species", -0.8) == "accuracy/species 0.8000"


def test_classes_that_are_not_judged_are_named_where_there_are_any() -> None:
    """Left out is told of classes with validation records, all spellings together, and not where nothing else is there."""
    mapping = LabelMapping({"species": {"lion": 0, "frog": 1, "Frog": 1, "zebra": 2, "eland": 3}})
    unseen = {"species": np.array([False, True, False, True])}
    (line,) = unjudged(unseen, mapping, {"species": {"lion": 4, "frog": 1, "Frog": 2, "-1": 3}})
    assert "without 3 validation records" in line
    assert "(frog)" in line
    assert "eland" not in line
    assert unjudged(unseen, mapping, {"species": {"lion": 4}}) == []
    assert unjudged(unseen, mapping, {"species": {"frog": 4}}) == []
