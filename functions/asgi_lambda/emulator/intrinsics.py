"""CloudFormation's short tags and intrinsic functions, as far as a template's own parameters decide them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import yaml  # type: ignore[import-untyped]

_PSEUDO = {
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::StackName": "emulator",
    "AWS::URLSuffix": "amazonaws.com",
}
_VARIABLE = re.compile(r"\$\{(!?)([^}]+)\}")
NO_VALUE = object()


class Unresolved(Exception):
    """The value is known only once the stack is deployed. The message says what it depends on."""


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Plain objects only; reads ``!Ref x`` as ``{"Ref": x}`` and ``!Sub x`` as ``{"Fn::Sub": x}``."""


def _tag(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _tag)


def load_yaml(text: str) -> Any:
    """The template as plain objects. Raises ``yaml.YAMLError``."""
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


class Resolver:
    """Values of one template, with its parameters' defaults and ``parameters`` over them."""

    def __init__(self, template: Mapping[str, Any], parameters: Mapping[str, str]) -> None:
        declared = template.get("Parameters") or {}
        self._values: dict[str, Any] = dict(_PSEUDO)
        self._values |= {name: each["Default"] for name, each in declared.items() if "Default" in each}
        self._values |= parameters
        self._conditions = template.get("Conditions") or {}
        self._mappings = template.get("Mappings") or {}
        self._functions: dict[str, Callable[[Any], Any]] = {
            "Ref": self._ref,
            "Condition": self.condition,
            "Fn::And": lambda nodes: all(self.value(each) for each in nodes),
            "Fn::Equals": lambda nodes: _text(self.value(nodes[0])) == _text(self.value(nodes[1])),
            "Fn::FindInMap": self._find_in_map,
            "Fn::If": lambda nodes: self.value(nodes[1 if self.condition(nodes[0]) else 2]),
            "Fn::Join": lambda nodes: nodes[0].join(_text(each) for each in self.value(nodes[1])),
            "Fn::Not": lambda nodes: not self.value(nodes[0]),
            "Fn::Or": lambda nodes: any(self.value(each) for each in nodes),
            "Fn::Select": lambda nodes: self.value(nodes[1])[int(self.value(nodes[0]))],
            "Fn::Split": lambda nodes: _text(self.value(nodes[1])).split(nodes[0]),
            "Fn::Sub": self._sub,
        }

    def value(self, node: Any) -> Any:
        """The node with its intrinsic functions applied; ``NO_VALUE`` for ``AWS::NoValue``. Raises ``Unresolved``."""
        if isinstance(node, list):
            return [value for each in node if (value := self.value(each)) is not NO_VALUE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            name, argument = next(iter(node.items()))
            if name in self._functions:
                return self._functions[name](argument)
            if name.startswith("Fn::"):
                raise Unresolved(f"{name} {argument}")
        return {key: value for key, each in node.items() if (value := self.value(each)) is not NO_VALUE}

    def condition(self, name: str) -> bool:
        """Whether the template's condition holds. Raises ``Unresolved``."""
        if name not in self._conditions:
            raise Unresolved(f"the condition {name}")
        return bool(self.value(self._conditions[name]))

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return NO_VALUE
        if name not in self._values:
            raise Unresolved(name)
        return self._values[name]

    def _find_in_map(self, nodes: list[Any]) -> Any:
        found: Any = self._mappings
        for key in [nodes[0], *map(self.value, nodes[1:])]:
            if key not in found:
                raise Unresolved(f"{key} in a mapping")
            found = found[key]
        return self.value(found)

    def _sub(self, node: Any) -> str:
        text, variables = node if isinstance(node, list) else (node, {})

        def put(match: re.Match[str]) -> str:
            if match[1]:
                return f"${{{match[2]}}}"
            return _text(self.value(variables[match[2]]) if match[2] in variables else self._ref(match[2]))

        return _VARIABLE.sub(put, text)


def _text(value: Any) -> str:
    """A scalar as CloudFormation writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
