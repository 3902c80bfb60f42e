"""Bytes <-> domain, with validation in both directions. The only reader of the generated code under protos/gen."""

from harden.codec.envelope import dead_letter_message, event_name, from_message, to_message, topic_of, trace_of
from harden.codec.facts import key_of
from harden.codec.kept import pack, unpack
from harden.codec.listing import to_json
from harden.codec.manifests import decode_manifest, decode_signed, encode_manifest, encode_publication, encode_signed

__all__ = [
    "dead_letter_message",
    "decode_manifest",
    "decode_signed",
    "encode_manifest",
    "encode_publication",
    "encode_signed",
    "event_name",
    "from_message",
    "key_of",
    "pack",
    "to_json",
    "to_message",
    "topic_of",
    "trace_of",
    "unpack",
]
