"""harden policy: lists, shows, verifies and pins policies."""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from harden import codec
from harden.cli import output
from harden.cli.log_access import OpenLog, Where, open_log, read_all
from harden.domain.errors import PoisonError, SetupError
from harden.domain.events import Event
from harden.domain.policy import PolicyManifest, PolicyPublished, PolicyRef, PolicyRefused, PolicyRetired, PolicyServed
from harden.store.leases import Leases
from harden.store.policies import fetch_files, fetch_manifest, fetching_base, read_base
from harden.store.policy_log import PolicyLog
from harden.store.ports import BlobStore
from harden.store.signing import Signer, Verifier, generate_keypair
from harden.topics import POLICIES, SERVED, Topic

app = App(name="policy", help="Policies: published and served ones, their signatures and files.")
EXIT_NOT_VERIFIED = 1
SERVICE = "cli"
MIN_PREFIX = 6


@dataclass(frozen=True)
class Publication:
    """`state`: how many replicas serve it now, or that it was served or refused, with the reason."""

    published: PolicyPublished
    state: str


@app.command(name="list")
def list_policies(
    *,
    where: Where | None = None,
    json: Annotated[bool, Parameter(help="Answer in JSON.")] = False,
) -> None:
    """Every publication that the log still holds, oldest first, with its state."""
    with open_log(where) as log:
        publications = _publications(log)
    if json:
        output.as_json([_row_json(one) for one in publications])
        return
    if not publications:
        output.note("nothing was published yet")
        return
    headers = ("slot", "version", "digest", "round", "step", "reason", "published", "state")
    output.table(
        headers,
        [
            (
                p.policy.slot,
                p.policy.version,
                _short(p.policy.digest),
                p.lineage.round,
                p.lineage.step,
                p.reason,
                output.when(p.published_at),
                one.state,
            )
            for one in publications
            for p in [one.published]
        ],
    )


@app.command
def show(
    policy: Annotated[str, Parameter(help="Its digest or the first six or more digits of it, or slot/version.")],
    *,
    where: Where | None = None,
    json: Annotated[bool, Parameter(help="Answer in JSON.")] = False,
) -> None:
    """One policy: its lineage and its files, from its verified manifest."""
    with open_log(where) as log:
        one = _find(_publications(log), policy)
        manifest = fetch_manifest(log.store(), Verifier(log.verify_key_files), one.published)
    if json:
        output.as_json({**_row_json(one), "manifest": _manifest_json(manifest)})
        return
    p, lineage = one.published, manifest.lineage
    print(f"{p.policy.digest}\n  slot {p.policy.slot}, version {p.policy.version}, {p.reason}; {one.state}")
    print(f"  made by {lineage.produced_by} in round {lineage.round}, step {lineage.step} of run {lineage.run_id}")
    print(f"  parent {lineage.parent or 'none: it is a first one'}")
    if manifest.base is not None:
        print(f"  an adapter on {manifest.base.digest}, which is fetched too")
    print(f"  probe: {len(manifest.probe.prompts)} prompts, log-probs within {manifest.probe.tolerance:g} nats")
    output.table(("file", "bytes", "sha256"), [(f.path, f.blob.num_bytes, _short(f.blob.sha256)) for f in manifest.files])


@app.command
def verify(
    policies: Annotated[list[str] | None, Parameter(help="Which ones, as for show; all when none is named.")] = None,
    /,
    *,
    where: Where | None = None,
) -> int:
    """Checks signature, digest and files against the store, an adapter's base included. Ends with 1 where a check fails."""
    with open_log(where) as log:
        publications = _publications(log)
        chosen = [_find(publications, name) for name in policies] if policies else publications
        store, verifier = log.store(), Verifier(log.verify_key_files)
        num_bad = 0
        for one in chosen:
            name = f"{one.published.policy.slot}/{one.published.policy.version} {_short(one.published.policy.digest)}"
            problem = _problem(store, verifier, one.published)
            num_bad += problem is not None
            print(f"{name}  {'holds' if problem is None else f'DOES NOT HOLD: {problem}'}")
    output.note(f"{len(chosen) - num_bad} of {len(chosen)} hold")
    return EXIT_NOT_VERIFIED if num_bad else 0


@app.command
def pin(
    policy: Annotated[str, Parameter(help="Which one, as for show.")],
    *,
    slot: Annotated[str | None, Parameter(help="The slot to publish it for. Default: the slot it had.")] = None,
    where: Where | None = None,
) -> None:
    """Publishes an older policy again, as a new version, and takes its slot over: the slot's previous writer ends."""
    with open_log(where) as log:
        pinned = publish_again(log, policy, slot)
    print(f"{pinned.slot}/{pinned.version} is {pinned.digest}; `harden policy list` shows when it is served")


@app.command
def keys(directory: Annotated[Path, Parameter(help="Directory for the keys; it must not hold keys yet.")]) -> None:
    """Makes the key pair for signing and verifying policies."""
    signing, verifying = generate_keypair(directory)
    print(f"{signing}: for the trainer alone (HARDEN_KEYS__SIGNING_KEY_FILE)")
    print(f"{verifying}: for everyone who loads policies (HARDEN_KEYS__VERIFY_KEY_FILES)")


def publish_again(log: OpenLog, policy: str, slot: str | None) -> PolicyRef:
    """The new publication of the policy that `policy` names. SetupError where replicas would not follow it."""
    if not log.is_live:
        raise SetupError("the run is over, so no replica would serve the pinned policy; pin while it runs, or give --kafka")
    if log.signing_key_file is None:
        raise SetupError("a publication is signed; set HARDEN_KEYS__SIGNING_KEY_FILE to the trainer's key")
    found = _find(_publications(log), policy)
    if found.state == "retired":
        raise SetupError(f"{policy} is retired and cannot be published again")
    p, store = found.published, log.store()
    problem = _problem(store, Verifier(log.verify_key_files), p)
    if problem is not None:
        raise SetupError(f"{policy} does not hold ({problem}), so replicas would refuse it")
    writer = PolicyLog(log.bus, store, Signer(log.signing_key_file), service=SERVICE, run_id=p.run_id)
    try:
        return writer.publish_again(slot or p.policy.slot, p.policy.digest, p.manifest, p.lineage, "pin").policy
    finally:
        writer.close()


def _problem(store: BlobStore, verifier: Verifier, published: PolicyPublished) -> str | None:
    try:
        manifest = fetch_manifest(store, verifier, published)
        with tempfile.TemporaryDirectory() as scratch:
            fetch_files(store, manifest, Path(scratch))
        if manifest.base is not None:
            with fetching_base(manifest.base), tempfile.TemporaryDirectory() as scratch:
                fetch_files(store, read_base(verifier, manifest.base, store.get(manifest.base.manifest)), Path(scratch))
    except PoisonError as poison:
        return str(poison)
    return None


def _publications(log: OpenLog, now: Callable[[], float] = time.time) -> list[Publication]:
    published = [event.fact for event in _events(log, POLICIES) if isinstance(event.fact, PolicyPublished)]
    retired = {event.fact.policy.digest for event in _events(log, POLICIES) if isinstance(event.fact, PolicyRetired)}
    leases = Leases(now)
    statuses: dict[tuple[str, int], str] = {}
    for event in _events(log, SERVED):
        match event.fact:
            case PolicyServed() as fact:
                leases.record(fact)
                statuses[_key(fact)] = f"served after {fact.load_ms:.0f} ms, no longer"
            case PolicyRefused() as fact:
                statuses[_key(fact)] = f"refused: {fact.reason}"
    publications = []
    for one in published:
        serving = leases.serving(one.policy)
        if one.policy.digest in retired:
            state = "retired"
        elif serving:
            state = f"served by {len(serving)} after {max(lease.load_ms for lease in serving):.0f} ms"
        else:
            state = statuses.get((one.policy.slot, one.policy.version), "not served")
        publications.append(Publication(one, state))
    return publications


def _key(fact: PolicyServed | PolicyRefused) -> tuple[str, int]:
    return fact.policy.slot, fact.policy.version


def _events(log: OpenLog, topic: Topic) -> list[Event]:
    return [codec.from_message(topic, message) for message in read_all(log, [topic.name])]


def _find(publications: Sequence[Publication], name: str) -> Publication:
    """The newest publication of that digest, prefix of a digest, or slot/version."""
    slot, _, version = name.partition("/")
    digits = name.removeprefix("sha256:")
    found = [
        one
        for one in publications
        for policy in [one.published.policy]
        if (policy.slot == slot and str(policy.version) == version)
        or (len(digits) >= MIN_PREFIX and policy.digest.removeprefix("sha256:").startswith(digits))
    ]
    if not found:
        raise SetupError(f"no policy {name!r} was published; `harden policy list` shows digests, or name one as slot/version")
    if len({one.published.policy.digest for one in found}) > 1:
        raise SetupError(f"several policies begin with {name}; give more digits of the digest")
    return found[-1]


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]


def _row_json(one: Publication) -> dict[str, object]:
    p = one.published
    return {
        "slot": p.policy.slot,
        "version": p.policy.version,
        "digest": p.policy.digest,
        "run_id": p.lineage.run_id,
        "round": p.lineage.round,
        "step": p.lineage.step,
        "parent": p.lineage.parent,
        "reason": p.reason,
        "published_at": p.published_at,
        "state": one.state,
    }


def _manifest_json(manifest: PolicyManifest) -> dict[str, object]:
    return {
        "produced_by": manifest.lineage.produced_by,
        "form": "adapter" if manifest.base else "full",
        "base": manifest.base.digest if manifest.base else None,
        "probe": {"prompts": len(manifest.probe.prompts), "tolerance": manifest.probe.tolerance},
        "files": [{"path": f.path, "sha256": f.blob.sha256, "num_bytes": f.blob.num_bytes} for f in manifest.files],
    }
