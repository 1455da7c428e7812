"""What botocore's service model says of S3 Vectors' requests and errors, asked where the service would."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from botocore.loaders import Loader  # type: ignore[import-untyped]
from botocore.model import ServiceModel, Shape  # type: ignore[import-untyped]

_MODEL = ServiceModel(Loader().load_service_model("s3vectors", "service-2"))
OPERATIONS = frozenset(_MODEL.operation_names)


class Refusal(Exception):
    """An answer that is an error of the service: its code, HTTP status and message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = int(_MODEL.shape_for(code).metadata.get("error", {}).get("httpStatusCode", 400))


def refused(message: str) -> Refusal:
    return Refusal("ValidationException", message)


def validate(operation: str, arguments: Mapping[str, Any]) -> None:
    """Raises Refusal for arguments that break a rule of the model: members, lengths, ranges, enums, patterns."""
    _check(_MODEL.operation_model(operation).input_shape, arguments, "")


def _check(shape: Shape, value: Any, path: str) -> None:
    if shape.type_name == "structure":
        if not shape.metadata.get("document"):
            _check_structure(shape, value, path)
    elif shape.type_name == "list":
        _check_range(shape, len(value), path)
        if shape.member.type_name != "float":
            for place, each in enumerate(value):
                _check(shape.member, each, f"{path}/{place}")
    elif shape.type_name == "string":
        _check_string(shape, value, path)
    elif shape.type_name == "integer":
        _check_range(shape, value, path)


def _check_structure(shape: Shape, value: Any, path: str) -> None:
    if not isinstance(value, Mapping):
        raise refused(f"{path or '/'} must be an object")
    if missing := [name for name in shape.required_members if name not in value]:
        raise refused(f"{path}/{missing[0]} is required")
    if unknown := value.keys() - shape.members.keys():
        raise refused(f"{path}/{min(unknown)} is not known")
    for name, each in value.items():
        _check(shape.members[name], each, f"{path}/{name}")


def _check_string(shape: Shape, value: Any, path: str) -> None:
    if not isinstance(value, str):
        raise refused(f"{path} must be a string")
    _check_range(shape, len(value), path)
    if shape.enum and value not in shape.enum:
        raise refused(f"{path} must be one of {', '.join(shape.enum)}, not {value!r}")
    pattern = shape.metadata.get("pattern")
    if pattern and not re.fullmatch(pattern, value):
        raise refused(f"{path} must match {pattern}, unlike {value!r}")


def _check_range(shape: Shape, number: int, path: str) -> None:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if (low is not None and number < low) or (high is not None and number > high):
        raise refused(f"{path} must be between {low} and {high}, not {number}")
