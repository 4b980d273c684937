"""A JupyterLab that runs for the length of a test, with a notebook in it."""

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import nbformat

ROOT = Path(__file__).parents[2]
_PATIENCE = 60  # seconds for the server to answer


@contextmanager
def notebook(folder: Path, cells: Sequence[str]) -> Iterator[str]:
    """The address of a fresh notebook with these cells, in a JupyterLab with settings of its own."""
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}  # or JupyterLab asks which
    written = [nbformat.v4.new_code_cell(cell) for cell in cells]
    nbformat.write(
        nbformat.v4.new_notebook(cells=written, metadata={"kernelspec": kernel}), folder / "quickstart.ipynb"
    )
    config = folder / "config" / "labconfig"
    config.mkdir(parents=True)
    quiet = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
    (config / "page_config.json").write_text(json.dumps(quiet), encoding="utf-8")
    home = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime"}
    home |= {"IPYTHONDIR": "ipython", "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces"}
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    env = os.environ | {name: str(folder / path) for name, path in home.items()} | {"PYTHONPATH": paths}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex()
    server = f"http://127.0.0.1:{port}"
    options = ["--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}", "--port-retries=0"]
    options += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}"]
    with (folder / "lab.log").open("wb") as log:
        lab = subprocess.Popen([sys.executable, "-m", "jupyterlab", *options], stdout=log, stderr=log, env=env)
        try:
            _wait(f"{server}/api/status?token={token}", lab)
            yield f"{server}/lab/tree/quickstart.ipynb?token={token}"
        finally:
            lab.terminate()
            lab.wait(30)


def _wait(address: str, server: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + _PATIENCE
    while time.monotonic() < give_up and server.poll() is None:
        try:
            with urlopen(address):
                return
        except URLError:
            time.sleep(0.2)
    raise RuntimeError(f"JupyterLab does not answer (exit status {server.poll()}); see lab.log")
