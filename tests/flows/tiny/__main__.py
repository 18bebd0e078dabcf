"""`python -m tiny`: the `prolab` command with the tiny pipeline in place of the real one."""

import flows.experiment
from flows.cli import app
from tiny.experiment import TinyExperiment

if __name__ == "__main__":
    flows.experiment.Experiment = TinyExperiment
    app(prog_name="prolab")
