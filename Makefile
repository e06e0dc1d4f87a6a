# Every command of the project; `make help` lists them.
SHELL := /bin/sh
.DEFAULT_GOAL := help
VENV := .venv
PYTHON := $(VENV)/bin/python
READY := $(VENV)/.ready
TRAIN := $(PYTHON) src/train.py
GENERATE := $(PYTHON) generate_vimh.py
QUICK := trainer.max_epochs=1 trainer.limit_train_batches=10 trainer.limit_val_batches=5
LARGE := dataset.size=16384
CONFIG := cnn_micro
PARALLEL := -n auto --maxprocesses=4 --dist=worksteal
FAST := pytest $(PARALLEL) -m "not slow and not long"
CI := pytest $(PARALLEL) -m "not slow"
DIAGRAM = $(PYTHON) viz/show_architecture.py
SEEDS := 1,2,3
MEDIUM := cnn_64k vit_38k convnext_68k efficientnet_66k mlp_68k densenet_68k

.PHONY: help h setup demo activate a deactivate d train t tr trainmps tmps trq trs trl trc trvs trcns tq tqc tqv tqcn \
  tqa ca ex evimh evimh16k evimho evimhr evimhst evimhwce evimhqr evimhstk evitms evitmsr evitts evitml evittl evitall \
  emvitb emvite emvitr emvit emvitgta td tda tds tdss tdl tdsc tdsl tdsa tdv list-losses ll list-parameters augment-check etms etmsr etmsrdt etts etml etmlr etmlrdt etmldt ettl et64l etall emb eme emr emer emall emall-gen \
  emall-train sds sdl sdmb sdme sdmr sdma build-dataset quality ddr dds ddl ae report limits app runs inspect infer compare ablate tensorboard tb sweep sw sweep-report list-configs lc check check-configs test test-ci coverage test-all ta t0 docs bench yardsticks calibration \
  format f clean c dclean dc clean-logs cl lock sync sy

help h: ## list these commands
	@awk 'BEGIN {FS = ":.*## "} \
	/^##@/ {printf "\n%s\n", substr($$0, 5)} \
	/^[a-z0-9 _-]+:.*## / { \
		line = sprintf("  %-22s", $$1); \
		count = split($$2, words, " "); \
		for (i = 1; i <= count; i++) { \
			if (length(line " " words[i]) > 80) {print line; line = sprintf("%24s", "")} \
			line = line " " words[i]; \
		} \
		print line \
	}' Makefile
	@printf '\nAlso make experiment-NAME, model-NAME and quick-NAME; make lc lists the names.\n'

##@ Set-up
setup: $(READY) ## create .venv and install everything

$(READY): requirements.txt pyproject.toml
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "python3 is older than 3.11; install a newer one, or create .venv yourself with it"; exit 1; }
	test -x $(PYTHON) || python3 -m venv $(VENV)
	command -v uv >/dev/null || test -x $(VENV)/bin/uv || $(PYTHON) -m pip install --quiet uv
	PATH="$$PATH:$(CURDIR)/$(VENV)/bin" uv pip install --quiet --compile-bytecode --python $(PYTHON) -r requirements.txt
	PATH="$$PATH:$(CURDIR)/$(VENV)/bin" uv pip install --quiet --python $(PYTHON) --no-deps -e .
	touch $(READY)
	@echo "Set up. To use this environment's python: . $(VENV)/bin/activate"

demo: $(READY) ## make a dataset, train and test a model, predict a sound, write a report
	$(PYTHON) examples/demo.py

activate a: ## print how to activate .venv
	@echo "sh, bash, zsh:  . $(CURDIR)/$(VENV)/bin/activate"
	@echo "csh, tcsh:      source $(CURDIR)/$(VENV)/bin/activate.csh"

deactivate d: ## print how to deactivate .venv
	@echo "any shell:      deactivate"

lock: $(READY) ## compile requirements.txt again from pyproject.toml
	PATH="$$PATH:$(CURDIR)/$(VENV)/bin" uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-header --no-annotate --extra dev pyproject.toml -o requirements.txt

# what the short names below stand for; `make experiment-...` runs any of configs/experiment
experiment-%: $(READY)
	$(TRAIN) experiment=$*

model-%: $(READY)
	$(TRAIN) model=$*

quick-%: $(READY)
	$(TRAIN) model=$* $(QUICK)

generate-%: $(READY)
	$(GENERATE) synth=$*

##@ Train
train t tr: $(READY) ## train the default model on the default data
	$(TRAIN)

trainmps tmps: $(READY) ## the same on a Mac's GPU
	$(TRAIN) trainer=mps

trq: $(READY) ## one epoch
	$(TRAIN) trainer.max_epochs=1

trs: $(READY) ## small saw set, 256 clips
	$(TRAIN) synth=simple_saw dataset=small

trl: $(READY) ## large saw set, 16,384 clips
	$(TRAIN) synth=simple_saw $(LARGE)

trc: model-cnn_tiny ## SimpleCNN, tiny
trvs: model-vit_38k ## small ViT, 38 K parameters
trcns: model-convnext_68k ## small ConvNeXt, 65 K parameters
tq: quick-densenet_68k ## quick run of SimpleDenseNet: 1 epoch, 10 batches
tqc: quick-cnn_micro ## ... of the CNN
tqv: quick-vit_38k ## ... of the ViT
tqcn: quick-convnext_68k ## ... of the ConvNeXt
tqa: tq tqc tqv tqcn ## ... of all four

ca: $(READY) ## compare medium-sized networks, 3 epochs each, in one table
	$(PYTHON) benchmarks/compare_models.py --seeds 1 --epochs 3 --models $(MEDIUM)

sweep sw: $(READY) ## search for the best settings on the small saw set, or continue a stopped search: make sweep STUDY=mine
	$(TRAIN) -m hparams_search=vimh_optuna $(if $(STUDY),hydra.sweeper.study_name=$(STUDY))

sweep-report: $(READY) ## table and plots of a running or stopped search: make sweep-report STUDY=vimh_optuna (STORAGE=postgresql://...)
	$(PYTHON) viz/sweep_report.py $(STUDY) $(if $(STORAGE),--storage $(STORAGE))

##@ Experiments
ex: experiment-example ## example
evimh: experiment-vimh_cnn ## VIMH CNN, classification heads
evimh16k: experiment-vimh_cnn_16kdss ## the same as evimh (older name)
evimhr: experiment-vimh_cnn_regression ## VIMH CNN, regression heads
evimho: experiment-vimh_cnn_ordinal ## ... ordinal heads
evimhst: experiment-vimh_cnn_soft ## ... soft targets
evimhwce: experiment-vimh_cnn_weighted_cross_entropy ## ... distance-weighted cross entropy
evimhqr: experiment-vimh_cnn_quantized_regression ## ... quantised regression
evimhstk: experiment-vimh_cnn_stk ## ... on five physical models of instruments
etms: experiment-trivial_micro_small ## micro network, small set
etmsr: experiment-trivial_micro_small_regression ## ... regression heads
etmsrdt: experiment-trivial_micro_small_regression_decay_time ## ... regression heads, checkpoint chosen by log10_decay_time's error
etts: experiment-trivial_tiny_small ## tiny network, small set
etml: experiment-trivial_micro_large ## micro network, large set
etmlr: experiment-trivial_micro_large_regression ## ... regression heads
etmlrdt: experiment-trivial_micro_large_regression_decay_time ## ... regression heads, checkpoint chosen by log10_decay_time's error
etmldt: experiment-trivial_micro_large_decay_time ## ... classification heads, checkpoint chosen by log10_decay_time's error
ettl: experiment-trivial_tiny_large ## tiny network, large set
et64l: experiment-trivial_64k_large ## 64 K network, large set
etall: etms etmsr etmsrdt etts etml etmlr etmlrdt etmldt ettl et64l ## train all experiments from etms to et64l
evitms: experiment-trivial_vit_micro_small ## micro ViT, small set
evitmsr: experiment-trivial_vit_micro_small_regression ## ... regression heads
evitts: experiment-trivial_vit_tiny_small ## tiny ViT, small set
evitml: experiment-trivial_vit_micro_large ## micro ViT, large set
evittl: experiment-trivial_vit_tiny_large ## tiny ViT, large set
evitall: evitms evitmsr evitts evitml evittl ## train all experiments from evitms to evittl
emb: experiment-moog_basic ## Moog basic
eme: experiment-moog_envelope ## Moog envelope
emr: experiment-moog_resonance ## Moog resonance
emer: experiment-moog_envelope_regression ## Moog envelope, regression heads
emall: emall-gen emall-train ## make all Moog sets and train on them

emall-gen: $(READY) ## make the Moog sets of 16,384 clips that do not exist yet
	for synth in moog_basic moog_envelope moog_resonance; do \
	  ls -d data/*_16384dss_$${synth}_* 2>/dev/null || $(GENERATE) synth=$$synth $(LARGE) || exit 1; done

emall-train: emb eme emr ## train on all Moog sets
emvitb: experiment-moog_vit_basic ## ViT, Moog basic
emvite: experiment-moog_vit_envelope ## ViT, Moog envelope
emvitr: experiment-moog_vit_resonance ## ViT, Moog resonance
emvit: emvitb emvite emvitr ## train all experiments from emvitb to emvitr
emvitgta: emall-gen emvit ## make the Moog sets, then train the ViTs on them

##@ Generate
sds: generate-simple_saw ## saw, 256 clips

sdl: $(READY) ## saw, 16,384 clips
	$(GENERATE) synth=simple_saw $(LARGE)

sdmb: generate-moog_basic ## Moog basic
sdme: generate-moog_envelope ## Moog envelope
sdmr: generate-moog_resonance ## Moog resonance
sdma: sdmb sdme sdmr ## all three

build-dataset: $(READY) ## a dataset from others: make build-dataset FROM=data/A,data/B NAME=both (WITH="split.method=stratified")
	$(PYTHON) build_dataset.py from=[$(FROM)] $(if $(NAME),name=$(NAME)) $(WITH)

##@ Inspect
quality: $(READY) ## check a dataset for leakage, copies, gaps and more: make quality DATA=data/NAME
	$(PYTHON) build_dataset.py check=$(DATA)

ddr: $(READY) ## the newest dataset, as a page with samples, sounds and distributions
	$(PYTHON) viz/show_dataset.py

dds: $(READY) ## ... of 256 clips
	$(PYTHON) viz/show_dataset.py --match _256dss_

ddl: $(READY) ## ... of 16,384 clips
	$(PYTHON) viz/show_dataset.py --match _16384dss_

ae: $(READY) ## test the newest best.ckpt, compare its sounds by all audio metrics, and write a report with sounds
	$(PYTHON) src/eval.py ckpt_path=best report=true audio=true

report: $(READY) ## show the test of the newest best.ckpt as one page with figures and sounds
	$(PYTHON) src/report.py ckpt_path=best

limits: $(READY) ## what the image can tell at most of each parameter: make limits SYNTH=moog_basic
	$(PYTHON) src/evaluation/limits.py $(if $(SYNTH),synth=$(SYNTH))

app: $(READY) ## a page that predicts your sounds and plays edited values: make app CKPT="FIRST.ckpt SECOND.ckpt"
	$(PYTHON) src/app.py $(CKPT)

runs: $(READY) ## all training runs in one table, the newest last
	$(PYTHON) src/runs.py

compare: $(READY) ## which of several tested runs is better, on the same sounds: make compare RUNS="DIR DIR" (BASELINE=DIR SAVE=DIR OPEN=1)
	$(PYTHON) src/compare.py $(RUNS) $(if $(BASELINE),--baseline $(BASELINE)) $(if $(SAVE),--save $(SAVE)) $(if $(OPEN),--open)

# a run that fails leaves the others to be compared
ablate: DIRECTORY := logs/train/multiruns/$(shell date +%Y-%m-%d_%H-%M-%S)_ablation
ablate: $(READY) ## train with each value and seed, then compare: make ablate EXPERIMENT=moog_basic_fast OVER=model=cnn_micro,cnn_tiny (SEEDS=1,2,3 OPEN=1)
	$(TRAIN) -m $(if $(EXPERIMENT),experiment=$(EXPERIMENT)) $(OVER) seed=$(SEEDS) hydra.sweep.dir=$(DIRECTORY); \
	status=$$?; $(PYTHON) src/compare.py $(DIRECTORY) --save $(DIRECTORY) $(if $(OPEN),--open) && exit $$status

inspect: $(READY) ## what the newest best.ckpt says of itself, or another: make inspect CKPT=file.ckpt
	$(PYTHON) src/inspect_checkpoint.py $(or $(CKPT),best)

infer: $(READY) ## predict one sound, check the values, and time each step: make infer CKPT=file.ckpt
	$(PYTHON) src/inspect_checkpoint.py $(or $(CKPT),best) --time

tensorboard tb: $(READY) ## training curves, on port 6006
	@echo "losses and errors: http://localhost:6006/#custom_scalars"
	$(VENV)/bin/tensorboard --logdir logs --port 6006

td: $(READY) ## a network's layers as a table and as a graph: make td CONFIG=vit_tiny
	$(DIAGRAM) --model $(CONFIG) --graph

tda: $(READY) ## ... of every model config
	$(DIAGRAM) --all --graph

tds: $(READY) ## ... the table only
	$(DIAGRAM) --model $(CONFIG)

tdss: $(READY) ## medium-sized networks side by side
	$(DIAGRAM) --compare $(MEDIUM)

tdl tdsl: $(READY) ## model configs with their sizes
	$(DIAGRAM) --list

tdsc: $(READY) ## ... the table only, for the images of a dataset: make tdsc CONFIG=vit_tiny DATA=data/NAME
	$(DIAGRAM) --model $(CONFIG) $(if $(DATA),--data $(DATA))

tdsa: $(READY) ## the table of every model config
	$(DIAGRAM) --all

tdv: $(READY) ## a network drawn as blocks, as in the VGG paper: make tdv CONFIG=vit_tiny
	$(DIAGRAM) --model $(CONFIG) --vgg

list-losses ll: $(READY) ## every loss: its name in a config, what it takes, its paper
	$(PYTHON) viz/list_losses.py

list-parameters: $(READY) ## a voice's parameters and their ranges in a synth config: make list-parameters SYNTH=moog_basic
	$(PYTHON) viz/list_parameters.py $(SYNTH)

augment-check: $(READY) ## draw each change of training samples, and which heads allow it: make augment-check WORDS="experiment=digits"
	$(PYTHON) viz/check_augmentation.py $(WORDS)

list-configs lc: ## every choice of every config group
	@for group in $$(cd configs && find * -type d | sort); do \
	echo "$$group: $$(ls configs/$$group | sed -n 's/\.yaml$$//p' | tr '\n' ' ')"; done

##@ Check
test: $(READY) ## fast tests
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(PYTHON) -m $(FAST)

test-ci: $(READY) ## ... and those that take more than a second each
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(PYTHON) -m $(CI)

coverage: $(READY) ## what test-ci runs, then the share of src that it runs, file by file; below 90 % is an error
	$(PYTHON) -m coverage erase
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(PYTHON) -m coverage run -m $(CI)
	$(PYTHON) -m coverage combine --quiet
	$(PYTHON) -m coverage report

check: $(READY) ## lint, formatting and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

check-configs: $(READY) ## compose and build every experiment with every trainer, and with every logger
	$(PYTHON) src/cli/check_configs.py

test-all ta: $(READY) ## all tests
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(PYTHON) -m pytest $(PARALLEL)

t0: etms etmsr etmsrdt etts ## the four smallest experiments

docs: $(READY) ## build the documentation site in site/; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet

bench: $(READY) ## measure speed and accuracy, print the table, update results.json and docs
	$(PYTHON) benchmarks/run.py

yardsticks: $(READY) ## accuracy by size of network, by number of sounds, and by loss: hours; it continues where it stopped
	$(PYTHON) benchmarks/leaderboard.py --readme
	$(PYTHON) benchmarks/loss_table.py --readme
	$(PYTHON) benchmarks/scaling.py --readme

calibration: $(READY) ## train every kind of head and measure the coverage of its uncertainties: 6 to 15 minutes
	$(PYTHON) benchmarks/calibration.py

format f: $(READY) ## lint and format
	$(VENV)/bin/pre-commit run -a

##@ Clean
clean c: ## delete caches and the built site; keep data and logs
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
	rm -rf .pytest_cache .ruff_cache .hypothesis .coverage* *.egg-info site

dclean dc: ## delete all datasets, after listing them and asking
	@ls -d data/*/ 2>/dev/null || { echo "data holds no dataset"; exit 0; }; \
	printf 'delete these? [y/N] '; read answer; [ "$$answer" = y ] || { echo "nothing was deleted"; exit 0; }; \
	find data -mindepth 1 -maxdepth 1 \( -type d -o -type l \) -exec rm -rf {} +  # removes a link, not its target

clean-logs cl: ## delete all runs
	find logs -mindepth 1 -not -name .gitkeep -delete

sync sy: ## pull the main branch (fast-forward only)
	git pull --ff-only
