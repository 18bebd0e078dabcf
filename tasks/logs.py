"""The names of the project's loggers."""

LOGGERS = ("artifacts", "flows", "ops", "prolab_model", "tasks")
