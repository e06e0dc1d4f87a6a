"""One app with the tiny trained model, served for all tests of this folder."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from src.evaluation.app.loading import Checkpoint
from src.evaluation.app.server import listen, make_app, make_server
from src.evaluation.app.session import Session, open_session, wav
from tests import running


@dataclass(frozen=True)
class Served:
    """An app that answers at a port: checkpoint 0 is ready, 1 has failed, and 2 is still loading."""

    port: int
    session: Session

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture(scope="session")
def session(trained) -> Session:
    return open_session(trained.best)


@pytest.fixture(scope="session")
def served(session, trained) -> Iterator[Served]:
    config = running.composed("predict")
    settings = {"segment": None, "onsets": dict(config.onsets), "hop": None}
    checkpoints = [
        Checkpoint("first", trained.best, session),
        Checkpoint("damaged", trained.best, fault="ckpt_path: not a checkpoint"),
        Checkpoint("slow", trained.best),
    ]
    with listen(0) as listener:
        port = listener.getsockname()[1]
        server = make_server(make_app(checkpoints, settings, port))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield Served(port, session)
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def values(session) -> dict[str, float]:
    """Values that are not in the middle of their ranges."""
    space = session.model.spec.space
    row = space.denormalize([0.4] * len(space))
    return dict(zip(space.names, row.tolist(), strict=True))


@pytest.fixture(scope="session")
def clip(session, values) -> bytes:
    """The sound of these values as a WAV file, which `session.render` is compared with elsewhere."""
    row = [[values[name] for name in session.model.spec.space.names]]
    return wav(session.source.sounds(row)[0], session.front_end.sample_rate)
