from __future__ import annotations

import pytest

import disttorch as torch


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda x: x.add_(-2, torch.ones(3)), -1.0),
        (lambda x: torch.sub(x, 2, torch.ones(3)), -1.0),
        (lambda x: x.addcmul_(2, torch.ones(3), torch.ones(3)), 3.0),
        (lambda x: x.addcdiv_(-1, torch.ones(3), 2 * torch.ones(3)), 0.5),
    ],
)
def test_a_number_between_the_tensors_works_and_warns(call, expected):
    with pytest.warns(UserWarning, match=r"This overload of \w+ is deprecated:\n\t\w+\(Number"):
        assert call(torch.ones(3)).tolist() == [expected] * 3


def test_a_number_in_the_wrong_place_is_still_an_error():
    with pytest.raises(TypeError, match="positional arguments"):
        torch.add(torch.ones(2), 1, torch.ones(2), torch.ones(2))
