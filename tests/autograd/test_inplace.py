from __future__ import annotations

import numpy as np
import pytest

import disttorch as torch


def leaf(*values):
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def point(value):
    return torch.tensor(value, dtype=torch.float64, requires_grad=True)


# Each chain leads from a (2, 3) tensor to a view of it.
CHAINS = {
    "itself": lambda y: y,
    "row": lambda y: y[1],
    "column": lambda y: y[:, 2],
    "element": lambda y: y[0, 1],
    "step": lambda y: y[:, ::2],
    "transpose": lambda y: y.t(),
    "transpose_row": lambda y: y.t()[1],
    "flat": lambda y: y.view(-1),
    "flat_slice": lambda y: y.view(-1)[2:5],
    "reshaped": lambda y: y.view(3, 2)[1:],
    "squeezed": lambda y: y[:1].squeeze(0),
    "unsqueezed": lambda y: y.unsqueeze(1)[:, 0],
    "permuted": lambda y: y.unsqueeze(0).permute(2, 0, 1)[0],
    "narrowed": lambda y: y.narrow(1, 1, 2),
    "diagonal": lambda y: y[:, :2].diagonal(),
    "three_deep": lambda y: y.t()[1:].view(2, 2)[0] if y.t()[1:].is_contiguous() else y.t()[1:][0],
}

WRITES = {
    "mul": lambda v, w: v.mul_(3),
    "add_leaf": lambda v, w: v.add_(w),
    "exp": lambda v, w: v.exp_(),
    "zero": lambda v, w: v.zero_(),
    "copy": lambda v, w: v.copy_(w.expand(v.shape)),
    "fill": lambda v, w: v.fill_(2.5),
}


def written(name, y, w):
    """What the write leaves where it writes, as an ordinary expression."""
    return {
        "mul": lambda: y * 3,
        "add_leaf": lambda: y + w,
        "exp": y.exp,
        "zero": lambda: y * 0,
        "copy": lambda: w.expand(2, 3),
        "fill": lambda: y * 0 + 2.5,
    }[name]()


def results(start, build):
    """Values and gradients of a function of a (2, 3) leaf and a 0-d leaf."""
    x, w = torch.tensor(start, requires_grad=True), point(1.5)
    y = build(x, w)
    (y * y * torch.tensor(start + 1) + (x + w) * 0).sum().backward()
    return y.detach().numpy(), x.grad.numpy(), w.grad.numpy()


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("chain", CHAINS)
def test_a_write_through_a_view_equals_the_expression(chain, write):
    start = np.arange(6.0).reshape(2, 3) / 4
    region = np.zeros((2, 3))
    CHAINS[chain](torch.from_numpy(region)).fill_(1.0)
    inside = torch.from_numpy(region > 0)

    def in_place(x, w):
        y = x * 2
        WRITES[write](CHAINS[chain](y), w)
        return y

    def expression(x, w):
        y = x * 2
        return torch.where(inside, written(write, y, w), y)

    for actual, wanted in zip(results(start, in_place), results(start, expression), strict=True):
        np.testing.assert_allclose(actual, wanted)


@pytest.mark.parametrize("chain", CHAINS)
def test_a_view_made_before_sees_a_write_to_the_base(chain):
    start = np.arange(6.0).reshape(2, 3) / 4
    grads = []
    for view_first in (True, False):
        x = torch.tensor(start, requires_grad=True)
        y = x * 2
        v = CHAINS[chain](y) if view_first else None
        y.mul_(3).add_(x)
        v = v if view_first else CHAINS[chain](y)
        (v * v).sum().backward()
        grads.append(x.grad.numpy())
    np.testing.assert_allclose(*grads)


@pytest.mark.parametrize("chain", CHAINS)
def test_second_derivatives_through_a_write(chain):
    def function(x, w):
        y = x * 2
        CHAINS[chain](y).mul_(w)
        return y.sin()

    x = torch.tensor(np.arange(6.0).reshape(2, 3) / 4, requires_grad=True)
    assert torch.autograd.gradcheck(function, (x, point(1.5)))
    assert torch.autograd.gradgradcheck(function, (x, point(1.5)))


def test_siblings_see_each_other():
    x = leaf(1, 2, 3, 4)
    y = x * 1
    left, right = y[:3], y[1:]
    left.mul_(2)
    right.mul_(left[0].clone())
    (y * 1).sum().backward()
    # y = (2 a, 4 a b, 4 a c, 2 a d)
    np.testing.assert_allclose(x.grad.numpy(), [2 + 4 * 2 + 4 * 3 + 2 * 4, 4, 4, 2])


def test_what_a_formula_needs_of_its_own_input_is_kept():
    """The node saved the input that it then overwrites; no other node did, so all is well."""
    x = leaf(1, 2)
    y = x * 1
    y.mul_(y.detach() + 1)
    z = x * 1
    z.pow_(3)
    (y.sum() + z.sum()).backward()
    np.testing.assert_allclose(x.grad.numpy(), [2 + 3, 3 + 12])


def test_version_is_shared_by_views_and_detached_tensors_only():
    x = torch.ones(4)
    alike, apart = [x.view(2, 2), x[1:], x.detach()], [x.clone(), x.data, x + 0]
    x.add_(1)
    assert [t._version for t in alike] == [1, 1, 1]
    assert [t._version for t in apart] == [0, 0, 0]


def test_a_write_under_no_grad_leaves_history_alone():
    x = leaf(1, 2)
    y = x * 2
    with torch.no_grad():
        y.mul_(5)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [2, 2])
    np.testing.assert_array_equal(y.detach().numpy(), [10, 20])


@pytest.mark.parametrize("fill", ("zero_", "fill_"))
def test_what_was_filled_over_gets_zeros_not_nothing(fill):
    x = torch.ones(3, requires_grad=True)
    y = x * 2
    getattr(y, fill)(*([5.0] if fill == "fill_" else []))
    y.sum().backward()
    assert x.grad.tolist() == [0, 0, 0]


def test_a_view_made_unrecorded_is_not_written_with_recording_on():
    base = leaf(1.0, 2.0).clone()
    with torch.no_grad():
        view = base.view(2)
    with torch.inference_mode():
        inferred = base.view(2)
    for seen, text in ((view, "in no_grad mode and is"), (inferred, "in inference mode and is")):
        with pytest.raises(RuntimeError, match=f"A view was created {text} being modified"):
            seen.mul_(2)
    with pytest.raises(RuntimeError, match="Output 0 of Select is a view of a view which was"):
        view[0].mul_(2)
    base.mul_(2)
    with pytest.raises(RuntimeError, match="its base or another view of its base"):
        view.sum()
    with torch.no_grad():
        assert view.mul_(3).tolist() == base.tolist() == [6, 12]


def test_a_view_follows_its_base_when_that_becomes_a_leaf():
    base = torch.ones(2)
    view = base.view(2)
    base.requires_grad_()
    assert view.requires_grad
    assert view.is_leaf
    with pytest.raises(RuntimeError, match="a view of a leaf Variable"):
        view.mul_(2)


def test_numbers_fill_expanded_tensors():
    x = torch.zeros(1, 2)
    wide = x.expand(3, 2)
    wide.fill_(5)
    wide[0] = 7
    wide.masked_fill_(wide == 7, 8)
    assert x.tolist() == [[8, 8]]
    for write in (lambda: wide.mul_(2), lambda: wide.copy_(torch.ones(2))):
        with pytest.raises(RuntimeError, match="more than one element of the written-to tensor"):
            write()


# Operators made of several nodes: what the inner ones saved of the tensor is overwritten too.
COMPOSED = {
    "sinc": (),
    "logit": (),
    "mvlgamma": (1,),
    "float_power": (3,),
    "xlogy": (2,),
    "addcdiv": (torch.tensor([2.0, 3.0]), torch.tensor([4.0, 5.0])),
    "logaddexp": (torch.tensor([2.0, 3.0]),),
}


@pytest.mark.parametrize("name", [n for n in COMPOSED if hasattr(torch.Tensor, f"{n}_")])
def test_inplace_forms_of_composed_operators_have_the_gradients_of_the_ordinary_ones(name):
    gradients = []
    for suffix in ("", "_"):
        x = leaf(1.25, 1.5) if name == "mvlgamma" else leaf(0.25, 0.75)
        y = getattr(x * 1, name + suffix)(*COMPOSED[name])
        (y * y).sum().backward()
        gradients.append(x.grad.tolist())
    assert gradients[0] == gradients[1]
    assert gradients[0] != [0.0, 0.0]


@pytest.mark.parametrize(
    "write",
    [
        lambda y: y.gt_(0.5),
        lambda y: y.eq_(y.detach()),
        lambda y: y.logical_not_(),
        lambda y: y.copy_(torch.ones(2)),
        lambda y: y[:].copy_(torch.ones(2)),
        lambda y: y[:].lt_(1),
    ],
)
def test_what_is_overwritten_by_values_without_history_gets_zeros(write):
    x = leaf(0.25, 0.75)
    y = x * 2
    write(y)
    assert y.requires_grad and not y.is_leaf
    y.sum().backward()
    assert x.grad.tolist() == [0.0, 0.0]


def test_a_value_without_dimensions_is_overwritten_through_a_view():
    x = point(2.0)
    y = x * 3
    y[...] = 5.0
    y.backward()
    assert x.grad.item() == 0


@pytest.mark.parametrize("name", ["squeeze_", "t_"])
def test_the_shape_of_a_leaf_does_not_change_in_place(name):
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        getattr(torch.ones(1, 2, requires_grad=True), name)()


def test_a_view_whose_shape_changed_in_place_follows_its_base():
    x = leaf(1.0, 2.0, 3.0)
    base = (x * 1).view(1, 3)
    view = base[:, 1:]
    view.t_()
    base.mul_(4)
    (view * torch.tensor([[1.0], [10.0]])).sum().backward()
    assert x.grad.tolist() == [0, 4, 40]


def test_one_of_several_views_has_no_history_once_its_base_is_rewritten():
    base = leaf(1.0, 2.0) * 1
    first, _ = base.unbind()
    base.mul_(2)
    with pytest.raises(RuntimeError, match="Output 0 of Unbind is a view and its base or another"):
        _ = first + 1


@pytest.mark.parametrize(
    "write",
    [
        lambda x: x.scatter_(0, torch.arange(4), x),
        lambda x: x.scatter_add_(0, torch.arange(2), x[2:]),
        lambda x: x.index_add_(0, torch.arange(2), x[2:]),
        lambda x: x.index_copy_(0, torch.arange(4), x),
        lambda x: x.index_put_((torch.arange(2),), x[1:3]),
    ],
)
def test_elements_are_not_moved_within_one_memory(write):
    with pytest.raises(RuntimeError, match=r"refer to a single memory location\. Please clone"):
        write(torch.arange(4.0))


@pytest.mark.parametrize(
    "make",
    [
        lambda x: torch.kron(x, x),
        lambda x: torch.einsum("ij->ji", x * 2).reshape(4, 4),
        lambda x: torch.nn.functional.pixel_shuffle(x.view(1, 4, 2, 2) * 1, 2),
        lambda x: torch.nn.functional.interpolate(x[None, None], size=(3, 3), mode="bicubic"),
    ],
    ids=["kron", "einsum", "pixel_shuffle", "interpolate"],
)
def test_what_operators_made_unrecorded_may_be_written_recorded(make):
    """A result that is a view of what only its operator saw is nobody's view."""
    with torch.no_grad():
        y = make(torch.arange(16.0).reshape(4, 4))
    w = torch.tensor(2.0, requires_grad=True)
    total = y.sum()
    y.mul_(w)
    y.sum().backward()
    assert w.grad == total


def test_what_is_seen_as_a_view_unrecorded_is_not_written_recorded():
    x = torch.zeros(4)
    with torch.no_grad():
        row, deep = x[:2], x.view(2, 2)[0]
    for view in (row, deep):
        with pytest.raises(RuntimeError, match="A view was created in no_grad mode and is being"):
            view.mul_(leaf(1.0).float())


@pytest.mark.parametrize("shape", [(2, 3), (3, 1), (2, 1, 2)])
def test_a_part_of_length_one_is_written_in_place(shape):
    x = torch.ones(shape)
    x[1:2] -= 2
    x[0] += 1
    x[:, 0:1] *= 3
    expected = np.ones(shape)
    expected[1] -= 2
    expected[0] += 1
    expected[:, 0:1] *= 3
    np.testing.assert_array_equal(x.numpy(), expected)


def test_a_part_is_not_set_to_one_that_overlaps_it():
    x = torch.arange(4.0)
    with pytest.raises(RuntimeError, match=r"refer to a single memory location\. Please clone"):
        x[:2] = x[1:3]


def test_a_variance_may_be_overwritten():
    x = leaf(1.0, 2.0, 4.0)
    std = x.var(0, keepdim=True).add_(1e-5).sqrt_()
    std.sum().backward()
    root = (np.var([1.0, 2.0, 4.0], ddof=1) + 1e-5) ** 0.5
    np.testing.assert_allclose(x.grad.numpy(), (np.array([1.0, 2, 4]) - 7 / 3) / 2 / root)


def test_a_parameter_whose_shape_changes_unrecorded_still_requires_grad():
    x = torch.ones(2, 3, requires_grad=True)
    with torch.no_grad():
        x.t_()
    assert x.requires_grad and x.is_leaf
    (x * 2).sum().backward()
    assert x.grad.tolist() == [[2.0, 2.0]] * 3


def test_interpolating_by_a_number_reads_neither_end_again():
    x = leaf(1.0, 2.0)
    start, end = x * 1, x * 2
    y = start.lerp(end, 0.25)
    start.zero_()
    end.zero_()
    y.sum().backward()
    assert x.grad.tolist() == [1.25, 1.25]
