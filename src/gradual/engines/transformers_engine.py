"""Reads forests of tokens with a Hugging Face causal language model.

A tree is read by `tree_forest` where the model takes a mask for every pair of tokens, which is found out by trying it,
and path by path by `path_forest` where not.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from gradual.config.run import ProbeConfig
from gradual.engines.engine import Forest, ReadCost
from gradual.engines.next_tokens import top_tokens
from gradual.engines.path_forest import PathForest
from gradual.engines.reader import TOKENS_PER_PASS, Reader
from gradual.engines.texts import Texts, stop_tokens
from gradual.engines.token_tree import ROOT
from gradual.engines.tree_attention import MaskKinds
from gradual.engines.tree_forest import TreeForest
from gradual.engines.vocabulary import read_vocabulary
from gradual.errors import GradualError, OutOfMemoryError
from gradual.facts.prompts import PromptStyle
from gradual.models.load import LoadedModel

_UNIT_MEMORY_SHARE = 0.2
"""Share of a GPU's memory that the keys and values of a unit may take. The last rounds of a unit read few tokens and
leave a GPU idle: the larger units are, the rarer."""
_TOKENS_OF_A_UNIT = 32_000
"""Tokens of a unit that suits a CPU, with room for long prompts."""
_LARGEST_SCALE = 16
"""Units are at most so many times as large: an interrupted probe loses one."""
_CHECK_TOLERANCE = {torch.float32: 1e-3}
_CHECK_TOLERANCE_16_BIT = 0.03
"""Largest difference that rounding may make between two ways of reading, as a share of the logits' range."""


_MODEL_FAILURES = (AssertionError, AttributeError, GradualError, LookupError, RuntimeError, TypeError, ValueError)
"""How models fail that do not expect a mask for every pair of tokens."""
_CHECK_TEXTS = (
    "Q: Which is the first?\nA: this one",
    "Q: Which is the first?\nA: this two",
    "Q: Which is the second of them?\nA: that one",
    "Q: Which is the second of them?\nA: that!",
)
"""Read in this order: where a fork lies near the end, a model that heeds no mask shows what it should not have seen."""
_READS_TREES: weakref.WeakKeyDictionary[Any, bool] = weakref.WeakKeyDictionary()
"""What `reads_trees` has found, by base model: a property of its architecture, which no adapter changes."""


class TransformersEngine:
    """An `Engine` over a loaded model. Sees the model's weights as they are at each read, adapters included."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded = loaded
        self.model = loaded.model
        self.fingerprint: Mapping[str, str] = loaded.fingerprint
        self.vocabulary = read_vocabulary(
            loaded.tokenizer, stop_tokens(loaded.model.generation_config, loaded.tokenizer)
        )
        self.reader = Reader(
            self.model,
            MaskKinds(self.model.config),
            loaded.tokenizer.pad_token_id,
            TOKENS_PER_PASS.get(self.model.device.type, TOKENS_PER_PASS["cuda"]),
        )
        self.unit_scale = 1
        self.reads_ahead, self.noise = True, 0.0
        if self.model.device.type == "cuda":
            memory = torch.cuda.get_device_properties(self.model.device).total_memory
            self.unit_scale = scale_that_fits(self.model.config, memory, self.model.dtype.itemsize)
        self._texts = Texts(loaded.tokenizer, loaded.source)

    def encode(self, texts: Sequence[str], *, add_special_tokens: bool) -> list[list[int]]:
        """See `Engine`."""
        return self._texts.encode(texts, add_special_tokens=add_special_tokens)

    def prompt_style(self, settings: ProbeConfig) -> PromptStyle:
        """See `Engine` and `Texts.prompt_style`, which may raise."""
        return self._texts.prompt_style(settings)

    @property
    def reads_trees(self) -> bool:
        """Whether the model takes the mask and positions of a tree; see `reads_trees`."""
        return reads_trees(self.loaded)

    def new_forest(self, num_rows: int, *, top_k: int) -> Forest:
        """See `Engine`."""
        return (
            TreeForest(self.reader, num_rows, top_k) if self.reads_trees else PathForest(self.reader, num_rows, top_k)
        )

    def cost(self) -> ReadCost:
        """See `Engine`."""
        return self.reader.cost


def scale_that_fits(config: Any, memory: int, bytes_per_number: int) -> int:
    """The `unit_scale` of an `Engine` on a GPU; 1 where a config doesn't tell of attention heads that all layers share.

    Args:
        config: the model's.
        memory: bytes of the whole device, not those that are free: a probe that is gone on with has the same units.
        bytes_per_number: of a key or value.
    """
    numbers = numbers_per_token(config.get_text_config())
    if not numbers:
        return 1
    room = _UNIT_MEMORY_SHARE * memory / (numbers * bytes_per_number * _TOKENS_OF_A_UNIT)
    return max(1, min(_LARGEST_SCALE, int(room)))


def numbers_per_token(config: Any) -> int | None:
    """Numbers in the keys and values of one token."""
    try:
        heads = config.num_attention_heads
        key_heads = getattr(config, "num_key_value_heads", None) or heads
        width = getattr(config, "head_dim", None) or config.hidden_size // heads
        return int(2 * config.num_hidden_layers * key_heads * width)
    except (AttributeError, RuntimeError, TypeError, ZeroDivisionError):  # heads of their own for some layers, or none
        return None


def reads_trees(loaded: LoadedModel) -> bool:
    """Whether the model takes the mask and positions of a tree: short texts read so are held against plain passes.

    Found out once per base model.

    Raises:
        ProbeError: a logit of a plain pass is NaN.
    """
    model = loaded.model
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    if base not in _READS_TREES:
        _READS_TREES[base] = _try_reading_trees(loaded)
    return _READS_TREES[base]


def reading_warnings(loaded: LoadedModel) -> list[str]:
    """What a user should know about how this model is read, before it takes long."""
    if reads_trees(loaded):
        return []
    name = loaded.model.config.model_type
    if quantization := loaded.fingerprint.get("quantization"):
        name += f", {quantization}"
    return [f"this architecture ({name}) does not take tree masks: questions are read one by one, slower"]


def _try_reading_trees(loaded: LoadedModel) -> bool:
    engine = TransformersEngine(loaded)
    paths = engine.encode(_CHECK_TEXTS, add_special_tokens=True)
    with torch.inference_mode():
        plain = [loaded.model(torch.tensor([path], device=loaded.model.device)).logits[0, -1].float() for path in paths]
    top_tokens(torch.stack(plain), 1)  # refuses what is not a number, however it is read
    if not engine.reader.masks.are_known:
        return False
    exact = not getattr(loaded.model, "is_loaded_in_8bit", False)  # its activations are rounded by the pass they are in
    tolerance = _CHECK_TOLERANCE.get(loaded.model.dtype if exact else None, _CHECK_TOLERANCE_16_BIT)
    forest = TreeForest(engine.reader, 1, 10)
    try:
        next_tokens = forest.read([(0, forest.trees[0].add(ROOT, path)[-1]) for path in paths])
    except (OutOfMemoryError, torch.OutOfMemoryError):
        raise
    except _MODEL_FAILURES:
        return False
    for expected, tokens, logits in zip(plain, next_tokens.tokens, next_tokens.logits, strict=True):
        likeliest = torch.from_numpy(tokens[:10]).to(expected.device)
        difference = float((expected[likeliest] - torch.from_numpy(logits[:10]).to(expected.device)).abs().max())
        if not difference <= tolerance * float(expected.max() - expected.min()):
            return False
    return True
