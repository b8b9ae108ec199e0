"""The training step on one device."""

import keras
import numpy as np
import tensorflow as tf

from camtrap_tf.config.training import ModelConfig
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.input_pipeline.seeds import example_seeds
from camtrap_tf.input_pipeline.strong_augment import StrongAugmentation, mix_batch
from camtrap_tf.labels import LabelMapping
from camtrap_tf.models.classifier import build_classifier, head_layers
from camtrap_tf.models.heads import HeadSpec
from camtrap_tf.models.losses import Objective
from camtrap_tf.training.devices import strategy_on
from camtrap_tf.training.optimizers import make_optimizer
from camtrap_tf.training.step import Stepper, pad_batch

MAPPING = LabelMapping({"a": {"x": 0, "y": 1}, "b": {"n": 0, "y": 1}})
PLAIN = Preprocessing(output_height=24, output_width=24, rotate_by_angle=0, randomly_flip_horizontally=False)


def make_stepper(
    name: str = "small_cnn", *, frozen: bool = False, strong: StrongAugmentation | None = None
) -> tuple[keras.Model, Stepper]:
    """Returns a model and its stepper."""
    keras.utils.set_random_seed(0)
    strategy = strategy_on(["CPU:0"])
    with strategy.scope():
        model = build_classifier(ModelConfig(model=name, freeze_backbone=frozen), MAPPING, PLAIN)
        optimizer = make_optimizer("sgd", learning_rate=0.1)
        optimizer.build(model.trainable_variables)
    weights = {"a": 1.0, "b": 0.5}
    return model, Stepper(model, optimizer, strategy=strategy, preprocessing=PLAIN, loss_weights=weights, strong=strong)


def make_batch(a: list[int], b: list[int]) -> dict[str, object]:
    """Returns a batch of noise with these targets."""
    images = tf.constant(np.random.default_rng(1).uniform(0, 255, (len(a), 24, 24, 3)), tf.float32)
    targets = {"a": tf.constant(a, tf.int32), "b": tf.constant(b, tf.int32)}
    return {"images": images, "seeds": tf.zeros([len(a), 2], tf.int32), "targets": targets}


def test_frozen_backbone_stays_bit_for_bit() -> None:
    """With a frozen backbone neither its weights nor its batch statistics move; the heads do."""
    model, stepper = make_stepper("ResNet18", frozen=True)
    before = model.get_layer("backbone").get_weights()
    head = head_layers(model)["a"].get_weights()[0].copy()
    stepper.train(make_batch([0, 1, 1], [0, 1, -1]))
    for one, other in zip(before, model.get_layer("backbone").get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(head, head_layers(model)["a"].get_weights()[0])


def test_head_without_labels_does_not_move() -> None:
    """A batch in which a label is missing everywhere leaves that head alone."""
    model, stepper = make_stepper()
    before = head_layers(model)["b"].get_weights()[0].copy()
    stepper.train(make_batch([0, 1, 1], [-1, -1, -1]))
    np.testing.assert_array_equal(before, head_layers(model)["b"].get_weights()[0])


def test_batches_of_any_size_and_sums_over_an_epoch() -> None:
    """Batches of several sizes are counted together, and counting begins anew after the epoch."""
    _, stepper = make_stepper()
    stepper.train(make_batch([0, 1, 1, 0], [0, 1, -1, -1]))
    stepper.train(make_batch([0], [-1]))
    heads = stepper.epoch_scores().heads
    assert (heads["a"].labelled, heads["b"].labelled) == (5, 2)
    assert stepper.epoch_scores().heads["a"].labelled == 0


def test_padding_is_unlabelled() -> None:
    """A batch is filled up with its first rows, without labels."""
    batch = make_batch([0, 1, 1], [0, 1, 0])
    padded = pad_batch(batch, 4)
    assert padded["targets"]["a"].numpy().tolist() == [0, 1, 1, -1]
    np.testing.assert_array_equal(padded["images"][3], padded["images"][0])
    assert pad_batch(make_batch([1], [1]), 4)["targets"]["b"].numpy().tolist() == [1, -1, -1, -1]
    assert pad_batch(batch, 3)["targets"]["a"].shape == (3,)


def test_loss_of_mixed_pictures_is_that_of_soft_targets() -> None:
    """Both labels of a mixture count with their share; of a missing one its share of the weight goes with it."""
    strong = StrongAugmentation(mixup=1.0)
    model, stepper = make_stepper("ResNet18", frozen=True, strong=strong)
    batch = make_batch([0, 1, 1, 0], [0, -1, 1, -1])
    batch["seeds"] = tf.constant(example_seeds(np.arange(4), seed=1, epoch=0))
    images, mixture = mix_batch(batch["images"], batch["seeds"], strong)
    logits = {label: np.asarray(values, np.float64) for label, values in model(images, training=True).items()}
    share, partner = mixture.share.numpy().astype(np.float64), mixture.partner.numpy()
    expected = 0.0
    for label, weight in (("a", 1.0), ("b", 0.5)):
        targets = batch["targets"][label].numpy()
        soft = np.zeros((4, 2))
        for row in range(4):
            for target, part in ((targets[row], share[row]), (targets[partner[row]], 1 - share[row])):
                if target >= 0:
                    soft[row, target] += part
        log_p = logits[label] - np.log(np.exp(logits[label]).sum(axis=1, keepdims=True))
        expected += weight * -(soft * log_p).sum() / soft.sum()
    loss = float(stepper.train(batch)) - stepper.regularisation()
    np.testing.assert_allclose(loss, expected, rtol=1e-3)


def test_weighted_losses_are_divided_by_labelled_rows_of_the_whole_batch() -> None:
    """With class weights, a sigmoid and an ordinal head, the loss is what NumPy gives for the whole batch; in pieces too."""
    mapping = LabelMapping({"s": {"x": 0, "y": 1}, "o": {"2": 0, "1": 1, "3+": 2}})
    specs = {"s": HeadSpec("sigmoid"), "o": HeadSpec("ordinal", order=(1, 0, 2))}
    weights = {"s": (0.5, 3.0), "o": (2.0, 1.0, 4.0)}
    batch = make_batch([0] * 6, [0] * 6)
    s = np.array([[1, 0], [-1, -1], [1, 1], [0, 0], [0, 1], [1, 0]], np.int32)
    o = np.array([-1, 2, 0, 1, -1, -1], np.int32)
    batch["targets"] = {"s": tf.constant(s), "o": tf.constant(o)}
    found = []
    for pieces in (1, 3):
        keras.utils.set_random_seed(0)
        strategy = strategy_on(["CPU:0"])
        with strategy.scope():
            # batch normalisation of the frozen backbone works with stored statistics, so that pieces see what the whole sees
            model = build_classifier(ModelConfig(model="ResNet18", freeze_backbone=True), mapping, PLAIN, specs=specs)
            optimizer = make_optimizer("sgd", learning_rate=0.1)
            optimizer.build(model.trainable_variables)
        logits = {label: np.asarray(values, np.float64) for label, values in model(batch["images"], training=True).items()}
        objectives = {label: Objective(kind=spec.kind, class_weights=weights[label]) for label, spec in specs.items()}
        stepper = Stepper(
            model, optimizer, strategy=strategy, preprocessing=PLAIN, loss_weights={"s": 1.0, "o": 0.5},
            objectives=objectives, accumulate_steps=pieces,
        )  # fmt: skip
        each = np.logaddexp(0, np.where(s > 0, -logits["s"], logits["s"])) * weights["s"]
        log_p = logits["o"] - np.log(np.exp(logits["o"]).sum(axis=1, keepdims=True))
        labelled = np.flatnonzero(o >= 0)
        expected = each[(s >= 0).all(axis=1)].mean(axis=1).sum() / 5
        expected += 0.5 * -(np.array(weights["o"])[o[labelled]] * log_p[labelled, o[labelled]]).sum() / 3
        found.append(float(stepper.train(batch)) - stepper.regularisation())
        np.testing.assert_allclose(found[-1], expected, rtol=1e-3)
        scores = stepper.epoch_scores().heads
        assert (scores["s"].labelled, scores["o"].labelled) == (5, 3)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)


def test_padding_of_several_targets() -> None:
    """Rows that fill up a batch are missing in all classes of a sigmoid head."""
    batch = make_batch([0, 1, 1], [0, 1, 0])
    batch["targets"]["a"] = tf.constant([[0, 1], [1, 1], [0, 0]])
    assert pad_batch(batch, 4)["targets"]["a"].numpy().tolist() == [[0, 1], [1, 1], [0, 0], [-1, -1]]
