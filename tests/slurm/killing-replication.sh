#!/usr/bin/env bash
# Stands in for `replication`: the first training of a language model is killed (kill -9) once it has a heartbeat. An
# operator's is over too soon for that on a fast machine; should this one be too, the next is tried.
if [ "$1" != train ] || [[ "$*" != *minilm* ]] || ! mkdir "@WORK@/killed" 2>/dev/null; then
    exec "@REAL@" "$@"
fi
"@REAL@" "$@" &
pid=$!
while kill -0 $pid 2>/dev/null; do
    if grep -rls --include=heartbeat.json "\"pid\": $pid" results/runs >"@WORK@/killed/heartbeat"; then
        kill -9 $pid
        break
    fi
    sleep 0.05
done
code=0
wait $pid || code=$?
[ $code -eq 137 ] || rm -r "@WORK@/killed"
exit $code
