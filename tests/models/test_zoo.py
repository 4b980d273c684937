"""Names that lead to the Hub: what is cached loads, what is damaged or unlisted does not; bundled names never ask it."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants

from mothello_interp.hints import sha256_of
from mothello_interp.models import CheckpointError, bundled, bundled_names, load, save_checkpoint, write_manifest, zoo
from mothello_interp.models.checkpoint import PROVENANCE, SPEC, WEIGHTS
from mothello_interp.models.zoo import BUNDLE, MANIFEST, HubName, read_manifest
from tests.conftest import tiny_checkpoint
from tests.models.test_checkpoint import logits

OLD, NEW = "0" * 39 + "1", "f" * 40


def into_cache(cache: Path, folder: Path, commit: str, *revisions: str, repo: str = "org/zoo") -> Path:
    """A folder as the Hub's client caches it: blobs by hash, links to them by commit, commits by revision."""
    home = cache / f"models--{repo.replace('/', '--')}"
    snapshot = home / "snapshots" / commit
    for path in (path for path in folder.rglob("*") if path.is_file()):
        blob, link = home / "blobs" / sha256_of(path), snapshot / path.relative_to(folder)
        blob.parent.mkdir(parents=True, exist_ok=True)
        link.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, blob)
        link.symlink_to(os.path.relpath(blob, link.parent))
    for revision in revisions:
        (home / "refs" / revision).parent.mkdir(parents=True, exist_ok=True)
        (home / "refs" / revision).write_text(commit, encoding="utf-8")
    return snapshot


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test asks the network, and none sees the user's own cache."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "default"))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Where downloads are kept."""
    return tmp_path / "cache"


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A folder ready for uploading: one checkpoint at its root, two in folders."""
    root = save_checkpoint(tmp_path / "published", tiny_checkpoint())
    save_checkpoint(root / "mini" / "split", tiny_checkpoint("split"))
    save_checkpoint(root / "mini" / "unified", tiny_checkpoint("unified"))
    write_manifest(root)
    return root


@pytest.fixture
def snapshot(cache: Path, published: Path) -> Path:
    """The same, downloaded as main."""
    return into_cache(cache, published, OLD, "main")


@pytest.mark.usefixtures("snapshot")
@pytest.mark.parametrize(
    ("name", "world"),
    [("org/zoo", "atomic"), ("org/zoo/mini/split", "split"), ("org/zoo/mini/unified@main", "unified")],
)
def test_a_cached_checkpoint_is_the_published_one(cache: Path, name: str, world: str) -> None:
    found = load(name, cache_dir=cache)
    assert torch.equal(logits(found), logits(tiny_checkpoint(world)))
    folder = name.removesuffix("@main").removeprefix("org/zoo").removeprefix("/")
    hub = {"repo": "org/zoo", "folder": folder, "revision": "main", "commit": OLD}
    assert (found.name, found.provenance) == (name, {"seed": 0, "hub": hub})


def test_the_users_cache_is_the_default(tmp_path: Path, published: Path, cache: Path) -> None:
    into_cache(tmp_path / "default", published, OLD, "main")
    assert load("org/zoo").provenance["hub"]["commit"] == OLD
    with pytest.raises(CheckpointError, match=f"is not in the cache {cache}, "):
        load("org/zoo", cache_dir=cache)


@pytest.mark.usefixtures("snapshot")
def test_a_revision_is_a_branch_a_tag_or_a_commit(tmp_path: Path, cache: Path) -> None:
    save_checkpoint(tmp_path / "newer", tiny_checkpoint("compositional"))
    write_manifest(tmp_path / "newer")
    into_cache(cache, tmp_path / "newer", NEW, "v2", "refs/pr/1")
    for revision, world, commit in [
        ("main", "atomic", OLD),
        (OLD, "atomic", OLD),
        ("v2", "compositional", NEW),
        ("refs/pr/1", "compositional", NEW),
        (NEW, "compositional", NEW),
    ]:
        found = load(f"org/zoo@{revision}", cache_dir=cache)
        assert torch.equal(logits(found), logits(tiny_checkpoint(world)))
        assert (found.provenance["hub"]["revision"], found.provenance["hub"]["commit"]) == (revision, commit)


def test_offline_in_a_process_of_its_own(cache: Path, snapshot: Path) -> None:
    """As a user sets it: from the environment, which the Hub's client reads once."""
    script = (
        "import mothello_interp, mothello_interp.models, sys\n"
        "assert 'huggingface_hub' not in sys.modules, 'imported before it is needed'\n"
        "print(mothello_interp.load('org/zoo/mini/split').provenance['hub']['commit'])\n"
        "mothello_interp.load('org/zoo@v9')"
    )
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(cache)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.strip() == OLD, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert "CheckpointError: no checkpoint 'org/zoo@v9'" in last
    assert f"it is not in the cache {cache}, and HF_HUB_OFFLINE is set" in last
    assert "unset it and load it again" in last


@pytest.mark.parametrize("file", [MANIFEST, WEIGHTS, SPEC, PROVENANCE])
def test_a_file_that_is_not_cached(cache: Path, snapshot: Path, file: str) -> None:
    (snapshot / file).unlink()
    with pytest.raises(CheckpointError, match=f"{file}.* is not in the cache .*cache, and .* unset HF_HUB_OFFLINE"):
        load("org/zoo", cache_dir=cache)


@pytest.mark.parametrize("file", [WEIGHTS, SPEC, PROVENANCE])
def test_a_changed_file_is_refused(cache: Path, snapshot: Path, file: str) -> None:
    path = snapshot / "mini" / "split" / file
    before = sha256_of(path)
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.resolve().write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        load("org/zoo/mini/split", cache_dir=cache)
    for part in (
        f"mini/split/{file} has SHA-256 {sha256_of(path)}",
        before,
        f"delete {cache / 'models--org--zoo'} and",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize("file", [WEIGHTS, SPEC, PROVENANCE])
def test_a_file_that_the_manifest_lacks(cache: Path, snapshot: Path, file: str) -> None:
    path = (snapshot / MANIFEST).resolve()
    hashes = read_manifest(path)
    del hashes[f"mini/split/{file}"]
    path.write_text(json.dumps(hashes), encoding="utf-8")
    hint = "Its checkpoints are: .*mini/unified, the root"
    with pytest.raises(CheckpointError, match=f"of org/zoo does not list mini/split/{file}.*{hint}"):
        load("org/zoo/mini/split", cache_dir=cache)


@pytest.mark.parametrize("text", ["{", "[]", '{"weights.safetensors": "abc"}', '{"weights.safetensors": 3}', "\xff"])
def test_a_manifest_that_is_none(cache: Path, snapshot: Path, text: str) -> None:
    (snapshot / MANIFEST).resolve().write_text(text, encoding="latin-1")
    with pytest.raises(CheckpointError, match=r"manifest\.json (cannot be read|is no manifest)"):
        load("org/zoo", cache_dir=cache)


MALFORMED = [
    "a/b@",
    "a@b@c",
    "a/b@c@d",
    "a@main",
    "@main",
    "a/@main",
    "a/b/@main",
    "a/b@c d",
    "a/b@main\n",
    "a\\b@main",
]
LEADING_OUT = ["a/b/../c@main", "../a/b@main", "a/b@../c", "a/b@/c", "https://huggingface.co/a/b@main"]


@pytest.mark.parametrize("name", MALFORMED + LEADING_OUT)
def test_a_malformed_name(name: str) -> None:
    with pytest.raises(CheckpointError, match="expected org/name, org/name@revision or org/name/folder@revision"):
        load(name)


def test_a_name_is_read_and_written_alike() -> None:
    assert HubName.read("a/b.c") == HubName("a/b.c")
    assert HubName.read("a/b/c/d@refs/pr/1") == HubName("a/b", "c/d", "refs/pr/1")
    for text in ("a/b@main", "a-1/b_2/c.3/d@v1.0"):
        assert str(HubName.read(text)) == text


def refuse(*_: Any, **__: Any) -> str:
    """Stands in for a download that must not happen."""
    raise AssertionError("the Hub was asked")


def test_names_at_home_never_ask_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    monkeypatch.chdir(tmp_path)
    for name in bundled_names():
        assert load(name).name == name
    save_checkpoint(tmp_path / "org" / "zoo@main", tiny_checkpoint("split"))
    assert load("org/zoo@main").spec == load(Path("org/zoo@main")).spec == tiny_checkpoint("split").spec
    for typo in (
        "mini/atomic-atomic-anchor4",
        "mini/other/name",
        "org/zoo",
        "nowhere",
        "/no/where",
        "./no/where",
        "runs/mine/checkpoint",
        "my/checkpoint",
    ):
        with pytest.raises(CheckpointError, match="neither a bundled name nor a folder") as caught:
            load(typo)
        assert ("did you mean 'mini/atomic-atomic-anchors4'" in str(caught.value)) == typo.startswith("mini/atomic")
    with pytest.raises(CheckpointError, match="neither a bundled name nor a folder"):
        load(Path("no/where"))
    with pytest.raises(CheckpointError, match="AssertionError: the Hub was asked"):
        load("no/where")


@pytest.mark.usefixtures("snapshot")
def test_a_repository_may_be_named_by_force(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of the organisation's name hides its repositories, unless a revision is named."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org").mkdir()
    with pytest.raises(CheckpointError, match="One on the Hugging Face Hub is named org/name@revision"):
        load("org/zoo", cache_dir=cache)
    assert load("org/zoo@main", cache_dir=cache).provenance["hub"]["commit"] == OLD


class FakeHub(BaseHTTPRequestHandler):
    """Answers for the repository org/zoo at main, as the Hub does, and remembers what was asked."""

    def __init__(self, root: Path, asked: list[str], *args: Any) -> None:
        self.root, self.asked = root, asked
        super().__init__(*args)

    def do_HEAD(self) -> None:
        """The commit of a revision, its files, or one file; or why there is none."""
        path = self.path.removeprefix("/").partition("?")[0].removeprefix("api/models/")
        repo, kind, revision, file = re.fullmatch(r"(org/[^/]+)/(revision|tree|resolve)/([^/]+)/?(.*)", path).groups()  # type: ignore[union-attr]
        files = [file.relative_to(self.root).as_posix() for file in self.root.rglob("*") if file.is_file()]
        headers, body = {"X-Repo-Commit": NEW}, b""
        if problem := "RepoNotFound" if repo != "org/zoo" else "" if revision in ("main", NEW) else "RevisionNotFound":
            headers["X-Error-Code"] = problem
        elif kind == "revision":
            body = json.dumps({"id": repo, "sha": NEW, "siblings": [{"rfilename": name} for name in files]}).encode()
        elif kind == "tree":
            body = json.dumps([{"type": "file", "path": name, "size": 1, "oid": "0"} for name in files]).encode()
        else:
            body = (self.root / file).read_bytes()
            headers["ETag"] = f'"{sha256_of(self.root / file)}"'
        self.send_response(404 if problem else 200)
        for key, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
            if kind == "resolve":
                self.asked.append(f"{revision}/{file}")

    do_GET = do_HEAD

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""


@pytest.fixture
def asked(published: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The revisions and files that were downloaded from a Hub which offers the published folder."""
    log: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(FakeHub, published, log))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield log
    server.shutdown()
    thread.join()
    server.server_close()


def test_four_files_are_downloaded_once(published: Path, asked: list[str], cache: Path) -> None:
    (published / "mini" / "split" / "pytorch_model.bin").write_bytes(b"never opened")
    found = load("org/zoo/mini/split", cache_dir=cache)
    assert torch.equal(logits(found), logits(tiny_checkpoint("split")))
    assert found.provenance["hub"]["commit"] == NEW
    files = [MANIFEST, *(f"mini/split/{file}" for file in (WEIGHTS, SPEC, PROVENANCE))]
    assert sorted(asked) == sorted(f"{NEW}/{file}" for file in files), "all of one commit, though main may move on"
    asked.clear()
    for name in ("org/zoo/mini/split", f"org/zoo/mini/split@{NEW}"):
        assert torch.equal(logits(load(name, cache_dir=cache)), logits(found))
    assert asked == []


def test_an_older_cache_does_not_hide_a_new_checkpoint(
    tmp_path: Path, published: Path, asked: list[str], cache: Path
) -> None:
    """What the cached main does not list, the Hub's may."""
    older = save_checkpoint(tmp_path / "older", tiny_checkpoint("compositional"))
    write_manifest(older)
    into_cache(cache, older, OLD, "main")
    assert load("org/zoo", cache_dir=cache).spec == tiny_checkpoint("compositional").spec
    assert asked == []
    assert load("org/zoo/mini/unified", cache_dir=cache).provenance["hub"]["commit"] == NEW


@pytest.mark.parametrize("file", [MANIFEST, WEIGHTS])
def test_a_file_that_the_hub_lacks(published: Path, asked: list[str], cache: Path, file: str) -> None:
    (published / file).unlink()
    (published / "pytorch_model.bin").write_bytes(b"never opened")
    with pytest.raises(CheckpointError, match=f"{file} is not in the cache .*org/zoo has none.* never opened"):
        load("org/zoo", cache_dir=cache)
    assert not any("pytorch_model" in file for file in asked)


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("org/zo", "no checkpoint 'org/zo@main'.* the Hub shows no repository org/zo"),
        ("org/zoo@v9", "no checkpoint 'org/zoo@v9': org/zoo has no branch, tag or commit 'v9'"),
        ("org/a--b", "it cannot be fetched: HFValidationError: .*a--b"),
    ],
)
def test_what_the_hub_does_not_have(cache: Path, name: str, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        load(name, cache_dir=cache)


@pytest.mark.usefixtures("asked")
def test_a_hub_that_cannot_be_reached(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(time, "sleep", lambda _: None)  # between attempts
    message = r"is not in the cache .*, and the Hub cannot be reached \(ConnectError: .*connect and load it again"
    with pytest.raises(CheckpointError, match=message):
        load("org/zoo", cache_dir=cache)


def test_what_is_bundled_is_what_its_manifest_lists() -> None:
    """Every file, and nothing else: whoever changes a bundled checkpoint runs `python -m benchmarks.bundle`."""
    assert len(bundled_names()) >= 9
    found = {
        f"{name}/{file}": sha256_of(BUNDLE / name / file)
        for name in bundled_names()
        for file in (WEIGHTS, SPEC, PROVENANCE)
    }
    assert read_manifest(BUNDLE / MANIFEST) == found
    table = bundled().set_index("name")
    assert table["top1_all"].between(0.2, 1).all()
    assert table["alignment"].between(-0.2, 1.1).all()
    assert (table["top1_all"] - table["top1"]).abs()[table["opening"] == ""].max() < 0.02


@pytest.mark.parametrize("file", [WEIGHTS, SPEC, PROVENANCE])
@pytest.mark.parametrize("place", ["mini/split", "mini/../mini/split", "{}/mini/split"])
def test_a_bundled_file_that_has_changed(
    published: Path, monkeypatch: pytest.MonkeyPatch, file: str, place: str
) -> None:
    """By whatever way it is reached; a folder without a manifest has nothing to compare."""
    monkeypatch.setattr(zoo, "BUNDLE", published)
    name = place.format(published)
    load(name)
    with (published / "mini" / "split" / file).open("ab") as changed:
        changed.write(b"\n")
    with pytest.raises(CheckpointError, match=rf"{file} is not the file that .*manifest\.json lists: restore it, or"):
        load(name)
    load("mini/unified")
    (published / MANIFEST).unlink()
    if file == PROVENANCE:
        load(name)


def test_a_manifest_lists_every_checkpoint_and_nothing_else(published: Path) -> None:
    (published / "README.md").touch()
    save_checkpoint(published / ".partial", tiny_checkpoint())
    write_manifest(published)
    homes = [published, published / "mini" / "split", published / "mini" / "unified"]
    files = [home / file for home in homes for file in (WEIGHTS, SPEC, PROVENANCE)]
    assert read_manifest(published / MANIFEST) == {
        path.relative_to(published).as_posix(): sha256_of(path) for path in files
    }
    assert not list(published.glob(".manifest*"))


def test_a_manifest_of_nothing_or_of_half_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        write_manifest(tmp_path)
    folder = save_checkpoint(tmp_path / "mini" / "split", tiny_checkpoint("split"))
    (folder / WEIGHTS).unlink()
    with pytest.raises(CheckpointError, match=f"incomplete checkpoints: mini/split/{WEIGHTS} missing"):
        write_manifest(tmp_path)
    assert not (tmp_path / MANIFEST).exists()


def test_a_manifest_that_cannot_be_written_leaves_the_earlier_one(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (published / MANIFEST).read_bytes()

    def half(path: Path, *_: Any, **__: Any) -> int:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", half)
    with pytest.raises(OSError, match="No space left"):
        write_manifest(published)
    assert (published / MANIFEST).read_bytes() == before
