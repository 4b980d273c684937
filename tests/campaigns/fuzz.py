"""Spoilt files and texts for every reader: a value or an error of ours that names the file, soon and in little memory."""

import gc
import random
import re
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from tempfile import TemporaryDirectory

from tests.campaigns.readers import Reader, of_games, of_models, of_results
from train.options import TrainingStopped

_SLICE, _TEXT_SLICE = 0.05, 0.25  # seconds that each reader has in turn, of a file or of text, which people paste
_SLOW = 10.0  # seconds that no small file may take
_MOST = 2 * 2**20  # kilobytes that the process may grow by
_ODD = (b"-1", b"0", b"1e300", b"nan", b"99999999999999999999", b'"x"', b"[]", b"{}", b"true", b"\xff", b"[[[[[[[[")
_DEEP = b"[" * 20_000
_MEMORY = Path("/dev/shm")  # where files are written that no disk has to take
_ROOT = Path(__file__).parent.parent.parent
_OURS = tuple(f"{_ROOT / package}/" for package in ("mothello_interp", "train", "analyses"))
REFUSED = "refused"


def fuzz(seconds: float, seed: int) -> tuple[dict[str, int], list[str]]:
    """How many inputs each reader was given, and what it did that it should not, with the number that does it again.

    Readers have their time, so that the fast ones are given more.
    """
    readers = of_games() | of_models() | of_results()
    counts, found = Counter[str](), list[str]()
    most = getrusage(RUSAGE_SELF).ru_maxrss + _MOST
    gc.freeze()  # what is loaded by now is not searched again and again
    with TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as home, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        places = {name: place(reader, Path(home) / name) for name, reader in readers.items()}
        for name, reader in readers.items():
            assert outcome(reader, reader.sound, places[name]) in ("", REFUSED), name
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for name, reader in readers.items():
                turn = time.monotonic() + (_SLICE if reader.file else _TEXT_SLICE)
                while time.monotonic() < turn:
                    number = (seed << 40) + counts[name]
                    counts[name] += 1
                    if said := outcome(reader, spoilt(reader.sound, random.Random(number)), places[name]):
                        counts[f"{name}: {said}"] += 1
                        if said != REFUSED and counts[f"{name}: {said}"] == 1:
                            found.append(f"{name}, number {number}: {said}")
                    if getrusage(RUSAGE_SELF).ru_maxrss > most:
                        found.append(f"{name}, number {number}: memory grew by gigabytes")
                        most *= 2
    totals = {name: counts[name] for name in sorted(counts)}
    return totals | {"inputs in all": sum(counts[name] for name in readers)}, found


def spoilt(sound: bytes, draw: random.Random) -> bytes:
    """Sound bytes with some of them replaced, removed or put in, a number or word changed, or cut short."""
    data = bytearray(sound)
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        way, place = draw.randrange(6), draw.randrange(len(data) + 1)
        if way == 0 and data:
            data[place % len(data)] ^= 1 << draw.randrange(8)
        elif way == 1:
            data[place : place + draw.randint(0, 8)] = draw.randbytes(draw.randint(0, 8))
        elif way == 2 and (words := list(re.finditer(rb"[\w.-]+|\"[^\"]*\"", bytes(data[:5000])))):
            word = draw.choice(words)
            data[word.start() : word.end()] = draw.choice(_ODD) if draw.random() < 0.99 else _DEEP
        elif way == 3 and draw.random() < 0.3:
            del data[place:]
        elif way == 4:
            other = draw.randrange(len(data) + 1)
            data[place:place] = data[other : other + draw.randint(1, 60)]
        else:
            del data[place : place + draw.randint(1, 60)]
    return bytes(data)


def place(reader: Reader, folder: Path) -> Path:
    """The path of a reader's file, in a folder of its own, with what else it needs there."""
    folder.mkdir()
    for name, data in reader.beside:
        (folder / name).write_bytes(data)
    return folder / reader.file


def outcome(reader: Reader, data: bytes, path: Path) -> str:
    """Empty for a value, REFUSED for an error of ours, or what else became of it."""
    given: Path | str = path if reader.file else data.decode("latin-1")
    if reader.file:
        with path.open("wb", buffering=0) as file:
            file.write(reader.pack(data))
    began = time.monotonic()
    try:
        reader.read(given)
        said = ""
    except Exception as error:
        said = _judged(error, str(path.parent) if reader.file else "")
    return f"more than {_SLOW:.0f} s" if time.monotonic() - began > _SLOW else said


def _judged(error: Exception, named: str) -> str:
    """REFUSED for an error that our code raises and that names the file, else what is wrong with it."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    said = f"{type(error).__name__}: {error!s:.90}"
    if not isinstance(error, ValueError | TrainingStopped) or not frame.f_code.co_filename.startswith(_OURS):
        return f"not ours: {said}"
    return REFUSED if named in str(error) else f"names no file: {said}"
