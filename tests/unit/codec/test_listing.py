"""JSON for people: everything about an event but what somebody wrote, unless asked."""

import json

import pytest

from harden import codec
from harden.domain.conversation import Conversation
from harden.domain.events import Fact
from tests.support.facts import (
    a_dead_letter,
    a_judged_bout,
    a_recorded_bout,
    a_sampled_bout,
    a_seed,
    a_two_turn_bout,
    an_event,
    every_fact,
)


@pytest.mark.parametrize(("name", "fact"), list(every_fact()))
def test_every_event_is_json_with_its_name(name: str, fact: Fact) -> None:
    for reveal in (False, True):
        listed = json.loads(json.dumps(codec.to_json(an_event(fact), reveal=reveal), allow_nan=False))
        assert listed["event"].endswith("." + name.split(".")[0])
        assert listed.keys() == {"event", "meta", "fact"}


def test_content_is_hidden_until_somebody_asks() -> None:
    fact = a_recorded_bout("moonwater, please")
    hidden, revealed = (json.dumps(codec.to_json(an_event(fact), reveal=reveal)) for reveal in (False, True))
    assert "moonwater" not in hidden
    assert "nine drops" not in hidden
    assert "moonwater, please" in revealed
    assert "nine drops" in revealed


def test_tokens_are_content_and_log_probs_are_not() -> None:
    listed = codec.to_json(an_event(a_sampled_bout()))["fact"]["responses"][0]["completion"]
    assert listed["token_ids"] == {"hidden": 8}
    assert listed["text"] == {"hidden": 8}
    assert listed["logprobs"][1] == -0.125


def test_verdicts_stay_readable() -> None:
    listed = codec.to_json(an_event(a_judged_bout()))["fact"]
    assert listed["response_verdicts"][0]["answers"][1]["label"] == "full"
    assert listed["attack_verdicts"][0]["ballots"][0]["member"] == "oracle"


def test_what_a_policy_hides_and_why_a_judge_says_so_are_content() -> None:
    hidden, revealed = (json.dumps(codec.to_json(an_event(a_two_turn_bout()), reveal=reveal)) for reveal in (False, True))
    assert "moonwater" not in hidden
    assert "it says moonwater" in revealed
    assert '"hidden": "moonwater?"' in revealed
    assert '"depth": 2.0' in revealed


def test_dead_bytes_are_base64_when_revealed() -> None:
    assert codec.to_json(an_event(a_dead_letter()))["fact"]["value"] == {"hidden": 15}
    revealed = codec.to_json(an_event(a_dead_letter()), reveal=True)["fact"]
    assert revealed["value"] == "AP8gbm90IHByb3RvYnVm"
    assert revealed["offset"] == 1_234


def test_nothing_a_conversation_says_escapes() -> None:
    secret = "b" * 40
    fact = a_seed(secret, answer_key=secret)
    assert fact.conversation != Conversation.of_user(secret)
    assert secret not in json.dumps(codec.to_json(an_event(fact)))
