"""Own pictures: the sets that are drawn, what is measured beside a run, and, slow, a run itself."""

import hashlib
import json
import pathlib
import subprocess

import numpy as np
import pytest
from PIL import Image

from tools.benchmarks import pictures
from tools.benchmarks._drawn_pictures import KINDS, draw_set


def _digest(folder):
    files = sorted(folder.glob("*/*"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def test_set_is_the_same_for_the_same_seed_alone(tmp_path):
    for name, seed in [("a", 1), ("b", 1), ("c", 2)]:
        draw_set(tmp_path / name, "free", 2, 10, seed=seed)
    a, b, c = (_digest(tmp_path / name) for name in "abc")
    assert a == b != c


@pytest.mark.parametrize("kind", KINDS)
def test_classes_differ_in_size_by_the_ratio_and_pictures_by_the_sizes(tmp_path, kind):
    draw_set(tmp_path / "s", kind, 3, 63, ratio=4, sizes=(16, 24))
    counts = [len(list(folder.iterdir())) for folder in sorted((tmp_path / "s").iterdir())]
    assert sorted(counts) == [9, 18, 36]
    files = list((tmp_path / "s").glob("*/*"))
    sizes = {Image.open(file).size for file in files}
    assert {side for size in sizes for side in size} <= set(range(16, 25)) and len(sizes) > 3
    assert {file.suffix for file in files} == {".jpg", ".png"}


TOLD = {"initial_encoder": "pretrained:a", "class_weights": "none"}


def _run(accuracy):
    def run(command, **_):
        (workdir,) = (pathlib.Path(c[10:]) for c in command if c.startswith("--workdir="))
        (workdir / "results").mkdir(parents=True)
        records = [
            {
                "protocol": name,
                "checkpoint": checkpoint,
                "standard_accuracy": value,
                "robust_accuracy": value - 1,
            }
            for name, checkpoint, value in [
                ("standard", "best", 0.0),
                ("pgd20", "best", accuracy),
                ("pgd20", "last", 1.0),
            ]
        ]
        (workdir / "results/evaluate_pretrain.json").write_text(json.dumps({"records": records}))
        (workdir / "config.json").write_text(
            json.dumps({"settings": {"epochs": 7, "image_size": 32, **TOLD}})
        )
        assert {"--recipe=pictures", "--minutes=0.5", "--width=4"} <= set(command)
        return subprocess.CompletedProcess(command, 0, "", "")

    return run


def test_record_has_the_best_checkpoint_beside_the_nearest_neighbor(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(subprocess, "run", _run(90.0))
    given = "--width=4 --initial_encoder=pretrained:a"
    flags = ["--minutes=0.5", f"--flags={given}", f"--output={tmp_path}"]
    # Another set, the same from another start, and what is replaced.
    named = ("free_2_200_10to1", ""), ("colors_4_120", ""), ("colors_4_120", "pretrained:a")
    usual = {**TOLD, "minutes": 0.5, "flags": "--width=4"}
    kept = [{**usual, "set": name, "initial_encoder": start} for name, start in named]
    (tmp_path / "benchmark_pictures.json").write_text(json.dumps({"rows": kept}))
    path = pictures.main(["--sets=colors_4_120", *flags])
    first, row, last = json.loads(path.read_text())["rows"]
    assert [first, last] == [kept[1], kept[0]] and row["minutes"] == 0.5
    assert (row["epochs"], row["standard_accuracy"], row["robust_accuracy"]) == (7, 90.0, 89.0)
    # Of a fifth of four classes alike; colors are told apart by their pixels.
    assert row["largest_class"] == 25.0 and row["nearest_neighbor"] > 80
    assert "colors_4_120" in capsys.readouterr().out


def test_nearest_neighbor_is_the_one_of_all_distances(tmp_path):
    draw_set(tmp_path / "s", "free", 2, 40)
    train, test = (
        pictures.load_dataset(f"folder:{tmp_path / 's'}", split, image_size=32)
        for split in ("train", "test")
    )
    wide = np.asarray(test.images, np.float64)[:, None] - np.asarray(train.images, np.float64)
    nearest = train.labels[np.argmin(np.sum(wide**2, axis=(2, 3, 4)), axis=1)]
    found = pictures.baselines(f"folder:{tmp_path / 's'}", 32)
    assert found["nearest_neighbor"] == 100 * np.mean(nearest == test.labels)


def test_failed_run_ends_the_benchmark_with_what_it_said(monkeypatch):
    failed = subprocess.CompletedProcess([], 2, "", "error: why")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(SystemExit, match="plain_2_60: expected exit status 0; found 2\nerror: why"):
        pictures.main(["--sets=plain_2_60"])


def test_unknown_set_is_named(capsys):
    with pytest.raises(SystemExit, match="2"):
        pictures.main(["--sets=cats"])
    assert "--sets: expected some of plain_3_300" in capsys.readouterr().err


@pytest.mark.slow
def test_three_hundred_pictures_are_learned_in_minutes(tmp_path):
    path = pictures.main(["--sets=plain_3_300", "--minutes=3", f"--output={tmp_path}"])
    (row,) = json.loads(path.read_text())["rows"]
    assert row["standard_accuracy"] > 90 and row["robust_accuracy"] > 80
