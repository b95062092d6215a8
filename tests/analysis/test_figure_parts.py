"""How curves look: no two alike, however many models one figure has."""

from ascl_tf.analysis.figure_parts import style_of


def test_twenty_curves_have_looks_of_their_own():
    looks = [tuple(sorted(style_of(index).items())) for index in range(20)]
    assert len(set(looks)) == 20
    # Told apart in gray as well where they share a color.
    by_color = {}
    for index in range(20):
        style = style_of(index)
        by_color.setdefault(style["color"], []).append(style["marker"])
    assert all(len(set(markers)) == len(markers) for markers in by_color.values())
