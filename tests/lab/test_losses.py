from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mien.core.errors import OptionError
from mien.lab.losses import ROBUSTNESS, CenterLoss, Criterion, robust_cross_entropy, soft_cross_entropy
from mien.lab.models import FaceNet
from mien.lab.recipes import Recipe


def drawn(seed: int, count: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 7, generator=generator), torch.rand(count, 7, generator=generator).softmax(dim=1)


@given(st.integers(0, 10**6), st.integers(1, 20), st.integers(0, 5))
def test_cross_entropy_is_torchs_where_something_is_known(seed: int, known: int, unknown: int) -> None:
    logits, targets = drawn(seed, known + unknown)
    targets[known:] = 0
    expected = torch.nn.functional.cross_entropy(logits[:known], targets[:known])
    torch.testing.assert_close(soft_cross_entropy(logits, targets), expected)


def test_robust_loss_by_hand() -> None:
    logits = torch.log(torch.tensor([[0.25, 0.75]]))
    expected = (1 - 0.75**ROBUSTNESS) / ROBUSTNESS
    assert float(robust_cross_entropy(logits, torch.tensor([[0.0, 1.0]]))) == pytest.approx(expected)


@given(st.integers(0, 10**6))
def test_a_label_that_is_surely_wrong_costs_a_limited_sum(seed: int) -> None:
    logits, _ = drawn(seed)
    wrong = torch.eye(7)[(100 * logits).argmin(dim=1)]
    assert float(robust_cross_entropy(100 * logits, wrong)) <= 1 / ROBUSTNESS + 1e-6
    assert float(soft_cross_entropy(100 * logits, wrong)) > 1 / ROBUSTNESS


@pytest.mark.parametrize("loss", [soft_cross_entropy, robust_cross_entropy])
@pytest.mark.parametrize("label", [0, 1])
def test_a_net_that_is_quite_sure_still_has_a_slope(
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], label: int
) -> None:
    logits = torch.tensor([[0.0, 1000.0]], requires_grad=True)  # one probability is 0 in single precision
    loss(logits, torch.eye(2)[[label]]).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("loss", [soft_cross_entropy, robust_cross_entropy])
def test_what_is_not_known_does_not_count(loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
    logits, targets = drawn(0)
    targets[2:] = 0
    torch.testing.assert_close(loss(logits, targets), loss(logits[:2], targets[:2]))
    assert float(loss(logits, torch.zeros(4, 7))) == 0


def test_center_loss_by_hand() -> None:
    loss = CenterLoss(2, 2)
    loss.centers.data = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    features = torch.tensor([[3.0, 4.0], [1.0, 2.0]])
    assert float(loss(features, torch.eye(2)).detach()) == pytest.approx((25 / 2 + 1 / 2) / 2)
    assert float(loss(features, torch.zeros(2, 2)).detach()) == 0


def test_centers_move_to_the_mean_of_their_class() -> None:
    loss = CenterLoss(2, 3)
    features = torch.tensor([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0], [5.0, 5.0, 5.0]])
    targets = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    optimizer = torch.optim.SGD(loss.parameters(), lr=1.0)
    for _ in range(100):
        optimizer.zero_grad()
        loss(features, targets).backward()
        optimizer.step()
    torch.testing.assert_close(loss.centers.detach(), torch.tensor([[2.0, 2.0, 2.0], [5.0, 5.0, 5.0]]))


def test_only_a_center_loss_learns_something() -> None:
    net = FaceNet("paper", {"fer2013": 7, "ferplus": 8})
    plain = Criterion(Recipe(), net)
    assert not list(plain.parameters())
    centered = Criterion(Recipe(center_weight=0.5, heads=("ferplus",)), net)
    assert [tuple(parameter.shape) for parameter in centered.parameters()] == [(8, net.feature_count)]


def test_the_centers_count_for_the_first_head() -> None:
    net = FaceNet("paper", {"fer2013": 7, "ferplus": 8})
    logits = {"fer2013": torch.zeros(2, 7), "ferplus": torch.zeros(2, 8)}
    targets = {"fer2013": torch.eye(7)[:2], "ferplus": torch.eye(8)[:2]}
    features = torch.ones(2, net.feature_count)
    plain = Criterion(Recipe(), net)(features, logits, targets)
    centered = Criterion(Recipe(center_weight=0.5), net)(features, logits, targets)
    assert float((centered[0] - plain[0]).detach()) == pytest.approx(0.5 * net.feature_count / 2)
    assert float(centered[1]) == float(plain[1])


def test_several_processes_cannot_share_centers() -> None:
    with pytest.raises(OptionError, match="center_weight with 2 processes: expected 1"):
        Recipe(center_weight=0.1, processes=2)
