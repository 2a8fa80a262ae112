"""torch.linalg as a module: its names, its error, and agreement with PyTorch where installed."""

import subprocess
import sys

import pytest

import disttorch

NAMES = """cholesky cholesky_ex cond cross det diagonal eig eigh eigvals eigvalsh
householder_product inv inv_ex ldl_factor ldl_factor_ex ldl_solve lstsq lu lu_factor
lu_factor_ex lu_solve matmul matrix_exp matrix_norm matrix_power matrix_rank multi_dot
norm pinv qr slogdet solve solve_ex solve_triangular svd svdvals tensorinv tensorsolve
vander vecdot vector_norm LinAlgError"""


@pytest.mark.parametrize("name", NAMES.split())
def test_every_name_is_there(name):
    assert name in disttorch.linalg.__all__
    assert getattr(disttorch.linalg, name).__doc__


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        disttorch.linalg.nothing  # noqa: B018 - the access is the test


def test_singular_matrices_raise_a_runtime_error_of_its_own():
    with pytest.raises(disttorch.linalg.LinAlgError) as caught:
        disttorch.linalg.inv(disttorch.zeros(2, 2))
    assert isinstance(caught.value, RuntimeError)


@pytest.mark.parametrize("room", ["linalg", "fft", "signal"])
def test_loaded_at_first_use(room):
    code = (
        f"import sys, disttorch; name = 'disttorch.{room}'; before = name in sys.modules; "
        f"disttorch.{room}; print(before, name in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "True"]


def test_results_are_named():
    q, r = result = disttorch.linalg.qr(disttorch.eye(2))
    assert result.Q is q
    assert result.R is r
    assert repr(disttorch.slogdet(disttorch.eye(2))) == (
        "torch.return_types.slogdet(\nsign=tensor(1.),\nlogabsdet=tensor(0.))"
    )
    assert repr(disttorch.linalg.slogdet(disttorch.eye(2))).startswith(
        "torch.return_types.linalg_slogdet("
    )
