"""Rotations and rigid motions: known answers, laws, SciPy as the reference, gradients."""

from __future__ import annotations

import pytest
import torch
from scipy.spatial.transform import Rotation

from dlcv.geometry import rotation

ANGLES = [0.0, 1e-9, 1e-4, 9.9e-3, 1.01e-2, 0.3, 0.499, 0.501, 2.0, 3.1, 3.1415]
TOLERANCE = {torch.float32: 2e-6, torch.float64: 1e-12}


@pytest.fixture(params=[torch.float32, torch.float64], ids=['f32', 'f64'])
def dtype(request):
    return request.param


def turns(angle: float, dtype: torch.dtype, count: int = 16) -> torch.Tensor:
    """Rotation vectors of one length in random directions, (count, 3)."""
    w = torch.randn(count, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    return (angle * w / w.norm(dim=-1, keepdim=True)).to(dtype)


@pytest.mark.parametrize('angle', ANGLES)
def test_exp_agrees_with_scipy(angle, dtype):
    w = turns(angle, dtype)
    expected = torch.from_numpy(Rotation.from_rotvec(w.numpy()).as_matrix())
    result = rotation.so3_exp(w)
    assert result.dtype == dtype
    torch.testing.assert_close(result.double(), expected, rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.parametrize('angle', ANGLES)
def test_log_undoes_exp(angle, dtype):
    w = turns(angle, dtype)
    torch.testing.assert_close(
        rotation.so3_log(rotation.so3_exp(w)), w, rtol=0, atol=TOLERANCE[dtype]
    )


def test_log_of_half_turns_keeps_the_axis():
    matrices = torch.stack([torch.diag(torch.tensor(d)) for d in ([1.0, -1, -1], [-1, 1.0, -1])])
    logs = rotation.so3_log(matrices).abs()
    torch.testing.assert_close(logs, torch.pi * torch.eye(3)[:2])


@pytest.mark.parametrize('angle', ANGLES)
def test_se3_exp_is_the_matrix_exponential(angle, dtype):
    rho = torch.randn(16, 3, generator=torch.Generator().manual_seed(5)).to(dtype)
    w = turns(angle, dtype)
    generator = torch.zeros(16, 4, 4, dtype=torch.float64)
    generator[:, :3, :3] = rotation.hat(w.double())
    generator[:, :3, 3] = rho.double()
    result = rotation.se3_exp(torch.cat((rho, w), dim=-1)).double()
    expected = torch.linalg.matrix_exp(generator)
    torch.testing.assert_close(result, expected, rtol=0, atol=4 * TOLERANCE[dtype])


def test_quarter_turn_about_z_golden():
    b_from_a = rotation.from_parts(
        rotation.so3_exp(torch.tensor([0.0, 0.0, torch.pi / 2])), torch.tensor([1.0, 2.0, 3.0])
    )
    point = rotation.transform(b_from_a, torch.tensor([[1.0, 0.0, 0.0]]))
    torch.testing.assert_close(point, torch.tensor([[1.0, 3.0, 3.0]]))


def test_inverse_undoes():
    xi = torch.randn(7, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(6))
    b_from_a = rotation.se3_exp(xi)
    eye = torch.eye(4, dtype=torch.float64).expand(7, 4, 4)
    torch.testing.assert_close(rotation.invert(b_from_a) @ b_from_a, eye)
    torch.testing.assert_close(rotation.invert(b_from_a), rotation.se3_exp(-xi))


@pytest.mark.parametrize('angle', [0.0, 1e-5, 0.4, 0.6, 3.0])
def test_gradients_are_right_also_at_zero(angle):
    xi = torch.cat((torch.ones(4, 3, dtype=torch.float64), turns(angle, torch.float64, 4)), dim=-1)
    xi.requires_grad_()
    assert torch.autograd.gradcheck(rotation.se3_exp, xi)
    assert torch.autograd.gradcheck(lambda x: rotation.so3_log(rotation.so3_exp(x[:, 3:])), xi)


def test_leading_shapes_are_free():
    xi = torch.zeros(2, 5, 6)
    assert rotation.se3_exp(xi).shape == (2, 5, 4, 4)
    assert rotation.se3_exp(xi[0, 0]).shape == (4, 4)
    assert rotation.so3_log(rotation.so3_exp(xi[..., 3:])).shape == (2, 5, 3)
    assert rotation.transform(rotation.se3_exp(xi), torch.zeros(2, 5, 9, 3)).shape == (2, 5, 9, 3)
