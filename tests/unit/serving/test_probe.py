"""The tolerance of a number format tells two correct implementations from two models."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from harden.domain.errors import PoisonError
from harden.serving.probe import check_probe, make_probe, tolerance_of
from harden.serving.transformers_engine import TransformersEngine
from harden.serving.transformers_loader import TransformersLoader
from tests.support.tiny_models import a_text_model, some_prompts

FORMATS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def an_engine(directory: Path, number_format: str, random_seed: int) -> TransformersEngine:
    engine = TransformersLoader().load(a_text_model(directory, random_seed=random_seed, num_layers=2, hidden=64))
    engine.model.to(FORMATS[number_format])
    return engine


@pytest.mark.parametrize("number_format", FORMATS)
def test_another_batch_shape_and_another_attention_pass(tmp_path: Path, number_format: str) -> None:
    engine = an_engine(tmp_path, number_format, 1)
    probe = make_probe(engine, some_prompts(6), number_format=number_format)
    assert probe.tolerance == tolerance_of(number_format)
    for prompt in probe.prompts:
        check_probe(engine, replace(probe, prompts=(prompt,)))
    engine.model.set_attn_implementation("eager")
    check_probe(engine, probe)


@pytest.mark.parametrize("number_format", FORMATS)
def test_other_weights_do_not(tmp_path: Path, number_format: str) -> None:
    probe = make_probe(an_engine(tmp_path / "one", number_format, 1), some_prompts(6), number_format=number_format)
    with pytest.raises(PoisonError, match="log-probs differ"):
        check_probe(an_engine(tmp_path / "other", number_format, 2), probe)


def test_a_format_that_nobody_measured_has_no_tolerance() -> None:
    with pytest.raises(ValueError, match="float16, only for float32, bfloat16"):
        tolerance_of("float16")
