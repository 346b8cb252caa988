"""Videos -> vectors: what F-VideoMAE takes (Appendix C.2).

python -m jobs.embed configs/embed.yaml
ray job submit --working-dir . -- python -m jobs.embed configs/embed.yaml
"""

from tikval.cli.job import run_job

if __name__ == "__main__":
    run_job("embed")
