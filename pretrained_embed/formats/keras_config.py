"""The config of a Keras model: vocabularies, and the layers they belong to.

::

    model = {"class_name": NAME, "config": {"name": NAME, "layers": [layer, ...],
             "output_layers": [[NAME, ...], ...]}}
    layer = {"class_name": NAME, "config": {...}, "name": NAME, "inbound_nodes": [...]}

A node names the input layers of a layer: ``{"config": {"keras_history": [NAME, 0,
0]}}`` at any depth, ``[NAME, 0, 0, ...]`` in Keras 2. In a ``Sequential`` the input is
the layer before. Assets are named by classes: the second ``StringLookup`` of a model
has its files in ``layers/string_lookup_1``.

https://keras.io/guides/serialization_and_saving/
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

LOOKUPS = ("StringLookup", "TextVectorization")

_Door = tuple[str, str]  # the input of a model, which is no name of a layer


class KerasConfig(NamedTuple):
    """The content of a config, by the names of layers."""

    vocabularies: dict[str, list[str]]  # given to layers, with the tokens in front
    lookups: set[str]  # layers with a vocabulary, in the config or in an asset
    fed: dict[str | _Door, set[str | _Door]]  # the input layers of each layer
    paths: dict[str, str]  # of assets, to the names of layers

    def lookups_before(self, layer: str) -> set[str]:
        """Return the nearest layers with a vocabulary before a layer.

        Their ids are the input of the layer.
        """
        found: set[str] = set()
        seen: set[str | _Door] = {layer}
        left: list[str | _Door] = [layer]
        while left:
            for name in self.fed.get(left.pop(), ()):
                if isinstance(name, str) and name in self.lookups:
                    found.add(name)
                elif name not in seen:
                    seen.add(name)
                    left.append(name)
        return found


def read_config(config: Any) -> KerasConfig:
    """Return the content of a config; parts of another form are ignored."""
    found = KerasConfig({}, set(), {}, {})
    for layer in _objects(config):
        name = _name(layer)
        if name is not None and layer.get("class_name") in LOOKUPS:
            found.lookups.add(name)
            tokens = _vocabulary(layer)
            if tokens is not None:
                found.vocabularies[name] = tokens
    waiting: list[tuple[Any, _Door, str]] = [(config, ("", ""), "")]
    while waiting:
        model, door, path = waiting.pop()
        layers = [one for one in _layers(model) or () if isinstance(one, dict)]
        in_a_row = model.get("class_name") == "Sequential"
        before: str | _Door = door
        numbers: dict[str, int] = {}
        for layer in layers:
            name = _name(layer)
            if name is None:
                continue
            of_class = _snake(str(layer.get("class_name")))
            number = numbers.get(of_class, 0)
            numbers[of_class] = number + 1
            own = f"{path}layers/{of_class}{f'_{number}' if number else ''}"
            found.paths[own] = name
            nodes = {before} if in_a_row else {*_named(layer.get("inbound_nodes"))}
            into = found.fed.setdefault(name, set())
            if _layers(layer) is None:
                into |= nodes or {door}
            else:
                inside = (name, own)
                found.fed.setdefault(inside, set()).update(nodes or {door})
                waiting.append((layer, inside, f"{own}/"))
            before = name
        outputs = (
            {before} if in_a_row else {*_named(_config(model).get("output_layers"))}
        )
        name = _name(model)
        if name is not None:
            found.fed.setdefault(name, set()).update(outputs)
    return found


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yield all JSON objects, at any depth."""
    left = [value]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            yield value
        if isinstance(value, dict | list):
            left += value.values() if isinstance(value, dict) else value


def _config(layer: dict[str, Any]) -> dict[str, Any]:
    config = layer.get("config")
    return config if isinstance(config, dict) else {}


def _name(layer: dict[str, Any]) -> str | None:
    name = _config(layer).get("name", layer.get("name"))
    return name if isinstance(name, str) else None


def _layers(model: Any) -> list[Any] | None:
    layers = _config(model).get("layers") if isinstance(model, dict) else None
    return layers if isinstance(layers, list) else None


def _named(nodes: Any) -> Iterator[str]:
    """Yield the names of layers in nodes, or in lists of outputs."""
    left = [nodes]
    while left:
        match left.pop():
            case [str(name), int(), *_]:
                yield name
            case {"keras_history": [str(name), *_]}:
                yield name
            case list() as held:
                left += held
            case dict() as held:
                left += held.values()


def _snake(name: str) -> str:
    """Return the name of a class as Keras writes it in paths."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _vocabulary(layer: dict[str, Any]) -> list[str] | None:
    """Return the vocabulary that was given to a layer, with the tokens in front."""
    inner = _config(layer)
    tokens = inner.get("vocabulary")
    if not isinstance(tokens, list) or not all(type(t) is str for t in tokens):
        return None
    oov, count = inner.get("oov_token", "[UNK]"), inner.get("num_oov_indices", 1)
    mask = "" if layer["class_name"] == "TextVectorization" else inner.get("mask_token")
    if not isinstance(oov, str) or type(count) is not int or count > len(tokens):
        return None
    first = [oov] * count if mask is None else [str(mask), *[oov] * count]
    return tokens if tokens[: len(first)] == first else [*first, *tokens]
