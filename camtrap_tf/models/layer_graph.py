"""How the layers of a network are joined, read from the JSON that Keras keeps of it, of any generation.

Two layers of one shape can change places without any shape telling it. What stands before a layer, its stride and its
padding do tell. So weights that were put by name or by rank are checked against the network that the file describes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

_COMPARED = ("strides", "dilation_rate", "padding", "activation", "data_format", "epsilon")
"""Settings that change the answer of a layer but not the shapes of its weights."""
LARGEST_NETWORK = 20_000
"""Layers of a network that is looked at; the largest here has under 1 000."""
_IN_ANY_ORDER = ("Add", "Average", "Maximum", "Minimum", "Multiply")
_PICTURE = "the picture"


@dataclass(frozen=True, slots=True)
class LayerFacts:
    """One layer.

    Attributes:
        kind: name of its class.
        settings: those of `_COMPARED` that it has.
        inputs: names of the layers before it, in order.
    """

    kind: str
    settings: Mapping[str, Any]
    inputs: tuple[str, ...]


LayerGraph = Mapping[str, LayerFacts]
"""Name → layer, in the order of the network."""


def main_graph(network: Mapping[str, Any], names: Collection[str]) -> LayerGraph:
    """Returns the layers of the network, or of the network inside it that holds most of the named layers.

    camera-trap-classifier's files are flat, or hold the network as one layer of a copy for several GPUs.

    Args:
        network: what `get_config()` of a functional model gives, in Keras 2 or 3.
        names: layers with weights.

    Returns:
        Nothing for a network that does not say how its layers are joined (`Sequential`).
    """
    graphs = [graph for graph in map(_graph, _containers(network)) if any(facts.inputs for facts in graph.values())]
    return max(graphs, key=lambda graph: len(graph.keys() & names), default={})


def nested_names(network: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """Returns name of a network inside the network → names of its layers, however deep."""
    found: dict[str, frozenset[str]] = {}
    for layers in _containers(network):
        for layer in layers:
            inner = list(_containers(_config(layer)))
            if inner:
                found[str(layer.get("name"))] = frozenset(str(one.get("name")) for part in inner for one in part)
    return found


def _containers(network: Mapping[str, Any]) -> Iterator[list[Mapping[str, Any]]]:
    """Gives the list of layers of a network and of each network inside it, as far as they are not absurdly many."""
    waiting: list[Any] = [network]
    seen = 0
    while waiting and seen <= LARGEST_NETWORK:
        layers = waiting.pop().get("layers")
        if isinstance(layers, Sequence) and not isinstance(layers, str):
            proper = [layer for layer in layers if isinstance(layer, Mapping)]
            seen += len(proper)
            yield proper[:LARGEST_NETWORK]
            waiting.extend(_config(layer) for layer in proper)


def _config(layer: Mapping[str, Any]) -> Mapping[str, Any]:
    config = layer.get("config")
    return config if isinstance(config, Mapping) else {}


def _graph(layers: Iterable[Mapping[str, Any]]) -> LayerGraph:
    found: dict[str, LayerFacts] = {}
    for layer in layers:
        config = _config(layer)
        name = str(layer.get("name") or config.get("name"))
        settings = {key: _plain(config[key]) for key in _COMPARED if key in config}
        if set(config.get("kernel_size") or ()) == {1}:  # all paddings are one
            settings.pop("padding", None)
        found[name] = LayerFacts(str(layer.get("class_name")), settings, tuple(_inputs(layer.get("inbound_nodes"))))
    return found


def _inputs(node: Any) -> Iterator[str]:
    """Gives the layers that a node names: `["conv2d", 0, 0, {}]` in Keras 2, `{"keras_history": ["conv2d", 0, 0]}` in 3."""
    if isinstance(node, Mapping):
        history = node.get("keras_history")
        if isinstance(history, Sequence) and history:
            yield str(history[0])
            return
        node = list(node.values())
    if isinstance(node, Sequence) and not isinstance(node, str):
        if len(node) >= 3 and isinstance(node[0], str) and isinstance(node[1], int) and isinstance(node[2], int):
            yield node[0]
            return
        for part in node:
            yield from _inputs(part)


def _plain(value: Any) -> Any:
    """Returns a setting as it is compared: pairs as tuples, whatever is not plain as None."""
    if isinstance(value, list | tuple):
        return tuple(value)
    return value if isinstance(value, str | int | float) else None


def renamed(graph: LayerGraph, names: Mapping[str, str]) -> LayerGraph:
    """Returns the graph under other names."""
    return {
        names.get(name, name): replace(facts, inputs=tuple(names.get(one, one) for one in facts.inputs))
        for name, facts in graph.items()
    }


def differences(given: LayerGraph, wanted: LayerGraph, names: Iterable[str]) -> dict[str, str]:
    """Compares layers of the same name in two networks.

    Args:
        given: the network that a file describes.
        wanted: the network to fill.
        names: layers with weights that both have.

    Returns:
        Name → what differs: its settings, or the layers before it. Layers without weights are looked through.
    """
    shared = [name for name in names if name in given and name in wanted]
    before, ours = _weighted_before(given, frozenset(shared)), _weighted_before(wanted, frozenset(shared))
    found: dict[str, str] = {}
    for name in shared:
        reason = _other_settings(given[name].settings, wanted[name].settings)
        if not reason and before[name] != ours[name]:
            reason = f"comes after {_shown(before[name])} in the file, here after {_shown(ours[name])}"
        if reason:
            found[name] = reason
    return found


def _weighted_before(graph: LayerGraph, weighted: frozenset[str]) -> dict[str, tuple[str, ...]]:
    """Returns name → the nearest layers with weights before it; inputs of a sum are sorted, others keep their order."""
    reached: dict[str, tuple[str, ...]] = {}
    before: dict[str, tuple[str, ...]] = {}
    for name, facts in graph.items():
        sources = tuple(dict.fromkeys(source for one in facts.inputs for source in reached.get(one, (_PICTURE,))))
        before[name] = tuple(sorted(sources)) if facts.kind in _IN_ANY_ORDER else sources or (_PICTURE,)
        reached[name] = (name,) if name in weighted else before[name]
    return before


def _other_settings(given: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    for key in _COMPARED:
        one, other = given.get(key), wanted.get(key)
        if one is None or other is None or one == other:
            continue
        if key == "epsilon" and isinstance(one, float) and isinstance(other, float) and abs(one - other) <= 1e-9:
            continue
        return f"has {key.replace('_', ' ')} {one} in the file, here {other}"
    return ""


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
