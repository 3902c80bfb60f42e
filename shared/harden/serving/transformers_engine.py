"""The engine that runs anywhere: any causal or image-text model that transformers loads, on CPU or GPU.

Faster than `generate()` for many samples of a prompt: each distinct prompt is computed once and its state then multiplied;
rows that end leave the batch; logits are computed for the last position only.

    P prompts, U distinct prompts, B rows in the batch, L padded prompt length, T tokens, V vocabulary
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from harden.serving import sampling
from harden.serving.decoding import Decoding, Move
from harden.serving.kv_cache import ATTENTION, RoomyCache
from harden.serving.model_files import ModelFiles
from harden.serving.ports import GenerateRequest, Prompt, Sample
from harden.serving.prompt_encoder import PromptEncoder


@dataclass(frozen=True)
class _State:
    """What a batch carries from token to token, one entry per row."""

    cache: Any
    logits_BV: torch.Tensor
    mask_BL: torch.Tensor  # of the prompt; 0 is padding
    next_position_B1: torch.Tensor
    bias_B11L: torch.Tensor | None  # mask_BL with room for the answer, as attention adds it; None: nothing to mask
    rope_delta_B1: torch.Tensor | None  # models whose positions have three axes

    def multiply(self, rows_B: torch.Tensor, room: int) -> "_State":
        """Row i becomes a copy of what row `rows_B[i]` is."""
        if isinstance(self.cache, RoomyCache):
            self.cache.multiply(rows_B, room)
        else:
            self.cache.reorder_cache(rows_B)
        return self._each(lambda per_row: per_row[rows_B])

    def shrink(self, move: Move) -> "_State":
        if isinstance(self.cache, RoomyCache):
            self.cache.shrink(move.num_rows, move.to, move.source)
        else:
            rows_B = torch.arange(len(self.mask_BL), device=move.to.device)
            self.cache.reorder_cache(move.apply(rows_B))
        return self._each(move.apply)

    def _each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "_State":
        return replace(
            self,
            logits_BV=change(self.logits_BV),
            mask_BL=change(self.mask_BL),
            next_position_B1=change(self.next_position_B1),
            bias_B11L=None if self.bias_B11L is None else change(self.bias_B11L),
            rope_delta_B1=None if self.rope_delta_B1 is None else change(self.rope_delta_B1),
        )


class TransformersEngine:
    """Implements Engine over a loaded model and its prompt encoder. `files`: where it was loaded from, if anywhere."""

    def __init__(self, model: Any, encoder: PromptEncoder, files: ModelFiles | None = None) -> None:
        self.model = model.eval()
        self.encoder = encoder
        self.files = files
        self.device: torch.device = model.device
        self.vocab_size: int = model.get_output_embeddings().weight.shape[0]
        generation = model.generation_config
        self._eos_ids = _as_list(generation.eos_token_id)
        self._penalty_V = sampling.ban(_as_list(generation.suppress_tokens), self.vocab_size, self.device)
        self._text_config = model.config.get_text_config(decoder=True)
        self._is_plain = _is_plain(model, self._text_config)
        if self._is_plain:
            _use_decode_attention(model)
        accepted = inspect.signature(model.forward).parameters
        self._keeps_logits = "logits_to_keep" in accepted
        self._takes_positions = "position_ids" in accepted

    def generate(self, requests: Sequence[GenerateRequest]) -> list[list[Sample]]:
        if not requests:
            return []
        decoding = Decoding(requests, self._eos_ids, self._penalty_V, self.device)
        for _ in self._steps(requests, decoding):
            pass
        return decoding.samples(self.encoder)

    def stream(self, request: GenerateRequest) -> Iterator[list[Sample]]:
        decoding = Decoding([request], self._eos_ids, self._penalty_V, self.device)
        for _ in self._steps([request], decoding):
            yield decoding.samples(self.encoder)[0]

    @torch.inference_mode()
    def logprobs(self, prompts: Sequence[Prompt], token_ids_PT: Sequence[Sequence[int]]) -> list[list[float]]:
        if not prompts:
            return []
        inputs = self._encode(prompts)
        width = max(len(ids) for ids in token_ids_PT)
        # Padded on the right of the answer, where causal attention keeps the padding out of everything before it.
        answers_PT = torch.tensor([[*ids, *[0] * (width - len(ids))] for ids in token_ids_PT], device=self.device)
        prompt_shape = inputs["input_ids"].shape
        for name, value in inputs.items():
            if value.shape == prompt_shape:  # runs along the prompt: ids, mask, token types
                tail = answers_PT if name == "input_ids" else torch.full_like(answers_PT, name == "attention_mask")
                inputs[name] = torch.cat([value, tail], dim=1)
        inputs |= self._positions(inputs["attention_mask"])
        kept = {"logits_to_keep": width + 1} if self._keeps_logits else {}
        logits_PTV = self.model(**inputs, use_cache=False, **kept).logits[:, -width - 1 : -1]
        log_PTV = sampling.log_distribution(logits_PTV, None, self._penalty_V)
        values_PT = log_PTV.gather(-1, answers_PT[..., None])[..., 0].tolist()
        return [values[: len(ids)] for values, ids in zip(values_PT, token_ids_PT, strict=True)]

    def _steps(self, requests: Sequence[GenerateRequest], decoding: Decoding) -> Iterator[None]:
        """Yields after every token until no row goes on. Whoever runs between two tokens is not in inference mode."""
        state, index_of_prompt = self._prefill([request.prompt for request in requests])
        rows = [index_of_prompt[request.prompt] for request in requests for _ in range(request.num_samples)]
        with torch.inference_mode():
            longest = max(request.sampling.max_tokens for request in requests)
            state = self._with_bias(state, longest).multiply(torch.tensor(rows, device=self.device), longest)
        while True:
            with torch.inference_mode():
                tokens_B = decoding.advance(state.logits_BV)
            yield
            move = decoding.keep()
            if move is not None:
                if not move.num_rows:
                    return
                with torch.inference_mode():
                    state, tokens_B = state.shrink(move), move.apply(tokens_B)
            state = self._step(state, tokens_B)

    @torch.inference_mode()
    def _prefill(self, prompts: Sequence[Prompt]) -> tuple[_State, dict[Prompt, int]]:
        index_of_prompt = {prompt: i for i, prompt in enumerate(dict.fromkeys(prompts))}
        inputs = self._encode(list(index_of_prompt))
        mask_UL = inputs["attention_mask"]
        num_layers = self._text_config.num_hidden_layers
        cache = RoomyCache(num_layers) if self._is_plain else DynamicCache(config=self._text_config)
        kept = {"logits_to_keep": 1} if self._keeps_logits else {}
        out = self.model(**inputs, **self._positions(mask_UL), past_key_values=cache, use_cache=True, **kept)
        state = _State(
            cache=cache,
            logits_BV=out.logits[:, -1],
            mask_BL=mask_UL,
            next_position_B1=mask_UL.sum(dim=1, keepdim=True),
            bias_B11L=None,
            rope_delta_B1=getattr(self.model.base_model, "rope_deltas", None),
        )
        return state, index_of_prompt

    def _with_bias(self, state: _State, max_tokens: int) -> _State:
        if not self._is_plain or bool(state.mask_BL.all()):
            return state
        dtype = self.model.dtype
        bias_BL = torch.zeros_like(state.mask_BL, dtype=dtype).masked_fill(state.mask_BL == 0, torch.finfo(dtype).min)
        bias_BL = torch.cat([bias_BL, bias_BL.new_zeros(len(bias_BL), max_tokens)], dim=1)
        return replace(state, bias_B11L=bias_BL[:, None, None, :])

    @torch.inference_mode()
    def _step(self, state: _State, tokens_B: torch.Tensor) -> _State:
        num_seen = state.cache.get_seq_length() + 1
        mask: torch.Tensor | None
        if self._is_plain:
            mask = None if state.bias_B11L is None else state.bias_B11L[..., :num_seen]
        else:
            mask = torch.nn.functional.pad(state.mask_BL, (0, num_seen - state.mask_BL.shape[1]), value=1)
        positions: dict[str, Any] = {}
        if state.rope_delta_B1 is not None:
            positions["position_ids"] = (state.rope_delta_B1 + num_seen - 1).expand(3, -1, -1)
        elif self._takes_positions:
            positions["position_ids"] = state.next_position_B1
        out = self.model(
            input_ids=tokens_B[:, None], attention_mask=mask, past_key_values=state.cache, use_cache=True, **positions
        )
        return replace(state, logits_BV=out.logits[:, -1], next_position_B1=state.next_position_B1 + 1)

    def _positions(self, mask_PL: torch.Tensor) -> dict[str, torch.Tensor]:
        """Of every token in its own row, padding not counted. A model whose positions have three axes makes its own."""
        if not self._takes_positions or hasattr(self.model.base_model, "rope_deltas"):
            return {}
        return {"position_ids": (mask_PL.cumsum(dim=1) - 1).clamp(min=0)}

    def _encode(self, prompts: Sequence[Prompt]) -> dict[str, torch.Tensor]:
        encoded = {name: value.to(self.device) for name, value in self.encoder.encode(prompts).items()}
        return {name: value.to(self.model.dtype) if value.is_floating_point() else value for name, value in encoded.items()}


def _as_list(ids: int | list[int] | None) -> list[int]:
    return [] if ids is None else [ids] if isinstance(ids, int) else list(ids)


def _is_plain(model: Any, text_config: Any) -> bool:
    """Whether every layer is full attention through transformers' attention interface, and nothing else has a state."""
    layers = DynamicCache(config=text_config).layers
    has_softcap = getattr(text_config, "attn_logit_softcapping", None) is not None
    return (
        model._supports_attention_backend
        and all(type(layer) is DynamicLayer for layer in layers)
        and len(layers) == text_config.num_hidden_layers
        and not has_softcap
        and not text_config.is_encoder_decoder
    )


def _use_decode_attention(model: Any) -> None:
    """For the language model only; an image tower keeps its own."""
    names = [name for name in model.config.sub_configs if getattr(model.config, name, None) is not None]
    text_names = [name for name in names if getattr(model.config, name) is model.config.get_text_config(decoder=True)]
    model.set_attn_implementation(dict.fromkeys(text_names, ATTENTION) if text_names else ATTENTION)
