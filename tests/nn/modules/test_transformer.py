"""The Transformer: masks, order of norms, copies of layers."""

import pytest

import disttorch as torch
from disttorch import nn
from disttorch.nn.modules.transformer import _is_causal

T, S, N, E = 4, 3, 2, 8


def layer(**settings):
    return nn.TransformerEncoderLayer(E, 2, 16, dropout=0.0, **settings)


def test_norms_before_or_after_a_block():
    x = torch.randn(T, N, E)
    after, before = layer(), layer(norm_first=True)
    before.load_state_dict(after.state_dict())
    attended = after.self_attn(x, x, x)[0]
    first = after.norm1(x + attended)
    want = after.norm2(first + after.linear2(after.linear1(first).relu()))
    assert torch.allclose(after(x), want, atol=1e-5)
    normed = before.norm1(x)
    first = x + before.self_attn(normed, normed, normed)[0]
    second = before.linear2(before.linear1(before.norm2(first)).relu())
    assert torch.allclose(before(x), first + second, atol=1e-5)


def test_a_causal_encoder_does_not_look_ahead():
    encoder = nn.TransformerEncoder(layer(), 2)
    x = torch.randn(T, N, E)
    mask = nn.Transformer.generate_square_subsequent_mask(T)
    changed = x.clone()
    changed[-1] += 1
    for hint in (None, True, False):
        y, z = (encoder(t, mask=mask, is_causal=hint) for t in (x, changed))
        assert torch.allclose(y[:-1], z[:-1], atol=1e-6)
        assert not torch.allclose(y[-1], z[-1])


def test_padding_is_not_seen():
    encoder = nn.TransformerEncoder(layer(batch_first=True), 1, nn.LayerNorm(E))
    x = torch.randn(N, T, E)
    padding = torch.zeros(N, T).bool()
    padding[0, 2:] = True
    changed = x.clone()
    changed[0, 2:] += 1
    y, z = (encoder(t, src_key_padding_mask=padding) for t in (x, changed))
    assert torch.allclose(y[0, :2], z[0, :2], atol=1e-6)
    assert torch.allclose(y[1], z[1])


@pytest.mark.parametrize(
    ("settings", "hidden", "grad", "zeros"),
    [
        ({}, [3], False, True),
        ({}, [3], True, False),
        ({}, [1], False, False),
        ({"enable_nested_tensor": False}, [3], False, False),
    ],
    ids=["quick", "learning", "inside", "switched off"],
)
def test_padding_comes_out_as_zeros_where_pytorch_skips_it(settings, hidden, grad, zeros):
    encoder = nn.TransformerEncoder(layer(batch_first=True), 1, **settings).eval()
    padding = torch.zeros(N, T).bool()
    padding[0, hidden] = True
    with torch.set_grad_enabled(grad):
        y = encoder(torch.randn(N, T, E), src_key_padding_mask=padding)
    assert (not y[0, hidden].any()) is zeros
    assert y[1].all()


def test_the_decoder_sees_its_memory_and_its_past():
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(E, 2, 16, dropout=0.0), 2)
    tgt, memory = torch.randn(T, N, E), torch.randn(S, N, E)
    mask = nn.Transformer.generate_square_subsequent_mask(T)
    y = decoder(tgt, memory, tgt_mask=mask)
    later = tgt.clone()
    later[2:] += 1
    assert torch.allclose(decoder(later, memory, tgt_mask=mask)[:2], y[:2], atol=1e-6)
    assert not torch.allclose(decoder(tgt, memory + 1, tgt_mask=mask), y)


def test_layers_are_copies_of_one_another():
    encoder = nn.TransformerEncoder(layer(), 3)
    first, second, _ = encoder.layers
    assert first is not second
    assert torch.equal(first.linear1.weight, second.linear1.weight)


def test_whole_model_and_custom_parts():
    model = nn.Transformer(E, 2, 1, 1, 16, dropout=0.0, batch_first=True)
    src, tgt = torch.randn(N, S, E), torch.randn(N, T, E)
    want = model.decoder(tgt, model.encoder(src))
    assert torch.equal(model(src, tgt), want)
    other = nn.Transformer(E, 2, custom_encoder=model.encoder, custom_decoder=model.decoder)
    assert other.encoder is model.encoder


@pytest.mark.parametrize(
    ("mask", "hint", "size", "want"),
    [
        (None, None, 3, False),
        (None, True, 3, True),
        (torch.ones(3, 3).triu(1).bool(), None, 3, True),
        (nn.Transformer.generate_square_subsequent_mask(3), None, 3, True),
        (nn.Transformer.generate_square_subsequent_mask(3), False, 3, False),
        (nn.Transformer.generate_square_subsequent_mask(3), None, 4, False),
        (torch.zeros(3, 3), None, 3, False),
    ],
)
def test_causal_masks_are_recognised(mask, hint, size, want):
    assert _is_causal(mask, hint, size) is want


def test_activations_by_name_and_by_function():
    assert layer(activation="gelu").activation is nn.functional.gelu
    assert layer(activation=torch.tanh).activation_relu_or_gelu == 0
    with pytest.raises(RuntimeError, match="activation should be relu/gelu, not tanh"):
        layer(activation="tanh")
