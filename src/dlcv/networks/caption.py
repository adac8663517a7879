"""A picture told in words: a convolutional encoder and an LSTM (Vinyals et al., CVPR 2015).

"Show and Tell": the code of the picture is the first input of an LSTM, the words said so far are
the next ones, and each output is a distribution of the next word (equations 10 to 12)::

    x_-1 = CNN(I),   x_t = W_e S_t,   p_t+1 = softmax(W LSTM(x_t))

What is said is found by beam search. The encoder is a light one for a CPU. The paper's code of a
picture is a mean over all of it, which does not say where things are; ours keeps the cells of a
``grid`` apart (1x1 is the paper's).

Letters in this file: B pictures, H W their size in pixels, C channels, E values of a code, T words
of a sentence, V words of the vocabulary, M values of the LSTM's memory, K beams.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlcv.networks.layers.blocks import initialise, scaled
from dlcv.networks.layers.light import STAGES, LightEncoder
from dlcv.networks.layers.recurrent import Memory, run_lstm
from dlcv.networks.layers.shapes import ShapeError, expect

START, END, UNKNOWN = 0, 1, 2
MARKS = ('<start>', '<end>', '<unk>')
"""What the first numbers of a vocabulary mean; words follow."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionConfig:
    """All that is needed to rebuild the network, and what its numbers mean.

    Attributes:
        size: Width and height to which pictures are brought, multiples of 32.
        width: Multiplier of the encoder's channels.
        reduced: Channels of each cell, by a 1x1 convolution; 0 for those of the encoder.
        grid: Columns and rows of cells whose features make the code; (1, 1) for one mean.
        embedding: Values E of the code of a picture and of a word.
        memory: Values M of the LSTM's memory.
        dropout: Share of the codes and outputs that is left out while it learns.
        words: The vocabulary but for the marks, in the order of their numbers.
    """

    size: tuple[int, int] = (256, 192)
    width: float = 1.0
    reduced: int = 48
    grid: tuple[int, int] = (8, 6)
    embedding: int = 256
    memory: int = 256
    dropout: float = 0.3
    words: tuple[str, ...] = ('.',)

    def __post_init__(self) -> None:
        multiple = LightEncoder.multiple
        if min(self.size) < multiple or any(side % multiple for side in self.size):
            raise ValueError(f'size must be multiples of {multiple}, got {list(self.size)}')
        cells = [side // multiple for side in self.size]
        if min(self.grid) < 1 or any(n % g for n, g in zip(cells, self.grid, strict=True)):
            raise ValueError(
                f'grid must divide the {cells[0]}x{cells[1]} cells of the encoder, got '
                f'{list(self.grid)}'
            )
        if min(self.embedding, self.memory) < 1 or self.reduced < 0 or not self.width > 0:
            raise ValueError(
                'captions need embedding and memory >= 1, reduced >= 0 and width > 0, got '
                f'{self.embedding}, {self.memory}, {self.reduced} and {self.width}'
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f'dropout must be in [0, 1), got {self.dropout}')
        if not self.words or len({*self.words, *MARKS}) != len(self.words) + len(MARKS):
            raise ValueError(
                f'words must be given, each once and none of {", ".join(MARKS)}; got '
                f'{len(self.words)}: {list(self.words[:5])}'
            )

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """All words by number, marks included."""
        return (*MARKS, *self.words)


def small() -> CaptionConfig:
    """Return the configuration of the shipped weights, but for their words."""
    return CaptionConfig()


@dataclass(frozen=True, kw_only=True, slots=True)
class Spoken:
    """A sentence that was found.

    Attributes:
        words: Their numbers, without marks of start and end.
        log_likelihood: Sum over the words and the end, natural logarithm.
        ended: Whether it came to its end; else it was cut off.
    """

    words: tuple[int, ...]
    log_likelihood: float
    ended: bool

    @property
    def per_word(self) -> float:
        """Mean log likelihood of its words, the end being one."""
        return self.log_likelihood / max(len(self.words) + self.ended, 1)


class ShowAndTell(LightEncoder):
    """Encoder and LSTM."""

    def __init__(self, config: CaptionConfig) -> None:
        super().__init__(config.width)
        self.config = config
        encoded = scaled(STAGES[-1][0], config.width)
        channels = config.reduced or encoded
        if config.reduced:
            self.reduce = nn.Conv2d(encoded, channels, 1)
        initialise(self)
        cells = config.grid[0] * config.grid[1]
        self.picture = nn.Linear(channels * cells, config.embedding)
        self.norm = nn.LayerNorm(config.embedding)  # without, codes grow and the LSTM saturates
        vocabulary = len(config.vocabulary)
        self.word = nn.Embedding(vocabulary, config.embedding)
        self.lstm = nn.LSTM(config.embedding, config.memory, batch_first=True)
        self.next = nn.Linear(config.memory, vocabulary)
        self.drop = nn.Dropout(config.dropout)

    def forward(
        self, images: Tensor | None, words: Tensor | None = None, features: Tensor | None = None
    ) -> Tensor:
        """Return the codes ``(B, E)`` of images or, where sentences are given, what `tell` does.

        Args:
            images: ``(B, 3, H, W)`` RGB in [0, 1], of the configured size; None where what
                `features` finds of them is given.
            words: See `tell`.
            features: See `features`.

        Raises:
            ShapeError: If the shape is another one.
        """
        if features is None:
            assert images is not None
            features = self.features(images)
        codes = self.coded(features)
        return codes if words is None else self.tell(codes, words)

    def features(self, images: Tensor) -> Tensor:
        """Return what the encoder finds, ``(B, C, H/32, W/32)``; see `forward`."""
        expect(images, 'B 3 H W', 'images')
        width, height = self.config.size
        if images.shape[2:] != (height, width):
            raise ShapeError(
                f'images: expected {width}x{height} pixels, got {images.shape[3]}x{images.shape[2]}'
            )
        return self.encoded(images)[-1]

    def coded(self, features: Tensor) -> Tensor:
        """Return the codes ``(B, E)`` of what `features` found."""
        config = self.config
        if config.reduced:
            features = F.relu(self.reduce(features))
        kernel = tuple(
            side // self.multiple // cells
            for side, cells in zip(config.size[::-1], config.grid[::-1], strict=True)
        )
        pooled = features if kernel == (1, 1) else F.avg_pool2d(features, kernel)
        codes: Tensor = self.norm(self.picture(self.drop(pooled.flatten(1))))
        return codes

    def tell(self, codes: Tensor, words: Tensor) -> Tensor:
        """Score each next word of sentences that are known: for learning.

        Args:
            codes: ``(B, E)`` of the pictures.
            words: ``(B, T)`` numbers of words, from `START` on.

        Returns:
            ``(B, T, V)`` logits: at t, of the word after the t-th.
        """
        expect(codes, 'B E', 'codes')
        expect(words, 'B T', 'words')
        inputs = torch.cat((codes[:, None], self.drop(self.word(words))), 1)
        outputs, _ = self.lstm(inputs)  # PyTorch's own: twice as fast where gradients are wanted
        scores: Tensor = self.next(self.drop(outputs[:, 1:]))
        return scores

    def begin(self, codes: Tensor) -> Memory:
        """Return the memory of the LSTM once it has seen the codes ``(B, E)``."""
        _, memory = run_lstm(self.lstm, codes[:, None])
        return memory

    def go_on(self, words: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Return log probabilities ``(B, V)`` of the word after ``words``, ``(B,)``."""
        outputs, memory = run_lstm(self.lstm, self.word(words)[:, None], memory)
        return F.log_softmax(self.next(outputs[:, 0]), -1), memory


def beam_search(
    network: ShowAndTell,
    codes: Tensor,
    *,
    beams: int = 20,
    longest: int = 60,
    length_power: float = 1.0,
) -> list[list[Spoken]]:
    """Return what the network says of pictures, each time the best sentence first.

    The paper keeps the 20 best beginnings and takes the sentence of the greatest likelihood. That
    is the shortest where much can be said in many ways, so sentences are ranked by log likelihood
    over length to some power: 0 is the paper's rule, 1 the mean of a word.

    Args:
        network: In eval mode.
        codes: ``(B, E)`` of the pictures.
        beams: Beginnings K that are kept; 1 takes the likeliest word each time.
        longest: Most words of a sentence, what is longer is cut off.
        length_power: See above.

    Returns:
        At most K different sentences for each picture.
    """
    if beams < 1 or longest < 1:
        raise ValueError(f'beam search needs beams and longest >= 1, got {beams} and {longest}')
    pictures, vocabulary = len(codes), len(network.config.vocabulary)
    hidden, cell = (part.repeat_interleave(beams, 1) for part in network.begin(codes))
    last = codes.new_full((pictures * beams,), START, dtype=torch.long)
    total = codes.new_full((pictures, beams), -torch.inf)
    total[:, 0] = 0  # all beams begin alike: one of them is enough
    said = last.new_zeros(pictures, beams, 0)
    found: list[list[Spoken]] = [[] for _ in range(pictures)]
    rows = torch.arange(pictures, device=codes.device)[:, None] * beams
    for _ in range(longest):
        scores, (hidden, cell) = network.go_on(last, (hidden, cell))
        scores[:, [START, UNKNOWN]] = -torch.inf  # nobody says these
        sums = total[:, :, None] + scores.view(pictures, beams, vocabulary)
        _end(found, said, sums[:, :, END], ended=True)
        sums[:, :, END] = -torch.inf
        total, picked = sums.flatten(1).topk(min(beams, beams * vocabulary), 1)
        origin, word = picked // vocabulary, picked % vocabulary
        said = torch.cat((said.gather(1, origin[:, :, None].expand_as(said)), word[:, :, None]), 2)
        kept = (rows + origin).flatten()
        hidden, cell, last = hidden[:, kept], cell[:, kept], word.flatten()
    for sentences, cut in zip(found, _cut_off(said, total), strict=True):
        if not sentences:
            sentences.extend(cut)
    return [_ranked(sentences, beams, length_power) for sentences in found]


def _end(found: list[list[Spoken]], said: Tensor, sums: Tensor, *, ended: bool) -> None:
    """Note the sentences ``(B, K, T)`` that end here, of these log likelihoods ``(B, K)``."""
    for sentences, texts, values in zip(found, said.tolist(), sums.tolist(), strict=True):
        sentences += [
            Spoken(words=tuple(text), log_likelihood=value, ended=ended)
            for text, value in zip(texts, values, strict=True)
            if value > -torch.inf
        ]


def _cut_off(said: Tensor, total: Tensor) -> list[list[Spoken]]:
    found: list[list[Spoken]] = [[] for _ in range(len(said))]
    _end(found, said, total, ended=False)
    return found


def _ranked(sentences: Iterable[Spoken], most: int, length_power: float) -> list[Spoken]:
    def worth(one: Spoken) -> float:
        length: float = (len(one.words) + one.ended) ** length_power
        return one.log_likelihood / length

    return sorted(sentences, key=worth, reverse=True)[:most]
