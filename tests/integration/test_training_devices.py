"""Training on two devices equals training on one. Logical CPUs stand for GPUs, in processes of their own."""

from pathlib import Path

import pytest

from tests.forking import ForkedScripts
from tests.unit.training.helpers import write_dataset

SET_UP = """
import sys
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
"""
STEPS = """
import keras, numpy as np
from camtrap_tf.config.training import ModelConfig
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.labels import LabelMapping
from camtrap_tf.models.classifier import build_classifier
from camtrap_tf.training.devices import strategy_on
from camtrap_tf.training.optimizers import make_optimizer
from camtrap_tf.training.step import Stepper

mapping = LabelMapping({"a": {"x": 0, "y": 1, "z": 2}, "b": {"n": 0, "y": 1}})
plain = Preprocessing(output_height=24, output_width=24, rotate_by_angle=0, randomly_flip_horizontally=False,
                      image_means=(0.5,) * 3, image_stdevs=(0.3,) * 3)
rng = np.random.default_rng(0)
# labels lie unevenly over the two halves; the third batch does not divide
batches = [{"images": tf.constant(rng.uniform(0, 255, (n, 24, 24, 3)), tf.float32), "seeds": tf.zeros([n, 2], tf.int32),
            "targets": {"a": tf.constant(rng.integers(-1, 3, n), tf.int32),
                        "b": tf.constant([-1] * (n // 2) + [1] * (n - n // 2), tf.int32)}} for n in (6, 8, 5)]

def run(devices):
    keras.utils.set_random_seed(4)
    strategy = strategy_on(devices)
    with strategy.scope():
        model = build_classifier(ModelConfig(model="small_cnn"), mapping, plain)
        backbone = model.get_layer("backbone")
        backbone.get_layer("dropout").rate = 0.0
        backbone.get_layer("conv2d_0").kernel.regularizer = keras.regularizers.L2(0.01)
        assert len(model.losses) == 1
        optimizer = make_optimizer("sgd", learning_rate=0.05)
        optimizer.build(model.trainable_variables)
    stepper = Stepper(model, optimizer, strategy=strategy, preprocessing=plain, loss_weights={"a": 1.0, "b": 0.5})
    losses = [float(stepper.train(batch)) for batch in batches]
    scores = {label: score.as_dict() for label, score in stepper.epoch_scores().heads.items()}
    assert stepper.epoch_scores().heads["a"].labelled == 0
    return losses, scores, model.get_weights(), stepper.predict(batches[2]["images"])

one, two = run(["CPU:0"]), run(["CPU:0", "CPU:1"])
np.testing.assert_allclose(one[0], two[0], atol=1e-5)
for label in one[1]:
    for name, value in one[1][label].items():
        assert abs(value - two[1][label][name]) < 1e-5, (label, name)
for x, y in zip(one[2], two[2], strict=True):
    np.testing.assert_allclose(x, y, atol=1e-5)
for label in one[3]:
    assert one[3][label].shape == two[3][label].shape
    np.testing.assert_allclose(one[3][label], two[3][label], atol=1e-5)
print("equal")
"""
WHOLE = """
from pathlib import Path
from camtrap_tf.models.bundle import Bundle
from camtrap_tf.training import inputs
from camtrap_tf.training.train import train
from tests.unit.training.helpers import make_config

inputs.choose_devices = lambda *_, **__: ["CPU:0", "CPU:1"]
data, out = Path(sys.argv[1]), Path(sys.argv[2])
train(make_config(data, out, max_epochs=1))
result = train(make_config(data, out, max_epochs=2, continue_training=True, model_to_load=out / "run"))
assert result.scores["validation"]["species"]["accuracy"] is not None
print("trained", Bundle.read(out / "save").labels)
"""

VARIANTS = """
import keras, numpy as np
from camtrap_tf.config.training import TrainConfig
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.labels import LabelMapping
from camtrap_tf.models import backbones
from camtrap_tf.models.classifier import build_classifier
from camtrap_tf.models.own_networks import small_cnn
from camtrap_tf.training.devices import strategy_on
from camtrap_tf.training.step import Stepper
from camtrap_tf.training.strategies import computing_in, set_up, synchronise_batch_norm

mapping = LabelMapping({"a": {"x": 0, "y": 1, "z": 2}})
plain = Preprocessing(output_height=32, output_width=32, rotate_by_angle=0, randomly_flip_horizontally=False,
                      image_means=(0.5,) * 3, image_stdevs=(0.3,) * 3)
rng = np.random.default_rng(0)
batches = [{"images": tf.constant(rng.uniform(0, 255, (8, 32, 32, 3)), tf.float32), "seeds": tf.zeros([8, 2], tf.int32),
            "targets": {"a": tf.constant([-1, -1, 2, -1, *rng.integers(0, 3, 4)], tf.int32)}} for _ in range(3)]

def with_norms(*, height, width):
    images = x = keras.Input((height, width, 3))
    for filters in (4, 8):
        x = keras.layers.Conv2D(filters, 3, strides=2)(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))

def run(devices, norms=False, pieces=1, **settings):
    backbones.small_cnn = with_norms if norms else small_cnn
    config = TrainConfig(train_tfr_path=["t"], val_tfr_path=["v"], labels=["a"], model="small_cnn", run_outputs_dir="r",
                         model_save_dir="s", **{"initial_learning_rate": 0.01, **settings})
    keras.utils.set_random_seed(4)
    strategy = strategy_on(devices, synchronised=config.synchronised_batch_norm)
    with strategy.scope():
        with computing_in(config.precision):
            built = build_classifier(config, mapping, plain)
        for layer in built.get_layer("backbone").layers:
            if isinstance(layer, keras.layers.Dropout):
                layer.rate = 0.0
        if config.synchronised_batch_norm:
            synchronise_batch_norm(built)
        optimizer, unfreezing = set_up(config, built, batch_size=8, epoch_steps=1, behind=0)
    stepper = Stepper(built, optimizer, strategy=strategy, preprocessing=plain, loss_weights={"a": 1.0},
                      unfreezing=unfreezing, accumulate_steps=pieces)
    losses = []
    for epoch, batch in enumerate(batches):
        stepper.enter_epoch(epoch)
        losses.append(float(stepper.train(batch)))
    with stepper.delivered():
        delivered = built.get_weights()
    return losses, built.get_weights(), delivered

def same(one, other, atol=1e-5):
    np.testing.assert_allclose(one[0], other[0], atol=atol)
    for mine, yours in zip(one[1] + one[2], other[1] + other[2], strict=True):
        np.testing.assert_allclose(mine, yours, atol=atol)

both = ["CPU:0", "CPU:1"]
"""
CASES = {
    "synchronised batch normalisation": """
one = run(both[:1], norms=True, synchronised_batch_norm=True)
same(one, run(both, norms=True, synchronised_batch_norm=True))
apart = run(both, norms=True)
assert max(np.abs(x - y).max() for x, y in zip(one[1], apart[1], strict=True)) > 1e-4  # so the option does something
""",
    "accumulation": """
one = run(both[:1])
same(one, run(both[:1], pieces=4))
same(one, run(both, pieces=2))
""",
    "unfreezing, averages, decay": """
settings = dict(optimizer="adamw", weight_decay=0.1, ema_decay=0.9, head_epochs=1, unfreeze_epochs=2,
                backbone_rate=0.5, layer_decay=0.5, learning_rate_schedule="cosine", warmup_epochs=1)
one = run(both[:1], **settings)
same(one, run(both, **settings), atol=1e-4)  # adamw divides by roots of squares near 0
assert any(not np.array_equal(x, y) for x, y in zip(one[1], one[2], strict=True))
""",
    "half precision": """
settings = dict(precision="mixed_float16", initial_learning_rate=0.001)
one = run(both[:1], **settings)
two = run(both, **settings)
same(one, two, atol=5e-3)
""",
}


def test_steps_on_two_devices_equal_one(forked: ForkedScripts) -> None:
    """Loss, scores, weights and predictions after three global batches are those of one device, within 1e-5."""
    assert "equal" in forked.run(SET_UP + STEPS).splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_options_on_two_devices_equal_one(forked: ForkedScripts, case: str) -> None:
    """Each option of the step gives on two devices what it gives on one, for the same global batches."""
    assert "equal" in forked.run(SET_UP + VARIANTS + CASES[case] + '\nprint("equal")\n').splitlines()


@pytest.mark.slow
def test_training_on_two_devices(forked: ForkedScripts, tmp_path: Path) -> None:
    """A whole training, and going on with it, works on two devices and gives a bundle that reads anywhere."""
    data = write_dataset(tmp_path / "tfr")
    assert "trained ('species', 'is/there')" in forked.run(SET_UP + WHOLE, data, tmp_path / "o")
