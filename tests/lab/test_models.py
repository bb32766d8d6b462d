from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from mien.core.errors import OptionError
from mien.lab.models import (
    ARCHITECTURES,
    HEADS,
    FaceNet,
    ResidualBlock,
    load_weights,
    megaflops,
    parameter_count,
    per_image,
    unit_range,
)


def net_of(name: str, heads: dict[str, int] | None = None) -> FaceNet:
    torch.manual_seed(0)
    return FaceNet(name, HEADS if heads is None else heads)


def faces(count: int, side: int = 48, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (count, 1, side, side), generator=torch.Generator().manual_seed(seed)).float()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_net_answers(name: str) -> None:
    net = net_of(name).eval()
    black, white = torch.zeros(1, 1, 48, 48), torch.full((1, 1, 48, 48), 255.0)
    with torch.inference_mode():
        answers = net(torch.cat([faces(1), black, white]))
    assert {head: tuple(logits.shape) for head, logits in answers.items()} == {"fer2013": (3, 7), "ferplus": (3, 8)}
    assert all(logits.isfinite().all() for logits in answers.values())


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_weight_is_taught(name: str) -> None:
    net = net_of(name).train()
    answers = net(faces(4, net.input_size))
    torch.stack([logits.square().sum() for logits in answers.values()]).sum().backward()  # type: ignore[no-untyped-call]
    for parameter_name, parameter in net.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_face_is_answered_alone_as_in_a_batch(name: str) -> None:
    net = net_of(name).eval()
    pictures = faces(2, net.input_size)
    with torch.inference_mode():
        together = net(pictures)["fer2013"]
        alone = torch.cat([net(picture[None])["fer2013"] for picture in pictures])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_unknown_architecture() -> None:
    with pytest.raises(OptionError, match="no architecture 'vgg': expected one of default, paper"):
        FaceNet("vgg", HEADS)


# the paper's net


def test_the_papers_net_is_the_papers() -> None:
    trunk = net_of("paper").trunk
    assert isinstance(trunk, nn.Sequential)
    assert [type(layer).__name__ for layer in trunk] == [
        *("Conv2d", "ReLU", "MaxPool2d") * 3,
        *("Flatten", "Linear", "ReLU", "Dropout"),
    ]
    convolutions = [layer for layer in trunk if isinstance(layer, nn.Conv2d)]
    assert [(c.out_channels, c.kernel_size, c.padding, c.stride) for c in convolutions] == [
        (16, (5, 5), (0, 0), (1, 1)),
        (32, (5, 5), (0, 0), (1, 1)),
        (64, (3, 3), (0, 0), (1, 1)),
    ]
    assert [layer.kernel_size for layer in trunk if isinstance(layer, nn.MaxPool2d)] == [2, 2, 2]
    assert trunk[:10](faces(2)).shape == (2, 576)
    dense = trunk[10]
    assert isinstance(dense, nn.Linear)
    assert (dense.in_features, dense.out_features) == (576, 128)


def test_the_papers_net_has_the_size_it_must_have() -> None:
    net = net_of("paper", {"fer2013": 7})
    # Weights and biases: 16 @ 5x5, 32 @ 5x5, 64 @ 3x3, dense 128, dense 7.
    weights = 16 * 25 + 32 * 16 * 25 + 64 * 32 * 9 + 128 * 576 + 7 * 128
    assert parameter_count(net) == weights + 16 + 32 + 64 + 128 + 7 == 106_503
    # Multiply-adds: each weight of a convolution is used at every place of its map, 44x44, 18x18 and 7x7.
    uses = 16 * 25 * 44**2 + 32 * 16 * 25 * 18**2 + 64 * 32 * 9 * 7**2 + 128 * 576 + 7 * 128
    assert megaflops(net) == pytest.approx(2 * uses / 1e6)


def test_measuring_changes_nothing() -> None:
    net = net_of("default").train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    megaflops(net)
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


# what is done to pixels first


def test_unit_range() -> None:
    assert unit_range(torch.tensor([0.0, 51.0, 255.0])).tolist() == pytest.approx([0, 0.2, 1])


@given(seed=st.integers(0, 10**6), shift=st.floats(-200, 200))
def test_brightness_does_not_matter(seed: int, shift: float) -> None:
    picture = faces(2, seed=seed)
    torch.testing.assert_close(per_image(picture + shift), per_image(picture), atol=1e-4, rtol=1e-4)


@given(seed=st.integers(0, 10**6), factor=st.floats(0.02, 4))
def test_contrast_does_not_matter_beyond_eight_gray_levels(seed: int, factor: float) -> None:
    picture = faces(2, seed=seed)
    deviation = (picture * factor).std(dim=(1, 2, 3), correction=0)
    seen = per_image(picture * factor)
    # The same picture in a strength between 0 and 1 that falls only where the deviation nears 8.
    strength = seen.std(dim=(1, 2, 3), correction=0)
    torch.testing.assert_close(strength, deviation / (deviation.square() + 64).sqrt())
    direction = seen / strength[:, None, None, None]
    original = per_image(picture) / per_image(picture).std(dim=(1, 2, 3), correction=0)[:, None, None, None]
    torch.testing.assert_close(direction, original, atol=1e-3, rtol=1e-3)


def test_a_flat_picture_is_zero() -> None:
    for value in (0.0, 127.0, 255.0):
        assert per_image(torch.full((1, 1, 48, 48), value)).abs().max() == 0


def test_a_residual_block_that_shrinks_averages() -> None:
    block = ResidualBlock(8, 8, stride=2).eval()
    for parameter in block.second_norm.parameters():
        parameter.data.zero_()  # nothing but the shortcut is left
    maps = torch.rand(1, 8, 6, 6)
    torch.testing.assert_close(block(maps), nn.functional.avg_pool2d(maps, 2))


# weights of another net


def test_weights_of_another_net_are_loaded_as_far_as_they_go() -> None:
    weights = {name: value + 1 for name, value in net_of("paper", {"fer2013": 7}).state_dict().items()}
    net = net_of("paper")
    before = {name: value.clone() for name, value in net.state_dict().items()}
    load_weights(net, weights)
    for name, value in net.state_dict().items():
        assert torch.equal(value, weights[name] if name in weights else before[name]), name
    assert len(weights) == len(before) - 2  # the head of FER+ keeps its weight and bias


def test_weights_of_another_architecture_are_refused() -> None:
    with pytest.raises(OptionError, match=r"do not fit 'paper': trunk\.0\.weight \(and 7 more\) is missing or has an"):
        load_weights(net_of("paper"), net_of("default").state_dict())
