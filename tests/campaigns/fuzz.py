"""Spoilt files for every reader: a value or an error of ours that names the file, soon and in little memory."""

import random
import re
import time
import warnings
from collections import Counter
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from tempfile import TemporaryDirectory

from tests.campaigns.readers import Reader, of_games, of_models
from train.options import TrainingStopped

_SLOW = 10.0  # seconds that no small file may take
_MOST = 2 * 2**20  # kilobytes that the process may grow by
_ODD = (b"-1", b"0", b"1e300", b"nan", b"99999999999999999999", b'"x"', b"[]", b"{}", b"true", b"\xff", b"[[[[[[[[")


def fuzz(seconds: float, seed: int) -> tuple[dict[str, int], list[str]]:
    """How many files each reader was given, and what it did that it should not, with the seed that does it again."""
    readers = of_games() | of_models()
    counts, found, number = Counter[str](), [], seed
    end, most = time.monotonic() + seconds, getrusage(RUSAGE_SELF).ru_maxrss + _MOST
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for reader in readers.values():
            assert _wrong(reader, reader.sound, Path(folder)) in ("", "an error of ours"), reader
        while time.monotonic() < end:
            for name, reader in readers.items():
                number += 1
                if wrong := _wrong(reader, spoilt(reader.sound, random.Random(number)), Path(folder)):
                    counts[f"{name}: {wrong}" if wrong != "an error of ours" else f"{name}, refused"] += 1
                    if wrong != "an error of ours" and counts[f"{name}: {wrong}"] == 1:
                        found.append(f"{name}, seed {number}: {wrong}")
                counts[name] += 1
                if getrusage(RUSAGE_SELF).ru_maxrss > most:
                    found.append(f"{name}, seed {number}: memory grew by gigabytes")
                    most *= 2
    totals = {name: counts[name] for name in sorted(counts)}
    return totals | {"files in all": sum(counts[name] for name in readers)}, found


def spoilt(sound: bytes, draw: random.Random) -> bytes:
    """A sound file with some of its bytes replaced, removed or put in, a number or word changed, or cut short."""
    data = bytearray(sound)
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        way, place = draw.randrange(6), draw.randrange(len(data) + 1)
        if way == 0 and data:
            data[place % len(data)] ^= 1 << draw.randrange(8)
        elif way == 1:
            data[place : place + draw.randint(0, 8)] = draw.randbytes(draw.randint(0, 8))
        elif way == 2 and (words := list(re.finditer(rb"[\w.-]+|\"[^\"]*\"", bytes(data[:5000])))):
            word = draw.choice(words)
            data[word.start() : word.end()] = draw.choice(_ODD)
        elif way == 3 and draw.random() < 0.3:
            del data[place:]
        elif way == 4:
            other = draw.randrange(len(data) + 1)
            data[place:place] = data[other : other + draw.randint(1, 60)]
        else:
            del data[place : place + draw.randint(1, 60)]
    return bytes(data)


def _wrong(reader: Reader, data: bytes, folder: Path) -> str:
    """Empty for a value, "an error of ours", or what else became of it."""
    for name, there in (*reader.beside, (reader.file, reader.pack(data))):
        (folder / name).write_bytes(there)
    began = time.monotonic()
    try:
        reader.read(folder / reader.file)
        said = ""
    except (ValueError, TrainingStopped) as error:
        said = (
            "an error of ours" if str(folder) in str(error) else f"names no file: {type(error).__name__}: {error!s:.90}"
        )
    except Exception as error:
        said = f"{type(error).__name__}: {error!s:.90}"
    return f"more than {_SLOW:.0f} s" if time.monotonic() - began > _SLOW else said
