"""Every layer as torch's: initial values, output, gradients, state_dict, repr, in both modes."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections import OrderedDict

import numpy as np
import pytest

import disttorch
from disttorch import nn

X = (2, 3)  # shapes of inputs
SEQUENCE, IMAGE, VOLUME = (2, 4, 9), (2, 4, 6, 7), (2, 4, 5, 4, 3)
CLASSES = ("classes", 3, (4,))  # an int64 target below 3, of shape (4,)
POSITIVE = ("positive", 1, (4, 3))  # numbers within (0, 1)
SIGNS = ("signs", 1, (4,))  # 1 and -1
TOKENS = (5, 2, 4)  # a sequence of five steps, two of them at a time, four features

# A constructor in the notation of both libraries, and its inputs.
ROWS = [
    ("Identity(3, a=2)", X),
    ("Linear(3, 4)", X),
    ("Linear(3, 4, bias=False)", (2, 5, 3)),
    ("Bilinear(3, 2, 4)", X, (2, 2)),
    ("Bilinear(3, 2, 4, bias=False)", X, (2, 2)),
    ("Conv1d(4, 6, 3, padding=1)", SEQUENCE),
    ("Conv1d(4, 6, 3, padding='same', dilation=2)", (4, 9)),
    ("Conv2d(4, 6, (3, 2), stride=2, padding=(1, 0), dilation=2, groups=2, bias=False)", IMAGE),
    ("Conv2d(4, 4, 3, padding='same', padding_mode='circular')", IMAGE),
    ("Conv2d(4, 4, 3, padding=(1, 2), padding_mode='reflect')", IMAGE),
    ("Conv3d(4, 2, 3, padding=1)", VOLUME),
    ("ConvTranspose1d(4, 2, 3, stride=2)", SEQUENCE),
    ("ConvTranspose2d(4, 2, 3, stride=2, padding=1, output_padding=1)", IMAGE),
    ("ConvTranspose3d(4, 2, 3, groups=2)", VOLUME),
    ("BatchNorm1d(3)", (5, 3)),
    ("BatchNorm1d(4)", SEQUENCE),
    ("BatchNorm2d(4, eps=1e-3, momentum=None, affine=False)", IMAGE),
    ("BatchNorm2d(4, bias=False)", IMAGE),
    ("BatchNorm3d(4, track_running_stats=False)", VOLUME),
    ("InstanceNorm1d(4)", SEQUENCE),
    ("InstanceNorm2d(4, affine=True, track_running_stats=True)", IMAGE),
    ("InstanceNorm3d(4, affine=True)", VOLUME[1:]),
    ("LayerNorm(3)", X),
    ("LayerNorm((6, 7), bias=False)", IMAGE),
    ("LayerNorm(3, elementwise_affine=False)", X),
    ("GroupNorm(2, 4)", IMAGE),
    ("GroupNorm(2, 4, affine=False)", SEQUENCE),
    ("RMSNorm(3)", X),
    ("RMSNorm((6, 7), eps=1e-3, elementwise_affine=False)", IMAGE),
    ("LocalResponseNorm(2)", IMAGE),
    ("MaxPool1d(2)", SEQUENCE),
    ("MaxPool2d(2, stride=(2, 1), padding=1)", IMAGE),
    ("MaxPool2d(3, ceil_mode=True)", IMAGE),
    ("MaxPool3d(2, dilation=2)", (1, 2, 6, 6, 6)),
    ("AvgPool1d(2)", SEQUENCE),
    ("AvgPool2d(2, 3, count_include_pad=False, padding=1)", IMAGE),
    ("AvgPool3d(2, divisor_override=3)", VOLUME),
    ("AdaptiveAvgPool1d(2)", SEQUENCE),
    ("AdaptiveAvgPool2d((4, None))", IMAGE),
    ("AdaptiveAvgPool3d(2)", VOLUME),
    ("AdaptiveMaxPool1d(4)", SEQUENCE),
    ("AdaptiveMaxPool2d(4)", IMAGE),
    ("AdaptiveMaxPool3d(2)", VOLUME),
    ("Dropout()", X),
    ("Dropout(0.2, inplace=True)", X),
    ("Dropout1d(0.4)", SEQUENCE),
    ("Dropout2d(p=0.3)", IMAGE),
    ("Dropout3d()", VOLUME),
    ("AlphaDropout()", X),
    ("FeatureAlphaDropout()", IMAGE),
    ("Threshold(0.1, 20)", X),
    ("ReLU()", X),
    ("ReLU(inplace=True)", X),
    ("RReLU(0.25, 0.25)", X),
    ("Hardtanh()", X),
    ("Hardtanh(-0.2, 0.2, True)", X),
    ("ReLU6()", X),
    ("Sigmoid()", X),
    ("Hardsigmoid()", X),
    ("Tanh()", X),
    ("SiLU()", X),
    ("Mish()", X),
    ("Hardswish()", X),
    ("ELU()", X),
    ("ELU(2.0, True)", X),
    ("CELU(0.5)", X),
    ("SELU()", X),
    ("GLU()", (2, 4)),
    ("GELU()", X),
    ("GELU('tanh')", X),
    ("Hardshrink()", X),
    ("LeakyReLU()", X),
    ("LeakyReLU(0.2, True)", X),
    ("LogSigmoid()", X),
    ("Softplus(2.0, 1.0)", X),
    ("Softshrink()", X),
    ("Softsign()", X),
    ("Tanhshrink()", X),
    ("Softmin(1)", X),
    ("Softmax(dim=1)", X),
    ("LogSoftmax(1)", X),
    ("Softmax2d()", IMAGE),
    ("PReLU()", X),
    ("PReLU(4)", SEQUENCE),
    ("Flatten()", IMAGE),
    ("Unflatten(1, (2, 2))", SEQUENCE),
    ("Embedding(3, 5)", CLASSES),
    ("Embedding(3, 5, padding_idx=-1, scale_grad_by_freq=True)", CLASSES),
    ("L1Loss()", X, X),
    ("MSELoss(reduction='sum')", X, X),
    ("SmoothL1Loss(beta=2.0)", X, X),
    ("HuberLoss(delta=0.5)", X, X),
    ("NLLLoss()", (4, 3), CLASSES),
    ("CrossEntropyLoss()", (4, 3), CLASSES),
    ("CrossEntropyLoss(torch.tensor([0.5, 1, 2]), label_smoothing=0.1)", (4, 3), CLASSES),
    ("CrossEntropyLoss(ignore_index=1, reduction='none')", (4, 3), CLASSES),
    ("BCELoss()", POSITIVE, POSITIVE),
    ("BCEWithLogitsLoss(pos_weight=torch.tensor([1.0, 2, 3]))", (4, 3), POSITIVE),
    ("KLDivLoss(reduction='batchmean')", (4, 3), POSITIVE),
    ("ConstantPad1d(1, 2.0)", SEQUENCE),
    ("ConstantPad2d((1, 2, 3, -1), 0)", IMAGE),
    ("ConstantPad3d(1, 0.5)", VOLUME),
    ("ZeroPad1d(2)", SEQUENCE),
    ("ZeroPad2d(1)", IMAGE),
    ("ZeroPad3d(1)", VOLUME),
    ("ReflectionPad1d(2)", SEQUENCE),
    ("ReflectionPad2d((1, 2, 0, 3))", IMAGE),
    ("ReflectionPad3d(1)", VOLUME),
    ("ReplicationPad1d(2)", SEQUENCE),
    ("ReplicationPad2d(2)", IMAGE),
    ("ReplicationPad3d(1)", VOLUME),
    ("CircularPad1d(2)", SEQUENCE),
    ("CircularPad2d(1)", IMAGE),
    ("CircularPad3d(1)", VOLUME),
    ("Upsample(scale_factor=2)", IMAGE),
    ("Upsample((4, 5), mode='bilinear')", IMAGE),
    ("UpsamplingNearest2d(3)", IMAGE),
    ("UpsamplingBilinear2d(scale_factor=2)", IMAGE),
    ("CosineSimilarity()", X, X),
    ("PairwiseDistance()", X, X),
    ("Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Sequential(nn.Linear(5, 1)))", X),
    ("Sequential(OrderedDict(a=nn.Linear(3, 3), b=nn.BatchNorm1d(3)))", (5, 3)),
]
# PyTorch says that it has no quicker way for some layers, and that NLLLoss2d is an old name.
pytestmark = [
    pytest.mark.filterwarnings("ignore:enable_nested_tensor is True"),
    pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN"),
    pytest.mark.filterwarnings("ignore:.NLLLoss2d. has been deprecated"),
]
ROWS += [
    ("RNN(4, 3, 2, nonlinearity='relu')", TOKENS),
    ("LSTM(4, 3, 2, bidirectional=True, proj_size=2)", TOKENS),
    ("LSTM(4, 3, 2, dropout=0.5, batch_first=True)", TOKENS),
    ("GRU(4, 3, bias=False)", (5, 4)),
    ("RNNCell(4, 3)", (2, 4)),
    ("LSTMCell(4, 3)", (2, 4)),
    ("GRUCell(4, 3, bias=False)", (4,)),
    ("MultiheadAttention(4, 2, dropout=0.5)", TOKENS, TOKENS, TOKENS),
    ("MultiheadAttention(4, 2, add_bias_kv=True, kdim=3)", TOKENS, (3, 2, 3), (3, 2, 4)),
    ("TransformerEncoderLayer(4, 2, 8, batch_first=True)", TOKENS),
    ("TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, norm_first=True), 2)", TOKENS),
    ("TransformerDecoderLayer(4, 2, 8, activation='gelu')", TOKENS, (3, 2, 4)),
    ("TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 8), 1)", TOKENS, (3, 2, 4)),
    ("Transformer(4, 2, 1, 1, 8)", TOKENS, (3, 2, 4)),
    ("CosineEmbeddingLoss(0.1)", (4, 3), (4, 3), SIGNS),
    ("HingeEmbeddingLoss()", (4,), SIGNS),
    ("SoftMarginLoss()", (4,), SIGNS),
    ("MarginRankingLoss(0.2)", (4,), (4,), SIGNS),
    ("TripletMarginLoss(swap=True)", (4, 3), (4, 3), (4, 3)),
    ("TripletMarginWithDistanceLoss(margin=0.5)", (4, 3), (4, 3), (4, 3)),
    ("MultiMarginLoss(2)", (4, 3), CLASSES),
    ("MultiLabelMarginLoss()", (4, 3), ("classes", 3, (4, 3))),
    ("MultiLabelSoftMarginLoss()", (4, 3), POSITIVE),
    ("PoissonNLLLoss(full=True)", (4, 3), POSITIVE),
    ("GaussianNLLLoss()", (4, 3), (4, 3), POSITIVE),
    ("CTCLoss()", (6, 2, 4), ("classes", 4, (2, 3)), ("value", 1, [6, 5]), ("value", 1, [3, 2])),
    ("LinearCrossEntropyLoss(4, 3, bias=True)", (4, 4), CLASSES),
    ("AdaptiveLogSoftmaxWithLoss(4, 6, [2, 4], 2.0)", (4, 4), ("classes", 6, (4,))),
    ("NLLLoss2d()", (4, 3, 2, 2), ("classes", 3, (4, 2, 2))),
    ("EmbeddingBag(5, 3, mode='max')", ("classes", 5, (2, 4))),
    ("EmbeddingBag(5, 3, padding_idx=1, max_norm=1.0)", ("classes", 5, (2, 4))),
    ("Fold((4, 5), (2, 2))", (2, 8, 12)),
    ("Unfold(2, padding=1)", IMAGE),
    ("PixelShuffle(2)", IMAGE),
    ("PixelUnshuffle(2)", (2, 1, 4, 6)),
    ("ChannelShuffle(2)", IMAGE),
    ("LPPool1d(2, 3)", SEQUENCE),
    ("LPPool2d(2, 2, ceil_mode=True)", IMAGE),
    ("LPPool3d(2, 2)", VOLUME),
    ("MaxUnpool1d(2)", (1, 1, 3), ("value", 1, [[[0, 3, 5]]])),
    ("MaxUnpool2d(2)", (1, 1, 1, 2), ("value", 1, [[[[1, 6]]]])),
    ("MaxUnpool3d(2)", (1, 1, 1, 1, 2), ("value", 1, [[[[[1, 14]]]]])),
    ("FractionalMaxPool2d(2, output_size=(4, 3))", IMAGE),
    ("FractionalMaxPool3d(2, output_ratio=0.5)", VOLUME),
    ("CrossMapLRN2d(3)", (2, 1, 3, 4)),
    ("SyncBatchNorm(4)", IMAGE),
]
IDS = [row[0] for row in ROWS]


def make(library, source):
    """Construct a module of one library, seeded."""
    library.manual_seed(0)
    names = {"nn": library.nn, "torch": library, "OrderedDict": OrderedDict}
    return eval(f"nn.{source}", names)


def inputs(library, specs):
    """The inputs of a row, equal in both libraries; the first floating one takes a gradient."""
    rng = np.random.default_rng(0)
    made = []
    for spec in specs:
        if spec[0] == "classes":
            array = rng.integers(0, spec[1], spec[2])
        elif spec[0] == "value":
            array = np.array(spec[2])
        elif spec[0] == "signs":
            array = rng.choice([-1.0, 1.0], spec[2]).astype(np.float32)
        elif spec[0] == "positive":
            array = rng.uniform(0.1, 0.9, spec[2]).astype(np.float32)
        else:
            array = rng.standard_normal(spec).astype(np.float32)
        made.append(library.from_numpy(array))
    if made[0].is_floating_point():
        made[0].requires_grad_()
    return made


def flat(outputs):
    """The tensors in nested tuples."""
    if isinstance(outputs, (tuple, list)):
        for value in outputs:
            yield from flat(value)
    else:
        yield outputs


def run(library, source, specs, train):
    """Output, gradients and state of a module after one forward and backward pass."""
    module = make(library, source).train(train)
    given = inputs(library, specs)
    # A leaf that requires grad cannot be written in place.
    called = [given[0] * 1 if given[0].requires_grad else given[0], *given[1:]]
    library.manual_seed(1)
    out = module(*called)
    outputs = list(flat(out))
    found = {f"output {i}": y for i, y in enumerate(outputs)}
    if outputs[0].requires_grad:
        rng = np.random.default_rng(2)
        weights = [rng.standard_normal(tuple(y.shape)).astype(np.float32) for y in outputs]
        library.autograd.backward(outputs, [library.from_numpy(np.asarray(w)) for w in weights])
        found["input.grad"] = given[0].grad
        found.update({f"{name}.grad": p.grad for name, p in module.named_parameters()})
    found.update(module.state_dict())
    return {k: None if v is None else np.asarray(v.detach().numpy()) for k, v in found.items()}


@pytest.mark.parity
@pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize(("source", "specs"), [(r[0], r[1:]) for r in ROWS], ids=IDS)
def test_computes_what_torch_computes(source, specs, train, torch):
    want, got = (run(library, source, specs, train) for library in (torch, disttorch))
    assert list(got) == list(want)
    for key, value in want.items():
        if value is None:
            assert got[key] is None, key
            continue
        assert (got[key].shape, got[key].dtype) == (value.shape, value.dtype), key
        np.testing.assert_allclose(got[key], value, rtol=1e-4, atol=2e-6, err_msg=key)


@pytest.mark.parity
@pytest.mark.parametrize("source", IDS)
def test_initial_state_and_repr_are_torchs(source, torch):
    theirs, ours = make(torch, source), make(disttorch, source)
    assert repr(ours) == repr(theirs)
    their_state, our_state = theirs.state_dict(), ours.state_dict()
    assert list(our_state) == list(their_state)
    assert our_state._metadata == their_state._metadata
    for key, value in their_state.items():
        np.testing.assert_array_equal(our_state[key].numpy(), value.numpy(), err_msg=key)


@pytest.mark.parity
@pytest.mark.parametrize("name", sorted({source.split("(")[0] for source in IDS} - {"NLLLoss2d"}))
def test_signatures_are_torchs(name, torch):
    def arguments(kind):
        parameters = inspect.signature(kind).parameters.values()
        return [
            (p.name, getattr(p.default, "__name__", p.default))
            for p in parameters
            if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
            and p.name not in ("min_value", "max_value")  # deprecated names in Hardtanh
        ]

    assert arguments(getattr(nn, name)) == arguments(getattr(torch.nn, name))


@pytest.mark.parametrize("source", IDS)
def test_copies_and_pickles(source):
    module = make(disttorch, source)
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert repr(twin) == repr(module)
        state = twin.state_dict()
        for key, value in module.state_dict().items():
            assert state[key] is not value
            np.testing.assert_array_equal(state[key].numpy(), value.numpy())


def test_every_layer_has_a_row():
    containers = {"Module", "ModuleDict", "ModuleList", "ParameterDict", "ParameterList"}
    containers |= {"RNNBase", "RNNCellBase", "LinearCrossEntropyOptions", "Container"}  # no layers
    containers |= {name for name in nn.modules.__all__ if name.startswith("Lazy")}  # test_lazy.py
    tested = {name for source in IDS for name in nn.modules.__all__ if f"{name}(" in source}
    assert set(nn.modules.__all__) - tested == containers


@pytest.mark.parametrize(
    ("source", "want"),
    [
        ("Linear(3, 4)", "Linear(in_features=3, out_features=4, bias=True)"),
        (
            "Conv2d(4, 6, 3, padding=1, groups=2, bias=False)",
            "Conv2d(4, 6, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), groups=2, bias=False)",
        ),
        (
            "MaxPool2d(2)",
            "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)",
        ),
        ("ReLU(True)", "ReLU(inplace=True)"),
        ("Dropout(0.25)", "Dropout(p=0.25, inplace=False)"),
        ("GELU('tanh')", "GELU(approximate='tanh')"),
        ("CrossEntropyLoss()", "CrossEntropyLoss()"),
        ("Sequential(nn.ReLU())", "Sequential(\n  (0): ReLU()\n)"),
    ],
)
def test_repr(source, want):
    assert repr(make(disttorch, source)) == want


def test_initial_values_of_a_seed():
    layer = make(disttorch, "Linear(2, 2)")
    np.testing.assert_array_equal(
        layer.weight.detach().numpy(),
        np.array([[-0.005293981, 0.3793229], [-0.58198076, -0.5203875]], np.float32),
    )
