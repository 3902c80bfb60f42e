import io
import json
import random
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer

import harden.worlds.arena
from harden.worlds.arena import build, image, language
from harden.worlds.arena.language import Goal, Request
from harden.worlds.arena.tokenizer import SPECIAL_TOKENS, Encoder, build_processor, build_tokenizer, conversation
from harden.worlds.arena.world import world

ASSETS = Path(harden.worlds.arena.__file__).parent / "assets"
STEPS = build.BaseSteps(text=24, align=10, joint=4, push=4)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("arena")
    facts = build.build_base(root / "base", steps=STEPS, rows=12)
    return root / "base", facts


def test_the_fast_encoder_equals_template_and_tokenizer():
    processor = build_processor(build_tokenizer())
    encoder = Encoder(processor.tokenizer)
    rng = random.Random(0)
    for intent in [*language.INTENTS, "quote"]:
        for _ in range(8):
            text = language.render(language.sample(Goal(intent, rng.choice(world().potions).name), rng))
            prompt = processor.apply_chat_template(conversation(text), add_generation_prompt=True)
            ids, shown = encoder.prompt(text)
            pictures = [image.draw(word) for word in shown] or None
            seen = processor(text=prompt, images=pictures, add_special_tokens=False)["input_ids"]
            assert list(seen[0]) == ids


def test_a_decoded_attack_is_the_text_that_was_encoded():
    tokenizer = build_tokenizer()
    request = language.sample(Goal("brew", world().potions[0].name), random.Random(0), among=(("story", "image"),))
    text = language.render(request)
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"], skip_special_tokens=True) == text


def test_a_short_build_learns_and_loads_back_without_custom_code(built):
    directory, facts = built
    for first, last in facts["loss"].values():
        assert last < first
    assert json.loads((directory / "arena.json").read_text()) == facts
    model = AutoModelForImageTextToText.from_pretrained(directory, local_files_only=True)
    processor = AutoProcessor.from_pretrained(directory, local_files_only=True)
    text = language.render(Request(Goal("brew", world().potions[0].name), encoding="image"))
    prompt = processor.apply_chat_template(conversation(text), add_generation_prompt=True)
    picture = Image.open(io.BytesIO(image.render(world().potions[0].name)))
    inputs = processor(text=prompt, images=[picture], return_tensors="pt", add_special_tokens=False)
    assert inputs["pixel_values"].shape == (1, 3, image.SIZE, image.SIZE)
    out = model.generate(**inputs, max_new_tokens=8)
    special = set(processor.tokenizer.convert_tokens_to_ids(list(SPECIAL_TOKENS))) - {processor.tokenizer.eos_token_id}
    assert not special & set(out[0, inputs["input_ids"].shape[1] :].tolist())


def test_seed_defender_and_attacker_build_from_there(built, tmp_path):
    facts = build.build_seed_defender(tmp_path / "defender", base_dir=built[0], steps=8, rows=12)
    assert facts["loss"]["sft"][1] < facts["loss"]["sft"][0]
    facts = build.build_attacker(tmp_path / "attacker", steps=12, rows=8)
    assert facts["loss"]["sft"][1] < facts["loss"]["sft"][0]
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "attacker", local_files_only=True).num_parameters() < 1e6


def test_an_attacker_never_learns_from_what_is_held_out():
    from harden.worlds.arena.suites import is_held_out

    encoder, rng = Encoder(build_tokenizer()), random.Random(0)
    held_out = {p.name for p in world().select(held_out=True)}
    for _ in range(500):
        example = build.attacker_example(encoder, rng)
        asked, text = encoder.decode(example.prompt[1:-1]), encoder.decode(example.answer)
        assert not is_held_out(text)
        assert not held_out & set(asked.split())


@pytest.mark.parametrize("name", ["base", "seed_defender", "attacker"])
def test_shipped_models_load_and_say_what_they_are(name):
    facts = json.loads((ASSETS / name / "arena.json").read_text())
    auto = AutoModelForCausalLM if name == "attacker" else AutoModelForImageTextToText
    model = auto.from_pretrained(ASSETS / name, local_files_only=True)
    assert sum(p.numel() for p in model.parameters()) == facts["parameters"]
    assert (
        len(AutoTokenizer.from_pretrained(ASSETS / name, local_files_only=True)) == model.get_input_embeddings().num_embeddings
    )


def test_the_shipped_defender_answers_plain_ordinary_requests_and_refuses_restricted_ones():
    model = AutoModelForImageTextToText.from_pretrained(ASSETS / "seed_defender", local_files_only=True)
    encoder = Encoder(AutoTokenizer.from_pretrained(ASSETS / "seed_defender", local_files_only=True))
    restricted, ordinary = world().select(restricted=True)[:10], world().select(restricted=False)[:10]
    requests = [Request(Goal("brew", p.name)) for p in (*restricted, *ordinary)]
    answers = build.answer_greedily(model, encoder, [language.render(r) for r in requests])
    assert answers[:10] == [language.REFUSAL] * 10
    assert answers[10:] == [language.answer(r) for r in requests[10:]]


def test_a_loaded_tokenizer_reads_a_rendered_conversation_as_training_did(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from harden.worlds.arena.tokenizer import Encoder, build_tokenizer, conversation

    build_tokenizer().save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    text = "play the court alchemist . who first brewed " + "it"
    rendered = loaded.apply_chat_template(conversation(text), tokenize=False, add_generation_prompt=True)
    assert loaded(rendered, add_special_tokens=False).input_ids == Encoder(loaded).prompt(text)[0]
