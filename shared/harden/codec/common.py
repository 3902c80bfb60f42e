"""What several events share: envelope, conversation, completion.

`write_x(into, x)` fills an empty message in place, because assigning a finished one to a field copies it;
`read_x(message)` expects one that passed validation.
"""

from harden.codec.enums import FINISH_REASON, SPEAKER
from harden.common.v1 import completion_pb2, conversation_pb2, meta_pb2
from harden.domain.completion import Completion, Sampling, SamplingStats
from harden.domain.conversation import BlobRef, Conversation, Image, Message, Part, Text
from harden.domain.events import EventMeta


def write_meta(into: meta_pb2.EventMeta, meta: EventMeta) -> None:
    into.event_id = meta.event_id
    into.occurred_at = meta.occurred_at
    into.service = meta.service
    into.parent_ids.extend(meta.parent_ids)
    into.policy_digests.extend(meta.policy_digests)


def read_meta(message: meta_pb2.EventMeta) -> EventMeta:
    return EventMeta(
        event_id=message.event_id,
        occurred_at=message.occurred_at,
        service=message.service,
        parent_ids=tuple(message.parent_ids),
        policy_digests=tuple(message.policy_digests),
    )


def write_blob(into: conversation_pb2.BlobRef, blob: BlobRef) -> None:
    into.uri = blob.uri
    into.sha256 = blob.sha256
    into.num_bytes = blob.num_bytes


def read_blob(message: conversation_pb2.BlobRef) -> BlobRef:
    return BlobRef(uri=message.uri, sha256=message.sha256, num_bytes=message.num_bytes)


def write_conversation(into: conversation_pb2.Conversation, conversation: Conversation) -> None:
    # Even without messages the field is present; that it has none is then what validation names.
    into.SetInParent()
    for message in conversation.messages:
        out = into.messages.add(speaker=SPEAKER.number[message.speaker])
        for part in message.parts:
            if isinstance(part, Text):
                out.parts.add(text=part.text)
            else:
                image = out.parts.add().image
                image.media_type = part.media_type
                write_blob(image.blob, part.blob)


def read_conversation(message: conversation_pb2.Conversation) -> Conversation:
    return Conversation(
        tuple(Message(SPEAKER.member[m.speaker], tuple(_read_part(part) for part in m.parts)) for m in message.messages)
    )


def _read_part(message: conversation_pb2.Part) -> Part:
    if message.WhichOneof("kind") == "text":
        return Text(message.text)
    return Image(read_blob(message.image.blob), message.image.media_type)


def write_sampling(into: completion_pb2.Sampling, sampling: Sampling) -> None:
    into.max_tokens = sampling.max_tokens
    into.temperature = sampling.temperature


def read_sampling(message: completion_pb2.Sampling) -> Sampling:
    return Sampling(max_tokens=message.max_tokens, temperature=message.temperature)


def write_completion(into: completion_pb2.Completion, completion: Completion) -> None:
    into.text = completion.text
    into.token_ids.extend(completion.token_ids)
    into.logprobs.extend(completion.logprobs)
    into.finish_reason = FINISH_REASON.number[completion.finish_reason]
    into.policy_digest = completion.policy_digest
    into.policy_version = completion.policy_version
    if completion.hidden:
        into.hidden = completion.hidden


def read_completion(message: completion_pb2.Completion) -> Completion:
    return Completion(
        text=message.text,
        # A slice becomes a list in one call; iterating asks protobuf for every single token.
        token_ids=tuple(message.token_ids[:]),
        logprobs=tuple(message.logprobs[:]),
        finish_reason=FINISH_REASON.member[message.finish_reason],
        policy_digest=message.policy_digest,
        policy_version=message.policy_version,
        hidden=message.hidden,
    )


def write_stats(into: completion_pb2.SamplingStats, stats: SamplingStats) -> None:
    into.num_requests = stats.num_requests
    into.num_failed = stats.num_failed
    into.began_at = stats.began_at
    into.ended_at = stats.ended_at


def read_stats(message: completion_pb2.SamplingStats) -> SamplingStats:
    return SamplingStats(
        num_requests=message.num_requests,
        num_failed=message.num_failed,
        began_at=message.began_at,
        ended_at=message.ended_at,
    )
