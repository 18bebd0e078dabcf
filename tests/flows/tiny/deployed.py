"""The flows that workers run, with the tiny stages; to be imported by nobody else, since it changes the experiment."""

import flows.experiment
from flows.pipeline import prolab_pipeline
from flows.stages import stage_flow
from tiny import stages
from tiny.experiment import TinyExperiment

__all__ = ["describe", "prolab_pipeline"]

flows.experiment.Experiment = TinyExperiment

describe = stage_flow("describe", stages.DESCRIBE)
