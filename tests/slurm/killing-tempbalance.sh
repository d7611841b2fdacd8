#!/usr/bin/env bash
# Stands in for `tempbalance`: the first training of all is killed (kill -9) once it has a heartbeat.
if [ "$1" != train ] || ! mkdir "@WORK@/killed" 2>/dev/null; then
    exec "@REAL@" "$@"
fi
"@REAL@" "$@" &
pid=$!
while kill -0 $pid 2>/dev/null; do
    if grep -qs "\"pid\": $pid" results/.store/*/heartbeat.json; then
        grep -ls "\"pid\": $pid" results/.store/*/heartbeat.json >"@WORK@/killed/heartbeat"
        kill -9 $pid
        break
    fi
    sleep 0.05
done
wait $pid
