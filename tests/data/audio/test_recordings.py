"""The layouts of Speech Commands and of the spoken digits, and how they are split."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from plastorch.data import image_set_status, load_images
from plastorch.data.audio.recordings import load_speech, speaker_of, which_part
from plastorch.engine.errors import InputError

TESTERS = ("022cd682", "0c40e715", "0bac8a71", "1093c8e7", "105a0eea", "0cb74144")
"""Speakers of the official test set of Speech Commands."""


def touch(path: Path, length: int = 400) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    wavfile.write(path, 8000, np.zeros(length, np.int16))


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """Two words of 30 speakers, each said twice, and noise."""
    for word in ("yes", "no"):
        for speaker in range(30):
            for take in range(2):
                touch(tmp_path / "speech_commands" / word / f"{speaker:08x}_nohash_{take}.wav")
    touch(tmp_path / "speech_commands" / "_background_noise_" / "hum.wav")
    return tmp_path


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    for digit in range(10):
        for speaker in ("ann", "bob", "eve"):
            for take in (0, 4, 5, 9, 10, 49):
                touch(tmp_path / "fsdd" / "recordings" / f"{digit}_{speaker}_{take}.wav")
    return tmp_path


def test_the_rule_of_the_readme_knows_the_official_testers() -> None:
    assert {which_part(f"yes/{name}_nohash_{take}.wav") for name in TESTERS for take in (0, 3)} == {
        "test"
    }
    parts = Counter(which_part(f"{number:08x}_nohash_0.wav") for number in range(10_000))
    for part, share in (("train", 0.8), ("validation", 0.1), ("test", 0.1)):
        assert abs(parts[part] / 10_000 - share) < 5 * (share * (1 - share) / 10_000) ** 0.5


def test_without_lists_the_rule_splits_by_speaker(commands: Path) -> None:
    speech = load_speech("speech-commands", commands)
    assert speech.words == ("no", "yes") and len(speech.files) == 120
    assert speech.labels.tolist() == [path.parent.name == "yes" for path in speech.files]
    for path, speaker, part in zip(speech.files, speech.speakers, speech.parts, strict=True):
        assert speaker_of(path.name) == speaker and part == which_part(path.name)
    assert speech.source == "data root: speech_commands; split by speaker"
    assert speech.notice == (
        "Reduced set: 120 recordings of 2 words; the official one has 105,829 of 35."
    )
    assert sorted(
        torch.cat([speech.rows(p) for p in ("train", "validation", "test")]).tolist()
    ) == [*range(120)]


@pytest.mark.parametrize(
    ("official", "whole"), [((2, 120), True), ((3, 120), False), ((2, 121), False)]
)
def test_a_set_is_reduced_if_words_or_recordings_are_missing(
    commands: Path, monkeypatch: pytest.MonkeyPatch, official: tuple[int, int], whole: bool
) -> None:
    monkeypatch.setattr("plastorch.data.audio.recordings.OFFICIAL", official)
    speech = load_speech("speech-commands", commands)
    assert (speech.notice == "") == whole == (speech.some(torch.arange(120)).notice == "")


def test_lists_decide_where_they_are(commands: Path) -> None:
    folder = commands / "speech_commands"
    (folder / "testing_list.txt").write_text("yes/00000000_nohash_0.wav\nyes/gone_nohash_0.wav\n")
    (folder / "validation_list.txt").write_text("no/00000001_nohash_1.wav\n")
    speech = load_speech("speech-commands", commands)
    assert [speech.files[row].name for row in speech.rows("test")] == ["00000000_nohash_0.wav"]
    assert [speech.files[row].name for row in speech.rows("validation")] == [
        "00000001_nohash_1.wav"
    ]
    assert "by validation_list.txt and testing_list.txt" in speech.source


def test_without_a_list_for_validation_a_tenth_of_the_speakers_is_held_out(commands: Path) -> None:
    listed = [f"{word}/{3:08x}_nohash_{take}.wav" for word in ("no", "yes") for take in (0, 1)]
    (commands / "speech_commands" / "testing_list.txt").write_text("\n".join(listed))
    speech = load_speech("speech-commands", commands)
    of = {p: {speech.speakers[row] for row in speech.rows(p)} for p in ("train", "validation")}
    assert len(of["validation"]) == 2 and len(of["train"]) == 27
    assert not of["train"] & of["validation"]
    assert "validated on 2 of 29 training speakers" in speech.source


def test_digits_are_split_by_take_or_by_speaker(digits: Path) -> None:
    speech = load_speech("fsdd", digits)
    takes = [int(path.stem.split("_")[2]) for path in speech.files]
    expected = {0: "test", 4: "test", 5: "validation", 9: "validation", 10: "train", 49: "train"}
    assert list(speech.parts) == [expected[take] for take in takes]
    assert speech.labels.tolist() == [int(path.name[0]) for path in speech.files]
    apart = speech.by_speaker(2)
    assert {apart.speakers[row] for row in apart.rows("test")} == {"eve"}
    assert {apart.speakers[row] for row in apart.rows("validation")} == {"ann"}
    assert apart.source == "data root: fsdd; tested on eve, validated on ann"
    assert speech.sha256() == apart.sha256() and len(speech.sha256()) == 64


def test_a_smoke_test_has_a_few_words_of_each_part(digits: Path) -> None:
    speech = load_speech("fsdd", digits)
    few = speech.few(3, 2, 1, seed=0)
    assert [len(few.rows(part)) for part in ("train", "validation", "test")] == [3, 2, 1]
    assert set(few.files) < set(speech.files) and few.files == speech.few(3, 2, 1, seed=0).files
    assert few.files != speech.few(3, 2, 1, seed=1).files


def test_status_counts_recordings(commands: Path, digits: Path) -> None:
    rows = {row.name: row for row in image_set_status(commands)}
    assert rows["speech-commands"].present and rows["fsdd"].present
    assert [(file.name, file.size) for file in rows["fsdd"].files] == [("recordings", 180)]
    assert ("yes", 60) in [(file.name, file.size) for file in rows["speech-commands"].files]


def test_missing_sets_and_other_sets(tmp_path: Path) -> None:
    with pytest.raises(
        InputError,
        match=r"Speech Commands is not in .*speech_commands; to get it: Google's archive",
    ):
        load_speech("speech-commands", tmp_path)
    with pytest.raises(InputError, match="MNIST holds no spoken words"):
        load_speech("mnist", tmp_path)
    with pytest.raises(InputError, match="name is 'x'; expected one of"):
        load_speech("x", tmp_path)


def test_names_that_are_not_utf8(commands: Path) -> None:
    folder = commands / "speech_commands"
    (folder / "yes").rename(folder / os.fsdecode(b"y\xe9s"))
    touch(folder / "no" / os.fsdecode(b"\xff_nohash_0.wav"))
    speech = load_speech("speech-commands", commands)
    assert speech.words == ("no", "y\\xe9s") and "\\xff" in speech.speakers


def test_they_are_no_images(digits: Path) -> None:
    with pytest.raises(
        InputError, match=r"holds no images; plastorch.data.audio.recordings reads it"
    ):
        load_images("fsdd", digits)


def test_files_that_are_not_as_described(commands: Path, digits: Path) -> None:
    folder = commands / "speech_commands"
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match="empty: no WAV file found"):
        load_speech("speech-commands", commands)
    (folder / "empty").rmdir()
    (folder / "testing_list.txt").write_text("yes/other.wav")
    with pytest.raises(InputError, match="none of its 1 files is there"):
        load_speech("speech-commands", commands)
    for name in ("testing_list.txt", "validation_list.txt"):
        (folder / name).write_text("yes/00000000_nohash_0.wav")
    with pytest.raises(InputError, match=r"is in validation_list\.txt as well"):
        load_speech("speech-commands", commands)
    (folder / "testing_list.txt").unlink()
    with pytest.raises(InputError, match="no recording for test"):
        load_speech("speech-commands", commands)
    touch(digits / "fsdd" / "recordings" / "seven.wav")
    with pytest.raises(InputError, match=r"seven\.wav: expected a name such as 7_name_32"):
        load_speech("fsdd", digits)


@pytest.mark.parametrize(("name", "words"), [("speech-commands", 10), ("fsdd", 10)])
def test_real_recordings(name: str, words: int) -> None:
    root = os.environ.get("PLASTORCH_DATA")
    rows = {row.name: row for row in image_set_status(root)} if root else {}
    if not root or not rows[name].present:
        pytest.skip(f"{name} is not in $PLASTORCH_DATA")
    speech = load_speech(name)
    assert len(speech.words) >= words and len(speech.files) >= 2000
    train, test = ({speech.speakers[row] for row in speech.rows(p)} for p in ("train", "test"))
    assert (name == "fsdd") == bool(train & test)
