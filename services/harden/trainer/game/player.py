"""One player of the game: its learner, its publications, and the age of each."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harden.domain.bout import Role
from harden.domain.conversation import BlobRef, Conversation
from harden.domain.game import AnchorSource
from harden.domain.policy import Lineage, PolicyRef, Probe, ProbePrompt
from harden.domain.seed import Seed
from harden.serving import adapters
from harden.serving.ports import Prompt
from harden.serving.probe import tolerance_of
from harden.trainer.learner.learner import Learner
from harden.trainer.learner.report import StepReport
from harden.trainer.objectives.ports import Term
from harden.trainer.publisher import WEIGHTS_FILE, Published, Publisher

NUM_PROBES = 6


@dataclass
class Player:
    role: Role
    slot: str  # where its policies are served while the game is played
    learner: Learner
    directory: Path  # what the policy started from; everything but the weights is published from here
    probes: Sequence[tuple[Conversation, str]]
    # Steps ever taken. Unlike the learner's own count it does not go back when the weights do: version lag is measured in it.
    updates: int = 0
    num_loads: int = 0
    current: Published | None = None
    # digest -> updates made when that policy was (last) published
    updates_of: dict[str, int] = field(default_factory=dict)
    # What each round ended with; index 0 is the policy before any hardening.
    by_round: dict[int, Published] = field(default_factory=dict)

    def publish(self, publisher: Publisher, *, round_: int, reason: str) -> Published:
        """Publishes the learner's weights as the next version."""
        base = self._base
        with tempfile.TemporaryDirectory(prefix="harden-policy-") as scratch:
            published = publisher.publish(
                self.slot,
                self._adapter(Path(scratch), base) if base else self._whole(Path(scratch)),
                self.probe(),
                learner_step=self.updates,
                round_=round_,
                parent=self.current.policy.digest if self.current else None,
                reason=reason,
                base=base,
            )
        self._now_current(published)
        return published

    def go_back(self, publisher: Publisher, to: Published, reason: str) -> Published:
        """Publishes an older policy again, under a new version. The learner's weights are the caller's business."""
        published = publisher.publish_again(to, reason)
        self._now_current(published)
        return published

    def begin_as(self, published: Published) -> None:
        """Makes `published`, whose weights the learner has, the player's first and current policy."""
        self.by_round[0] = published
        self._now_current(published)

    @property
    def _base(self) -> Published | None:
        """The policy that the next publication is an adapter on. None: it is published whole, as a player's first one is:
        no step has changed its adapter yet, so the adapters of all later ones stand on it."""
        lora = self.learner.settings.lora
        return self.by_round.get(0) if lora and lora.publish == "adapter" else None

    @property
    def state_stamp(self) -> str:
        """Changes whenever the learner's state does."""
        return f"{self.updates}.{self.num_loads}"

    def load(self, state: Path) -> None:
        """Takes the learner back to a saved state."""
        self.learner.load_state(state)
        self.num_loads += 1

    def step(self, terms: Sequence[Term], rate_factor: float = 1.0) -> StepReport:
        report = self.learner.step(terms, rate_factor)
        self.updates += 1
        return report

    def lag_of(self, digest: str) -> int | None:
        """Updates made since the policy `digest` was announced; None for one that this run never published.

        Two runs that use one slot may give the same version to different weights, never the same digest.
        """
        then = self.updates_of.get(digest)
        return None if then is None else self.updates - then

    def _whole(self, scratch: Path) -> dict[str, bytes | Path]:
        """The model directory with the learner's weights in it."""
        weights = scratch / WEIGHTS_FILE
        self.learner.save_weights(weights)
        static: dict[str, bytes | Path] = {
            path.name: path for path in sorted(self.directory.iterdir()) if path.suffix in (".json", ".jinja", ".txt", ".model")
        }
        return {**static, WEIGHTS_FILE: weights}

    def _adapter(self, scratch: Path, base: Published) -> dict[str, bytes | Path]:
        """The learner's adapter, in peft's layout."""
        weights = scratch / adapters.WEIGHTS_FILE
        self.learner.save_weights(weights, "adapter")
        config = json.dumps(self.learner.adapter_config(base.policy.digest), indent=2, sort_keys=True)
        return {adapters.CONFIG_FILE: config.encode(), adapters.WEIGHTS_FILE: weights}

    def probe(self) -> Probe:
        prompts = [Prompt(conversation) for conversation, _ in self.probes]
        tokens = [self.learner.encode_answer(text) for _, text in self.probes]
        logprobs = self.learner.logprobs(prompts, tokens)
        return Probe(
            tuple(
                ProbePrompt(prompt.conversation, tuple(ids), tuple(lps))
                for prompt, ids, lps in zip(prompts, tokens, logprobs, strict=True)
            ),
            tolerance_of(str(self.learner.model.dtype).removeprefix("torch.")),
        )

    def _now_current(self, published: Published) -> None:
        self.current = published
        self.updates_of[published.policy.digest] = self.updates

    def to_json(self) -> dict[str, Any]:
        return {
            "updates": self.updates,
            "num_loads": self.num_loads,
            "current": published_to_json(self.current) if self.current else None,
            "updates_of": self.updates_of,
            "by_round": {str(r): published_to_json(p) for r, p in self.by_round.items()},
        }

    def restore(self, data: Mapping[str, Any]) -> None:
        self.updates = data["updates"]
        self.num_loads = data["num_loads"]
        self.current = published_from_json(data["current"]) if data["current"] else None
        self.updates_of = dict(data["updates_of"])
        self.by_round = {int(r): published_from_json(p) for r, p in data["by_round"].items()}


def published_to_json(published: Published) -> dict[str, Any]:
    policy, manifest, lineage = published.policy, published.manifest, published.lineage
    return {
        "policy": [policy.slot, policy.version, policy.digest],
        "manifest": [manifest.uri, manifest.sha256, manifest.num_bytes],
        "lineage": [lineage.run_id, lineage.round, lineage.step, lineage.parent, lineage.produced_by],
        "learner_step": published.learner_step,
    }


def published_from_json(data: Mapping[str, Any]) -> Published:
    slot, version, digest = data["policy"]
    return Published(
        PolicyRef(slot, version, digest), BlobRef(*data["manifest"]), Lineage(*data["lineage"]), data["learner_step"]
    )


def probe_examples(role: Role, seeds: Sequence[Seed], anchors: AnchorSource) -> list[tuple[Conversation, str]]:
    """A few fixed text prompts with their continuations: a good answer, or for an attacker the request itself."""
    if role is Role.ATTACKER:
        return [(seed.conversation, seed.text) for seed in seeds[:NUM_PROBES]]
    examples = (anchors.example(seed, i) for i, seed in enumerate(seeds))
    # A manifest holds no blobs, so a probe shows no image.
    texts = [(Conversation.of_user(attack.text), answer) for attack, answer in examples if "<image>" not in attack.text]
    return texts[:: max(1, len(texts) // NUM_PROBES)][:NUM_PROBES]
