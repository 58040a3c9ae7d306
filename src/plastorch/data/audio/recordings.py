"""Recordings of spoken words in their official layouts: Speech Commands, spoken digits."""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from plastorch.data.catalog import Entry, entry_of
from plastorch.data.images.trees import shown
from plastorch.data.locate import located
from plastorch.data.root import data_root
from plastorch.engine.errors import InputError, check_file
from plastorch.engine.streams import stream

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")
VALIDATION_PERCENT = TEST_PERCENT = 10.0
OFFICIAL = 35, 105_829
"""Numbers of words and of recordings in version 2 of Speech Commands."""
DIGIT_FILE = re.compile(r"(\d)_([^_]+)_(\d+)\.wav")
DIGIT_TAKES = {"test": 5, "validation": 10}
"""Take numbers below which a digit recording belongs to a part; the others are for training."""
_LISTS: dict[Part, str] = {"validation": "validation_list.txt", "test": "testing_list.txt"}
_HASHES = 2**27
"""Number of residues that the rule of Speech Commands distinguishes."""


class Stream(IntEnum):
    """Uses of random numbers."""

    FEW = 9


@dataclass(frozen=True, eq=False)
class SpeechSet:
    """Files of N spoken words, with the label, int64 [N], speaker and part of each.

    The words are listed by label; ``source`` also says how they were split, and ``notice`` whether
    the official set has more.
    """

    name: str
    files: tuple[Path, ...]
    labels: Tensor
    words: tuple[str, ...]
    speakers: tuple[str, ...]
    parts: tuple[Part, ...]
    source: str
    notice: str = ""

    def __post_init__(self) -> None:
        counts = Counter(self.parts)
        for part in PARTS:
            if not counts[part]:
                raise InputError(f"{self.name} ({self.source}): no recording for {part}")

    def rows(self, part: Part) -> Tensor:
        """Returns the indices of a part's recordings, int64."""
        return torch.tensor([row for row, of in enumerate(self.parts) if of == part])

    def some(self, rows: Tensor) -> "SpeechSet":
        """Returns some of the recordings."""
        kept = rows.tolist()
        return replace(
            self,
            files=tuple(self.files[row] for row in kept),
            labels=self.labels[rows],
            speakers=tuple(self.speakers[row] for row in kept),
            parts=tuple(self.parts[row] for row in kept),
        )

    def few(self, train: int, validation: int, test: int, seed: int) -> "SpeechSet":
        """Returns a few random words of each part, for a smoke test."""
        random, kept = stream(seed, Stream.FEW), []
        for part, count in zip(PARTS, (train, validation, test), strict=True):
            rows = self.rows(part)
            kept.append(rows[torch.randperm(len(rows), generator=random)[:count]])
        return self.some(torch.cat(kept).sort().values)

    def sha256(self) -> str:
        """SHA-256 of all files, one after the other."""
        digest = hashlib.sha256()
        for path in self.files:
            check_file(path, "a WAV file")
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def by_speaker(self, first: int) -> "SpeechSet":
        """Returns the set with another split: one speaker for testing, the next for validation.

        ``first`` is the test speaker's index in the order of names, and wraps around. Raises
        InputError for fewer than three speakers.
        """
        names = sorted(set(self.speakers))
        if len(names) < 3:
            raise InputError(f"{self.name} has {len(names)} speakers; expected three or more")
        test, validation = names[first % len(names)], names[(first + 1) % len(names)]
        chosen: dict[str, Part] = {test: "test", validation: "validation"}
        return replace(
            self,
            parts=tuple(chosen.get(speaker, "train") for speaker in self.speakers),
            source=f"{self.source.split(';')[0]}; tested on {test}, validated on {validation}",
        )


def load_speech(name: str, data: str | Path | None = None) -> SpeechSet:
    """Finds the files of a set of spoken words in the data root; there is no download.

    - ``speech-commands``: the layout of Google's archive, ``WORD/SPEAKER_nohash_NUMBER.wav``. Its
      lists ``validation_list.txt`` and ``testing_list.txt`` define the parts or, without them, the
      rule of its README, :func:`which_part`. If no recording is for validation, those of a tenth of
      the training speakers are used for it.
    - ``fsdd``: the Free Spoken Digit Dataset, ``recordings/DIGIT_SPEAKER_TAKE.wav``. Takes 0 to 4
      are for testing, as its README says, 5 to 9 for validation.

    Raises InputError if the name is unknown, the set is missing, or its files are not as described.
    """
    entry = entry_of(name)
    if entry.layout not in _READERS:
        sets = "speech-commands, fsdd"
        raise InputError(f"name: {entry.title} holds no spoken words; expected one of {sets}")
    folder = located(entry, data)
    where = folder.relative_to(data_root(data))
    return _READERS[entry.layout](entry, folder, f"data root: {where}")


def which_part(file: str) -> Part:
    """Returns the part of a recording, by the rule in the README of Speech Commands.

    The SHA-1 of the speaker's name decides, so that all recordings of a speaker are in the same
    part, and stay there when recordings are added.
    """
    percent = _hash(speaker_of(file)) * 100 / (_HASHES - 1)
    if percent < VALIDATION_PERCENT:
        return "validation"
    return "test" if percent < VALIDATION_PERCENT + TEST_PERCENT else "train"


def speaker_of(file: str) -> str:
    """Returns the speaker of a word of Speech Commands, by the file's name."""
    return re.sub(r"_nohash_.*$", "", Path(file).name)


def _hash(speaker: str) -> int:
    digest = hashlib.sha1(os.fsencode(speaker), usedforsecurity=False)
    return int(digest.hexdigest(), 16) % _HASHES


def _commands(entry: Entry, folder: Path, source: str) -> SpeechSet:
    words = [path.name for path in sorted(folder.iterdir()) if path.is_dir()]
    words = [word for word in words if word[0] not in "._"]  # background noise is not a word
    found = {word: sorted((folder / word).glob("*.wav")) for word in words}
    for word, files in found.items():
        if not files:
            raise InputError(f"{folder / word}: no WAV file found; expected recordings of the word")
    names = [f"{word}/{path.name}" for word in words for path in found[word]]
    if not names:
        raise InputError(f"{folder}: no folder found; expected one folder of WAV files per word")
    parts, rule = _command_parts(folder, names)
    return SpeechSet(
        name=entry.title,
        files=tuple(folder / name for name in names),
        labels=torch.tensor([i for i, word in enumerate(words) for _ in found[word]]),
        words=tuple(map(shown, words)),
        speakers=tuple(shown(speaker_of(name)) for name in names),
        parts=tuple(parts),
        source=f"{source}; split {rule}",
        notice=_reduced(len(words), len(names)),
    )


def _reduced(words: int, recordings: int) -> str:
    """Returns a message for the user if these are fewer than in Speech Commands, else nothing."""
    most, all_of_them = OFFICIAL
    if words >= most and recordings >= all_of_them:
        return ""
    return (
        f"Reduced set: {recordings:,} recordings of {words} words; the official one has "
        f"{all_of_them:,} of {most}."
    )


def _command_parts(folder: Path, names: Sequence[str]) -> tuple[list[Part], str]:
    """Returns the part of each recording, and what defines it."""
    lists = {part: folder / name for part, name in _LISTS.items() if (folder / name).is_file()}
    listed: dict[str, Part] = {}
    for part, path in lists.items():
        try:
            of_list = set(path.read_text(encoding="utf-8").split())
        except (OSError, UnicodeError) as error:
            raise InputError(f"{path}: cannot be read ({error}); expected names") from None
        if of_list.isdisjoint(names):
            raise InputError(f"{path}: none of its {len(of_list)} files is there")
        if both := of_list & listed.keys():
            raise InputError(f"{path}: {min(both)} is in {_LISTS[listed[min(both)]]} as well")
        listed |= dict.fromkeys(of_list, part)
    parts = [listed.get(name, "train") if lists else which_part(name) for name in names]
    rule = f"by {' and '.join(path.name for path in lists.values())}" if lists else "by speaker"
    if "validation" in parts:
        return parts, rule
    speakers = {speaker_of(n) for n, part in zip(names, parts, strict=True) if part == "train"}
    held = set(sorted(speakers, key=_hash)[: max(1, len(speakers) // 10)])
    rest: list[Part] = [
        "validation" if part == "train" and speaker_of(name) in held else part
        for name, part in zip(names, parts, strict=True)
    ]
    return rest, f"{rule}, validated on {len(held)} of {len(speakers)} training speakers"


def _digits(entry: Entry, folder: Path, source: str) -> SpeechSet:
    files = sorted((folder / "recordings").glob("*.wav"))
    if not files:
        raise InputError(f"{folder / 'recordings'}: no WAV file found; expected recordings")
    found = [DIGIT_FILE.fullmatch(path.name) for path in files]
    for path, match in zip(files, found, strict=True):
        if match is None:
            raise InputError(f"{path}: expected a name such as 7_name_32.wav: digit, speaker, take")
    digits, speakers, takes = zip(*(match.groups() for match in found if match), strict=True)
    parts: list[Part] = [
        next((part for part in ("test", "validation") if int(take) < DIGIT_TAKES[part]), "train")
        for take in takes
    ]
    return SpeechSet(
        name=entry.title,
        files=tuple(files),
        labels=torch.tensor([int(digit) for digit in digits]),
        words=tuple(str(digit) for digit in range(10)),
        speakers=tuple(map(shown, speakers)),
        parts=tuple(parts),
        source=f"{source}; tested on takes 0 to 4, validated on 5 to 9",
    )


_READERS = {"commands": _commands, "digits": _digits}
