"""Messages of a bus as one file, length before each: the log of a run in one process."""

from collections.abc import Iterable, Iterator
from io import BytesIO

from google.protobuf import proto
from google.protobuf.message import DecodeError

from harden.bus.ports import Incoming, Outgoing
from harden.kept.v1 import kept_pb2

# Of a length below 2^35, which is more than any message has.
MAX_VARINT_BYTES = 5


def pack(messages: Iterable[Incoming]) -> bytes:
    """In the order given, which `unpack` keeps."""
    out = BytesIO()
    for message in messages:
        kept = kept_pb2.KeptMessage(topic=message.topic, key=message.key or b"", value=message.value)
        for key, value in message.headers:
            kept.headers.add(key=key, value=value)
        proto.serialize_length_prefixed(kept, out)
    return out.getvalue()


def unpack(data: bytes) -> Iterator[Outgoing]:
    """ValueError where the bytes are not what `pack` made. A last message that is not whole, as a writer that was killed
    leaves it, is left out."""
    stream = BytesIO(data)
    try:
        while _is_whole(data, stream.tell()):
            kept = proto.parse_length_prefixed(kept_pb2.KeptMessage, stream)
            if kept is None:
                return
            yield Outgoing(kept.topic, kept.key, kept.value, tuple((h.key, h.value) for h in kept.headers))
    except DecodeError as error:
        raise ValueError("these are no messages of a bus") from error


def _is_whole(data: bytes, begin: int) -> bool:
    """Whether a message and the varint of its length stand there, both to their end."""
    length = 0
    for place, byte in enumerate(data[begin : begin + MAX_VARINT_BYTES]):
        length |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return begin + place + 1 + length <= len(data)
    return False
