"""What happens to a run when something breaks: real processes, broken at random moments (`python -m tests.faults`)."""
