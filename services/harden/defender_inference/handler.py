"""One attacked bout in, the defender's responses out. Knows no broker, no clock, no environment."""

from collections.abc import Callable

from harden.domain import ids
from harden.domain.attack import Attack, AttackedBout
from harden.domain.bout import Bout
from harden.domain.response import Response, SampledBout
from harden.serving.asking import ask
from harden.serving.ports import GenerateRequest, PolicyClient, Prompt
from harden.store.ports import BlobStore


class Defender:
    def __init__(self, policies: PolicyClient, store: BlobStore, *, now: Callable[[], float]) -> None:
        self._policies = policies
        self._store = store
        self._now = now

    def handle(self, attacked: AttackedBout) -> SampledBout:
        """The bout with R responses to each attack, to the whole conversation where it is one of several turns.

        A bout that asks for no responses passes as it is: no slot is asked. Raises TransientError where the slot or the
        store does not answer.
        """
        bout = attacked.bout
        if bout.num_responses == 0:
            return SampledBout(attacked, ())
        requests = [self._request(bout, attack) for attack in attacked.attacks]
        completions_AR, stats = ask(self._policies, bout.defender.slot, requests, self._now)
        responses = tuple(
            Response(ids.child(attack.attack_id, "response", i), attack.attack_id, completion)
            for attack, completions_R in zip(attacked.attacks, completions_AR, strict=True)
            for i, completion in enumerate(completions_R)
        )
        return SampledBout(attacked, responses, stats)

    def _request(self, bout: Bout, attack: Attack) -> GenerateRequest:
        images = tuple(self._store.get(image.blob) for image in attack.conversation.images())
        prompt = Prompt(attack.conversation, images)
        return GenerateRequest(prompt, bout.num_responses, bout.response_sampling, ids.random_seed(attack.attack_id))
