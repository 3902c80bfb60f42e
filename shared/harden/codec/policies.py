"""Policy facts and manifests <-> their messages. `write_x` and `read_x` as in harden.codec.common."""

from harden.codec.common import read_blob, read_conversation, write_blob, write_conversation
from harden.domain.policy import (
    Lineage,
    PolicyBase,
    PolicyFile,
    PolicyManifest,
    PolicyPublished,
    PolicyRef,
    PolicyRefused,
    PolicyRetired,
    PolicyServed,
    Probe,
    ProbePrompt,
    Signature,
)
from harden.policy.v1 import policy_pb2


def write_policy_ref(into: policy_pb2.PolicyRef, policy: PolicyRef) -> None:
    into.slot = policy.slot
    into.version = policy.version
    into.digest = policy.digest


def read_policy_ref(message: policy_pb2.PolicyRef) -> PolicyRef:
    return PolicyRef(slot=message.slot, version=message.version, digest=message.digest)


def write_lineage(into: policy_pb2.Lineage, lineage: Lineage) -> None:
    into.run_id = lineage.run_id
    into.round = lineage.round
    into.step = lineage.step
    if lineage.parent is not None:
        into.parent = lineage.parent
    into.produced_by = lineage.produced_by


def read_lineage(message: policy_pb2.Lineage) -> Lineage:
    return Lineage(
        run_id=message.run_id,
        round=message.round,
        step=message.step,
        parent=message.parent if message.HasField("parent") else None,
        produced_by=message.produced_by,
    )


def write_manifest(into: policy_pb2.PolicyManifest, manifest: PolicyManifest) -> None:
    for file in manifest.files:
        write_blob(into.files.add(path=file.path).blob, file.blob)
    into.probe.tolerance = manifest.probe.tolerance
    for prompt in manifest.probe.prompts:
        out = into.probe.prompts.add(token_ids=prompt.token_ids, logprobs=prompt.logprobs)
        write_conversation(out.conversation, prompt.conversation)
    write_lineage(into.lineage, manifest.lineage)
    if manifest.base is not None:
        into.base.digest = manifest.base.digest
        write_blob(into.base.manifest, manifest.base.manifest)


def read_manifest(message: policy_pb2.PolicyManifest) -> PolicyManifest:
    prompts = tuple(
        ProbePrompt(read_conversation(p.conversation), tuple(p.token_ids), tuple(p.logprobs)) for p in message.probe.prompts
    )
    return PolicyManifest(
        files=tuple(PolicyFile(file.path, read_blob(file.blob)) for file in message.files),
        probe=Probe(prompts, message.probe.tolerance),
        lineage=read_lineage(message.lineage),
        base=PolicyBase(message.base.digest, read_blob(message.base.manifest)) if message.HasField("base") else None,
    )


def write_published(into: policy_pb2.PolicyPublished, fact: PolicyPublished) -> None:
    write_policy_ref(into.policy, fact.policy)
    write_blob(into.manifest, fact.manifest)
    write_lineage(into.lineage, fact.lineage)
    into.reason = fact.reason
    into.published_at = fact.published_at
    into.run_id = fact.run_id
    into.signature.key_id = fact.signature.key_id
    into.signature.value = fact.signature.value


def read_published(message: policy_pb2.PolicyPublished) -> PolicyPublished:
    return PolicyPublished(
        policy=read_policy_ref(message.policy),
        manifest=read_blob(message.manifest),
        lineage=read_lineage(message.lineage),
        reason=message.reason,
        published_at=message.published_at,
        run_id=message.run_id,
        signature=Signature(message.signature.key_id, message.signature.value),
    )


def write_retired(into: policy_pb2.PolicyRetired, fact: PolicyRetired) -> None:
    write_policy_ref(into.policy, fact.policy)
    into.reason = fact.reason


def read_retired(message: policy_pb2.PolicyRetired) -> PolicyRetired:
    return PolicyRetired(policy=read_policy_ref(message.policy), reason=message.reason)


def write_served(into: policy_pb2.PolicyServed, fact: PolicyServed) -> None:
    write_policy_ref(into.policy, fact.policy)
    into.replica = fact.replica
    into.served_at = fact.served_at
    into.load_ms = fact.load_ms
    into.probe_max_error = fact.probe_max_error
    into.lease_until = fact.lease_until
    into.is_current = fact.is_current


def read_served(message: policy_pb2.PolicyServed) -> PolicyServed:
    return PolicyServed(
        policy=read_policy_ref(message.policy),
        replica=message.replica,
        served_at=message.served_at,
        load_ms=message.load_ms,
        probe_max_error=message.probe_max_error,
        lease_until=message.lease_until,
        is_current=message.is_current,
    )


def write_refused(into: policy_pb2.PolicyRefused, fact: PolicyRefused) -> None:
    write_policy_ref(into.policy, fact.policy)
    into.replica = fact.replica
    into.reason = fact.reason
    into.detail = fact.detail
    if fact.still_serving is not None:
        write_policy_ref(into.still_serving, fact.still_serving)
    into.refused_at = fact.refused_at


def read_refused(message: policy_pb2.PolicyRefused) -> PolicyRefused:
    return PolicyRefused(
        policy=read_policy_ref(message.policy),
        replica=message.replica,
        reason=message.reason,
        detail=message.detail,
        still_serving=read_policy_ref(message.still_serving) if message.HasField("still_serving") else None,
        refused_at=message.refused_at,
    )
