"""What the stages of a run are called, and whose network they have."""

from ascl_tf import config as cfg
from ascl_tf.config.networks import is_file
from ascl_tf.config.sections import FinetuneSettings
from ascl_tf.training.checkpoints import LAST
from ascl_tf.training.encoder_sources import open_encoder


def finetune_stage_name(finetuning: FinetuneSettings):
    """Returns the name of fine-tuning's folders, such as finetune_laf."""
    start = finetuning.encoder_checkpoint
    part = finetuning.encoder_part.removeprefix("encoder")
    return f"finetune_{finetuning.finetune}{part}" + ("" if start == LAST else f"_{start}_encoder")


def is_finetuned(config):
    """Whether the classifier comes from fine-tuning: a one-shot method's does on --pretrained."""
    return not config.is_one_shot or bool(config.pretrained)


def classifier_stage(config):
    """Returns the stage whose classifier is evaluated and exported."""
    return finetune_stage_name(config.finetuning) if is_finetuned(config) else cfg.PRETRAIN


def with_encoder_settings(config, workdir):
    """Returns the config with the network of the encoder that fine-tuning starts from.

    Once the stage has begun it is that of its record: the source may be gone.
    """
    if not config.pretrained or config.encoder_checkpoint == "random":
        return config
    begun = workdir.stage_identities().get(finetune_stage_name(config.finetuning))
    # Of a file it has the name alone.
    if begun is not None and not is_file(begun.get("encoder", "")):
        usual = cfg.Config()
        names = cfg.ENCODER_SETTINGS
        return config.replace(**{name: begun.get(name, getattr(usual, name)) for name in names})
    return config.replace(**open_encoder("pretrained", config.pretrained).settings)
