"""Which devices a run takes, on this suite's two virtual CPUs."""

import pytest
import tensorflow as tf

from ascl_tf.errors import ConfigError
from ascl_tf.training.strategy import check_batch_size, has_gpu, make_strategy


def test_one_cpu_needs_no_mirroring():
    assert make_strategy(1) is tf.distribute.get_strategy()


def test_more_replicas_than_devices_are_refused_by_name():
    with pytest.raises(ConfigError, match=r"`num_replicas`: .*2 visible device.*found 3"):
        make_strategy(3)


def test_batch_must_divide_evenly():
    check_batch_size(6, 3)
    with pytest.raises(ConfigError, match=r"`global_batch_size`: .*the 4 replicas; found 6"):
        check_batch_size(6, 4)


def test_batch_is_checked_before_a_strategy_is_made(monkeypatch):
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", None)
    with pytest.raises(ConfigError, match=r"`global_batch_size`: .*the 2 replicas; found 15"):
        make_strategy(2, global_batch_size=15)


def test_there_is_no_gpu_here():
    assert not has_gpu()
