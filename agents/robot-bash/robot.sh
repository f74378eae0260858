#!/usr/bin/env bash
# Says how the machine is: a robot that speaks docs/reference/process-protocol.md.
# Needs jq.
set -u

# What stands in the line under this name.
field() { jq -r --arg name "$1" '.[$name] // ""' <<<"$line"; }

# Writes a line about the event: its type, and a text that it may have.
tell() { jq -cn --arg type "$1" --arg id "$id" --arg text "${2-}" \
  '{$type, $id} + if $text == "" then {} else {$text} end'; }

answer() {
  case $(field text) in
    uptime) uptime ;;
    disk) df -h / ;;
    memory) head -n 3 /proc/meminfo ;;
    *) echo "I know: uptime, disk, memory" ;;
  esac
}

# Ends when the input does, as it should.
while IFS= read -r line; do
  case $(field type) in
    hello) echo '{"type": "ready", "version": 1}' ;;
    ping) jq -c '{type: "pong", n}' <<<"$line" ;;
    event)
      id=$(field id)
      [[ $(field kind) == message ]] && tell say $'```\n'"$(answer 2>&1)"$'\n```'
      tell done ;;
    error) field message >&2 ;;
  esac
done
