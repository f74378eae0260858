//! What is shown below each command's help. A test types every line.

pub(super) const RUN: &str = r#"Examples:
  launcher run
  launcher run --config /srv/launcher/config.yaml --log-format json
  launcher run --only assistant,helper"#;

pub(super) const CHECK: &str = r#"Examples:
  launcher check
  launcher check --config /srv/launcher/config.yaml --json"#;

pub(super) const STATUS: &str = r#"Examples:
  launcher status
  launcher status --json | jq -r '.agents[] | select(.state == "parked") | .reason'"#;

pub(super) const NEW: &str = r#"Examples:
  launcher new assistant
  launcher new assistant --homeserver https://matrix.example.org --registration-token-env TOKEN
  launcher new helper --username @helper:example.org --password-stdin < password.txt"#;

pub(super) const DOCTOR: &str = r#"Examples:
  launcher doctor
  launcher doctor assistant --json"#;

pub(super) const EXPLAIN: &str = r#"Examples:
  launcher explain
  launcher explain store_locked --lang es
  launcher explain 'store_locked: agents/assistant/data is held by another process'
  launcher explain - < launcher.log"#;

pub(super) const STORES: &str = r#"Examples:
  launcher stores assistant
  launcher stores assistant --prune"#;

pub(super) const DEVICES: &str = r#"Examples:
  launcher devices assistant --json
  launcher devices assistant --prune-stale"#;

pub(super) const RESET: &str = r#"Examples:
  launcher reset assistant
  launcher reset assistant --yes --password-stdin < password.txt"#;

pub(super) const RECOVERY: &str = r#"Examples:
  launcher recovery assistant
  launcher recovery assistant --set"#;

pub(super) const REKEY: &str = r#"Examples:
  launcher rekey assistant --generate
  launcher rekey assistant < new-key.txt"#;

pub(super) const BACKUP: &str = r#"Examples:
  launcher backup assistant --output assistant.backup"#;

pub(super) const RESTORE: &str = r#"Examples:
  launcher restore assistant.backup
  launcher restore assistant.backup --key-env OLD_PICKLE_KEY"#;

pub(super) const INVITES: &str = r#"Examples:
  launcher invites
  launcher invites assistant accept '!abc:example.org'
  launcher invites assistant dm @alice:example.org
  launcher invites assistant prompt"#;

pub(super) const INVITES_LIST: &str = r#"Examples:
  launcher invites list
  launcher invites list assistant --json"#;

pub(super) const INVITES_ACCEPT: &str = r#"Examples:
  launcher invites assistant accept '!abc:example.org'"#;

pub(super) const INVITES_REJECT: &str = r#"Examples:
  launcher invites assistant reject '!abc:example.org'"#;

pub(super) const INVITES_ROOMS: &str = r#"Examples:
  launcher invites assistant rooms
  launcher invites assistant rooms --json"#;

pub(super) const INVITES_LEAVE: &str = r#"Examples:
  launcher invites assistant leave '!abc:example.org'"#;

pub(super) const INVITES_DM: &str = r#"Examples:
  launcher invites assistant dm @alice:example.org
  launcher invites assistant dm @alice:example.org --greeting "The report is ready." --wait 5m"#;

pub(super) const INVITES_ROOM: &str = r#"Examples:
  launcher invites assistant room Operations --invite @alice:example.org --topic "Alerts""#;

pub(super) const INVITES_PROMPT: &str = r#"Examples:
  launcher invites prompt
  launcher invites assistant prompt"#;

pub(super) const TRUST: &str = r#"Examples:
  launcher trust assistant --json
  launcher trust assistant approve @alice:example.org
  launcher trust assistant block @mallory:example.org DEVICE"#;

pub(super) const VERIFY: &str = r#"Examples:
  launcher verify assistant
  launcher verify assistant --with @alice:example.org
  launcher verify assistant --requests --json
  launcher verify --homeserver https://matrix.example.org --username bot --token-env TOKEN"#;

pub(super) const SEND: &str = r#"Examples:
  echo "Backup **done**" | launcher send assistant '#ops:example.org'
  launcher send assistant @alice:example.org --file report.pdf --key report-2026-11"#;

pub(super) const ACKNOWLEDGE: &str = r#"Examples:
  launcher acknowledge assistant --note "the account is locked until Monday""#;

pub(super) const COMPLETIONS: &str = r#"Examples:
  launcher completions bash > ~/.local/share/bash-completion/completions/launcher"#;

pub(super) const MAN: &str = r#"Examples:
  launcher man | man -l -
  launcher man --output man1"#;

pub(super) const DEMO: &str = r#"Examples:
  launcher demo
  echo hello | launcher demo
  launcher demo --agent assistant --data ./demo"#;

pub(super) const CHAT: &str = r#"Examples:
  launcher chat --server https://chat.example.org assistant
  launcher chat"#;
