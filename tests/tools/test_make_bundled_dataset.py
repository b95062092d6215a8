import importlib.resources
import importlib.util
import pathlib

import pytest

from tests.common import SHARED

TOOL = pathlib.Path(__file__).parents[2] / "tools" / "make_bundled_dataset.py"


def _tool():
    spec = importlib.util.spec_from_file_location("make_bundled_dataset", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared with CIFAR-10")
def test_bundled_set_is_reproduced_byte_for_byte(tmp_path):
    data = SHARED / "data"
    flags = [f"--source={data / 'tfds'}", f"--output={tmp_path}"]
    assert _tool().main([*flags, f"--lossy_ids={data / 'lossy_ids.json'}"]) == 0
    bundled = importlib.resources.files("ascl_tf.data") / "bundled" / "cifar10_mini" / "1.0.0"
    made = tmp_path / "cifar10_mini" / "1.0.0"
    assert {path.name for path in made.iterdir()} == {path.name for path in bundled.iterdir()}
    for path in made.iterdir():
        assert path.read_bytes() == (bundled / path.name).read_bytes(), path.name


def test_source_without_cifar10_is_one_line(tmp_path, capsys):
    status = _tool().main([f"--source={tmp_path}", f"--output={tmp_path / 'out'}"])
    assert status == 1
    message = capsys.readouterr().err
    assert "expected a folder that holds cifar10, found none" in message
    assert message.count("\n") == 1
    assert not (tmp_path / "out").exists()
