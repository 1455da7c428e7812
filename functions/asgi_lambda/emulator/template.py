"""A function as a SAM template declares it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from asgi_lambda.emulator.intrinsics import NO_VALUE, Resolver, Unresolved, load_yaml

_KIND = "AWS::Serverless::Function"


class TemplateError(Exception):
    """What keeps the template, or the overrides, from being used, in one line."""


@dataclass(frozen=True)
class Declared:
    """``code`` is ``CodeUri``; ``invoke_mode`` is the function URL's, None without one; ``stage`` is
    the REST API's. ``variables`` that depend on
    what only a deployment knows are in ``unresolved`` instead, with what that is."""

    name: str
    handler: str
    runtime: str
    code: Path
    timeout: float
    memory: int
    log_format: str
    invoke_mode: str | None
    stage: str
    variables: dict[str, str]
    unresolved: dict[str, str]


def function_names(path: Path) -> list[str]:
    """The logical ids of the template's functions. Raises ``TemplateError``."""
    return sorted(_functions(_load(path)))


def read_template(path: Path, function: str, parameters: Mapping[str, str] | None = None) -> Declared:
    """The function of that logical id, globals merged. Raises ``TemplateError``."""
    template = _load(path)
    declared = _functions(template)
    if function not in declared:
        raise TemplateError(f"{path} has no function {function!r}; it has {', '.join(sorted(declared)) or 'none'}")
    resolver = Resolver(template, parameters or {})
    shared = (template.get("Globals") or {}).get("Function") or {}
    own = declared[function].get("Properties") or {}

    def setting(name: str, default: Any) -> Any:
        try:
            value = resolver.value(own.get(name, shared.get(name, default)))
        except Unresolved as error:
            raise TemplateError(f"{function}'s {name} depends on {error}, which has no default") from error
        return default if value is NO_VALUE else value

    variables, unresolved = _variables(resolver, [shared, own])
    url = own.get("FunctionUrlConfig")
    return Declared(
        name=function,
        handler=setting("Handler", ""),
        runtime=setting("Runtime", ""),
        code=path.parent / setting("CodeUri", "."),
        timeout=float(setting("Timeout", 3)),
        memory=int(setting("MemorySize", 128)),
        log_format=_log_format(own, shared),
        invoke_mode=(url.get("InvokeMode", "BUFFERED") if url else None),
        stage=_stage(template),
        variables=variables,
        unresolved=unresolved,
    )


def read_overrides(path: Path, function: str, template: Path) -> tuple[dict[str, str], list[str]]:
    """The variables that such a file as ``sam local --env-vars`` takes sets for the function, and the names in it that
    the template does not declare, which SAM would leave out in silence. Raises ``TemplateError``."""
    try:
        overrides = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise TemplateError(f"{path}: {error}") from error
    if not isinstance(overrides, dict) or not all(isinstance(each, dict) for each in overrides.values()):
        raise TemplateError(f"{path} is not an object of objects, by function or under Parameters")
    loaded = _load(template)
    names = {logical_id: _names(loaded, each) for logical_id, each in _functions(loaded).items()}
    undeclared = [f"{each}: no such function" for each in overrides if each != "Parameters" and each not in names]
    chosen: dict[str, str] = {}
    for part, known in (("Parameters", set().union(*names.values())), (function, names.get(function, set()))):
        given = {name: _override(path, name, value) for name, value in overrides.get(part, {}).items()}
        undeclared += [f"{part}: {name}" for name in given if name not in known]
        chosen |= {name: value for name, value in given.items() if name in names.get(function, set())}
    return chosen, undeclared


def _load(path: Path) -> dict[str, Any]:
    try:
        template = load_yaml(path.read_text("utf-8"))
    except OSError as error:
        raise TemplateError(f"{path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise TemplateError(f"{path}: {' '.join(str(error).split())}") from error
    if not isinstance(template, dict):
        raise TemplateError(f"{path} is no template: it holds no mapping")
    return template


def _functions(template: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    resources = template.get("Resources") or {}
    return {name: each for name, each in resources.items() if each.get("Type") == _KIND}


def _declared_variables(properties: Mapping[str, Any]) -> dict[str, Any]:
    return (properties.get("Environment") or {}).get("Variables") or {}


def _names(template: Mapping[str, Any], function: Mapping[str, Any]) -> set[str]:
    shared = (template.get("Globals") or {}).get("Function") or {}
    return {*_declared_variables(shared), *_declared_variables(function.get("Properties") or {})}


def _variables(resolver: Resolver, sources: list[Mapping[str, Any]]) -> tuple[dict[str, str], dict[str, str]]:
    variables, unresolved = {}, {}
    merged: dict[str, Any] = {}
    for source in sources:
        merged |= _declared_variables(source)
    for name, node in merged.items():
        try:
            value = resolver.value(node)
        except Unresolved as error:
            unresolved[name] = str(error)
        else:
            if value is not NO_VALUE:
                variables[name] = _scalar(value)
    return variables, unresolved


def _scalar(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _override(path: Path, name: str, value: Any) -> str:
    if isinstance(value, str | int | float):
        return _scalar(value)
    raise TemplateError(f"{path}: the value of {name} is {value!r}, not a string")


def _log_format(*sources: Mapping[str, Any]) -> str:
    for source in sources:
        if text := (source.get("LoggingConfig") or {}).get("LogFormat"):
            return str(text)
    return "Text"


def _stage(template: Mapping[str, Any]) -> str:
    apis = [each for each in (template.get("Resources") or {}).values() if each.get("Type") == "AWS::Serverless::Api"]
    return str((apis[0].get("Properties") or {}).get("StageName", "Prod")) if apis else "Prod"
