"""The attention state of a batch whose rows multiply once (samples of a prompt) and leave one by one (ended answers).

B rows, H key heads, L positions, D head size
"""

from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.cache_utils import Cache, CacheLayerMixin
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

ATTENTION = "harden_decode"
# Room is taken in pieces: one copy per this many tokens, while a request that stops early does not pay for its limit.
GROWTH = 64


class RoomyLayer(CacheLayerMixin):
    """Keys and values in a buffer with room ahead, so that a token is written in place instead of copying all before it."""

    is_sliding = False

    def __init__(self) -> None:
        super().__init__()
        self.length = 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        self.dtype, self.device = key_states.dtype, key_states.device
        self.keys, self.values = key_states[:, :, :0], value_states[:, :, :0]
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        end = self.length + key_states.shape[-2]
        if self.length == 0:
            # The prompt: kept as it is until the rows multiply, which copies it once anyway.
            self.keys, self.values, self.is_initialized, self.length = key_states, value_states, True, end
            return key_states, value_states
        if end > self.keys.shape[-2]:
            self.keys, self.values = _roomy(self.keys, GROWTH), _roomy(self.values, GROWTH)
        self.keys[:, :, self.length : end] = key_states
        self.values[:, :, self.length : end] = value_states
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def multiply(self, rows_B: torch.Tensor, room: int) -> None:
        """Row i becomes a copy of what row `rows_B[i]` was, with room for more positions."""
        self.keys, self.values = _roomy(self.keys[rows_B], room), _roomy(self.values[rows_B], room)

    def shrink(self, num_rows: int, to: torch.Tensor, source: torch.Tensor) -> None:
        """Only the first `num_rows` rows stay; before that, row `source[i]` moves to `to[i]`. The rest is not touched."""
        for states in (self.keys, self.values):
            used = states[:, :, : self.length]
            used[to] = used[source]
        self.keys, self.values = self.keys[:num_rows], self.values[:num_rows]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.length + query_length, 0

    def get_seq_length(self) -> int:
        return self.length

    def get_max_length(self) -> int:
        return -1


class RoomyCache(Cache):
    def __init__(self, num_layers: int) -> None:
        super().__init__(layers=[RoomyLayer() for _ in range(num_layers)])

    def multiply(self, rows_B: torch.Tensor, room: int) -> None:
        for layer in self.layers:
            layer.multiply(rows_B, min(room, GROWTH))

    def shrink(self, num_rows: int, to: torch.Tensor, source: torch.Tensor) -> None:
        for layer in self.layers:
            layer.shrink(num_rows, to, source)


def _roomy(states_BHLD: torch.Tensor, room: int) -> torch.Tensor:
    batch, heads, length, size = states_BHLD.shape
    roomy = states_BHLD.new_empty(batch, heads, length + room, size)
    roomy[:, :, :length] = states_BHLD
    return roomy


def attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Two matrix products for one new token a row on a CPU, where torch's fused kernel takes four times as long; else fused."""
    if query.shape[2] != 1 or query.device.type != "cpu":
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
    batch, num_heads, _, size = query.shape
    key_heads = key.shape[1]
    # Query heads that share a key head become its rows: nothing is repeated in memory.
    grouped = query.reshape(batch, key_heads, num_heads // key_heads, size)
    scores = torch.matmul(grouped * (size**-0.5 if scaling is None else scaling), key.transpose(2, 3))
    if attention_mask is not None:
        scores = scores + attention_mask
    out = torch.matmul(torch.softmax(scores, dim=-1), value)
    return out.reshape(batch, 1, num_heads, size), None


AttentionInterface.register(ATTENTION, attention)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)
