"""`python -m ascl_tf.train`: what it says before it trains."""

import pytest

from ascl_tf import train
from ascl_tf.training.run import check_protocols


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (
            "--norm=l2 --epsilon=8/255",
            "warning: --epsilon=8/255: expected more than 16/255 for --norm=l2; "
            "found a radius that is usual in l-infinity",
        ),
        (
            "--epsilon=128/255",
            "warning: --epsilon=128/255: expected less than 0.5 for --norm=linf; "
            "found a radius that is usual in l2",
        ),
        ("--norm=l2", None),
        ("--epsilon=128/255 --stage=evaluate", None),
    ],
)
def test_radius_of_the_other_norm_is_warned_of_once(flags, line, tmp_path, monkeypatch, capsys):
    configs = []
    monkeypatch.setattr(
        "ascl_tf.training.run.run_stages", lambda config, *_: configs.append(config)
    )
    train.main(["train", "--dataset=bundled", f"--workdir={tmp_path}/run", *flags.split()])
    said = [text for text in capsys.readouterr().out.splitlines() if text.startswith("warning")]
    assert said == ([line] if line else [])
    (config,) = configs
    assert config.norm == ("l2" if "l2" in flags else "linf")


@pytest.mark.parametrize("protocols", ["standard,", ",standard", "standard, ,standard"])
def test_comma_too_many_in_a_list_of_protocols_is_no_matter(protocols, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "ascl_tf.training.run.run_stages",
        lambda config, *_: asked.extend(check_protocols(config.evaluation)),
    )
    train.main(
        ["train", "--dataset=bundled", f"--workdir={tmp_path}/run", f"--protocol={protocols}"]
    )
    assert [protocol.name for protocol in asked] == ["standard"]
