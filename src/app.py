"""Open a page in the browser: drop or record a sound, see its parameters, edit them and hear the result: `make app`."""

import argparse
import logging
import os
import sys
import webbrowser
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import rootutils
from omegaconf import OmegaConf

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

from src.cli.script import given_path, local_trust, run_script  # noqa: E402
from src.run.checkpoints import checkpoints_of_runs, find_checkpoint  # noqa: E402
from src.utils.errors import PrintableFilter, UnavailableError  # noqa: E402
from src.utils.files import shown_path  # noqa: E402
from src.utils.table import show_lines  # noqa: E402

_NEWEST = 8  # runs that are offered if no checkpoint is given


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "ckpt", nargs="*", help=f".ckpt files, best or last (best.ckpt of the {_NEWEST} newest runs in logs)"
    )
    parser.add_argument("--port", type=int, default=0, help="of 127.0.0.1 (a free one)")
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    parser.add_argument("--trust", nargs="+", default=[], metavar="PATH", help="your own modules or classes")
    parser.add_argument("--log-dir", type=given_path, default=ROOT / "logs", help="paths.log_dir (logs)")
    arguments = parser.parse_args()
    for package in ("starlette", "uvicorn"):
        if find_spec(package) is None:
            raise UnavailableError(f"app: {package} is not installed; install it with: uv pip install -e '.[app]'")
    _log_to_terminal()
    given = [str(given_path(ckpt)) for ckpt in arguments.ckpt]
    paths = [find_checkpoint(ckpt, arguments.log_dir) for ckpt in given or ["best"]]
    if not given:
        paths = checkpoints_of_runs(arguments.log_dir, "best")[: -_NEWEST - 1 : -1]
    from src.evaluation.app.loading import Checkpoint, load_in_thread
    from src.evaluation.app.server import listen, make_app, make_server

    with listen(arguments.port) as listener:
        port = listener.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        show_lines(f"{url} (Ctrl-C ends it)")
        if arguments.open:
            webbrowser.open(url)
        checkpoints = [Checkpoint(name_of(path), path) for path in paths]
        load_in_thread(checkpoints, [*arguments.trust, *local_trust(ROOT)])
        app = make_app(checkpoints, _read(ROOT / "configs/predict.yaml"), port)
        with suppress(KeyboardInterrupt):  # the usual end
            make_server(app).run(sockets=[listener])


def name_of(path: Path) -> str:
    """Return the name of a checkpoint's run and file, or the path of a file that is in no run."""
    if path.parent.name == "checkpoints":
        return f"{path.resolve().parents[1].name} {path.stem}"
    return shown_path(path)


def _read(path: Path) -> dict[str, Any]:
    content: Any = OmegaConf.to_container(OmegaConf.load(path))
    return content or {}


def _log_to_terminal() -> None:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as for the other commands: threads that wait free their core
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(PrintableFilter())
    logging.basicConfig(level=logging.INFO, format="[%(levelname)s] %(message)s", handlers=[handler])


if __name__ == "__main__":
    run_script(main)
