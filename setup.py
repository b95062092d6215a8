"""Package metadata; tool settings live in pyproject.toml."""

import pathlib
import re

from setuptools import find_packages, setup

ROOT = pathlib.Path(__file__).parent
VERSION = re.search(
    r'__version__ = "([^"]+)"', (ROOT / "ascl_tf" / "__init__.py").read_text(encoding="utf-8")
).group(1)

setup(
    name="ascl-tf",
    version=VERSION,
    description="Adversarial supervised contrastive learning in TensorFlow and Keras",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    keywords=["adversarial robustness", "contrastive learning", "tensorflow", "keras"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Environment :: GPU :: NVIDIA CUDA",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    # The recipes stay at the top level of the checkout, and are part of the package.
    packages=[*find_packages(include=["ascl_tf", "ascl_tf.*"]), "ascl_tf.flags"],
    package_dir={"ascl_tf.flags": "flags"},
    package_data={
        "ascl_tf": ["py.typed", "pretrained/**/*"],
        "ascl_tf.data": ["bundled/**/*"],
        "ascl_tf.flags": ["**/*"],
    },
    python_requires=">=3.11,<3.14",
    install_requires=[
        "tensorflow>=2.21,<2.22",
        "keras>=3.15,<3.16",
        # tensorflow 2.21 no longer brings it, and tf.summary fails without.
        "tensorboard>=2.19,<3",
        "tensorflow-datasets>=4.9.9,<4.10",
        # tensorflow-datasets 4.9.10 imports it for downloads without declaring it.
        "importlib_resources>=6.4,<8",
        # tensorflow-addons is archived; this is its one build that imports beside
        # Keras 3 (import name `tensorflow_addons`), with wheels up to Python 3.11.
        'tfa-nightly==0.23.0.dev20240415222534; python_version < "3.12"',
        "absl-py>=2.1,<3",
        "cleverhans>=4.0.0,<4.1",
        "numpy>=1.26,<3",
        "rich>=13.7,<16",
        "scikit-learn>=1.5,<2",
        # scikit-learn's own dependency: t-SNE runs on one thread, to give the same points anywhere.
        "threadpoolctl>=3.1,<4",
        "scipy>=1.13,<2",
        "Pillow>=10.4,<14",
        "matplotlib>=3.9,<4",
    ],
    extras_require={
        "test": ["pytest>=8.2,<10", "pytest-xdist>=3.8,<4", "hypothesis>=6.100,<7"],
        "audit": ["pip-audit>=2.7,<3"],
        # The site of docs/: pages, and the Python API from docstrings.
        "docs": [
            "mkdocs>=1.6,<2",
            "mkdocs-material>=9.5,<10",
            "mkdocstrings>=1.0,<2",
            "mkdocstrings-python>=2.0,<3",
        ],
        "lint": ["ruff>=0.11,<0.18", "mypy>=1.13,<3"],
        "torch": ["torch>=2.6,<3"],
        "onnx": ["tf2onnx>=1.17,<1.18", "onnx>=1.19,<2", "onnxruntime>=1.22,<2"],
        # Runs TFLite files; without it TensorFlow's own interpreter does, which is to go.
        "tflite": ["ai-edge-litert>=2.0,<3"],
        # Its photographs of frost, read as data: it is never imported.
        "frost": ["imagecorruptions>=1.1.2,<1.2"],
        # What benchmarks compare with: the official AutoAttack, as PyPI has it, and other
        # libraries' PGD. torchattacks, which pins a requests of 2020, is measured where present.
        "bench": [
            "torch>=2.6,<3",
            "pyautoattack>=0.2,<0.3",
            "foolbox>=3.3.4,<3.4",
            "adversarial-robustness-toolbox>=1.20,<1.21",
        ],
    },
    entry_points={
        "console_scripts": [
            "ascl-train = ascl_tf.train:run",
            "ascl-evaluate = ascl_tf.evaluate:run",
            "ascl-analyze = ascl_tf.analyze:run",
            "ascl-export = ascl_tf.export:run",
            "ascl-predict = ascl_tf.predict:run",
        ]
    },
)
