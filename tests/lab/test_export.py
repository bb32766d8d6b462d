from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from mien.core.errors import ModelError, OptionError, OutputError
from mien.core.labels import EXPRESSIONS
from mien.core.model import Model, ModelCard, Score
from mien.engine.recognizer import Recognizer, load, model_names
from mien.lab.checkpoints import Checkpoint
from mien.lab.datasets import FaceDataset
from mien.lab.evaluation import expected_calibration_error
from mien.lab.export import Source, calibrate, export
from mien.lab.graph import (
    HALF_FROM,
    LARGEST_BYTES,
    ExportedNet,
    check_numbers,
    golden_crops,
    read_weights,
    with_card,
    with_one_head,
    write_model,
)
from mien.lab.models import ARCHITECTURES, HEADS, FaceNet, parameter_count
from mien.lab.quantization import quantize
from mien.lab.recipes import Recipe
from mien.lab.training import train

RECIPE = Recipe(
    architecture="paper",
    epochs=15,
    batch_size=16,
    optimizer="adam",
    learning_rate=0.003,
    augmentation="none",
    mixup=0.0,
    average_decay=0.9,
    seed=3,
)


@dataclass(frozen=True)
class Exported:
    """A net that was trained, and its file of the head ``fer2013``."""

    checkpoint: Checkpoint
    path: Path
    card: ModelCard


@pytest.fixture(scope="module")
def exported(made_faces: FaceDataset, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("export")
    training, public = made_faces.of_split("Training"), made_faces.of_split("PublicTest")
    checkpoint = train(RECIPE, training, public, folder / "run")
    path = folder / "new folder" / "tiny.onnx"
    card = export(
        checkpoint, "fer2013", path, name="tiny", version="1", data=made_faces, training_data={"made": checkpoint.data}
    )
    return Exported(checkpoint, path, card)


def untrained(architecture: str = "paper", seed: int = 0) -> FaceNet:
    """Return a net whose norms have seen faces, so that nothing in it is 0 or 1 by birth."""
    torch.manual_seed(seed)
    net = FaceNet(architecture, HEADS).train()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.weight, module.bias, module.running_mean, module.running_var):
                assert values is not None
                values.data.uniform_(0.5, 1.5)
    return net.eval()


# the file


def test_the_file_is_all_that_is_needed(exported: Exported, tmp_path: Path) -> None:
    (tmp_path / "tiny.onnx").write_bytes(exported.path.read_bytes())
    script = """
import sys, numpy as np
from mien.core.model import Model
crops = np.random.default_rng(0).integers(0, 256, (3, 1, 48, 48)).astype(np.uint8)
print(Model("tiny.onnx").run(crops).tolist())
assert not {"torch", "onnx", "lightning_fabric", "kornia", "sklearn"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    crops = np.random.default_rng(0).integers(0, 256, (3, 1, 48, 48)).astype(np.uint8)
    np.testing.assert_allclose(json.loads(done.stdout), Model(exported.path).run(crops), atol=1e-6)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.onnx"]
    assert sorted(path.name for path in exported.path.parent.iterdir()) == ["tiny.onnx"]


def test_the_card_says_what_it_is(exported: Exported, made_faces: FaceDataset) -> None:
    card = Model(exported.path).card
    assert card == exported.card
    assert (card.name, card.version, card.labels, card.head, card.seed) == ("tiny", "1", EXPRESSIONS, "fer2013", 3)
    assert (card.architecture, card.input_size) == ("paper", 48)
    assert (card.parameters, round(card.mflops, 6)) == (106_503, 11.798784)  # of one head
    assert card.recipe["heads"] == ["fer2013", "ferplus"]
    assert card.training_data == {"made": exported.checkpoint.data}
    assert "research" in card.license
    assert set(card.scores) == {
        *("fer2013", "fer2013_without_copies", "calibration_fer2013", "ferplus_7", "calibration_ferplus"),
        *("drop_equalized", "drop_24_px", "drop_jpeg_20", "drop_blur_1.5"),
    }


def test_the_scores_are_those_of_this_file(exported: Exported, made_faces: FaceDataset) -> None:
    private = made_faces.of_split("PrivateTest")
    table = load(exported.path).probabilities(private.images)
    right = float((table.argmax(axis=1) == private.labels).mean())
    assert right > 0.8
    score = exported.card.scores["fer2013"]
    assert (score.value, score.count) == (right, 24)
    error = expected_calibration_error(table, private.labels)
    assert exported.card.scores["calibration_fer2013"].value == pytest.approx(error)


def test_numbers_are_those_of_the_net(exported: Exported, made_faces: FaceDataset) -> None:
    net = with_one_head(exported.checkpoint.net, "fer2013")
    crops = np.concatenate([golden_crops(48), made_faces.images[:, None]])
    with torch.inference_mode():
        logits = net(torch.from_numpy(crops).float())["fer2013"] / exported.card.temperature
    np.testing.assert_allclose(Model(exported.path).run(crops), torch.softmax(logits, 1).numpy(), atol=1e-5)


def test_exporting_leaves_the_checkpoint_as_it_is(exported: Exported) -> None:
    net = exported.checkpoint.net
    assert set(net.heads) == {"fer2013", "ferplus"}
    large = net.trunk.state_dict()["10.weight"]
    assert not torch.equal(large, large.half().float())


def test_the_ferplus_head_leaves_contempt_out(exported: Exported, made_faces: FaceDataset) -> None:
    net = with_one_head(exported.checkpoint.net, "ferplus")
    crops = torch.from_numpy(made_faces.images[:, None])
    with torch.inference_mode():
        eight = torch.softmax(net(crops.float())["ferplus"] / 1.7, dim=1)
        seven = ExportedNet(net, "ferplus", 1.7)(crops)
    torch.testing.assert_close(seven, eight[:, :7] / eight[:, :7].sum(dim=1, keepdim=True))


def test_metadata_changes_no_answer(exported: Exported, tmp_path: Path) -> None:
    other = replace(exported.card, name="other", limits="none", scores={"new": Score(1, 1, 1, 1)})
    (tmp_path / "other.onnx").write_bytes(with_card(exported.path.read_bytes(), other))
    model = Model(tmp_path / "other.onnx")
    assert model.card == other
    assert np.array_equal(model.run(golden_crops(48)), Model(exported.path).run(golden_crops(48)))


def test_the_card_of_other_faces_has_their_figures(exported: Exported, made_faces: FaceDataset, tmp_path: Path) -> None:
    faces = replace(made_faces.of_labels(EXPRESSIONS), votes=None, images=made_faces.images.copy())
    faces = replace(faces, split=np.repeat(["train", "validation", "test"], (48, 24, 24)))
    faces.images[-6:] = faces.images[:6]
    card = export(
        exported.checkpoint,
        "fer2013",
        tmp_path / "own.onnx",
        name="own",
        version="1",
        data=faces,
        training_data={},
        source=Source(("train", "validation", "test"), "terms", "limits"),
    )
    assert (card.license, card.limits) == ("terms", "limits")
    test = faces.of_split("test")
    right = load(tmp_path / "own.onnx").probabilities(test.images).argmax(axis=1) == test.labels
    assert (card.scores["test"].value, card.scores["test"].count) == (right.mean(), 24)
    without = card.scores["test_without_copies"]
    assert (without.value, without.count) == (right[:18].mean(), 18)
    assert {"calibration_test", "drop_blur_1.5"} < set(card.scores)


def test_the_file_tells_nothing_of_this_machine(exported: Exported) -> None:
    content = exported.path.read_bytes()
    assert b"stack_trace" not in content
    assert b"lab/export.py" not in content
    model = onnx.load_model(exported.path)
    onnx.checker.check_model(model)
    assert [prop.key for prop in model.metadata_props] == ["mien.card"]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_net_becomes_a_file_and_comes_back(
    architecture: str, exported: Exported, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    net = with_one_head(untrained(architecture), "ferplus")
    path = tmp_path / "net.onnx"
    if 2 * parameter_count(net) > LARGEST_BYTES:
        with pytest.raises(ModelError, match="expected at most 10 MB"):
            write_model(ExportedNet(net, "ferplus", 1.3).eval(), exported.card, path)
        return
    write_model(ExportedNet(net, "ferplus", 1.3).eval(), exported.card, path)
    assert capfd.readouterr() == ("", "")
    recognizer = Recognizer(Model(path))
    check_numbers(recognizer, ExportedNet(net, "ferplus", 1.3).eval(), golden_crops(48))
    # Large weights take two bytes each, and there is little else.
    large = sum(parameter.numel() for parameter in net.parameters() if parameter.numel() >= HALF_FROM)
    assert 2 * large < path.stat().st_size < 2 * large + 4 * (parameter_count(net) - large) + 300_000
    weights = read_weights(path)
    for name, value in net.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(weights[name], value), name
    assert weights.keys() <= net.state_dict().keys()


@pytest.mark.parametrize("name", model_names())
def test_onnxruntime_can_fuse_the_norms(name: str, tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(load(name).model.path), options, providers=["CPUExecutionProvider"])
    kinds = {node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node}
    assert kinds & {"Conv", "QLinearConv"}
    assert not kinds & {"BatchNormalization", "Expand"}  # with them a face took 5.1 ms, not 3.5


def test_training_goes_on_from_a_file(exported: Exported, made_faces: FaceDataset, tmp_path: Path) -> None:
    still = replace(RECIPE, epochs=1, learning_rate=1e-12, heads=("fer2013",), seed=8)
    training, public = made_faces.of_split("Training"), made_faces.of_split("PublicTest")
    again = train(still, training, public, tmp_path, init=read_weights(exported.path))
    before = load(exported.path).probabilities(public.images).argmax(axis=1) == public.labels
    assert again.curves[0]["val_accuracy"] == pytest.approx(float(before.mean()))


# what is measured before


def test_the_temperature_makes_up_for_logits_that_are_too_large(exported: Exported, made_faces: FaceDataset) -> None:
    public = made_faces.of_split("PublicTest")
    wrong = (public.labels + (np.arange(24) < 6)) % 7  # a net that is always right is never sure enough
    public = replace(public, labels=wrong)
    net = with_one_head(exported.checkpoint.net, "fer2013")
    before = calibrate(net, "fer2013", public)
    for parameter in net.heads["fer2013"].parameters():
        parameter.data *= 2
    after = calibrate(net, "fer2013", public)
    assert after.temperature == pytest.approx(2 * before.temperature, rel=1e-3)
    assert after.uncertain_below == pytest.approx(before.uncertain_below, abs=1e-3)
    assert after.coverage == before.coverage


def test_ten_right_answers_do_not_make_a_net_certain(exported: Exported, made_faces: FaceDataset) -> None:
    net = with_one_head(exported.checkpoint.net, "fer2013")
    images, labels = made_faces.images, made_faces.labels
    with torch.inference_mode():
        logits = net(torch.from_numpy(images[:, None]).float())["fer2013"]
    right = np.flatnonzero(logits.argmax(dim=1).numpy() == labels)[:10]
    calibration = calibrate(net, "fer2013", made_faces[right], judge="fer2013")
    sure = torch.softmax(logits[right] / calibration.temperature, dim=1).max(dim=1).values
    assert sure.mean() == pytest.approx((10 + 1 / 7) / 11, abs=0.02)
    assert calibration.coverage == 1


# what is refused


def test_a_file_that_answers_otherwise_is_refused(exported: Exported) -> None:
    net = with_one_head(exported.checkpoint.net, "fer2013")
    recognizer = load(exported.path)
    check_numbers(recognizer, ExportedNet(net, "fer2013", exported.card.temperature), golden_crops(48))
    with pytest.raises(ModelError, match=r"differs from the net by 0\.\d+: expected at most 0.0001; nothing was"):
        check_numbers(recognizer, ExportedNet(net, "fer2013", 1.01 * exported.card.temperature), golden_crops(48))
    next(net.parameters()).data[0] = torch.nan
    with pytest.raises(ModelError, match="differs from the net by nan"):
        check_numbers(recognizer, ExportedNet(net, "fer2013", exported.card.temperature), golden_crops(48))


def test_a_net_with_infinite_weights_writes_nothing(
    exported: Exported, made_faces: FaceDataset, tmp_path: Path
) -> None:
    broken = replace(exported.checkpoint, net=untrained())
    next(broken.net.parameters()).data[0] = torch.nan
    with pytest.raises(ModelError, match="differs from the net by nan"):
        export(broken, "fer2013", tmp_path / "x.onnx", name="x", version="1", data=made_faces, training_data={})
    assert list(tmp_path.iterdir()) == []


def test_a_head_that_is_not_there(exported: Exported, made_faces: FaceDataset, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no head 'affectnet' in this checkpoint: it has fer2013, ferplus"):
        export(
            exported.checkpoint,
            "affectnet",
            tmp_path / "x.onnx",
            name="x",
            version="1",
            data=made_faces,
            training_data={},
        )


def test_a_place_that_cannot_be_written(exported: Exported, made_faces: FaceDataset, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path, tmp_path / "file" / "x.onnx"):
        with pytest.raises(OutputError):
            export(exported.checkpoint, "fer2013", out, name="x", version="1", data=made_faces, training_data={})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_more_than_ten_megabytes_are_refused(exported: Exported) -> None:
    model = onnx.load_model(exported.path)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(2_600_000, np.float32), "ballast"))
    with pytest.raises(ModelError, match=r"the model file would have 10\.\d MB: expected at most 10 MB"):
        with_card(model.SerializeToString(), exported.card)


def test_weights_are_read_from_model_files_only(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no model")
    for path in (tmp_path / "text.onnx", tmp_path / "missing.onnx", tmp_path):
        with pytest.raises(ModelError):
            read_weights(path)


def test_golden_crops_are_fixed() -> None:
    crops = golden_crops(48)
    assert crops.shape == (64, 1, 48, 48)
    assert crops.dtype == np.uint8
    assert np.array_equal(crops, golden_crops(48))
    assert {0, 255} <= set(crops[-8:].max(axis=(1, 2, 3)).tolist())


# what ships


@pytest.mark.data
@pytest.mark.parametrize("name", model_names())
def test_the_figure_on_a_card_is_the_figure_of_its_file(name: str, real_fer2013: FaceDataset) -> None:
    recognizer = load(name)
    private = real_fer2013.of_split("PrivateTest")
    # All faces through a large net take a minute on a busy machine: every tenth bounds its figure by four deviations.
    small = recognizer.card.mflops < 50
    faces = private if small else private[::10]
    right = float((recognizer.probabilities(faces.images).argmax(axis=1) == faces.labels).mean())
    assert right == pytest.approx(recognizer.card.scores["fer2013"].value, abs=1e-6 if small else 0.105)


# mirrored, and in integers


@pytest.fixture(scope="module")
def reduced(exported: Exported, made_faces: FaceDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("reduced") / "tiny.onnx"
    export(
        exported.checkpoint,
        "fer2013",
        path,
        name="tiny",
        version="1",
        data=made_faces,
        training_data={"made": exported.checkpoint.data},
        is_mirrored=True,
        is_quantized=True,
    )
    return path


def test_a_face_and_its_mirror_image_get_the_same_answer(exported: Exported, reduced: Path) -> None:
    crops = golden_crops(48)
    answers, mirrored = (Model(reduced).run(np.ascontiguousarray(faces)) for faces in (crops, crops[..., ::-1]))
    np.testing.assert_allclose(answers, mirrored, atol=1e-5)
    single = Model(exported.path)
    assert np.abs(single.run(crops) - single.run(np.ascontiguousarray(crops[..., ::-1]))).max() > 0.01


def test_integers_answer_nearly_as_the_net_does(exported: Exported, reduced: Path, made_faces: FaceDataset) -> None:
    head = with_one_head(exported.checkpoint.net, "fer2013")
    card = Model(reduced).card
    net = ExportedNet(head, "fer2013", card.temperature, is_mirrored=True).eval()
    with torch.inference_mode():
        wanted = net(torch.from_numpy(made_faces.images[:, None])).numpy()
    distance = np.abs(Model(reduced).run(made_faces.images[:, None]) - wanted).sum(axis=1) / 2
    assert 0 < distance.mean() < 0.03


def test_the_card_says_how_the_graph_computes(exported: Exported, reduced: Path) -> None:
    before, after = Model(exported.path).card, Model(reduced).card
    assert (before.is_mirrored, before.is_quantized) == (False, False)
    assert (after.is_mirrored, after.is_quantized) == (True, True)
    assert after.mflops == 2 * before.mflops
    assert after.parameters == before.parameters


def test_training_goes_on_from_the_float_net_beside_an_integer_one(exported: Exported, reduced: Path) -> None:
    with pytest.raises(ModelError, match=r"tiny.onnx: holds integers: expected real numbers, .* without --int8"):
        read_weights(reduced)
    beside = reduced.parent / "float" / "tiny.onnx"
    beside.parent.mkdir()
    beside.write_bytes(exported.path.read_bytes())
    weights, wanted = read_weights(reduced), read_weights(exported.path)
    assert weights.keys() == wanted.keys()
    assert all(torch.equal(weights[name], wanted[name]) for name in wanted)


def test_integers_that_change_the_answers_are_refused(
    exported: Exported, made_faces: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien.lab.quantization.MOST_DISTANCE", 0.0)
    path = tmp_path / "tiny.onnx"
    path.write_bytes(exported.path.read_bytes())
    with pytest.raises(ModelError, match=r"in eight bits the answers change by 0\.\d+: expected at most 0"):
        quantize(path, made_faces.images)
