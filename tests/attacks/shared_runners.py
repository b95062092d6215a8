"""Compiled attacks that several `AutoAttack`s share: tracing is most of the time of a small run."""

import contextlib

import pytest

from ascl_tf.attacks import autoattack


@contextlib.contextmanager
def shared_runners(runners):
    """Lets every `AutoAttack` take what it has compiled from the dict `runners`, or leave it there.

    Of one classifier only: a compiled attack keeps the one that it was made for.
    """
    make_runner = autoattack.make_runner

    def make(attack, logits_fn, image_shape, **ball):
        key = (attack, image_shape, *ball.items())
        if key not in runners:
            runners[key] = make_runner(attack, logits_fn, image_shape, **ball)
        return runners[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(autoattack, "make_runner", make)
        yield
