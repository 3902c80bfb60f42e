"""From a model directory to an engine. What does not fit exactly is refused: `from_pretrained` alone would invent weights."""

import copy
import threading
import weakref
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText
from transformers.core_model_loading import revert_weight_conversion
from transformers.utils import logging as transformers_logging

from harden.domain.errors import PoisonError
from harden.domain.policy import RefusalReason
from harden.serving import adapters
from harden.serving.model_files import ModelFiles, examine
from harden.serving.ports import Engine
from harden.serving.prompt_encoder import PromptEncoder
from harden.serving.transformers_engine import TransformersEngine

NAMED_IN_A_REFUSAL = 3
# transformers and peft change global state while they load (initialisers, default dtype), so slots load one at a time.
_GLOBAL_STATE = threading.Lock()


@dataclass(frozen=True)
class _Shell:
    """A model whose weights can be exchanged. `names`: name in a weight file -> name in the model; None where saving does more
    than rename, so that they cannot."""

    model: Any
    names: Mapping[str, str] | None
    files: ModelFiles

    def strip(self) -> None:
        """Gives the memory of the weights back."""
        for module in self.model.modules():
            for name, parameter in module._parameters.items():
                if parameter is not None:
                    module._parameters[name] = torch.nn.Parameter(parameter.to("meta"), False)


class TransformersLoader:
    """Implements EngineLoader. `num_threads` is for the whole process; None leaves torch's own choice.

    The model of an engine that is gone is filled again, so who needs a model holds its engine. Making another one takes the
    interpreter from the requests that are answered meanwhile, about four times as long as exchanging weights.
    """

    def __init__(self, device: str = "cpu", num_threads: int | None = None) -> None:
        self._device = torch.device(device)
        self._spare: deque[_Shell] = deque(maxlen=1)
        if num_threads is not None:
            torch.set_num_threads(num_threads)
        # A swap is no event for people's terminals.
        transformers_logging.disable_progress_bar()

    def load(self, directory: Path, like: Engine | None = None, adapter: Path | None = None) -> TransformersEngine:
        """Raises PoisonError with a RefusalReason."""
        files = examine(directory)
        added = adapters.read(adapter) if adapter else None
        shell, encoder = self._like(like, files) or self._new(files)
        if added is not None:
            with _GLOBAL_STATE:
                adapters.merge(added, shell.model, self._device)
        engine = TransformersEngine(shell.model, encoder, files)
        if shell.names is not None:
            weakref.finalize(engine, _take_back, weakref.ref(self._spare), shell).atexit = False
        return engine

    def _like(self, like: Engine | None, files: ModelFiles) -> tuple[_Shell, PromptEncoder] | None:
        """A filled model of `like`'s kind and its processor; None where the files are of another kind."""
        if not isinstance(like, TransformersEngine) or like.files is None or not like.files.is_alike(files):
            return None
        shell = self._spare_for(files) or _copy(like, files)
        return (shell, like.encoder) if shell is not None and _fill(shell, like, self._device) else None

    def _spare_for(self, files: ModelFiles) -> _Shell | None:
        try:
            spare = self._spare.pop()
        except IndexError:
            return None
        return replace(spare, files=files) if spare.files.is_alike(files) else None

    def _new(self, files: ModelFiles) -> tuple[_Shell, PromptEncoder]:
        directory = files.directory
        try:
            config = AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
            sees_images = getattr(config, "vision_config", None) is not None
            auto: Any = AutoModelForImageTextToText if sees_images else AutoModelForCausalLM
            encoder = PromptEncoder(directory, sees_images=sees_images)
            with _GLOBAL_STATE:
                model, report = auto.from_pretrained(
                    directory,
                    config=config,
                    dtype="auto",
                    local_files_only=True,
                    trust_remote_code=False,
                    use_safetensors=True,
                    ignore_mismatched_sizes=True,  # reported, and refused below with the names
                    output_loading_info=True,
                )
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
            raise PoisonError(RefusalReason.UNLOADABLE, f"{type(error).__name__}: {str(error)[:500]}") from error
        _refuse_misfits(report)
        adapters.refuse_infinite(model.state_dict())
        num_rows = model.get_input_embeddings().weight.shape[0]
        if encoder.vocab_size > num_rows:
            detail = f"the tokenizer knows {encoder.vocab_size} tokens, the weights {num_rows}"
            raise PoisonError(RefusalReason.WRONG_VOCABULARY, detail)
        return _Shell(model.to(self._device), _names_in_files(model), files), encoder


def _take_back(spare: "weakref.ref[deque[_Shell]]", shell: _Shell) -> None:
    """Keeps the model of an engine that is gone for the next policy, where its loader is still there to load one."""
    kept = spare()
    if kept is not None:
        shell.strip()
        kept.append(shell)


def _copy(like: TransformersEngine, files: ModelFiles) -> _Shell | None:
    """A second model, without weights, for those of `files`; None where the names do not map one to one."""
    names = _names_in_files(like.model)
    if names is None or not set(files.specs) <= set(names):
        return None
    # Everything but the weights is copied, buffers that no file holds included.
    parameters = {id(p): torch.nn.Parameter(torch.empty_like(p, device="meta"), False) for p in like.model.parameters()}
    return _Shell(copy.deepcopy(like.model, dict(parameters)), names, files)


def _fill(shell: _Shell, like: TransformersEngine, device: torch.device) -> bool:
    """Puts the weights of the shell's files into it. False where that leaves some without a value."""
    assert shell.names is not None  # others are not kept
    # Files may hold another number type than the model is served in.
    types = {name: tensor.dtype for name, tensor in like.model.state_dict().items()}
    tensors: dict[str, torch.Tensor] = {}
    try:
        for path in shell.files.weights:
            for name, tensor in load_file(path, device=str(device)).items():
                tensors[shell.names[name]] = tensor.to(types[shell.names[name]])
    except SafetensorError as error:
        raise PoisonError(RefusalReason.UNLOADABLE, str(error)) from error
    adapters.refuse_infinite(tensors)
    shell.model.load_state_dict(tensors, strict=False, assign=True)
    shell.model.tie_weights()
    return not any(p.is_meta for p in shell.model.parameters())


def _names_in_files(model: Any) -> dict[str, str] | None:
    """Name in a file -> name in the model, where saving only renames."""
    state = model.state_dict()
    name_of = {id(tensor): name for name, tensor in state.items()}
    renamed = revert_weight_conversion(model, dict(state))
    names = {in_file: name_of.get(id(tensor)) for in_file, tensor in renamed.items()}
    if None in names.values():
        return None
    return {in_file: name for in_file, name in names.items() if name is not None}


def _refuse_misfits(report: dict[str, Iterable[Any]]) -> None:
    for kind in ("mismatched_keys", "missing_keys", "unexpected_keys"):
        names = sorted(key[0] if isinstance(key, tuple) else str(key) for key in report.get(kind, ()))
        if names:
            some = ", ".join(names[:NAMED_IN_A_REFUSAL])
            detail = f"{len(names)} tensors are {kind.removesuffix('_keys')}, such as {some}"
            raise PoisonError(RefusalReason.WRONG_SHAPES, detail)
