#!/usr/bin/env bash
# A whole study in order: videos -> scripts -> values -> scores -> a page; with EMBEDDINGS=1 vectors as well.
#
#   jobs/pipeline.sh configs/demo     # the sample clips
#   jobs/pipeline.sh configs/local    # the folder videos/
#
# Every step takes up where it stopped; a finished one answers at once. On a cluster:
#   ray job submit --working-dir . -- jobs/pipeline.sh DIR    # a folder of configurations whose `out` all nodes see
set -euo pipefail
configs=${1:-configs/demo}
python=${PYTHON:-python}

"$python" -m jobs.catalog        "$configs/catalog.yaml"        # folder or manifest -> VideoRow, LabelRow
"$python" -m jobs.write_scripts  "$configs/scripts.yaml"        # VideoRow  -> ScriptRow
"$python" -m jobs.extract_values "$configs/predictions.yaml"   # ScriptRow -> PredictionRow
if [ "${EMBEDDINGS:-0}" = 1 ]; then  # needs VideoMAE and Wav2Vec2, by hub or folder
    "$python" -m jobs.embed      "$configs/embed.yaml"          # VideoRow  -> EmbeddingRow
fi
"$python" -m jobs.evaluate       "$configs/scores.yaml"         # PredictionRow, LabelRow -> ScoreRow
"$python" -m jobs.report         "$configs/report.yaml"         # all of it -> index.html
