"""Unfreezing, batch normalisation and precision."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from camtrap_tf.config.optimisation import Precision
from camtrap_tf.config.training import ModelConfig, TrainConfig
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.labels import LabelMapping
from camtrap_tf.models.classifier import build_classifier, freeze_backbone, head_layers
from camtrap_tf.training.devices import strategy_on
from camtrap_tf.training.optimizers import averaged_weights, inner, make_optimizer
from camtrap_tf.training.schedules import BLOCKS, Thaw, describe_thaw, freezes_batch_norm
from camtrap_tf.training.step import Stepper
from camtrap_tf.training.strategies import (
    Unfreezing,
    batch_norms,
    computing_in,
    freeze_batch_norm,
    in_float32,
    set_up,
    synchronise_batch_norm,
)

MAPPING = LabelMapping({"a": {"x": 0, "y": 1}})
PLAIN = Preprocessing(output_height=24, output_width=24, rotate_by_angle=0, randomly_flip_horizontally=False)


def make_model(name: str = "ResNet18") -> keras.Model:
    """Returns a classifier."""
    keras.utils.set_random_seed(0)
    return build_classifier(ModelConfig(model=name), MAPPING, PLAIN)


def make_config(**changes: object) -> TrainConfig:
    """Returns settings."""
    required = {"train_tfr_path": ["t"], "val_tfr_path": ["v"], "labels": ["a"], "model": "small_cnn"}
    return TrainConfig.model_validate({**required, "run_outputs_dir": "r", "model_save_dir": "s", **changes})


def make_stepper(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    strategy: tf.distribute.Strategy,
    unfreezing: Unfreezing | None = None,
) -> Stepper:
    """Returns the steps of a model with one head."""
    return Stepper(
        model, optimizer, strategy=strategy, preprocessing=PLAIN, loss_weights={"a": 1.0}, unfreezing=unfreezing
    )  # fmt: skip


def make_batch(count: int = 4) -> dict[str, object]:
    """Returns a labelled batch of noise."""
    images = tf.constant(np.random.default_rng(1).uniform(0, 255, (count, 24, 24, 3)), tf.float32)
    targets = {"a": tf.constant([number % 2 for number in range(count)], tf.int32)}
    return {"images": images, "seeds": tf.zeros([count, 2], tf.int32), "targets": targets}


def test_blocks_cover_the_backbone_from_its_top() -> None:
    """All blocks together are the backbone, the first of them what lies below the heads."""
    model = make_model()
    unfreezing = Unfreezing(model, Thaw(head_epochs=1, unfreeze_epochs=4))
    heads = unfreezing.enter(0)
    assert {id(v) for v in heads} == {id(v) for v in head_layers(model)["a"].trainable_variables}
    assert {id(v) for v in unfreezing.enter(BLOCKS)} == {id(v) for v in model.trainable_variables}
    last = [layer for layer in model.get_layer("backbone").layers if layer.weights][-1]
    assert {id(v) for v in last.trainable_variables} <= {id(v) for v in unfreezing.enter(1)}


def test_what_is_not_open_stays_bit_for_bit() -> None:
    """While the heads alone are trained, the backbone stays, batch statistics included; afterwards its top moves."""
    strategy = strategy_on(["CPU:0"])
    with strategy.scope():
        model = make_model()
        config = make_config(head_epochs=1, unfreeze_epochs=4, optimizer="adamw", weight_decay=0.1)
        optimizer, unfreezing = set_up(config, model, batch_size=4, epoch_steps=1, behind=0)
    stepper = make_stepper(model, optimizer, strategy, unfreezing)
    before = model.get_layer("backbone").get_weights()
    head = head_layers(model)["a"].get_weights()[0]
    stepper.enter_epoch(0)
    stepper.train(make_batch())
    after = model.get_layer("backbone").get_weights()
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))
    assert not np.array_equal(head, head_layers(model)["a"].get_weights()[0])
    stepper.enter_epoch(1)
    stepper.train(make_batch())
    moved = [
        not np.array_equal(one, other) for one, other in zip(after, model.get_layer("backbone").get_weights(), strict=True)
    ]
    assert not moved[0]
    assert any(moved[-6:])


def test_rates_of_blocks() -> None:
    """With plain SGD a step of a deeper block is smaller by its share, heads keep the whole rate."""
    model = make_model("small_cnn")
    config = make_config(backbone_rate=0.5, layer_decay=0.1, initial_learning_rate=1.0, momentum=0.0)
    optimizer, unfreezing = set_up(config, model, batch_size=4, epoch_steps=10, behind=0)
    variables = unfreezing.enter(BLOCKS)
    before = [keras.ops.convert_to_numpy(v) for v in variables]
    optimizer.apply([keras.ops.ones_like(v) for v in variables], variables)
    steps = [float(np.mean(b - keras.ops.convert_to_numpy(v))) for b, v in zip(before, variables, strict=True)]
    assert steps[0] == pytest.approx(1.0, rel=1e-4)
    assert {round(step, 6) for step in steps} <= {1.0, 0.5, 0.05, 0.005, 0.0005}
    assert steps[-1] == pytest.approx(0.0005, rel=0.01)


def test_frozen_backbone_has_one_stage() -> None:
    """Where the backbone is frozen for good, there is nothing to thaw."""
    model = make_model()
    freeze_backbone(model)
    unfreezing = Unfreezing(model, Thaw(head_epochs=1, unfreeze_epochs=4))
    assert {unfreezing.stage(epoch) for epoch in range(9)} == {0}


def test_when_batch_norm_is_frozen() -> None:
    """With weights that were trained before it is, unless the user says otherwise; with random ones it is not."""
    weights: dict[str, Any] = {"model": "MobileNetV2", "weights": "w.h5"}
    transfer: dict[str, Any] = {"model": "MobileNetV2", "transfer_learning": True, "model_to_load": "m"}
    assert freezes_batch_norm(make_config(**weights))
    assert freezes_batch_norm(make_config(**transfer))
    assert freezes_batch_norm(make_config(**weights, continue_training=True, model_to_load="m"))
    assert freezes_batch_norm(make_config(freeze_bn=True))
    assert not freezes_batch_norm(make_config(**weights, freeze_bn=False))
    assert not freezes_batch_norm(make_config(**transfer, freeze_bn=False))
    assert not freezes_batch_norm(make_config(model="MobileNetV2"))


def test_frozen_batch_norm_stays_while_the_rest_moves() -> None:
    """Frozen batch normalisation keeps statistics, scales and offsets through steps in which convolutions move."""
    strategy = strategy_on(["CPU:0"])
    with strategy.scope():
        model = make_model()
        freeze_batch_norm(model)
        optimizer = make_optimizer("sgd", learning_rate=0.1)
        optimizer.build(model.trainable_variables)
    stepper = make_stepper(model, optimizer, strategy)
    norms = [norm.get_weights() for norm in batch_norms(model)]
    kernel = model.get_layer("backbone").get_layer("conv2d_0").get_weights()[0]
    stepper.train(make_batch())
    for before, norm in zip(norms, batch_norms(model), strict=True):
        assert all(np.array_equal(one, other) for one, other in zip(before, norm.get_weights(), strict=True))
    assert not np.array_equal(kernel, model.get_layer("backbone").get_layer("conv2d_0").get_weights()[0])


def test_synchronised_batch_norm_is_marked() -> None:
    """All batch normalisation of the model is synchronised on request."""
    model = make_model()
    synchronise_batch_norm(model)
    assert len(batch_norms(model)) > 5
    assert all(norm.synchronized for norm in batch_norms(model))


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_delivers_float32(precision: Precision) -> None:
    """A model built in mixed precision computes so, and in between exactly like one built in float32."""
    plain = make_model("small_cnn")
    with computing_in(precision):
        mixed = make_model("small_cnn")
    assert keras.config.dtype_policy().name == "float32"
    mixed.set_weights(plain.get_weights())
    images = make_batch()["images"]
    expected = plain(images, training=False)["a"].numpy()
    assert mixed.get_layer("backbone").get_layer("conv2d_0").compute_dtype == precision.removeprefix("mixed_")
    with in_float32(mixed):
        np.testing.assert_allclose(mixed(images, training=False)["a"].numpy(), expected, atol=1e-6)
        saved = keras.Model.from_config(mixed.get_config())
    assert saved.get_layer("backbone").get_layer("conv2d_0").compute_dtype == "float32"
    assert mixed.get_layer("backbone").get_layer("conv2d_0").compute_dtype == precision.removeprefix("mixed_")
    got = mixed(images, training=False)["a"].numpy()
    np.testing.assert_allclose(got, expected, atol=0.1)
    assert not np.array_equal(got, expected)


def test_half_precision_scales_its_loss() -> None:
    """In float16 a step moves the weights, predictions are those of float32, and an overflow is skipped."""
    strategy = strategy_on(["CPU:0"])
    with strategy.scope():
        with computing_in("mixed_float16"):
            model = make_model("small_cnn")
        optimizer, unfreezing = set_up(make_config(precision="mixed_float16"), model, batch_size=4, epoch_steps=1, behind=0)
    stepper = make_stepper(model, optimizer, strategy, unfreezing)
    optimizer.dynamic_scale.assign(2.0**100)
    before = head_layers(model)["a"].get_weights()[0]
    assert np.isfinite(float(stepper.train(make_batch())))
    np.testing.assert_array_equal(before, head_layers(model)["a"].get_weights()[0])
    assert float(optimizer.dynamic_scale) == 2.0**99
    optimizer.dynamic_scale.assign(1024.0)
    stepper.train(make_batch())
    assert not np.array_equal(before, head_layers(model)["a"].get_weights()[0])
    with in_float32(model):
        expected = tf.nn.softmax(model(make_batch()["images"], training=False)["a"]).numpy()
    np.testing.assert_allclose(stepper.predict(make_batch()["images"])["a"], expected, atol=1e-6)


def test_averaged_weights_are_put_in_and_taken_out() -> None:
    """The average follows a recurrence, is in the model inside, and the weights are back bit for bit outside."""
    model = make_model("small_cnn")
    optimizer = make_optimizer("sgd", learning_rate=0.5, ema_decay=0.9)
    optimizer.build(model.trainable_variables)
    variables, expected = model.trainable_variables, None
    with averaged_weights(model, optimizer):
        start = model.get_weights()
    assert all(np.array_equal(one, other) for one, other in zip(start, model.get_weights(), strict=True))
    for step in range(4):
        optimizer.apply([keras.ops.ones_like(v) for v in variables], variables)
        value = keras.ops.convert_to_numpy(variables[0])
        decay = min(0.9, (1 + step) / (10 + step)) if step else 0.0
        expected = value if expected is None else decay * expected + (1 - decay) * value
    weights = model.get_weights()
    with averaged_weights(model, optimizer):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(variables[0]), expected, rtol=1e-5, atol=1e-7)
    assert all(np.array_equal(one, other) for one, other in zip(weights, model.get_weights(), strict=True))
    assert len(inner(optimizer).variables) > len(variables)  # so that a checkpoint keeps the average


def test_plan_says_what_thaws() -> None:
    """The lines of a plan name epochs and rates; where nothing thaws there are none."""
    assert describe_thaw(Thaw(), epochs=9) == []
    lines = describe_thaw(Thaw(head_epochs=2, unfreeze_epochs=4, backbone_rate=0.1, layer_decay=0.5), epochs=9)
    assert lines[0] == "epochs 1 to 2: heads only"
    assert lines[1] == f"from epoch 3: 1 of {BLOCKS} parts of the backbone too, at rates × 0.1"
