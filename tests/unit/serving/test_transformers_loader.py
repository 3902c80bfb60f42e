"""Kinds of models the engine was not written around, and swaps between policies of one kind."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from harden.domain.completion import Sampling
from harden.serving.ports import GenerateRequest
from harden.serving.probe import check_probe, make_probe
from harden.serving.transformers_engine import TransformersEngine
from harden.serving.transformers_loader import TransformersLoader
from tests.support.tiny_models import TEXT_TEMPLATE, a_prompt, a_text_model, a_tokenizer, some_prompts

SMALL = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
SMALL |= {"initializer_range": 0.2}
ROUNDING = 2e-4


def llama_with_shared_heads(vocab_size: int) -> PreTrainedModel:
    return LlamaForCausalLM(LlamaConfig(vocab_size=vocab_size, num_key_value_heads=2, tie_word_embeddings=True, **SMALL))


def qwen2(vocab_size: int) -> PreTrainedModel:
    return Qwen2ForCausalLM(Qwen2Config(vocab_size=vocab_size, num_key_value_heads=2, **SMALL))


def mistral_with_a_sliding_window(vocab_size: int) -> PreTrainedModel:
    return MistralForCausalLM(MistralConfig(vocab_size=vocab_size, num_key_value_heads=2, sliding_window=8, **SMALL))


def gemma3_with_mixed_layers(vocab_size: int) -> PreTrainedModel:
    kinds = ["sliding_attention", "full_attention"]
    config = Gemma3TextConfig(
        vocab_size=vocab_size, num_key_value_heads=2, head_dim=16, sliding_window=8, layer_types=kinds, **SMALL
    )
    return Gemma3ForCausalLM(config)


def gpt2(vocab_size: int) -> PreTrainedModel:
    return GPT2LMHeadModel(GPT2Config(vocab_size=vocab_size, n_embd=64, n_layer=2, n_head=4, initializer_range=0.2))


KINDS = [llama_with_shared_heads, qwen2, mistral_with_a_sliding_window, gemma3_with_mixed_layers, gpt2]


@pytest.fixture(params=KINDS, ids=[kind.__name__ for kind in KINDS])
def other_engine(request: pytest.FixtureRequest, tmp_path: Path) -> TransformersEngine:
    torch.manual_seed(0)
    tokenizer = a_tokenizer(TEXT_TEMPLATE)
    model = request.param(len(tokenizer))
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    return TransformersLoader(num_threads=1).load(tmp_path)


def test_greedy_is_what_transformers_generates_for_every_kind_of_model(other_engine: TransformersEngine) -> None:
    prompts = some_prompts(5, longest=24)
    ours = other_engine.generate([GenerateRequest(prompt, 2, Sampling(12, 0.0), 0) for prompt in prompts])
    for prompt, samples in zip(prompts, ours, strict=True):
        inputs = other_engine.encoder.encode([prompt])
        inputs.pop("token_type_ids", None)
        theirs = other_engine.model.generate(**inputs, do_sample=False, max_new_tokens=12)[0, inputs["input_ids"].shape[1] :]
        assert [list(sample.token_ids) for sample in samples] == [theirs.tolist()] * 2


def test_log_probs_while_sampling_equal_those_of_scoring_for_every_kind_of_model(other_engine: TransformersEngine) -> None:
    requests = [GenerateRequest(prompt, 3, Sampling(12), i) for i, prompt in enumerate(some_prompts(5, longest=24))]
    for request, samples in zip(requests, other_engine.generate(requests), strict=True):
        scored = other_engine.logprobs([request.prompt] * 3, [sample.token_ids for sample in samples])
        for sample, values in zip(samples, scored, strict=True):
            assert sample.logprobs == pytest.approx(values, abs=ROUNDING)


def test_weights_of_the_same_kind_take_over_the_processor_and_nothing_else(
    image_text_engine: TransformersEngine, image_text_model: Path, tmp_path: Path
) -> None:
    before = make_probe(image_text_engine, [a_prompt("w1 w2"), a_prompt("w3")])
    directory = tmp_path / "other"
    shutil.copytree(image_text_model, directory)
    image_text_engine.model.save_pretrained(tmp_path / "saved")
    shutil.copy(tmp_path / "saved" / "model.safetensors", directory)
    swapped = TransformersLoader().load(directory, like=image_text_engine)
    assert swapped.encoder is image_text_engine.encoder
    assert check_probe(swapped, before) == 0.0
    with torch.no_grad():
        for parameter in swapped.model.parameters():
            parameter.mul_(1.1)
    assert check_probe(image_text_engine, before) == 0.0


def test_a_swap_keeps_the_number_type_the_model_is_served_in(text_model: Path, tmp_path: Path) -> None:
    directories = [tmp_path / "first", tmp_path / "second"]
    for directory in directories:
        shutil.copytree(text_model, directory)
        config = json.loads((directory / "config.json").read_text())
        # Trained and published in float32, served in half of that.
        (directory / "config.json").write_text(json.dumps(config | {"dtype": "bfloat16"}))
    first = TransformersLoader().load(directories[0])
    second = TransformersLoader().load(directories[1], like=first)
    assert second.encoder is first.encoder
    assert {parameter.dtype for parameter in second.model.parameters()} == {torch.bfloat16}
    request = GenerateRequest(a_prompt(), 2, Sampling(4), 0)
    assert first.generate([request]) == second.generate([request])


def test_a_swap_between_kinds_loads_everything_anew(image_text_engine: TransformersEngine, tmp_path: Path) -> None:
    text = TransformersLoader().load(a_text_model(tmp_path, num_layers=2, hidden=64), like=image_text_engine)
    assert text.encoder.processor is None
