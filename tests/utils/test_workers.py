"""How launchers say that a process has died."""

import concurrent.futures
import multiprocessing
import time

import pytest

from src.utils.errors import UserError
from src.utils.workers import worker_died


def test_a_pool_whose_process_is_killed_is_a_worker_that_died():
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        lost = pool.submit(time.sleep, 60)
        (process,) = pool._processes.values()
        process.kill()
        with pytest.raises(worker_died()):
            lost.result()
    assert not issubclass(UserError, worker_died())
