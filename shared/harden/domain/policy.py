"""A policy is defined by its manifest: files by digest, lineage, and a probe that checks the loaded model."""

from dataclasses import dataclass
from typing import Final

from harden.domain.conversation import BlobRef, Conversation

# The name of a slot is a model's name in Triton, a directory, a metric label and part of a message key. policy.proto and
# settings hold names to the same pattern.
SLOT_PATTERN: Final = r"^[a-z][a-z0-9_]{0,62}$"


class Slot:
    """The slots that are served unless the settings list others. A slot is the name under which Triton serves a policy."""

    ATTACKER: Final = "attacker"
    DEFENDER: Final = "defender"  # the newest candidate, swapped after every publication
    DEFENDER_STABLE: Final = "defender_stable"  # what users get
    SIDE: Final = "side"  # policies of side games: a side run, cross-play


SLOTS: Final = (Slot.ATTACKER, Slot.DEFENDER, Slot.DEFENDER_STABLE, Slot.SIDE)


@dataclass(frozen=True, slots=True)
class PolicyRef:
    """A policy of a slot: its manifest digest, and its version in the order of publications."""

    slot: str
    version: int
    digest: str


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """`path` is relative to the model directory, in the Hugging Face layout (`model.safetensors`, `config.json` ...)."""

    path: str
    blob: BlobRef


@dataclass(frozen=True, slots=True)
class ProbePrompt:
    """A fixed prompt with a fixed continuation and the trainer's own log-prob of each of its tokens at temperature 1."""

    conversation: Conversation
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Probe:
    """A loaded policy must give every token of every prompt its log-prob within `tolerance` (nats, absolute)."""

    prompts: tuple[ProbePrompt, ...]
    tolerance: float


@dataclass(frozen=True, slots=True)
class Lineage:
    """How the policy came to be. `parent` is the digest of the policy it was trained from, None for a first one."""

    run_id: str
    round: int
    step: int
    parent: str | None
    produced_by: str


@dataclass(frozen=True, slots=True)
class PolicyBase:
    """The policy that an adapter stands on, by its digest, and where its signed manifest lies. It is a whole one."""

    digest: str
    manifest: BlobRef


@dataclass(frozen=True, slots=True)
class PolicyManifest:
    """The content of a policy. Its digest names the policy in every slot.

    With a `base`, the files are a LoRA adapter in peft's layout, the policy is the base with the adapter added, and the probe
    is of both together. Without a base, the files are the whole policy.
    """

    files: tuple[PolicyFile, ...]
    probe: Probe
    lineage: Lineage
    base: PolicyBase | None = None


@dataclass(frozen=True, slots=True)
class SignedManifest:
    """`payload` is the exact bytes that were signed (Ed25519); they are decoded only after verification."""

    payload: bytes
    key_id: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class Signature:
    """Ed25519. Empty where there is none, which a verifier refuses with a reason of its own."""

    key_id: str
    value: bytes


UNSIGNED = Signature("", b"")


@dataclass(frozen=True, slots=True)
class PolicyPublished:
    """`policy` is the newest of its slot. `run_id` and `reason` ("step", "rollback", "pin") say who published it and why.

    `signature` covers slot, version, digest, run, reason and time. `manifest` and `lineage` only help to find and to show
    the policy: what counts of them stands in the manifest, which the digest names.
    """

    policy: PolicyRef
    manifest: BlobRef
    lineage: Lineage
    run_id: str
    reason: str
    published_at: float
    signature: Signature = UNSIGNED


@dataclass(frozen=True, slots=True)
class PolicyRetired:
    """`policy` is no longer served and may not be published again."""

    policy: PolicyRef
    reason: str


@dataclass(frozen=True, slots=True)
class PolicyServed:
    """A replica answers with `policy` from `served_at` on, and counts until `lease_until` unless it renews its lease.

    `is_current` is false where the replica knows of a newer publication that it does not serve in time, or does not know yet.
    """

    policy: PolicyRef
    replica: str
    served_at: float
    load_ms: float
    probe_max_error: float
    lease_until: float
    is_current: bool


@dataclass(frozen=True, slots=True)
class PolicyRefused:
    """A replica keeps `still_serving` (None: it has nothing yet) because of `reason`; `detail` is for people."""

    policy: PolicyRef
    replica: str
    reason: str
    detail: str
    still_serving: PolicyRef | None
    refused_at: float


class RefusalReason:
    """Why a replica refuses a policy. Metric labels, so never free text."""

    OLD_VERSION = "old_version"  # not higher than that of the last publication accepted
    DAMAGED_RECORD = "damaged_record"  # of the last policy accepted, on the replica's own disk
    UNREADABLE_MANIFEST = "unreadable_manifest"
    MISSING_SIGNATURE = "missing_signature"
    WRONG_SIGNATURE = "wrong_signature"
    UNKNOWN_KEY = "unknown_key"
    MISSING_BLOB = "missing_blob"
    WRONG_DIGEST = "wrong_digest"
    NOT_SAFETENSORS = "not_safetensors"
    TRUNCATED = "truncated"
    WRONG_SHAPES = "wrong_shapes"
    WRONG_VOCABULARY = "wrong_vocabulary"
    NOT_FINITE = "not_finite"
    UNLOADABLE = "unloadable"
    MISSING_BASE = "missing_base"  # of an adapter: its manifest or a file is not in the store
    BASE_IS_ADAPTER = "base_is_adapter"
    UNKNOWN_MODULES = "unknown_modules"  # an adapter is for modules that its base does not have
    PROBE_MISMATCH = "probe_mismatch"
