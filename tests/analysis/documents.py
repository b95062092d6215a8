"""Documents of every figure, as small or as large as a test wants them."""

import numpy as np

LABELS = ("AT", "TRADES", "ASCL")
DATA = {"data_set": "cifar10", "data_sha256": "0" * 64, "num_images": 1000}
CORRUPTIONS = (
    "gaussian_noise shot_noise impulse_noise defocus_blur glass_blur motion_blur zoom_blur snow "
    "frost fog brightness contrast elastic_transform pixelate jpeg_compression speckle_noise "
    "gaussian_blur spatter saturate"
).split()


def records(seed=0):
    """Returns records of both sweeps and of all corruptions, as one model's evaluations."""
    rng = np.random.default_rng(seed)
    common = {
        "standard_accuracy": 80.0,
        "model_sha256": str(seed) * 64,
        "seed": 0,
        "wall_seconds": 1.0,
        "versions": {},
        **DATA,
    }
    attack = {"epsilon": "8/255", "step_size": "2/255", "num_steps": 20}

    def record(protocol, epsilon, accuracy, **fields):
        values = {"protocol": protocol, "epsilon": epsilon, "robust_accuracy": accuracy}
        return common | {"attack": attack | {"epsilon": epsilon}} | values | fields

    base = 45 + 4 * seed
    steps = [
        record("sweep_steps", "8/255", base + 30 / (1 + k), attack=attack | {"num_steps": k})
        for k in range(101)
    ]
    radii = [
        record("sweep_epsilon", f"{k}/255", 80 * float(np.exp(-k / (14 + 2 * seed))))
        for k in range(0, 33, 2)
    ]
    corrupted = [
        record("corruptions", "0", rng.uniform(40, 80) - 3 * s, corruption=c, severity=s)
        for c in CORRUPTIONS
        for s in range(1, 6)
    ]
    return [*steps, *radii, *corrupted]


def input_landscape(labels=LABELS, grid_size=33):
    offsets = np.linspace(-16 / 255, 16 / 255, grid_size)
    a, b = np.meshgrid(offsets * 255, offsets * 255, indexing="ij")
    models = []
    for i, label in enumerate(labels):
        loss = 1 + np.log1p(np.exp((a + 0.3 * np.sin(b)) / (4 + 2 * i))) + 0.02 * np.abs(b)
        center = float(loss[grid_size // 2, grid_size // 2])
        models.append(
            {
                "label": label,
                "adversarial_offsets": offsets.tolist(),
                "random_offsets": offsets.tolist(),
                "mean_loss": loss.tolist(),
                "centre_loss": center,
            }
        )
    return {"figure": "input_landscape", "parameters": {}, **DATA, "models": models}


def weight_landscape(labels=LABELS, steepness=1.0):
    offsets = np.linspace(-1, 1, 21)
    models = [
        {
            "label": label,
            "offsets": offsets.tolist(),
            "losses": (1.3 * np.exp(steepness * offsets**2 * (3 - i))).tolist(),
        }
        for i, label in enumerate(labels)
    ]
    parameters = {"num_steps": 10, "epsilon": 8 / 255}
    return {"figure": "weight_landscape", "parameters": parameters, **DATA, "models": models}


def tsne(labels=LABELS, num_images=600):
    rng = np.random.default_rng(0)
    classes = np.arange(num_images) % 10
    centers = rng.normal(size=(10, 2)) * 30
    models = [
        {
            "label": label,
            "points": (centers[classes] + rng.normal(size=(num_images, 2)) * (12 - 3 * i)).tolist(),
            "silhouette_features": 0.1 * i,
            "neighbor_accuracy": 60.0 + 5 * i,
        }
        for i, label in enumerate(labels)
    ]
    return {
        "figure": "tsne",
        "parameters": {"num_neighbors": 20},
        **DATA,
        "labels": classes.tolist(),
        "class_names": "airplane automobile bird cat deer dog frog horse ship truck".split(),
        "models": models,
    }


def inversion(labels=("standard", "ASCL"), size=32):
    rng = np.random.default_rng(0)
    seeds = rng.uniform(size=(6, size, size, 3))
    images = [[(0.5 * s + 0.1 * k).tolist() for k in range(5)] for s in seeds]
    return {
        "figure": "inversion",
        "parameters": {"num_steps": 200},
        "data_set": "cifar10",
        "components": [3, 17, 21, 40, 101],
        "seed_kinds": ["natural"] * 4 + ["noise"] * 2,
        "seed_images": seeds.tolist(),
        "models": [{"label": label, "images": images} for label in labels],
    }


def calibration(labels=("AT", "ASCL"), conditions=("clean", "attacked")):
    edges = np.linspace(0, 100, 16)
    middles = (edges[:-1] + edges[1:]) / 2
    result = {
        "bin_edges": edges.tolist(),
        "bin_accuracies": [None, *(0.8 * middles[1:]).tolist()],
        "bin_confidences": [None, *middles[1:].tolist()],
        "expected_calibration_error": 12.3,
        "bin_counts": [0, *range(1, 15)],
        "num_images": 200,
    }
    models = [{"label": label, "conditions": dict.fromkeys(conditions, result)} for label in labels]
    return {"figure": "calibration", "parameters": {}, **DATA, "models": models}


def transfer():
    values = [[None, 67.03, 61.89], [52.98, None, 51.61], [58.61, 12.87, None]]
    names = ["AT", "ACL", "ASCL"]
    return {"figure": "transfer", **DATA, "targets": names, "sources": names, "values": values}
