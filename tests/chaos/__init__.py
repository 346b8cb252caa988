"""Faults drawn from a seed, on three Ray nodes: after the same command the tables are the undisturbed ones.

    python -m tests.chaos 7          replays a seed; make chaos runs twenty

plan      which faults, when: drawn from the seed, by rows done
store     an S3-compatible server that fails, answers late or shows stale lists
cluster   nodes that are started, killed and stopped
study     the command, the rows on disk, and the tables at the end
outcome   what came of a seed, and how many calls may be billed
inside    one seed, run inside a network namespace of its own
runs      many of them
"""
