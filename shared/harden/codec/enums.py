"""Domain enums <-> protobuf enums, matched by name: `Role.DEFENDER` is `ROLE_DEFENDER`."""

import re
from enum import StrEnum
from typing import Any, Generic, TypeVar

from harden.bout.v1 import bout_pb2
from harden.common.v1 import completion_pb2, conversation_pb2
from harden.domain.bout import Purpose, Role
from harden.domain.completion import FinishReason
from harden.domain.conversation import Speaker
from harden.domain.seed import SeedLabel
from harden.seed.v1 import seed_pb2

E = TypeVar("E", bound=StrEnum)


class EnumTable(Generic[E]):
    """Both directions as dictionaries. Made at import; a value that only one side knows ends the process there."""

    def __init__(self, domain: type[E], proto: Any) -> None:
        prefix = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", proto.DESCRIPTOR.name).upper()
        numbers = {name: number for name, number in proto.items() if number != 0}
        expected = {f"{prefix}_{member.name}" for member in domain}
        assert numbers.keys() == expected, f"{domain.__name__} and {proto.DESCRIPTOR.full_name} name different values"
        # Any: the stubs ask for the enum's own class, which at run time is a plain number.
        self.number: dict[E, Any] = {member: numbers[f"{prefix}_{member.name}"] for member in domain}
        self.member: dict[Any, E] = {number: member for member, number in self.number.items()}


SPEAKER = EnumTable(Speaker, conversation_pb2.Speaker)
FINISH_REASON = EnumTable(FinishReason, completion_pb2.FinishReason)
SEED_LABEL = EnumTable(SeedLabel, seed_pb2.SeedLabel)
PURPOSE = EnumTable(Purpose, bout_pb2.Purpose)
ROLE = EnumTable(Role, bout_pb2.Role)
