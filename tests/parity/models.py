"""Models written once for both libraries: each function takes the library to build with."""

from __future__ import annotations

from typing import Any


def mlp(lib: Any) -> Any:
    """Three linear layers."""
    nn = lib.nn
    return nn.Sequential(
        nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 5)
    )


def lenet(lib: Any) -> Any:
    """Two convolutions, three linear layers."""
    nn = lib.nn
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.Tanh(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(16 * 2 * 2, 40), nn.Tanh(), nn.Linear(40, 5)),
    )


def _residual(lib: Any) -> type:
    nn = lib.nn

    class BasicBlock(nn.Module):
        """Two convolutions around which the input is added."""

        def __init__(self, n_in: int, n_out: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(n_out)
            self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(n_out)
            self.relu = nn.ReLU(inplace=True)
            self.downsample = None
            if stride != 1 or n_in != n_out:
                self.downsample = nn.Sequential(
                    nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)
                )

        def forward(self, x: Any) -> Any:
            """Add the block's result to x."""
            same = x if self.downsample is None else self.downsample(x)
            y = self.relu(self.bn1(self.conv1(x)))
            return self.relu(self.bn2(self.conv2(y)) + same)

    return BasicBlock


def resnet(lib: Any, widths: tuple[int, ...], depth: int, n_classes: int, first: Any) -> Any:
    """A residual network; `first` makes the layers before the blocks."""
    nn, block = lib.nn, _residual(lib)
    layers, n_in = [], widths[0]
    for i, width in enumerate(widths):
        for j in range(depth):
            layers.append(block(n_in, width, 2 if i and not j else 1))
            n_in = width
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(n_in, n_classes))
    return nn.Sequential(*first(nn), *layers, *head)


def resnet18(lib: Any) -> Any:
    """ResNet-18 for 1000 classes."""

    def first(nn: Any) -> tuple[Any, ...]:
        return (
            *(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True)),
            nn.MaxPool2d(3, 2, 1),
        )

    return resnet(lib, (64, 128, 256, 512), 2, 1000, first)


def small_resnet(lib: Any) -> Any:
    """Two stages of one block."""

    def first(nn: Any) -> tuple[Any, ...]:
        return nn.Conv2d(3, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True)

    return resnet(lib, (8, 16), 1, 5, first)


def gpt(lib: Any, n_layers: int = 3, vocabulary: int = 50, width: int = 32) -> Any:
    """A stack of blocks with causal attention, norms first, and tied embeddings."""
    nn, F = lib.nn, lib.nn.functional

    class Block(nn.Module):
        """Attention and a network, each added to its input."""

        def __init__(self) -> None:
            super().__init__()
            self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv = nn.Linear(width, 3 * width)
            self.proj = nn.Linear(width, width)
            self.mlp = nn.Sequential(
                nn.Linear(width, 4 * width), nn.GELU("tanh"), nn.Linear(4 * width, width)
            )

        def forward(self, x: Any) -> Any:
            """(N, T, width) -> the same."""
            n, t, _ = x.shape
            parts = self.qkv(self.ln_1(x)).split(width, dim=2)
            q, k, v = (p.view(n, t, 4, width // 4).transpose(1, 2) for p in parts)
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.proj(y.transpose(1, 2).reshape(n, t, width))
            return x + self.mlp(self.ln_2(x))

    class Gpt(nn.Module):
        """Token and position embeddings, blocks, scores of the next token."""

        def __init__(self) -> None:
            super().__init__()
            self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(16, width)
            self.h = nn.ModuleList([Block() for _ in range(n_layers)])
            self.ln_f = nn.LayerNorm(width)
            self.head = nn.Linear(width, vocabulary, bias=False)
            self.head.weight = self.wte.weight

        def forward(self, tokens: Any) -> Any:
            """(N, T) -> (N, T, vocabulary)."""
            x = self.wte(tokens) + self.wpe(lib.arange(tokens.shape[1]))
            for block in self.h:
                x = block(x)
            return self.head(self.ln_f(x))

    return Gpt()


def tagger(lib: Any) -> Any:
    """Embeddings, a bidirectional LSTM of two layers, scores of the last step."""
    nn = lib.nn

    class Tagger(nn.Module):
        """(N, T) -> (N, 5)."""

        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(50, 16)
            self.rnn = nn.LSTM(16, 16, 2, batch_first=True, bidirectional=True)
            self.out = nn.Linear(32, 5)

        def forward(self, tokens: Any) -> Any:
            """Score the last step."""
            y, _ = self.rnn(self.embed(tokens))
            return self.out(y[:, -1])

    return Tagger()


def transformer(lib: Any) -> Any:
    """Embeddings, PyTorch's Transformer, scores; the target is the source, shifted."""
    nn = lib.nn

    class Translator(nn.Module):
        """(N, T) -> (N, T, 50)."""

        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(50, 16)
            self.body = nn.Transformer(16, 2, 2, 2, 32, dropout=0.0, batch_first=True)
            self.out = nn.Linear(16, 50)

        def forward(self, tokens: Any) -> Any:
            """Score each token from those before it."""
            x = self.embed(tokens)
            mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
            return self.out(self.body(x, x, tgt_mask=mask))

    return Translator()
