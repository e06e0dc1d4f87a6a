"""When several processes ask each other whether to stop, and which signal is a second one."""

import signal
from types import SimpleNamespace

import pytest

from src.callbacks.stop_on_signal import StopOnSignal
from src.utils.errors import Interrupted

BATCHES = 100


def trainer_of_two(accumulated, told_by_others=False):
    """Stand in for a trainer of two processes within an epoch; `asked` counts their exchanges."""

    def ask(told, all):
        trainer.asked += 1
        return told or told_by_others

    trainer = SimpleNamespace(
        asked=0,
        world_size=2,
        is_global_zero=True,
        is_last_batch=False,
        accumulate_grad_batches=accumulated,
        check_val_every_n_epoch=1,
        val_check_batch=BATCHES,
        strategy=SimpleNamespace(reduce_boolean_decision=ask),
    )
    return trainer


def batches_until_stopped(stop, trainer):
    for batch in range(BATCHES):
        try:
            stop.on_train_batch_end(trainer, None, None, None, batch)
        except Interrupted:
            return batch + 1
    return None


@pytest.mark.parametrize("accumulated", [1, 2, 3, 4, 5, 10])
def test_processes_stop_at_a_step_whatever_number_of_batches_it_takes(accumulated):
    stop = StopOnSignal(None, "")
    stop.received = signal.SIGTERM
    stopped = batches_until_stopped(stop, trainer_of_two(accumulated))
    assert stopped and stopped % accumulated == 0


@pytest.mark.parametrize("accumulated", [1, 2, 4])
def test_they_ask_each_other_only_now_and_then(accumulated):
    trainer = trainer_of_two(accumulated)
    assert batches_until_stopped(StopOnSignal(None, ""), trainer) is None
    assert 1 <= trainer.asked <= BATCHES / accumulated / 10 + 1


def test_a_signal_that_comes_while_they_ask_waits_for_the_next_time():
    """The others have heard no: one that stopped now would save and wait without them."""
    stop, trainer = StopOnSignal(None, ""), trainer_of_two(1)
    ask = trainer.strategy.reduce_boolean_decision

    def signalled(told, all):
        stop.received = signal.SIGTERM
        return ask(told, all)

    trainer.strategy.reduce_boolean_decision = signalled
    assert batches_until_stopped(stop, trainer) == 11 and trainer.asked == 2


def test_the_first_signal_of_its_own_is_not_the_second_for_one_that_others_have_told():
    stop = StopOnSignal(None, "")
    with stop:
        assert batches_until_stopped(stop, trainer_of_two(1, told_by_others=True))
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            pytest.fail("it was taken for the second")
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
