"""Exports a classifier as files for serving: python -m ascl_tf.export --model=... --output=...

    python -m ascl_tf.export --model=<SavedModel or .keras> --output=<folder> \\
        --export_format=saved_model,keras,tflite,onnx --dataset=cifar10

For a training run, `python -m ascl_tf.train --stage=export` does the same. Each file is loaded
again and compared with the model before the folder appears. The folder also gets card.json,
README.md and assets/labels.txt. The format `keras` needs a .keras file as --model, because a
SavedModel does not record its layers.
"""

from ascl_tf.errors import RunError, renamed
from ascl_tf.process import signals
from ascl_tf.process.files import check_folder_place, check_outside
from ascl_tf.process.terminal import quiet_start
from ascl_tf.program import flag_defs
from ascl_tf.program.messages import as_flag, refused

with flag_defs.importing(), quiet_start():
    from ascl_tf.evaluation.protocols import get_protocol
    from ascl_tf.program.export_settings import ExportConfig
    from ascl_tf.program.inputs import check_classes, check_fit, load_images
    from ascl_tf.serving.card import STRUCTURE, describe_files, read_card
    from ascl_tf.serving.exporting import TFLITE, check_export, export_classifier
    from ascl_tf.serving.loading import load_model


def main(argv):
    """Exports as the command line says, and prints what was found of each file."""
    settings = flag_defs.parse_program(ExportConfig, argv, __doc__)
    if settings is None:
        return
    config = ExportConfig.from_flags(settings)
    get_protocol(config.protocol)
    check_outside("output", config.output, [config.model], replaces_folder=True)
    check_folder_place("output", config.output)
    check_export(config.output, config.formats())
    with renamed(path="model"):
        model = load_model(config.model, trust_model=config.trust_model)
        card = read_card(config.model) or {}
    named = as_flag("model", config.model)
    test, train = _data_sets(config, model, named)
    size = config.image_size
    with refused(named):
        found = export_classifier(
            model,
            config.output,
            image_shape=(size, size, 3) if size else None,
            formats=config.formats(),
            class_names=card.get("class_names"),
            resize=card.get("resize", config.resize),
            train=train,
            test=test,
            protocol=config.protocol,
            details={name: value for name, value in card.items() if name not in STRUCTURE},
        )
    for line in describe_files(found):
        print(line, flush=True)
    print(f"exported model: {config.output}")


def run(argv=None):
    """Runs the program; the console entry `ascl-export`."""
    with signals.listening():
        flag_defs.run_program(main, argv)


def _data_sets(config, model, named):
    """Returns the test images, and those of training where something looks at them."""
    if not config.dataset:
        return None, None
    test = load_images(config)
    check_classes(config.model, test, named)
    check_fit(model.logits_fn, test, named, num_images=config.num_images)
    train = None
    if TFLITE in config.formats():
        train = load_images(config.of_training(), needs_labels=False)
    if train is not None and train.image_shape != test.image_shape:
        raise RunError(
            f"--training_split: expected images of shape {test.image_shape}, as those of "
            f"{config.split}; found {train.image_shape}"
        )
    return test, train


if __name__ == "__main__":
    run()
