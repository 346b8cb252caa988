"""Videos -> scripts (the first of the two steps): by what the machine has, or by a language model that watches.

python -m jobs.write_scripts configs/demo/scripts.yaml
ray job submit --working-dir . -- python -m jobs.write_scripts configs/demo/scripts.yaml
"""

from tikval.cli.job import run_job

if __name__ == "__main__":
    run_job("write_scripts")
