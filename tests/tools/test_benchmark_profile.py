"""The profile of a step: operations by kind and family, from what the profiler records."""

import pytest
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from tools.benchmarks import profile


def _recorded(events):
    """A serialized XSpace with one line of (name, picoseconds)."""
    space = xplane_pb2.XSpace()
    plane = space.planes.add(name="/host:CPU")
    line = plane.lines.add(name="tf_Compute/1")
    for number, (name, duration) in enumerate(events):
        plane.event_metadata[number].name = name
        line.events.add(metadata_id=number, duration_ps=duration)
    return space.SerializeToString()


def test_operations_are_added_up_by_kind_and_the_runtime_is_left_out():
    recorded = _recorded(
        [
            ("while/body/_465/conv1/convolution:_MklNativeConv2D", 2 * 10**12),
            ("encoder_3/conv2_1/convolution:_MklNativeConv2D", 10**12),
            ("encoder_5/ArithmeticOptimizer/AddOpsRewrite_Leaf_1_add:AddN", 10**11),
            ("ExecutorState::Process", 9 * 10**12),
            ("train_step", 9 * 10**12),
        ]
    )
    assert profile.seconds_by_kind(recorded) == {
        "_MklNativeConv2D": pytest.approx(3.0),
        "AddN": pytest.approx(0.1),
    }


@pytest.mark.parametrize(
    ("kind", "family"),
    [
        ("_MklNativePadWithConv2D", "convolution, forward"),
        ("_MklNativeConv2DBackpropInput", "convolution, gradient of the input"),
        ("_MklNativeConv2DBackpropFilter", "convolution, gradient of the kernel"),
        ("FusedBatchNormGradV3", "batch norm"),
        ("ReluGrad", "ReLU"),
        ("AddV2", "elementwise"),
        ("AddN", "sums and means"),
        ("NoOp", "other"),
    ],
)
def test_every_kind_has_a_family(kind, family):
    assert profile.family_of(kind) == family


def test_families_stand_by_their_time_with_the_rest_last():
    spent = {"NoOp": 9.0, "Relu": 1.0, "Conv2D": 2.0, "ReluGrad": 0.5}
    assert list(profile.by_family(spent).items()) == [
        ("convolution, forward", 2.0),
        ("ReLU", 1.5),
        ("other", 9.0),
    ]
