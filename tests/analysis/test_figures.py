"""Figures: what stands in them is what stands in the document, and equal data give equal bytes."""

import pathlib
import subprocess
import sys
import warnings
import xml.etree.ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from ascl_tf.analysis import figures
from ascl_tf.analysis.curves import corruption_document, sweep_document
from ascl_tf.errors import RunError
from tests.analysis import documents

ROOT = pathlib.Path(__file__).resolve().parents[2]


def _records_by_model(labels=documents.LABELS):
    return {label: documents.records(i) for i, label in enumerate(labels)}


def _document(name, labels=documents.LABELS):
    if name == "transfer":
        return documents.transfer()
    if name == "sweeps":
        return sweep_document(_records_by_model(labels))
    if name == "corruptions":
        return corruption_document(_records_by_model(labels))
    return getattr(documents, name)(labels)


NAMES = (
    "corruptions",
    "inversion",
    "tsne",
    "input_landscape",
    "weight_landscape",
    "sweeps",
    "calibration",
    "transfer",
)


def _texts(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


# Those of models are drawn in test_analyze_program.py, too.
OF_RECORDS = ("corruptions", "sweeps", "transfer")


@pytest.mark.parametrize(
    "name",
    [n if n in OF_RECORDS else pytest.param(n, marks=pytest.mark.slow) for n in NAMES],
)
def test_figure_of_one_model_is_written_as_png_and_svg(name, tmp_path):
    before = dict(matplotlib.rcParams)
    figure = figures.draw(_document(name, ("only",)))
    png, svg = figures.save_figure(figure, tmp_path / "deeper" / name)
    assert matplotlib.rcParams == before
    with Image.open(png) as picture:
        width, height = picture.size
        assert width == 960 and 400 < height < 3000
        assert np.asarray(picture.convert("L")).std() > 5
    assert xml.etree.ElementTree.parse(svg).getroot().tag.endswith("svg")
    assert b"<dc:date>" not in svg.read_bytes()
    assert sorted(p.name for p in svg.parent.iterdir()) == [f"{name}.png", f"{name}.svg"]


@pytest.mark.parametrize(
    "name", ["transfer", *(pytest.param(n, marks=pytest.mark.slow) for n in ("tsne", "sweeps"))]
)
def test_equal_documents_give_equal_bytes_whatever_the_settings_outside(name, tmp_path):
    first = figures.save_figure(figures.draw(_document(name)), tmp_path / "first")
    with matplotlib.rc_context({"lines.linewidth": 7, "svg.hashsalt": "other", "font.size": 30}):
        again = figures.save_figure(figures.draw(_document(name)), tmp_path / "again")
    for one, other in zip(first, again, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_no_window_system_is_imported():
    code = (
        "import sys; from ascl_tf.analysis import figures; "
        "assert 'matplotlib.pyplot' not in sys.modules and 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_curves_are_the_numbers_of_the_records():
    figure = figures.draw(_document("sweeps"))
    steps, radii = figure.axes
    for i, (over_steps, over_radii) in enumerate(zip(steps.lines, radii.lines, strict=True)):
        records = documents.records(i)
        expected = [r["robust_accuracy"] for r in records if r["protocol"] == "sweep_steps"]
        np.testing.assert_array_equal(over_steps.get_ydata(), expected)
        np.testing.assert_array_equal(over_steps.get_xdata(), range(101))
        np.testing.assert_allclose(over_radii.get_xdata(), range(0, 33, 2))
    assert "PGD steps (radius 8/255, step 2/255)" in _texts(figure)
    assert "radius (1/255; 20 steps of 2/255)" in _texts(figure)


def test_corruptions_are_means_over_severities_and_their_mean():
    document = _document("corruptions")
    records = [r for r in documents.records(1) if r["protocol"] == "corruptions"]
    means = [
        np.mean([r["robust_accuracy"] for r in records if r["corruption"] == name])
        for name in documents.CORRUPTIONS
    ]
    assert document["models"][1]["accuracies"] == pytest.approx(means)
    assert document["models"][1]["mean_accuracy"] == pytest.approx(np.mean(means))
    (axes,) = figures.draw(document).axes
    assert axes.lines[1].get_xdata() == pytest.approx([*means, np.mean(means)])
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels[:2] == ["gaussian noise", "shot noise"] and labels[-1] == "mean"


def test_frost_without_its_photographs_says_so():
    records = [
        r | {"frost_textures": "frost_procedural" if r.get("corruption") == "frost" else None}
        for r in documents.records()
    ]
    document = corruption_document({"only": records})
    assert document["models"][0]["frost_textures"] == ["frost_procedural"]
    assert "frost (substitute)" in _texts(figures.draw(document))


def test_landscapes_of_all_models_share_one_scale():
    document = documents.input_landscape()
    values = np.array([model["mean_loss"] for model in document["models"]])
    figure = figures.draw(document)
    surfaces = [axes for axes in figure.axes if hasattr(axes, "get_zlim")]
    assert len(surfaces) == 3
    for axes in surfaces:
        assert axes.get_zlim() == pytest.approx((values.min(), values.max()))
    filled = [axes.collections[0] for axes in figure.axes if axes.get_aspect() == 1.0]
    assert {(s.norm.vmin, s.norm.vmax) for s in filled} == {(values.min(), values.max())}
    assert "1,000 images of cifar10" in figure.get_suptitle()


def test_flat_landscape_can_be_drawn():
    document = documents.input_landscape(("flat",), grid_size=3)
    document["models"][0]["mean_loss"] = [[2.0] * 3] * 3
    figures.draw(document)


def test_weight_landscape_over_decades_is_logarithmic_and_says_so():
    for steepness, scale in ((1.0, "linear"), (3.0, "log")):
        (axes,) = figures.draw(documents.weight_landscape(steepness=steepness)).axes
        assert axes.get_yscale() == scale
        assert ("logarithmic" in axes.get_ylabel()) == (scale == "log")


def test_titles_say_what_was_measured():
    shown = "\n".join(_texts(figures.draw(documents.tsne())))
    assert "ASCL\nsilhouette 0.20, 20-NN 70.0 %" in shown and "airplane" in shown
    shown = "\n".join(_texts(figures.draw(documents.calibration())))
    assert "ASCL, attacked\nECE 12.3 %" in shown
    shown = "\n".join(_texts(figures.draw(documents.tsne() | {"class_names": ["0", "1"]})))
    assert "class 0" in shown and "class 9" in shown
    shown = "\n".join(_texts(figures.draw(documents.inversion())))
    assert "200 steps from 4 natural, 2 noise seeds" in shown and "no. 101" in shown


def test_bins_of_few_images_are_pale():
    axes = figures.draw(documents.calibration()).axes[0]
    bars = {round(bar.get_x()): bar for bar in axes.patches}
    assert (bars[7].get_alpha(), bars[13].get_alpha()) == (0.3, 1.0)
    assert bars[93].get_height() == pytest.approx(0.8 * (100 - 100 / 30))


def test_transfer_matrix_has_dashes_and_named_axes():
    texts = _texts(figures.draw(documents.transfer()))
    assert texts.count("\N{EN DASH}") == 3 and "67.03" in texts
    assert any(text.startswith("source") for text in texts)
    assert any(text.startswith("target") for text in texts)


def test_name_that_a_user_chose_is_shown_as_it_is(tmp_path):
    figure = figures.draw(documents.weight_landscape(("a_b", "$x^2$ & <c>")))
    assert {"a_b", "$x^2$ & <c>"} <= set(_texts(figure))
    named = [text for text in figure.findobj(Text) if "$" in text.get_text()]
    assert named and not any(text.get_parse_math() for text in named)
    figures.save_figure(figure, tmp_path / "names")


def test_characters_that_the_font_lacks_are_found_and_drawn_without_warnings(tmp_path):
    figure = figures.draw(documents.weight_landscape(("\u732b caf\u00e9", "\u72d7\u732b")))
    assert figures.find_undrawable(figure) == ["\u72d7", "\u732b"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures.save_figure(figure, tmp_path / "names")


def test_unknown_figure_is_named():
    with pytest.raises(ValueError, match=r"`figure` must be one of corruptions, .*'pie'"):
        figures.draw({"figure": "pie"})


def _changed(records, **fields):
    return [record | fields for record in records]


@pytest.mark.parametrize(
    ("make", "records", "message"),
    [
        (sweep_document, [], r"`records=b`: expected records of protocol sweep_steps or sweep_eps"),
        (corruption_document, [], r"`records=b`: expected records of protocol corruptions; found"),
        (
            sweep_document,
            _changed(documents.records(), data_sha256="other"),
            r"`records=b`: expected one set of images, that of a; found others",
        ),
        (
            corruption_document,
            [r for r in documents.records() if r.get("corruption") != "fog"],
            r"`records=b`: expected the corruptions and severities of a; found others",
        ),
    ],
)
def test_records_that_cannot_be_compared_are_named(make, records, message):
    with pytest.raises(RunError, match=message):
        make({"a": documents.records(), "b": records})


def test_names_that_matplotlib_would_hide_or_cannot_write_are_drawn(tmp_path):
    document = _document("tsne", ("_at",))
    count = max(document["labels"]) + 1
    document["class_names"] = [f"_{i} caf\u00e9 \udcff" for i in range(count)]
    figure = figures.draw(document)
    _, svg = figures.save_figure(figure, tmp_path / "tsne")
    assert {f" _{i} caf\u00e9 \\udcff" for i in range(count)} <= set(_texts(figure))
    assert svg.stat().st_size and any(text.startswith(" _at") for text in _texts(figure))
