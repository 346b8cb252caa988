"""A fine-tuning's space of settings -> the best of each fold, chosen inside that fold's training part.

python -m jobs.sweep configs/paper/roberta_sweep.yaml
python -m jobs.sweep configs/paper/roberta_sweep.yaml --dry-run      # data, folds, model and space; trains nothing
python -m jobs.finetune out/paper/sweep-FINGERPRINT/best.yaml
"""

from tikval.cli.job import run_job

if __name__ == "__main__":
    run_job("sweep")
