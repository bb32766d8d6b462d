from __future__ import annotations

import re

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
    SequenceNet,
    SqueezeExcitation,
    load_weights,
    megaflops,
    parameter_count,
    per_image,
    unit_range,
)
from mien.lab.models.blocks import BasicBlock, InvertedResidual
from mien.lab.models.classic import FeatEx, SeparableModule, SpatialTransformer


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
    optimizer = torch.optim.SGD(net.parameters(), lr=0.001)
    # Twice: what leads to the last layer of a spatial transformer, zero at first, is taught by a second step only.
    for _ in range(2):
        answers = net(faces(4, net.input_size))
        torch.stack([logits.square().sum() for logits in answers.values()]).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
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


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_heads_go_by_the_features_and_nothing_else(name: str) -> None:
    net = net_of(name).eval()
    pictures = faces(2)
    with torch.inference_mode():
        features = net.features(pictures)
        assert features.shape == (2, ARCHITECTURES[name].features)
        for head, logits in net(pictures).items():
            torch.testing.assert_close(net.heads[head](features), logits)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_net_is_small_and_quiet(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    net = net_of(name)
    assert parameter_count(net) <= 12_000_000
    assert 0 < megaflops(net, net.input_size) <= 1_000
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_net_has_a_source(name: str) -> None:
    assert re.search(r"^ours\b|^Kalambate et al\.|https://doi\.org/10\.\d+/\S+", ARCHITECTURES[name].source)


def test_unknown_architecture() -> None:
    names = ", ".join(ARCHITECTURES)
    with pytest.raises(OptionError, match=f"no architecture 'alexnet': expected one of {names}$"):
        FaceNet("alexnet", HEADS)


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
    assert megaflops(net, net.input_size) == pytest.approx(2 * uses / 1e6)


def test_the_wide_net_is_the_papers_with_other_channels() -> None:
    net = net_of("paper-wide", {"fer2013": 7})
    weights = 64 * 25 + 128 * 64 * 25 + 512 * 128 * 9 + 128 * (9 * 512) + 7 * 128
    assert parameter_count(net) == weights + 64 + 128 + 512 + 128 + 7 == 1_387_783
    layers = [[type(layer) for layer in net_of(name).trunk.children()] for name in ("paper", "paper-wide")]
    assert layers[0] == layers[1]


# the nets of others


def test_feat_ex_puts_its_two_paths_side_by_side() -> None:
    block = FeatEx(5)
    assert parameter_count(block) == (96 * 5 + 96) + (208 * 96 * 9 + 208) + (64 * 5 + 64)
    maps = torch.rand(2, 5, 6, 7)
    out = block(maps)
    assert out.shape == (2, 208 + 64, 6, 7)
    assert torch.equal(out, torch.cat((block.convolved(maps), block.pooled(maps)), dim=1))
    # One pixel: convolved, it is seen by its neighbors through 3x3; pooled, in its 3x3 windows too; nowhere else.
    one = torch.zeros(1, 5, 7, 7)
    one[..., 3, 3] = 1
    seen = (block(one) != block(torch.zeros(1, 5, 7, 7))).any(dim=1)
    assert seen.nonzero()[:, 1:].tolist() == [[row, column] for row in (2, 3, 4) for column in (2, 3, 4)]


def test_dexpression_flattens_three_by_three_maps() -> None:
    convolutions = 64 * 49 + 64, (96 * 64 + 96) + (208 * 96 * 9 + 208) + (64 * 64 + 64)
    second = (96 * 272 + 96) + (208 * 96 * 9 + 208) + (64 * 272 + 64)
    assert parameter_count(net_of("dexpression", {"fer2013": 7})) == sum(convolutions) + second + 7 * 9 * 272 + 7


def test_a_separable_module_has_the_size_it_must_have() -> None:
    module = SeparableModule(8, 16)
    # Shortcut, then 3x3 over each channel and 1x1 over all, twice; three norms of 16 channels.
    assert parameter_count(module) == 8 * 16 + (8 * 9 + 8 * 16) + (16 * 9 + 16 * 16) + 3 * 2 * 16 == 824
    assert module(torch.rand(2, 8, 11, 10)).shape == (2, 16, 6, 5)


def test_mini_xception_is_the_authors_net() -> None:
    net = net_of("mini-xception", {"fer2013": 7})
    # Their last layer, 3x3 over 128 maps to 7 classes, has the weights of our head.
    assert parameter_count(net.heads) == 7 * 128 * 9 + 7
    # What Keras counts: 56,951 weights, and a mean and a variance for each of 16 + 3 * 240 channels.
    statistics = sum(b.numel() for name, b in net.named_buffers() if not name.endswith("num_batches_tracked"))
    assert (parameter_count(net), statistics) == (56_951, 1_472)
    assert parameter_count(net) + statistics == 58_423


def test_mini_xceptions_head_is_the_authors_class_maps_averaged() -> None:
    net = net_of("mini-xception", {"fer2013": 7}).eval()
    head, trunk = net.heads["fer2013"], net.trunk
    assert isinstance(head, nn.Linear)
    assert isinstance(trunk, nn.Sequential)
    pictures = faces(2)
    maps = trunk[:-2](per_image(pictures))
    assert maps.shape == (2, 128, 3, 3)
    class_maps = nn.functional.conv2d(maps, head.weight.reshape(7, 128, 3, 3), head.bias, padding=1)
    torch.testing.assert_close(net(pictures)["fer2013"], class_maps.mean(dim=(2, 3)))


def test_a_spatial_transformer_starts_as_the_identity() -> None:
    pictures = per_image(faces(3))
    torch.testing.assert_close(SpatialTransformer()(pictures), pictures, atol=1e-4, rtol=0)


def test_a_spatial_transformer_looks_elsewhere() -> None:
    transformer = SpatialTransformer()
    last = transformer.localization[-1]
    assert isinstance(last, nn.Linear)
    # x' = x + 2 / 48 * 5: five pixels to the right of where it would look.
    last.bias.data[2] = 10 / 48
    pictures = per_image(faces(2))
    moved = transformer(pictures)
    torch.testing.assert_close(moved[..., :-5], pictures[..., 5:], atol=1e-4, rtol=0)
    assert moved[..., -5:].abs().max() < 1e-4
    # x' = -x: its mirror image.
    last.bias.data.copy_(torch.tensor([-1.0, 0, 0, 0, 1, 0]))
    torch.testing.assert_close(transformer(pictures), pictures.flip(3), atol=1e-4, rtol=0)


def test_deep_emotion_has_the_size_it_must_have() -> None:
    attention = (8 * 49 + 8) + (10 * 8 * 25 + 10) + (640 * 32 + 32) + (32 * 6 + 6)
    convolutions = (10 * 9 + 10) + 3 * (10 * 10 * 9 + 10)
    dense = (810 * 50 + 50) + (50 * 7 + 7)
    assert parameter_count(net_of("deep-emotion", {"fer2013": 7})) == attention + convolutions + dense


def test_vgg_has_eight_convolutions_and_three_dense_layers() -> None:
    layers = [layer for layer in net_of("vgg", {"fer2013": 7}).modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert [tuple(layer.weight.shape[:2]) for layer in layers] == [
        *((64, 1), (64, 64), (128, 64), (128, 128), (256, 128), (256, 256), (512, 256), (512, 512)),
        *((512, 9 * 512), (512, 512), (7, 512)),
    ]


@pytest.mark.parametrize(
    ("name", "kind", "count"),
    [
        ("seven-conv", nn.Conv2d, 7),
        ("dexpression", FeatEx, 2),
        ("mobilenet", InvertedResidual, 11),
        ("mobilenet", SqueezeExcitation, 9),
        ("efficientnet", InvertedResidual, 16),
        ("efficientnet", SqueezeExcitation, 16),
        ("resnet-18", BasicBlock, 8),
    ],
)
def test_nets_have_as_many_blocks_as_their_sources(name: str, kind: type[nn.Module], count: int) -> None:
    assert sum(isinstance(module, kind) for module in net_of(name).modules()) == count


def test_resnet_18_has_eighteen_layers() -> None:
    net = net_of("resnet-18", {"fer2013": 7})
    layers = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert len([layer for layer in layers if isinstance(layer, nn.Linear) or layer.kernel_size == (3, 3)]) == 18
    # Of the 11,689,512 weights for ImageNet, 64 * 3 * 49 are the stem's and 1,000 * 513 the head's.
    assert parameter_count(net) == 11_689_512 - 64 * 3 * 49 - 1_000 * 513 + 64 * 9 + 7 * 513


def test_the_blocks_of_efficientnet_are_those_of_b0() -> None:
    # Of the 5,288,548 weights for ImageNet, 32 * 3 * 9 are the stem's and 1,000 * 1,281 the head's.
    assert parameter_count(net_of("efficientnet").trunk) == 5_288_548 - 32 * 3 * 9 - 1_000 * 1_281 + 32 * 9


def test_the_blocks_of_mobilenet_are_those_of_v3_small() -> None:
    # Of the 2,542,856 weights for ImageNet, 16 * 3 * 9 are the stem's and 1,000 * 1,025 the head's.
    ours = parameter_count(net_of("mobilenet").trunk) - 16 * 9
    theirs = 2_542_856 - 16 * 3 * 9 - 1_000 * 1_025
    # They squeeze 16, 240, 240, 120 and 144 channels to 8, 64, 64, 32 and 40 values, we to 4, 60, 60, 30 and 36.
    fewer = ((16, 4), (240, 4), (240, 4), (120, 2), (144, 4))
    assert theirs - ours == sum(values * (2 * channels + 1) for channels, values in fewer)


def test_an_inverted_residual_adds_what_came_in() -> None:
    for inputs, stride, is_added in ((8, 1, True), (8, 2, False), (4, 1, False)):
        block = InvertedResidual(inputs, 16, 8, 3, stride, activation=nn.ReLU).eval()
        for parameter in block.inner[-1].parameters():
            parameter.data.zero_()  # nothing but what came in is left
        maps = torch.rand(1, inputs, 6, 6)
        assert torch.equal(block(maps), maps if is_added else torch.zeros(1, 8, 6 // stride, 6 // stride))


def test_weights_of_channels_are_what_the_gate_makes_of_them() -> None:
    block = SqueezeExcitation(4, 2, gate=nn.functional.hardsigmoid)
    for parameter, value in zip(block.excite.parameters(), (0.0, 1.5), strict=True):
        parameter.data.fill_(value)
    maps = torch.rand(1, 4, 3, 3)
    torch.testing.assert_close(block(maps), maps * (1.5 / 6 + 0.5))


# sequences


def sequence_net(features: int = 5) -> SequenceNet:
    torch.manual_seed(0)
    return SequenceNet(features, 7).eval()


def test_a_sequence_is_answered_by_order_and_by_every_frame() -> None:
    net = sequence_net()
    frames = torch.rand(2, 6, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    logits = net(frames)
    assert logits.shape == (2, 7)
    assert (logits - net(frames.flip(1))).abs().min() > 1e-5
    logits[0].square().sum().backward()
    assert frames.grad is not None
    assert (frames.grad[0].abs().sum(dim=1) > 0).all()
    assert (frames.grad[1] == 0).all()


def test_a_sequence_is_answered_alone_as_in_a_batch() -> None:
    net = sequence_net()
    frames = torch.rand(3, 4, 5)
    torch.testing.assert_close(net(frames), torch.cat([net(sequence[None]) for sequence in frames]))


def test_a_sequence_of_one_frame_is_answered() -> None:
    assert sequence_net()(torch.rand(2, 1, 5)).isfinite().all()


def test_a_sequence_net_has_the_size_it_must_have() -> None:
    # Three gates of 128 by features and by state, two biases each; head of 7.
    assert parameter_count(sequence_net(50)) == 3 * 128 * (50 + 128 + 2) + 7 * 128 + 7


def test_a_sequence_net_reads_the_features_of_a_trunk() -> None:
    trunk = net_of("paper").eval()
    frames = trunk.features(faces(6)).reshape(2, 3, ARCHITECTURES["paper"].features)
    assert sequence_net(128)(frames).shape == (2, 7)


def test_measuring_changes_nothing() -> None:
    net = net_of("default").train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    megaflops(net, net.input_size)
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
