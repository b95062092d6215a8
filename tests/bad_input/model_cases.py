"""Model files that hold no classifier, or one that does not fit."""

from tests.bad_input.case import Case


def _model(name, expected, found):
    flags = f"--model={{root}}/{name} --dataset=folder:{{root}}/good --protocol=standard"
    return Case(f"{flags} --training_split=", 1, expected, found, program="evaluate")


MODELS = [
    _model("nothing", "expected a SavedModel folder or a .keras file", "found nothing there"),
    _model("good", "expected a SavedModel folder or a .keras file", "found neither"),
    _model("text.keras", "text.keras: expected a Keras model", "found: File is not a zip file"),
    _model("short.keras", "short.keras: expected a Keras model", "found"),
    _model("flipped.keras", "flipped.keras: expected a Keras model", "found"),
    _model("empty.keras", "empty.keras: expected a Keras model", "found"),
    _model("lambda.keras", "expected a Keras model without Lambda layers", "--trust_model"),
    _model("rows.keras", "must return logits of shape [batch, num_classes]", "(1, 8, 8, 3)"),
    _model("small.keras", "expected logits for float32 images of shape (8, 8, 3)", "found"),
    _model("two.keras", "`labels` must be below the 2 classes", "received 2"),
    _model("nan.keras", "expected finite logits", "returned NaN or inf"),
    _model("garbage", "garbage: expected a SavedModel", "found"),
    _model("unsigned", "unsigned: expected a signature serving_default", "found predict"),
    _model("pair", "pair: expected one input of signature serving_default", "found images, masks"),
    _model("many", "the key 'logits'", "received the keys ['a', 'b']"),
    _model("smaller", "float32 images of shape (8, 8, 3)", "(6, 6, 3): --image_size=6 resizes"),
    _model("first", "float32 images of shape (8, 8, 3)", "(3, 8, 8): its channels come first"),
    _model("bytes", "expected a signature serving_default of float images", "found uint8"),
    _model("twins.keras", "expected a Keras model of one input", "found images, masks"),
    _model("model.keras,{root}/smaller", "(8, 8, 3)", "for images of shape (6, 6, 3)"),
    _model(
        "model.keras,{root}/two.keras",
        "two.keras on folder:good: `labels` must be below",
        "received 2",
    ),
]
