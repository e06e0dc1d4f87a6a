"""Commands with plain arguments, such as those in viz/: how they start and how their faults are shown."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from src.run.record import version_line
from src.utils.errors import UserError, printable


def run_script(main: Callable[[], None]) -> None:
    """Run the main function of a command; a fault that the user can fix is one line, and `--version` is known."""
    if "--version" in sys.argv:
        sys.stdout.write(f"{version_line()}\n")
        return
    try:
        main()
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.status)
    except BrokenPipeError:
        os._exit(141)  # the reader, such as head, has closed the pipe; nothing more can be flushed
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)
    except OSError as error:
        if not error.filename:
            raise
        sys.stderr.write(f"{printable(str(error.filename))}: {error.strerror}\n")
        sys.exit(1)


def given_path(text: str) -> Path:
    """Return an argument as a path; a leading `~` is the home directory, which a shell leaves as it is after `=`."""
    return Path(text).expanduser()


def local_trust(root: Path) -> list[str]:
    """Return the user's own modules and classes that configs/local/trust.yaml allows in every command."""
    from omegaconf import OmegaConf  # here, since some commands start in a tenth of a second without it

    path = root / "configs/local/trust.yaml"
    content: Any = OmegaConf.to_container(OmegaConf.load(path)) if path.exists() else None
    return list((content or {}).get("trust") or [])
