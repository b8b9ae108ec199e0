"""How layers are joined, from the JSON of Keras 2 and 3."""

from typing import Any

import keras
import pytest

from camtrap_tf.models.layer_graph import differences, main_graph, nested_names


def layer(name: str, kind: str, *before: str, **config: Any) -> dict[str, Any]:
    """Returns a layer as Keras 2 describes it."""
    nodes = [[[one, 0, 0, {}] for one in before]] if before else []
    return {"name": name, "class_name": kind, "config": config, "inbound_nodes": nodes}


def network(first: str = "a", second: str = "b", merge: str = "Concatenate") -> dict[str, Any]:
    """Returns two convolutions side by side and one after both."""
    return {
        "layers": [
            layer("images", "InputLayer"), layer("a", "Conv2D", "images"), layer("b", "Conv2D", "images"),
            layer("relu", "Activation", first), layer("both", merge, "relu", second), layer("c", "Conv2D", "both"),
        ]
    }  # fmt: skip


def compare(given: dict[str, Any], wanted: dict[str, Any]) -> dict[str, str]:
    """Returns the differences of two networks with layers a, b and c."""
    return differences(main_graph(given, "abc"), main_graph(wanted, "abc"), "abc")


def test_equal_networks() -> None:
    """A network does not differ from itself."""
    assert compare(network(), network()) == {}


@pytest.mark.parametrize(("merge", "same"), [("Concatenate", False), ("Lambda", False), ("Add", True)])
def test_order_of_what_comes_before(merge: str, same: bool) -> None:
    """Exchanged inputs differ, but not those of a sum; layers without weights are looked through."""
    found = compare(network("b", "a", merge), network("a", "b", merge))
    assert found == ({} if same else {"c": "comes after b, a in the file, here after a, b"})


def test_layer_that_only_one_has() -> None:
    """A layer that the other network lacks is looked through."""
    longer = network()
    longer["layers"].insert(1, layer("scale", "Normalization", "images"))
    longer["layers"][2] = layer("a", "Conv2D", "scale")
    assert compare(longer, network()) == {}


@pytest.mark.parametrize(
    ("given", "wanted", "reason"),
    [
        ({"strides": [2, 2]}, {"strides": (1, 1)}, "has strides (2, 2) in the file, here (1, 1)"),
        ({"epsilon": 0.001}, {"epsilon": 1e-5}, "has epsilon 0.001 in the file, here 1e-05"),
        ({"kernel_size": [1, 1], "padding": "valid"}, {"kernel_size": [1, 1], "padding": "same"}, None),
        ({"kernel_size": [3, 3], "padding": "valid"}, {"kernel_size": [3, 3], "padding": "same"}, "has padding valid"),
        ({"activation": {"class_name": "x"}}, {"activation": "relu"}, None),
    ],
)
def test_settings(given: dict[str, Any], wanted: dict[str, Any], reason: str | None) -> None:
    """Settings that change the answer are compared where both networks say them in plain words."""
    one, other = ({"layers": [layer("a", "Conv2D", "images", **config)]} for config in (given, wanted))
    assert compare(one, other).get("a", "")[: len(reason or "")] == (reason or "")
    assert bool(compare(one, other)) == bool(reason)


def test_keras_3_is_read_alike() -> None:
    """The description that Keras 3 makes of the same network says the same."""
    images = keras.Input((8, 8, 3), name="images")
    a, b = (keras.layers.Conv2D(4, 1, name=name)(images) for name in "ab")
    both = keras.layers.Concatenate(name="both")([keras.layers.ReLU()(a), b])
    model = keras.Model(images, keras.layers.Conv2D(2, 1, name="c")(both))
    assert compare(network(), model.get_config()) == {}
    assert compare(network("b", "a"), model.get_config()).keys() == {"c"}


def test_network_inside_a_network() -> None:
    """The network with most of the named layers is meant, and its layers are known."""
    outer = {"layers": [layer("images", "InputLayer"), layer("twin", "Model", "images", **network())]}
    assert list(main_graph(outer, "abc")) == ["images", "a", "b", "relu", "both", "c"]
    assert nested_names(outer) == {"twin": frozenset(["images", "a", "b", "relu", "both", "c"])}


def test_layers_that_are_not_joined() -> None:
    """A plain row of layers says nothing to compare."""
    assert main_graph(keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 1, name="a")]).get_config(), "a") == {}
