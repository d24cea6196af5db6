#!/bin/bash
# On the master of a cluster: make the home of the steps' login in HDFS, which Spark on YARN requires, and put Spark's jars
# there once, which every step would upload otherwise.
#     prepare_hdfs.sh VERSION_OF_SPARK ARCHIVE
set -euo pipefail
version=$1
archive=$2

as() { # LOGIN COMMAND...
    runuser -u "$1" -- timeout 300 "${@:2}"
}

# HDFS may still be starting: its name node takes folders first, and files as soon as it knows a data node.
retry() { # COMMAND...
    until "$@"; do
        if ((SECONDS > 600)); then
            echo "HDFS has not accepted \`${*:3}\` within 10 minutes: see that its services run on all hosts" >&2
            exit 1
        fi
        sleep 5
    done
}

retry as hdfs hdfs dfs -mkdir -p "${archive%/*}"
as hdfs hdfs dfs -chown retraining "${archive%/*}"
if as retraining hdfs dfs -test -e "$archive"; then
    exit 0
fi
# uv keeps the package, from which it makes the environment of the project at the first step.
folder=$(as retraining mktemp -d)
as retraining uv pip install --quiet --python /opt/retraining/bin/python --no-deps --target "$folder" "pyspark==$version"
as retraining python3 -m zipfile -c "$folder/jars.zip" "$folder"/pyspark/jars/*.jar
retry as retraining hdfs dfs -put -f "$folder/jars.zip" "$archive"
rm -rf "$folder"
