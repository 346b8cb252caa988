"""Everything before it -> a site to look at: open its index.html.

python -m jobs.report configs/demo/report.yaml
ray job submit --working-dir . -- python -m jobs.report configs/demo/report.yaml
"""

from tikval.cli.job import run_job

if __name__ == "__main__":
    run_job("report")
