"""The process that runs the PyPI package imagecorruptions; talks in lines of JSON.

    python _corruptions_peer.py <images.npy>

First it says which corruptions it can run. Then each line [corruption, severity] that it reads
is answered by the seconds for all images. Needs NumPy and the package, nothing of ours.
"""

import importlib.metadata
import json
import sys
import time
import warnings

PACKAGES = ("imagecorruptions", "numpy", "scipy", "scikit-image", "Pillow", "opencv-python")


def main():
    # What the package prints or warns of must not disturb the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    warnings.simplefilter("ignore")
    import numpy as np
    from imagecorruptions import corrupt, get_corruption_names

    images = np.load(sys.argv[1], allow_pickle=False)

    def run(corruption, severity):
        began = time.perf_counter()
        for image in images:
            corrupt(image, corruption_name=corruption, severity=severity)
        return time.perf_counter() - began

    def answer(content):
        print(json.dumps(content), file=answers, flush=True)

    able, unable = [], {}
    for name in get_corruption_names("all"):
        try:
            corrupt(images[0], corruption_name=name, severity=1)
        except Exception as error:
            unable[name] = str(error).splitlines()[0]
        else:
            able.append(name)
    answer({"able": able, "unable": unable, "versions": _versions()})
    for line in sys.stdin:
        answer(run(*json.loads(line)))


def _versions():
    versions = {}
    for package in PACKAGES:
        for name in (package, f"{package}-headless"):
            try:
                versions[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                continue
    return versions


if __name__ == "__main__":
    main()
