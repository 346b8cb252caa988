"""Scripts, vectors or texts, and annotations -> trained systems and what they predict for held-out rows.

python -m jobs.finetune configs/local/finetune.yaml
python -m jobs.finetune configs/local/finetune.yaml --dry-run      # data, folds, model and memory; trains nothing
python -m jobs.finetune A.yaml B.yaml C.yaml                      # all their folds side by side
ray job submit --working-dir . -- python -m jobs.finetune configs/local/finetune.yaml
"""

from tikval.cli.job import run_job

if __name__ == "__main__":
    run_job("finetune")
