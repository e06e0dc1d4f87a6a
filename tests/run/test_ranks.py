"""Which process of a run this is, from the variables that torchrun and SLURM are documented to set."""

import os

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from lightning.fabric.plugins.environments import LightningEnvironment

from src.cli.shared_directory import join_run
from src.run.ranks import drop_stray_ranks, launched, rank
from src.utils.errors import UserError

TORCHRUN = {
    "RANK": "5",
    "LOCAL_RANK": "1",
    "WORLD_SIZE": "8",
    "LOCAL_WORLD_SIZE": "4",
    "GROUP_WORLD_SIZE": "2",
    "TORCHELASTIC_RUN_ID": "mine",
}
SRUN = {
    "SLURM_JOB_ID": "4711",
    "SLURM_STEP_ID": "2",
    "SLURM_JOB_NAME": "train",
    "SLURM_NTASKS": "6",
    "SLURM_NNODES": "2",
    "SLURM_PROCID": "0",
}
LIGHTNING = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1", "NODE_RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}


@pytest.fixture
def environment(monkeypatch):
    for name in {*TORCHRUN, *SRUN, *LIGHTNING, "JSM_NAMESPACE_RANK"}:
        monkeypatch.delenv(name, raising=False)

    def put(values):
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return put


def test_a_process_of_its_own_is_the_first_and_shares_nothing(environment):
    assert (rank(), launched(), join_run(["seed=1"])) == (0, {}, ["seed=1"])


def test_torchruns_processes_share_a_directory_and_one_writes_the_config(environment):
    environment(TORCHRUN)
    assert rank() == 5 and launched() == {"devices": 4, "num_nodes": 2}
    directory = "hydra.run.dir='${home:${paths.log_dir}}/${task_name}/runs/torchrun_mine'"
    assert join_run(["seed=1"]) == ["seed=1", "hydra.output_subdir=null", directory]
    environment({"RANK": "0"})
    assert join_run([]) == [directory]
    assert join_run(["hydra.run.dir=mine"]) == ["hydra.run.dir=mine"]


def test_torchrun_without_a_name_is_one_run_on_one_node_and_refused_on_two(environment):
    environment(TORCHRUN | {"TORCHELASTIC_RUN_ID": "none", "GROUP_WORLD_SIZE": "1"})
    first = join_run([])
    environment({"RANK": "1"})
    assert join_run([])[-1] == first[-1]
    environment({"GROUP_WORLD_SIZE": "2"})
    with pytest.raises(UserError, match="--rdzv-id=NAME"):
        join_run([])


def test_sruns_tasks_share_the_jobs_name(environment):
    environment(SRUN)
    assert rank() == 0 and launched() == {"devices": 3, "num_nodes": 2}
    words = join_run([])
    assert words == ["hydra.run.dir='${home:${paths.log_dir}}/${task_name}/runs/slurm_4711_2'"]
    (override,) = OverridesParser.create().parse_overrides(words)  # which refuses this value without quotes
    assert override.value() == "${home:${paths.log_dir}}/${task_name}/runs/slurm_4711_2"
    environment({"SLURM_PROCID": "4"})
    assert rank() == 4 and "hydra.output_subdir=null" in join_run([])


@pytest.mark.parametrize("changes", [{"SLURM_NTASKS": "1"}, {"SLURM_JOB_NAME": "bash"}])
def test_a_single_task_and_a_person_at_a_prompt_start_runs_of_their_own(environment, changes):
    environment(SRUN | changes)
    assert launched() == {} and join_run([]) == []


def test_what_lightning_starts_knows_its_place(environment):
    environment(LIGHTNING)
    assert rank() == 1 and join_run(["hydra.run.dir=there"]) == ["hydra.run.dir=there"]


def test_a_process_keeps_its_rank_when_training_has_ended(environment):
    environment(LIGHTNING)
    LightningEnvironment().teardown()
    assert rank() == 1 and drop_stray_ranks() == []


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK"])
def test_a_rank_that_no_launcher_has_set_is_dropped_and_told(environment, name):
    environment({name: "1"})
    assert rank() == 0 and join_run(["seed=1"]) == ["seed=1"]
    assert drop_stray_ranks() == [f"{name}=1"] and name not in os.environ
    assert drop_stray_ranks() == []


@pytest.mark.parametrize(
    "launcher", [TORCHRUN, SRUN | {"SLURM_PROCID": "1"}, LIGHTNING], ids=["torchrun", "srun", "ddp"]
)
def test_a_launchers_ranks_are_kept(environment, launcher):
    environment(launcher)
    assert drop_stray_ranks() == [] and rank() > 0


def test_a_rank_of_0_is_harmless(environment):
    environment({"RANK": "0"})
    assert drop_stray_ranks() == [] and rank() == 0


def test_one_stray_rank_beside_those_of_a_launcher_is_dropped(environment):
    environment(LIGHTNING | {"RANK": "7"})
    assert drop_stray_ranks() == ["RANK=7"] and rank() == 1


@pytest.mark.parametrize("value", ["abc", "", "1.5"])
def test_a_rank_that_is_no_number_is_one_line(environment, value):
    environment({"RANK": value})
    with pytest.raises(
        UserError, match=rf"^RANK: the environment sets it to '{value}', which is not a number; unset it$"
    ):
        drop_stray_ranks()
