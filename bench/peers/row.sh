#!/usr/bin/env bash
# The peer bench starts a row with PB_* in its environment: this gives them our names and starts the released worker.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
bin=$here/../../.venv/bin
export HEADRACE_KAFKA__BROKERS=$PB_BROKER HEADRACE_KAFKA__GROUP=$PB_GROUP HEADRACE_REDIS__URL=redis://127.0.0.1:$PB_REDIS_PORT/0
# its events carry made-up times, weeks behind the timestamps of their records
export HEADRACE_LIMITS__LATE_S=31536000
export HEADRACE_FEATURES=$here/headrace_job.py HEADRACE_SLOT=0
"$bin/headrace" topics create >/dev/null
exec "$bin/headrace" worker
