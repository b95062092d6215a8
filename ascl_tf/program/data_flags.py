"""Flags that tell every program how to load its images; they mean the same as in training."""

import dataclasses

from ascl_tf.config import DataSettings
from ascl_tf.config.setting import like_run_setting


@dataclasses.dataclass(frozen=True)
class ReadingFlags:
    """Data loading.

    What `load_images` needs besides the name and the split.
    """

    data_dir: str = like_run_setting(DataSettings, "data_dir")
    download: bool = like_run_setting(DataSettings, "download")
    image_size: int = like_run_setting(DataSettings, "image_size")
    resize: str = like_run_setting(DataSettings, "resize")
    test_fraction: float = like_run_setting(DataSettings, "test_fraction")
    split_seed: int = like_run_setting(DataSettings, "split_seed")
    memory_limit: str = like_run_setting(DataSettings, "memory_limit")
    cache_dir: str = like_run_setting(DataSettings, "cache_dir")
