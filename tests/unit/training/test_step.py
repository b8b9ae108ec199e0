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
