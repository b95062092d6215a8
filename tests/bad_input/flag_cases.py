"""Command lines, flagfiles, `TF_CONFIG` and recorded settings that cannot be."""

import json
import pathlib

from ascl_tf.config import Config, identity_of
from ascl_tf.training.workdir import WorkDirectory
from tests.bad_input.case import WORKDIR, Case

FLAGS = [
    Case("--wigth=3", 2, "--wigth: expected a known flag", "found an unknown one"),
    Case("--method=ASCL", 2, "--method: expected one of acl, ", "found 'ASCL' (near it: ascl"),
    Case("--method=moco", 2, "--method: expected one of acl, ", "found 'moco'"),
    Case(
        "--method=tardes", 2, "--method: expected one of acl, ", "found 'tardes' (near it: trades"
    ),
    Case("--encoder=resnet18", 2, "--encoder: expected ", "found 'resnet18' (near it: resnet"),
    Case("--stage=pertrain", 2, "--stage: expected one of pretrain, ", "found 'pertrain'"),
    Case("--finetune=alf", 2, "--finetune: expected one of laf, ", "found 'alf'"),
    Case("--epochs=ten", 2, "--epochs: expected an integer", "found 'ten'"),
    Case("--nosmoke=true", 2, "--nosmoke: expected no value", "found 'true'"),
    Case("--method=at --nodownload=0", 2, "--nodownload: expected no value", "found '0'"),
    Case('--workdir="run"', 2, "--workdir, as a line of flags.txt: expected a value", '"run"'),
    Case("--smoke=maybe", 2, "--smoke: expected true or false", "found 'maybe'"),
    Case("--depth=20", 2, "--depth: expected 18, 34 or 50", "found 20"),
    Case("--encoder=resnet18", 2, "--encoder: expected resnet, preact_resnet", "found 'resnet18'"),
    Case("--epsilon=0", 2, "--epsilon: expected a number > 0", "found 0"),
    Case("--epsilon=-8/255", 2, "--epsilon: expected a number > 0", "found -8/255"),
    Case("--epsilon=8", 2, "--epsilon: expected a number > 0 and <= 1", "such as 8/255"),
    Case("--epsilon=8/0", 2, "--epsilon: expected a number or a fraction", "found '8/0'"),
    Case("--step_size=2", 2, "--step_size: expected a number > 0 and <= 1", "found 2"),
    Case("--step_size=20/255", 2, "--step_size: expected at most twice --epsilon", "20/255"),
    Case("--temperature=0", 2, "--temperature: expected a number > 0", "found 0.0"),
    Case("--temperature=-0.5", 2, "--temperature: expected a number > 0", "found -0.5"),
    Case("--learning_rate=nan", 2, "--learning_rate: expected a number > 0", "found nan"),
    Case("--seed=-1", 2, "--seed: expected a number >= 0 and <= 2.14748e+09", "found -1"),
    Case("--decay_at=0.6,2", 2, "--decay_at: expected numbers in (0, 1]", "found '0.6,2'"),
    Case("--num_clusters=1", 2, "--num_clusters: expected whole numbers >= 2", "found '1'"),
    Case("--global_batch_size=0", 2, "--global_batch_size: expected a number >= 1", "found 0"),
    Case(
        "--method=at --unlabeled_dataset=stl10",
        2,
        "--unlabeled_dataset: expected --unlabeled_kl_weight > 0",
        "found --unlabeled_kl_weight=0",
    ),
    Case(
        "--lambda_1=0 --unlabeled_dataset=stl10",
        2,
        "--unlabeled_dataset: expected --lambda_1 > 0",
        "found --lambda_1=0",
    ),
    Case(
        "--method=rotation_at --rotation_weight=0 --unlabeled_dataset=stl10",
        2,
        "--unlabeled_dataset: expected --rotation_weight > 0",
        "found --rotation_weight=0",
    ),
    Case("--num_replicas=99", 2, "--num_replicas: expected at most the ", "found 99"),
    Case(
        "--num_replicas=2 --global_batch_size=15",
        2,
        "--global_batch_size: expected a multiple of the 2 replicas",
        "found 15",
    ),
    Case("--norm=l1", 2, "--norm: expected one of linf, l2", "found 'l1'"),
    Case("--norm=l2 --epsilon=128", 2, "--epsilon: expected a number > 0 and <= 100", "found 128"),
    Case("--norm=l2 --at_attack=fgsm_rs", 2, "--at_attack=fgsm_rs: expected --norm=linf", "=l2"),
    Case("--norm=l2 --method=standard", 2, "--norm=l2: expected a method", "--method=standard"),
    Case("--protocol=pgd20@steps=5", 2, "--protocol: expected epsilon or ", "found steps=5"),
    Case("--validation_protocol=fgsm@epsilon=8", 2, "--validation_protocol: ", "found '8'"),
    Case("--protocol=", 2, "--protocol: expected one or more names", "found none"),
    Case("--protocol=,", 2, "--protocol: expected one or more names", "found none"),
    Case("--protocol=pgd21", 2, "--protocol: ", "'pgd21'"),
    Case("--validation_protocol=pdg20", 2, "--validation_protocol: ", "'pdg20'"),
    Case("--dataset=cifar11", 2, "--dataset=cifar11: expected a name that", "found an unknown"),
    Case("--pretrained --smoke", 2, "--pretrained: expected a value", "found the flag --smoke"),
    Case("--workdir=~nobody_here/x", 2, "--workdir: expected ~ or ~user", "'~nobody_here'"),
    Case("--workdir=run/\udcff", 2, "--workdir: expected a path in UTF-8", "found b'run/\\xff'"),
    Case("surplus", 2, "expected only flags", "found 'surplus'"),
]


def _flagfile(content, status, expected, found, name="bad.flags"):
    content = content if isinstance(content, bytes) else content.encode()
    return Case(
        f"--flagfile={name}",
        status,
        expected,
        found,
        prepare=lambda root: pathlib.Path("bad.flags").write_bytes(content),
    )


FLAGFILES = [
    _flagfile("--wigth=3\n", 2, "--wigth: expected a known flag", "found an unknown one"),
    _flagfile("--epsilon=8\n", 2, "--epsilon: expected a number > 0 and <= 1", "found 8"),
    _flagfile("epochs: 3\n", 2, "expected only flags", "found 'epochs: 3'"),
    _flagfile(b"\x89PNG\xff\x00", 2, "bad.flags, line 1: expected text", "found byte 0x89"),
    _flagfile("--method=moco\n", 2, "--method: expected one of acl, ", "found 'moco'"),
    _flagfile("--epochs=\n", 2, "--epochs: expected an integer", "found ''"),
    _flagfile("# nothing\n--temperature=1e999\n", 2, "--temperature: expected a number", "inf"),
    _flagfile("", 2, "--flagfile=no.flags: expected a readable file", "No such", "no.flags"),
    _flagfile("", 2, "--flagfile=run: expected a readable file", "Is a directory", "run"),
    _flagfile("\n--dataset=x --seed=3\n", 2, "line 2: expected one flag on each line", "--seed"),
    _flagfile("--flagfile=bad.flags\n", 2, "line 1: --flagfile=bad.flags: expected", "found one"),
    _flagfile(b"--seed=3\n\0", 2, "bad.flags, line 2: expected text", "found a NUL character"),
    _flagfile("--workdir=~nobody_here/x\n", 2, "--workdir: expected ~ or ~user", "'~nobody_here'"),
    _flagfile("--flagfile=no.flags\n", 2, "--flagfile=no.flags: expected a readable", "No such"),
]


def _cluster(document, expected, found):
    text = document if isinstance(document, str) else json.dumps(document)
    return Case(
        "--model=absent",
        2,
        f"TF_CONFIG: {expected}",
        found,
        program="evaluate",
        environment={"TF_CONFIG": text},
    )


_ONE = {"worker": ["a:1"]}
TF_CONFIG = [
    _cluster("{", "expected a JSON object", "found Expecting property name"),
    _cluster("[" * 100_000, "expected a JSON object", "found maximum recursion"),
    _cluster([_ONE], "expected a JSON object", "found list"),
    _cluster({"cluster": ["a:1"]}, "expected `cluster` to be an object", "found list"),
    _cluster({"cluster": {"boss": ["a:1"]}}, "expected jobs out of chief, master", "'boss'"),
    _cluster({"cluster": {"worker": "a:1"}}, "expected a list of host:port for 'worker'", "'a:1'"),
    _cluster({"cluster": {"worker": [1]}}, "expected a list of host:port for 'worker'", "[1]"),
    _cluster({"cluster": {"worker": ["a"]}}, "expected a list of host:port", "found ['a']"),
    _cluster({"cluster": _ONE, "task": [0]}, "expected `task` to be an object", "found list"),
    _cluster({"cluster": _ONE, "task": {"index": 0}}, "expected `type` of `task`", "found None"),
    _cluster(
        {"cluster": _ONE, "task": {"type": "worker", "index": "0"}},
        "expected `index` of `task` to be an int",
        "found '0'",
    ),
    _cluster(
        {"cluster": _ONE, "task": {"type": "worker", "index": 1}},
        "expected `index` of `task` below the 1 of 'worker'",
        "found 1",
    ),
    _cluster(
        {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}},
        "expected one worker",
        "found 2",
    ),
    _cluster({"cluster": {"chief": ["a:1"], "worker": ["b:1"]}}, "expected one worker", "found 2"),
    Case("", 2, "TF_CONFIG: expected a JSON object", "found", environment={"TF_CONFIG": "chief"}),
]


_HUGE = "1" + "0" * 400


def _settings(content, expected, found):
    content = content if isinstance(content, bytes) else content.encode()
    return Case(
        "--dataset=bundled",
        1,
        f"config.json: {expected}",
        found,
        prepare=lambda root: (pathlib.Path(WORKDIR) / "config.json").write_bytes(content),
    )


def _other_run(root):
    config = Config(dataset="bundled", workdir=WORKDIR, width=4)
    WorkDirectory(WORKDIR).begin_stage("pretrain", identity_of(config, "pretrain"), config)


def _place(text):
    def prepare(root):
        pathlib.Path(WORKDIR).rmdir()
        pathlib.Path(WORKDIR).write_text(text)

    return prepare


CONFIGS = [
    _settings("{", "expected the settings of a run", "found"),
    _settings("", "expected the settings of a run", "found Expecting value"),
    _settings("[]", "expected a JSON object", "found list"),
    _settings(b"\xff\xfe{}", "expected the settings of a run", "can't decode"),
    _settings("[" * 100_000, "expected the settings of a run", "recursion depth"),
    _settings('{"stages": []}', "expected `stages` to be an object of objects", "found []"),
    _settings('{"stages": {"pretrain": 3}}', "expected `stages` to be", "found {'pretrain': 3}"),
    _settings(
        f'{{"settings": {{"lambda_1": {_HUGE}}}}}', "lambda_1: expected a float", "too large"
    ),
    _settings(f'{{"settings": {{"seed": {_HUGE}}}}}', "--seed: expected a number", _HUGE),
    _settings('{"settings": {"wigth": 3}}', "expected known settings", "found wigth"),
    _settings('{"settings": {"width": "3"}}', "expected width to be int", "found '3'"),
    _settings('{"settings": {"width": true}}', "expected width to be int", "found True"),
    _settings('{"settings": {"smoke": 1}}', "expected smoke to be bool", "found 1"),
    _settings('{"settings": {"method": null}}', "expected method to be str", "found None"),
    _settings('{"settings": {"epsilon": "x"}}', "epsilon: expected a number", "found 'x'"),
    _settings('{"settings": {"epsilon": 8}}', "--epsilon: expected a number", "found 8"),
    _settings('{"settings": {"temperature": NaN}}', "--temperature: expected a num", "found nan"),
    _settings('{"settings": 3}', "expected a JSON object", "found int"),
    Case(
        "--temperature=0.1 --width=8",
        2,
        "run, stage pretrain: expected the flags with which it began",
        "--temperature=0.1 (recorded: 0.5), --width=8 (recorded: 4)",
        prepare=_other_run,
    ),
    Case(
        "--dataset=bundled", 1, "--workdir=run: expected a folder", "found ", prepare=_place("mine")
    ),
    Case(
        "--dataset=bundled --workdir=run/below",
        1,
        "--workdir=run/below: expected a folder",
        "found ",
        prepare=_place("mine"),
    ),
]
