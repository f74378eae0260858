#!/bin/sh
# Stands for whatever deploys something: it only writes down that it was asked.
set -eu

for argument in "$@"; do
  case $argument in
    --env=*) env=${argument#--env=} ;;
    --version=*) version=${argument#--version=} ;;
    *) echo "unknown argument: $argument" >&2; exit 2 ;;
  esac
done
echo "$(date -u +%FT%TZ) $env $version" >> deploy.log
echo "deployed $version to $env"
