"""Training configurations: what a TOML file may say, and the sentence about what it may not."""

from pathlib import Path

import pytest

from models.settings import ConfigError, load_config, load_pretrain_config

CONFIGS = Path("models/configs")
GOOD = 'name = "a"\nencoder = "e"\ndata = "d"\nwork = "w"\n[repeats]\nfpb = 1\n[task_weights]\nsentiment = 1.0\n'


def written(folder: Path, text: str) -> Path:
    file = folder / "config.toml"
    file.write_text(text, "utf-8")
    return file


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.toml")), ids=lambda file: file.stem)
def test_every_configuration_that_ships_can_be_read(file):
    load = load_pretrain_config if file.stem == "pretrain" else load_config
    config = load(file, data="../shared/data", work="w")
    assert config.passes >= 1


def test_every_technique_is_off_in_the_released_models_configurations():
    for file in CONFIGS.glob("release*.toml"):
        config = load_config(file)
        assert (config.r_drop, config.fgm, config.lora, config.patience, config.accumulate) == (0, 0, 0, 0, 1)
        assert not config.class_weights and not config.tensorboard


@pytest.mark.parametrize(
    "change, sentence",
    [
        (("name =", "nmae ="), r"config\.toml has unknown keys nmae; did you mean name\?"),
        (("name =", "zzz ="), r"unknown keys zzz; known are .*accumulate, .*clip"),
        (('encoder = "e"\n', ""), r"not a complete configuration: it lacks encoder"),
        (('"a"\n', '"a"\ntokens = "many"\n'), r"tokens should be a whole number, found 'many'"),
        (('"a"\n', '"a"\ntokens = 0\n'), r"tokens should be at least 1, found 0"),
        (('"a"\n', '"a"\nlr = true\n'), r"lr should be a number, found True"),
        (("fpb = 1", 'fpb = "all"'), r"repeats should be a table of numbers"),
        (("name =", "name"), r"should be a TOML file in UTF-8, but it is none"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_a_sentence(tmp_path, change, sentence):
    with pytest.raises(ConfigError, match=sentence):
        load_config(written(tmp_path, GOOD.replace(*change)))


def test_a_missing_file_and_sets_that_are_not_there_are_sentences(tmp_path):
    with pytest.raises(ConfigError, match=r"expected a training configuration at .*none\.toml"):
        load_config(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="licence should be 'all' or 'permissive', found 'mine'"):
        load_config(written(tmp_path, GOOD), licence="mine").sets()
    with pytest.raises(ConfigError, match="no set of repeats is left: add twitter or"):
        load_config(written(tmp_path, GOOD), licence="permissive").sets()


def test_what_is_given_on_the_command_line_wins(tmp_path):
    config = load_config(written(tmp_path, GOOD), seed=3, minutes=5)
    assert (config.seed, config.minutes, config.lr) == (3, 5, 1e-4)
