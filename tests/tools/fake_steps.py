"""In place of the programs of a reproduction: leaves what they leave, at once.

As a program, `fake_steps.py <module> <arguments>`, it adds its arguments to the file named by
FAKE_CALLS, and waits for a minute before it ends where they hold FAKE_SLOW.
"""

import hashlib
import json
import os
import pathlib
import sys
import time

CHECKPOINTS = ("best", "last")


class FakeLauncher:
    """Calls nothing: leaves the outputs itself, and remembers the calls.

    Args:
        fails: text; calls whose arguments hold it fail.
    """

    def __init__(self, fails=None):
        self.calls, self._fails = [], fails

    def run(self, program, arguments, *, folder, log, kept_open):
        self.calls.append(" ".join([program, *arguments]))
        if self._fails and self._fails in self.calls[-1]:
            log.write_text("first\nerror: no such luck\n")
            return 1
        leave_outputs(program, arguments, folder)
        return 0

    def stop(self):
        pass

    def close(self):
        pass


def leave_outputs(program, arguments, folder):
    """Leaves what `program` would leave when called in `folder`."""
    values = dict(a.removeprefix("--").partition("=")[::2] for a in arguments)
    folder = pathlib.Path(folder)
    if program == "ascl_tf.train":
        _train(values, folder / values["workdir"])
    elif program == "ascl_tf.evaluate":
        _write(folder / values["output"], _records(values, [{}]))
    else:
        _write(folder / values["output"] / f"{values['figure']}.json", _figure(values))
        _write(folder / values["output"] / f"{values['figure']}.svg", {})
        # A picture of one dot.
        png = "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154"
        png += "789c6360606060000000050001a5f645400000000049454e44ae426082"
        path = folder / values["output"] / f"{values['figure']}.png"
        path.write_bytes(bytes.fromhex(png))


def _train(values, workdir):
    stage = values["stage"]
    mode = values.get("finetune", "laf") + values.get("encoder_part", "").removeprefix("encoder")
    name = f"finetune_{mode}" if stage == "finetune" else stage
    if stage in ("pretrain", "finetune"):
        for checkpoint in CHECKPOINTS:
            _write(workdir / "checkpoints" / name / checkpoint / "weights", values)
        _write(workdir / "results" / f"{name}.json", {})
    elif stage == "export":
        assert (workdir / "checkpoints").is_dir()
        _write(workdir / "export" / f"finetune_{mode}" / "saved_model.pb", {})
    else:
        assert (workdir / "checkpoints").is_dir()
        records = _records(values, [{"checkpoint": checkpoint} for checkpoint in CHECKPOINTS])
        _write(workdir / "results" / f"evaluate_finetune_{mode}.json", records)


def _records(values, places):
    records = []
    for protocol in values.get("protocol", "standard").split(","):
        for place in places:
            records += [
                {
                    **place,
                    **more,
                    "protocol": protocol,
                    "standard_accuracy": 90.0,
                    "robust_accuracy": accuracy(protocol, int(values.get("seed", 0)), place),
                    "num_images": int(values.get("num_images", 10_000)),
                    "epsilon": "8/255",
                    "seed": int(values.get("seed", 0)),
                    "attack": {"num_steps": 20},
                }
                for more in _points(protocol, values)
            ]
    return {"records": records}


def _figure(values):
    labels = [pair.partition("=")[0] for pair in values.get("models", "").split(",")]
    measures = {"rise": [0.5 + len(label) + int(values.get("seed", 0)) for label in labels]}
    models = [{"label": label, "model_sha256": label, "measures": measures} for label in labels]
    data = {"data_set": "cifar10", "data_sha256": "0" * 64}
    return {"figure": values["figure"], **data, "models": models}


def _points(protocol, values):
    if protocol == "corruptions":
        return [{"corruption": c, "severity": s} for c in ("fog", "frost") for s in (1, 2)]
    if "targets" in values:
        labels = [pair.partition("=")[0] for pair in values["targets"].split(",")]
        return [{"target": t, "source": s} for t in labels for s in labels]
    return [{}]


def accuracy(protocol, seed, place):
    """Returns a number that looks like an accuracy."""
    text = f"{protocol} {seed} {sorted(place.items())}"
    return int(hashlib.sha256(text.encode()).hexdigest()[:4], 16) / 0xFFFF * 100


def _write(path, document):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


def main(argv):
    program, *arguments = argv[1:]
    with open(os.environ["FAKE_CALLS"], "a", encoding="utf-8") as calls:
        calls.write(" ".join([program, *arguments]) + "\n")
    slow = os.environ.get("FAKE_SLOW")
    if slow and slow in " ".join(arguments):
        time.sleep(60)
    leave_outputs(program, arguments, os.getcwd())


if __name__ == "__main__":
    main(sys.argv)
