"""Enforces the validation rules of the contracts."""

from google.protobuf.message import Message
from protovalidate import Validator

# One for the process: it compiles the rules of a message type when it first meets one.
_validator = Validator()


def first_violation(message: Message) -> str | None:
    """The first field that breaks a rule and the rule, such as "sampled.responses[2].completion.logprobs[7]: must be finite".

    None where every rule holds. Never the field's value, which may be adversarial text.
    """
    for violation in _validator.collect_violations(message, fail_fast=True):
        return f"{_path(violation.proto.field)}: {violation.proto.message or violation.proto.rule_id}"
    return None


def _path(field: object) -> str:
    parts: list[str] = []
    for element in getattr(field, "elements", ()):
        subscript = element.subscript
        index = f"[{subscript.value}]" if subscript is not None and subscript.field == "index" else ""
        parts.append(f"{element.field_name}{index}")
    return ".".join(parts) or "the message"
