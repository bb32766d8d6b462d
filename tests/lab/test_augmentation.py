from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mien.core.errors import OptionError
from mien.lab.augmentation import AUGMENTATIONS, augmenter, mixup


def faces(count: int = 64) -> Tensor:
    return torch.rand(count, 1, 48, 48, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize("seed", range(3))
def test_shape_and_range_stay(name: str, seed: int) -> None:
    torch.manual_seed(seed)
    picture, before = faces(), faces()
    changed = augmenter(name)(picture)
    assert changed.shape == picture.shape
    assert changed.dtype == torch.float32
    assert changed.isfinite().all()
    # Noise of deviation 0.03 is not cut off at black and white.
    assert changed.min() >= (-0.2 if name == "full" else 0)
    assert changed.max() <= (1.2 if name == "full" else 1 + 1e-6)
    assert torch.equal(picture, before)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_seed_says_all(name: str) -> None:
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(augmenter(name)(faces()))
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2]) == (name == "none")


def test_none_is_nothing() -> None:
    assert torch.equal(augmenter("none")(faces()), faces())


@pytest.mark.parametrize("name", ["geometry", "full"])
def test_faces_of_a_batch_are_changed_each_in_its_own_way(name: str) -> None:
    torch.manual_seed(0)
    same = faces(1).expand(32, 1, 48, 48).clone()
    changed = augmenter(name)(same)
    assert len({row.numpy().tobytes() for row in changed}) > 24


def test_unknown_name() -> None:
    named = "none, geometry, quality, light, mild, full"
    with pytest.raises(OptionError, match=f"no augmentation 'heavy': expected one of {named}"):
        augmenter("heavy")


@given(seed=st.integers(0, 10**6), alpha=st.floats(0.1, 5), count=st.integers(1, 9))
def test_mixup_mixes_faces_and_targets_alike(seed: int, alpha: float, count: int) -> None:
    torch.manual_seed(seed)
    # Face i is i everywhere and so is its target: whatever is mixed, both must say the same number.
    numbers = torch.arange(count, dtype=torch.float32)
    images = numbers[:, None, None, None].expand(count, 1, 48, 48)
    targets = {"fer2013": torch.eye(count), "ferplus": torch.full((count, 8), 1 / 8)}
    (mixed, measures), wanted = mixup((images, numbers[:, None]), targets, alpha)
    torch.testing.assert_close(mixed[:, 0, 0, 0], wanted["fer2013"] @ numbers)
    torch.testing.assert_close(measures[:, 0], mixed[:, 0, 0, 0])
    for head in targets:
        torch.testing.assert_close(wanted[head].sum(dim=1), torch.ones(count))
        assert wanted[head].min() >= 0
    assert torch.equal(images[:, 0, 0, 0], numbers)
    assert torch.equal(targets["fer2013"], torch.eye(count))
    assert mixed.shape == images.shape


def test_mixup_leaves_what_is_unknown_unknown() -> None:
    torch.manual_seed(0)
    measures = torch.tensor([[torch.nan]] * 4)
    (_, mixed), wanted = mixup((faces(4), measures), {"ferplus": torch.zeros(4, 8)}, 0.4)
    assert wanted["ferplus"].abs().sum() == 0
    assert mixed.isnan().all()
