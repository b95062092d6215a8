"""PyTorch weights as our classifier: names and layouts, errors, equal logits."""

import importlib.util
import pathlib
import sys

import keras
import numpy as np
import pytest

from ascl_tf.errors import RunError
from ascl_tf.models import BRANCHES
from ascl_tf.models.torch_weights import classifier_from_state_dict, unwrap_state_dict
from ascl_tf.serving.loading import load_model
from tests.common import random_images

TOOL = pathlib.Path(__file__).parents[2] / "tools" / "import_torch_weights.py"
WIDTH, NUM_CLASSES = 2, 5
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


def _entries(name, shape):
    """Yields names and shapes of a convolution and the batch norm behind it."""
    conv, norm = name
    yield f"{conv}.weight", shape
    for key in ("weight", "bias", "running_mean", "running_var"):
        yield f"{norm}.{key}", shape[:1]
    yield f"{norm}.num_batches_tracked", ()


def _state_dict(shortcut="shortcut", linear="linear", num_blocks=(2, 2, 2, 2), seed=0):
    """Returns arrays with the names and shapes of a PyTorch ResNet, in its order."""
    shapes = dict(_entries(("conv1", "bn1"), (WIDTH, 3, 3, 3)))
    channels = WIDTH
    for stage, blocks in enumerate(num_blocks):
        filters = WIDTH * 2**stage
        for index in range(blocks):
            name = f"layer{stage + 1}.{index}"
            shapes |= _entries((f"{name}.conv1", f"{name}.bn1"), (filters, channels, 3, 3))
            shapes |= _entries((f"{name}.conv2", f"{name}.bn2"), (filters, filters, 3, 3))
            if channels != filters:
                names = (f"{name}.{shortcut}.0", f"{name}.{shortcut}.1")
                shapes |= _entries(names, (filters, channels, 1, 1))
            channels = filters
    shapes |= {f"{linear}.weight": (NUM_CLASSES, channels), f"{linear}.bias": (NUM_CLASSES,)}
    rng = np.random.default_rng(seed)
    return {name: rng.uniform(0.1, 1, shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def classifier():
    return classifier_from_state_dict(_state_dict())


def _tool():
    spec = importlib.util.spec_from_file_location("import_torch_weights", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_kernels_are_turned_into_our_layout(classifier):
    tensors = _state_dict()
    block = classifier.encoder.blocks[2]
    theirs, ours = tensors["layer2.0.conv1.weight"], block.conv1.kernel.numpy()
    for row, column, channel, filter_ in [(0, 1, 1, 3), (2, 0, 0, 2)]:
        assert ours[row, column, channel, filter_] == theirs[filter_, channel, row, column]
    shortcut = tensors["layer2.0.shortcut.0.weight"]
    np.testing.assert_array_equal(block.shortcut_conv.kernel[0, 0], shortcut[:, :, 0, 0].T)
    dense = classifier.linear_head.dense
    np.testing.assert_array_equal(dense.kernel, tensors["linear.weight"].T)
    np.testing.assert_array_equal(dense.bias, tensors["linear.bias"])


def test_batch_norm_takes_statistics_and_affine_parameters(classifier):
    tensors = _state_dict()
    for name, layer in (
        ("bn1", classifier.encoder.stem_bn),
        ("layer4.1.bn2", classifier.encoder.blocks[-1].bn2),
        ("layer3.0.shortcut.1", classifier.encoder.blocks[4].shortcut_bn),
    ):
        part = layer.branch_layer("clean")
        np.testing.assert_array_equal(part.gamma, tensors[f"{name}.weight"])
        np.testing.assert_array_equal(part.beta, tensors[f"{name}.bias"])
        np.testing.assert_array_equal(part.moving_mean, tensors[f"{name}.running_mean"])
        np.testing.assert_array_equal(part.moving_variance, tensors[f"{name}.running_var"])


def test_width_and_classes_are_read_off_and_every_entry_is_used(classifier):
    assert classifier.encoder.width == WIDTH
    assert classifier(random_images()).shape == (4, NUM_CLASSES)
    used = [v for k, v in _state_dict().items() if not k.endswith("num_batches_tracked")]
    ours = sorted(float(np.sum(variable)) for variable in classifier.variables)
    np.testing.assert_allclose(ours, sorted(float(value.sum()) for value in used), rtol=1e-5)


def test_both_families_of_names_give_the_same_network(classifier):
    other = classifier_from_state_dict(_state_dict("downsample", "fc"))
    for branch in BRANCHES:
        want = classifier(random_images(), branch=branch)
        np.testing.assert_array_equal(other(random_images(), branch=branch), want)


def test_depth_34_is_read():
    classifier = classifier_from_state_dict(_state_dict(num_blocks=(3, 4, 6, 3)), depth=34)
    assert classifier.encoder.depth == 34


def test_normalization_becomes_part_of_the_model(classifier):
    normalized = classifier_from_state_dict(_state_dict(), input_mean=MEAN, input_std=STD)
    images = random_images()
    inside = ((images - np.array(MEAN)) / np.array(STD)).astype(np.float32)
    np.testing.assert_allclose(normalized(images), classifier(inside), rtol=1e-4)


@pytest.mark.parametrize(
    "wrap, prefix",
    [
        (lambda entries: entries, ""),
        (lambda entries: {f"module.{k}": v for k, v in entries.items()}, ""),
        (lambda entries: {"state_dict": entries, "epoch": 3}, ""),
        (lambda entries: {"model": {"state_dict": entries}}, ""),
        (lambda entries: {"net": entries, "acc": 95.0}, ""),
        (lambda entries: {f"module.encoder.{k}": v for k, v in entries.items()}, "encoder."),
        (lambda entries: {f"f.module.{k}": v for k, v in entries.items()} | {"g.w": 1.0}, "f."),
    ],
)
def test_wrapping_is_taken_off(wrap, prefix):
    entries = {"conv1.weight": np.zeros([2, 3, 3, 3]), "linear.bias": np.zeros([5])}
    wrapped = {k: np.asarray(v) if k == "g.w" else v for k, v in wrap(entries).items()}
    assert unwrap_state_dict(wrapped, prefix=prefix) == entries


@pytest.mark.parametrize(
    "loaded, prefix, message",
    [
        ([1, 2], "", r"expected a state dict; found list"),
        ({"lr": 0.1, "epoch": 3}, "", r"state dict of tensors; found lr, epoch of other types"),
        ({"a": np.zeros(1)}, "b.", r"expected entries that begin with 'b\.'; found a"),
        ({}, "", r"expected entries that begin with ''; found none"),
    ],
)
def test_what_is_no_state_dict_is_refused(loaded, prefix, message):
    with pytest.raises(ValueError, match=message):
        unwrap_state_dict(loaded, prefix=prefix)


def _changed(**changes):
    entries = _state_dict()
    for name, value in changes.items():
        entries.pop(name) if value is None else entries.update({name: value})
    return entries


@pytest.mark.parametrize(
    "changes, depth, message",
    [
        (
            {"conv1.weight": None},
            18,
            r"expected an entry conv1\.weight; found bn1\.weight, .* more",
        ),
        ({"linear.weight": None}, 18, r"expected an entry linear\.weight; found conv1\.weight"),
        (
            {"conv1.weight": np.float32(1)},
            18,
            r"expected conv1\.weight with axes; found shape \[\]",
        ),
        (
            {"layer1.0.bn1.bias": None},
            18,
            r"for every weight; found none for layer1\.0\.bn1\.bias$",
        ),
        ({"mask": np.zeros(3)}, 18, r"expected no further entries; found mask$"),
        (
            {"conv1.weight": np.zeros([2, 3, 5, 5])},
            18,
            r"expected conv1\.weight of shape \[2, 3, 3, 3\]; found shape \[2, 3, 5, 5\]",
        ),
        (
            {"linear.weight": np.zeros([5, 7])},
            18,
            r"expected linear\.weight of shape \[5, 16\]; found shape \[5, 7\]",
        ),
        ({}, 34, r"for every weight; found none for layer1\.2\.conv1\.weight, .* and \d+ more$"),
        ({}, 20, r"`depth` must be one of \[18, 34, 50\]; received 20"),
    ],
)
def test_entries_that_do_not_fit_are_named(changes, depth, message):
    with pytest.raises(ValueError, match=message):
        classifier_from_state_dict(_changed(**changes), depth=depth)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--output=m.keras"], "--state_dict"),
        (["--state_dict=m.pt", "--output=m.h5"], "expected a name that ends in .keras; found m.h5"),
        (["--depth=20"], "invalid choice: 20"),
        (["--input_mean=1,2"], "expected three numbers as in 0.5,0.5,0.5; found 1,2"),
        (["--input_std=1,0,1"], "expected three numbers above 0; found 1,0,1"),
        (["--input_std=1,1,1"], "expected both or neither; found one"),
    ],
)
def test_wrong_flags_end_with_status_2(arguments, message, capsys):
    if "--output=m.keras" not in arguments and "--state_dict=m.pt" not in arguments:
        arguments = ["--state_dict=m.pt", "--output=m.keras", *arguments]
    with pytest.raises(SystemExit) as stop:
        _tool().main(arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def _run(tmp_path, capsys, *arguments):
    output = tmp_path / "model.keras"
    names = [f"--state_dict={tmp_path / 'model.pt'}", f"--output={output}"]
    status = _tool().main([*names, *arguments])
    return status, capsys.readouterr().err, output


def test_missing_pytorch_names_the_extra(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    status, message, output = _run(tmp_path, capsys)
    assert status == 1 and "pip install 'ascl-tf[torch]'" in message
    assert message.count("\n") == 1 and not output.exists()


def _saved_network(tmp_path, **wrapping):
    torch = pytest.importorskip("torch", reason="needs the extra: pip install 'ascl-tf[torch]'")
    from tests.tools.torch_resnet import random_resnet18

    network = random_resnet18(width=8, num_classes=NUM_CLASSES)
    torch.save({"state_dict": network.state_dict(), **wrapping}, tmp_path / "model.pt")
    return torch, network


def test_imported_model_gives_the_logits_of_pytorch(tmp_path, capsys):
    torch, network = _saved_network(tmp_path, epoch=3)
    flags = ["--num_classes=5", "--input_mean=0.5,0.4,0.3", "--input_std=0.2,0.25,0.3"]
    status, message, output = _run(tmp_path, capsys, *flags)
    assert (status, message) == (0, "")
    images = random_images(size=32) * np.float32([[[[0.1]]], [[[0.4]]], [[[0.7]]], [[[1.0]]]])
    normalized = ((images - np.array(MEAN)) / np.array(STD)).astype(np.float32)
    with torch.no_grad():
        want = network(torch.from_numpy(normalized.transpose(0, 3, 1, 2).copy())).numpy()
    assert np.ptp(want, axis=0).min() > 0.1
    np.testing.assert_allclose(keras.models.load_model(output)(images), want, atol=1e-4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.keras", "model.pt"]


_NETWORKS = {
    "preact": lambda torch_nets: torch_nets.PreActResNet(4, NUM_CLASSES, True, True),
    "preact_without_last": lambda torch_nets: torch_nets.PreActResNet(4, NUM_CLASSES, False, False),
    "preact_as_told": lambda torch_nets: torch_nets.PreActResNet(4, NUM_CLASSES, True, False),
    "wide": lambda torch_nets: torch_nets.WideResNet(4, 2, NUM_CLASSES),
    "resnet50": lambda torch_nets: torch_nets.ResNet(
        2, NUM_CLASSES, torch_nets.Bottleneck, (3, 4, 6, 3), stem="imagenet"
    ),
}
_SETTINGS = {"preact_as_told": {"shortcut": "activation"}, "resnet50": {"depth": 50}}


@pytest.mark.parametrize("name", _NETWORKS)
@pytest.mark.parametrize("size", [32, 37])
def test_every_network_gives_the_logits_of_pytorch(name, size):
    torch = pytest.importorskip("torch", reason="needs the extra: pip install 'ascl-tf[torch]'")
    from tests.tools import torch_resnet

    torch.manual_seed(1)
    network = torch_resnet.randomized(_NETWORKS[name](torch_resnet))
    entries = {key: tensor.numpy() for key, tensor in network.state_dict().items()}
    classifier = classifier_from_state_dict(entries, **_SETTINGS.get(name, {}))
    images = random_images(size=size)
    with torch.no_grad():
        want = network(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()
    scale = np.abs(want).max()
    np.testing.assert_allclose(classifier(images) / scale, want / scale, atol=1e-4)
    # Each network answers by the image, and those that differ in a detail answer otherwise.
    assert np.ptp(want / scale, axis=0).max() > 1e-3
    if name == "preact_as_told":
        other = classifier_from_state_dict(entries)
        assert np.abs(other(images) - want).max() > 1e-2 * scale


def test_wide_network_is_read_without_pytorch():
    shapes = {"conv1.weight": (2, 3, 3, 3), "fc.weight": (5, 16), "fc.bias": (5,)}
    names, channels = ("weight", "bias", "running_mean", "running_var"), 2
    for stage, filters in enumerate((4, 8, 16), start=1):
        block = f"block{stage}.layer.0"
        shapes |= {f"{block}.bn1.{name}": (channels,) for name in names}
        shapes |= {f"{block}.bn2.{name}": (filters,) for name in names}
        shapes[f"{block}.conv1.weight"] = (filters, channels, 3, 3)
        shapes[f"{block}.conv2.weight"] = (filters, filters, 3, 3)
        shapes[f"{block}.convShortcut.weight"] = (filters, channels, 1, 1)
        channels = filters
    shapes |= {f"bn1.{name}": (16,) for name in names} | {"sub_block1.layer.0.bn1.weight": (2,)}
    rng = np.random.default_rng(0)
    entries = {name: rng.uniform(0.1, 1, shape) for name, shape in shapes.items()}
    encoder = classifier_from_state_dict(entries).encoder
    assert (encoder.depth, encoder.factor, encoder.width) == (10, 2, 2)
    kernel = encoder.blocks[1].shortcut_conv.kernel
    theirs = entries["block2.layer.0.convShortcut.weight"]
    np.testing.assert_allclose(kernel[0, 0], theirs[:, :, 0, 0].T, rtol=1e-6)


def test_evaluation_says_how_to_import_weights_of_pytorch(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"")
    with pytest.raises(RunError, match=r"found weights of PyTorch, of which tools/import"):
        load_model(tmp_path / "model.pt")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--num_classes=10"], "expected --num_classes=10 classes; found 5"),
        (["--depth=34"], "expected an entry for every weight"),
        (["--prefix=g."], "expected entries that begin with 'g.'; found conv1.weight"),
    ],
)
def test_weights_that_do_not_fit_end_with_status_1(tmp_path, capsys, arguments, message):
    _saved_network(tmp_path)
    status, line, output = _run(tmp_path, capsys, *arguments)
    assert status == 1 and message in line and "model.pt" in line
    assert line.count("\n") == 1 and not output.exists()


def _foreign_files():
    torch = pytest.importorskip("torch", reason="needs the extra: pip install 'ascl-tf[torch]'")
    return {
        "a whole network, not its weights": lambda path: torch.save(torch.nn.Linear(2, 2), path),
        "no file of PyTorch": lambda path: path.write_text("weights"),
        "an empty file": lambda path: path.write_bytes(b""),
    }


def test_foreign_files_end_with_status_1(tmp_path, capsys):
    for kind, write in _foreign_files().items():
        write(tmp_path / "model.pt")
        status, line, output = _run(tmp_path, capsys)
        assert status == 1 and "expected tensors only, as torch.save(" in line, kind
        assert line.count("\n") == 1 and not output.exists()


def test_file_that_is_not_there_ends_with_status_1(tmp_path, capsys):
    pytest.importorskip("torch", reason="needs the extra: pip install 'ascl-tf[torch]'")
    status, line, _ = _run(tmp_path, capsys)
    assert status == 1 and line.count("\n") == 1
    assert "model.pt: expected a readable file; found: No such file or directory" in line


def test_output_that_cannot_be_written_ends_with_status_1(tmp_path, capsys):
    _saved_network(tmp_path)
    output = tmp_path / "nowhere" / "model.keras"
    status, line, _ = _run(tmp_path, capsys, f"--output={output}")
    assert status == 1 and line.count("\n") == 1
    assert f"--output={output}: expected a file that can be written; found: No such file" in line
