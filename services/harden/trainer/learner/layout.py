"""Prompts and their answers as rows of tokens: what one forward pass reads, and where each answer token is predicted.

Shapes:
    B   rows of a pass: a prompt followed by the prefix tree of (some of) its answers
    L   positions of the longest row; shorter rows are padded on the right
    U   positions that predict something
    N   answer tokens, one answer after another, in the order of `Row.members`
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from harden.trainer.core.merge import PROMPT, PrefixTree, prefix_tree, split_to_fit

# How many (query, key) pairs of attention cost as much as one position of everything else, per hidden unit. Measured on
# CPU at width 128 on attacks, hardly two alike: 8 takes 6 to 10 % less than 24, 3 gains no more and 1 loses. By arithmetic
# alone it would be six (24 H^2 against 4 H).
PAIRS_PER_POSITION_AND_UNIT = 8.0


@dataclass(frozen=True, slots=True)
class EncodedPrompt:
    """`extras` is what the processor made besides tokens (pixel values), one entry along dimension 0 per image or prompt."""

    token_ids: tuple[int, ...]
    extras: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """`members[i]` is the caller's number of the tree's i-th answer, whose tokens are `answers[i]`."""

    prompt: EncodedPrompt
    tree: PrefixTree
    members: tuple[int, ...]
    answers: tuple[Sequence[int], ...]
    temperature: float

    def __len__(self) -> int:
        return len(self.prompt.token_ids) + len(self.tree)

    @property
    def is_chain(self) -> bool:
        return all(parent == node - 1 for node, parent in enumerate(self.tree.parents))


@dataclass(frozen=True, slots=True)
class Pass:
    """`mask_BLL` (additive) is None where every row is a chain: then the causal mask is equivalent."""

    members: tuple[int, ...]
    lengths: tuple[int, ...]
    input_ids_BL: Tensor
    position_ids_BL: Tensor
    is_token_BL: Tensor
    mask_BLL: Tensor | None
    predictors_U: Tensor  # into the flattened B * L positions
    temperature_U: Tensor
    predictor_of_N: Tensor  # into U
    targets_N: Tensor
    extras: Mapping[str, Tensor]


def tree_rows(
    prompt: EncodedPrompt, members: Sequence[int], answers: Sequence[Sequence[int]], temperature: float, hidden_size: int
) -> Iterator[Row]:
    """The answers in as many rows as make the whole cheapest."""
    for part in split_to_fit(answers, cheapest_nodes(len(prompt.token_ids), hidden_size)):
        yield _row(prompt, members, answers, temperature, part)


def cheapest_nodes(prompt_length: int, hidden_size: int) -> int:
    """Tree nodes per row at which computing the prompt again costs what attention across strangers does.

    The minimum over x of ((P + x)^2 a + P b) / x, with a the cost of a pair and b that of a position.
    """
    pairs_per_position = PAIRS_PER_POSITION_AND_UNIT * hidden_size
    return max(1, round(math.sqrt(prompt_length**2 + prompt_length * pairs_per_position)))


def plain_rows(
    prompt: EncodedPrompt, members: Sequence[int], answers: Sequence[Sequence[int]], temperature: float
) -> Iterator[Row]:
    """One row for each distinct answer."""
    alike: dict[tuple[int, ...], list[int]] = {}
    for index, answer in enumerate(answers):
        alike.setdefault(tuple(answer), []).append(index)
    for part in alike.values():
        yield _row(prompt, members, answers, temperature, part)


def _row(
    prompt: EncodedPrompt, members: Sequence[int], answers: Sequence[Sequence[int]], temperature: float, part: Sequence[int]
) -> Row:
    chosen = tuple(answers[i] for i in part)
    return Row(prompt, prefix_tree(chosen), tuple(members[i] for i in part), chosen, temperature)


def passes(rows: Sequence[Row], max_tokens: int, pad_id: int, device: torch.device) -> list[Pass]:
    """Rows by length, cut so that no pass has more than `max_tokens` padded positions; one row is never cut."""
    cuts: list[list[Row]] = []
    for row in sorted(rows, key=len):
        # Rows come in order of length, so this one is the longest of its pass.
        if cuts and (len(cuts[-1]) + 1) * len(row) <= max_tokens:
            cuts[-1].append(row)
        else:
            cuts.append([row])
    return [_pass(cut, pad_id, device) for cut in cuts]


def _pass(rows: Sequence[Row], pad_id: int, device: torch.device) -> Pass:
    num_rows, longest = len(rows), max(map(len, rows))
    input_ids_BL = np.full((num_rows, longest), pad_id, np.int64)
    position_ids_BL = np.tile(np.arange(longest), (num_rows, 1))
    is_token_BL = np.zeros((num_rows, longest), np.int64)
    predictors: list[int] = []
    predictor_of: list[int] = []
    temperatures: list[float] = []
    for b, row in enumerate(rows):
        start = len(row.prompt.token_ids)
        input_ids_BL[b, :start] = row.prompt.token_ids
        input_ids_BL[b, start : len(row)] = row.tree.tokens
        position_ids_BL[b, start : len(row)] = start + np.asarray(row.tree.depths, np.int64)
        is_token_BL[b, : len(row)] = 1
        # Predictors of a row: the prompt's last token, then every node; a node is there because it predicts.
        first = len(predictors)
        predictors.extend(range(b * longest + start - 1, b * longest + len(row)))
        temperatures.extend([row.temperature] * (len(row.tree) + 1))
        predictor_of.extend(first + 1 + source for path in row.tree.sources for source in path)
    mask_BLL = None if all(row.is_chain for row in rows) else _tree_mask(rows, longest)
    return Pass(
        members=tuple(member for row in rows for member in row.members),
        lengths=tuple(len(answer) for row in rows for answer in row.answers),
        input_ids_BL=torch.from_numpy(input_ids_BL).to(device),
        position_ids_BL=torch.from_numpy(position_ids_BL).to(device),
        is_token_BL=torch.from_numpy(is_token_BL).to(device),
        mask_BLL=None if mask_BLL is None else torch.from_numpy(mask_BLL).to(device),
        predictors_U=torch.tensor(predictors, device=device),
        temperature_U=torch.tensor(temperatures, device=device),
        predictor_of_N=torch.tensor(predictor_of, device=device),
        targets_N=torch.tensor([t for row in rows for answer in row.answers for t in answer], device=device),
        extras=_extras(rows, longest, device),
    )


def _tree_mask(rows: Sequence[Row], longest: int) -> np.ndarray:
    """0 where a position may look, else the most negative number: at the prompt, its ancestors and itself."""
    sees_BLL = np.zeros((len(rows), longest, longest), bool)
    by_depth: dict[int, list[tuple[int, int, int]]] = {}
    for b, row in enumerate(rows):
        start = len(row.prompt.token_ids)
        sees_BLL[b, :start, :start] = np.tri(start, dtype=bool)
        for node, (parent, depth) in enumerate(zip(row.tree.parents, row.tree.depths, strict=True)):
            at = start - 1 if parent == PROMPT else start + parent
            by_depth.setdefault(depth, []).append((b, start + node, at))
    for depth in sorted(by_depth):
        row_index, node_index, parent_index = np.array(by_depth[depth]).T
        sees_BLL[row_index, node_index] = sees_BLL[row_index, parent_index]
        sees_BLL[row_index, node_index, node_index] = True
    # Padding attends to itself, since attention over no position is NaN.
    diagonal = np.arange(longest)
    sees_BLL[:, diagonal, diagonal] = True
    return np.where(sees_BLL, np.float32(0), np.finfo(np.float32).min)


def _extras(rows: Sequence[Row], longest: int, device: torch.device) -> dict[str, Tensor]:
    """Of all rows, in order. What is as long as the prompt describes its tokens and is padded with them."""
    together: dict[str, list[Tensor]] = {}
    for row in rows:
        for name, value in row.prompt.extras.items():
            if value.ndim == 2 and value.shape == (1, len(row.prompt.token_ids)):
                value = torch.nn.functional.pad(value, (0, longest - value.shape[1]))
            together.setdefault(name, []).append(value)
    return {name: torch.cat(values).to(device) for name, values in together.items()}
