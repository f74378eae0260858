//! Damaged files: `load` never panics, and never shows a secret.
//!
//! Deterministic: a failure can be repeated.

use crate::case::{Case, render};

const PASSWORD: &str = "Zq7-hunter2-Zq7";
const KEY: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f1";

/// Values written into files and into `.env`, and a part of each that would give it away.
const SECRETS: [&str; 4] = ["Zq7-hunter2", "0f1e2d3c4b5a", "tok-Kp9x", "rec-Lw4m"];

const ROOT: &str = "\
homeserver: https://matrix.example.org
log: { format: pretty, level: info }
admin: { listen: \"127.0.0.1:8470\" }
defaults:
  encryption: { trust_mode: tofu, recovery_key: rec-Lw4m-word }
  behavior: { echo: { prefix: \"echo: \" } }
";

struct Xorshift(u64);

impl Xorshift {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

fn agent() -> String {
    format!(
        "\
enabled: true
matrix:
  user_id: \"@a:example.org\"
  password: {PASSWORD}
  access_token: 'tok-Kp9x-word'
encryption:
  store_path: ./agents/a/data/crypto
  pickle_key: \"{KEY}\"
invites:
  from:
    - \"@*:example.org\"
catch_up: {{ max_age: 1d }}
behavior:
  echo: {{ prefix: \"${{GREETING}}: \" }}
"
    )
}

fn commands() -> String {
    format!(
        "\
matrix: {{ user_id: \"@b:example.org\", access_token: tok-Kp9x-word }}
encryption:
  pickle_key: \"{KEY}\"
behavior:
  commands:
    \"!uptime\": {{ run: [\"uptime\"], users: [\"@*:example.org\"] }}
    \"!restart\":
      run: [\"restart\", \"${{PASS}}\"]
      require: verified
      timeout: 30s
"
    )
}

fn env() -> String {
    format!("GREETING='hello'\nPASS={PASSWORD}\nexport KEY=\"{KEY}\"\n")
}

fn damage(text: &str, random: &mut Xorshift) -> Vec<u8> {
    let spice = b"\n\t :{}[],&*!|>'\"%@`#-?$\\~\r\0\xff=";
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        match random.below(5) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, spice[random.below(spice.len())]),
            3 => bytes[at] = spice[random.below(spice.len())],
            _ => {
                let end = (at + 1 + random.below(12)).min(bytes.len());
                drop(bytes.drain(at..end));
            }
        }
    }
    bytes
}

#[test]
fn damaged_files_neither_panic_nor_show_secrets() {
    let mut random = Xorshift(0x9e37_79b9_7f4a_7c15);
    let case = Case::new("");
    let good = [
        ("config.yaml", ROOT.to_owned()),
        (".env", env()),
        ("agents/a/config.yaml", agent()),
        ("agents/b/config.yaml", commands()),
    ];
    for (name, text) in &good {
        case.write(name, text.as_bytes());
    }
    assert!(case.load().diagnostics.is_empty(), "{}", case.outcome());
    for round in 0..5_000 {
        let (name, text) = &good[[0, 1, 2, 2, 3][round % 5]];
        let damaged = damage(text, &mut random);
        case.write(name, &damaged);
        let loaded = case.load();
        let shown = format!("{}{:?}", render(&loaded), loaded.diagnostics);
        for secret in SECRETS {
            assert!(
                !shown.contains(secret),
                "round {round}: {name}:\n{}\n{shown}",
                String::from_utf8_lossy(&damaged)
            );
        }
        case.write(name, text.as_bytes());
    }
}

/// Each is just below the size limit, so that only the parser's limits can help.
#[test]
fn hostile_files_are_answered_and_not_repeated() {
    let size = 1_000_000;
    let keys: String = (0..90_000).map(|number| format!("k{number}: 1\n")).collect();
    let wide: String = (0..20_000).map(|number| format!("{{k{number}: ${{A}}}},")).collect();
    let anchors: String = (0..40_000).map(|number| format!("a{number}: &a{number} 1\n")).collect();
    for text in [
        "[".repeat(size),
        "{a: ".repeat(size / 4),
        "- ".repeat(size / 2),
        "? ".repeat(size / 2),
        "\"".repeat(size),
        format!("? {}\n: 1", "a".repeat(size - 10)),
        format!("matrix: {{ user_id: \"{}\" }}", "a${".repeat(size / 3 - 20)),
        format!("behavior: {{ echo: {{ prefix: \"{}\" }} }}", "${A}".repeat(size / 4 - 20)),
        format!("invites: {{ from: [{wide}] }}"),
        keys,
        anchors,
    ] {
        let case = Case::new("");
        case.write("config.yaml", ROOT.as_bytes());
        case.write("agents/a/config.yaml", text.as_bytes());
        let start: String = text.chars().take(20).collect();
        let shown = render(&case.load());
        assert!(shown.contains("a: broken"), "{start}");
        assert!(shown.len() < 4 * size, "{start}: {}", shown.len());
    }
}
