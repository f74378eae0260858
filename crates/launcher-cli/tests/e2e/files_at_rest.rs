//! What somebody finds who copies the files, or reads the log.

use launcher_testbed::DEFAULT_TIMEOUT;

use crate::{
    Cases, Outcome,
    bed::{Bed, PASSWORD},
    launcher::{Place, mode, pickle_key},
    rooms::room_with,
};

pub(crate) const CASES: Cases = &[
    ("files::the_data_folder_shows_no_key_token_or_message_and_is_private", at_rest),
    ("files::no_secret_and_no_message_is_logged_at_any_level", logs),
];

const NONCE: &str = "a phrase that nobody else would use 4711";

fn at_rest(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let account = bed.account("sealed")?;
    let secret = format!("access_token: \"{}\"", account.access_token);
    place.agent_for("sealed", &account.user_id, &secret, "")?;
    let launcher = place.start_ready(&["sealed"])?;
    let alice = bed.person("alice")?;
    let room = room_with(&alice, &account.user_id)?;
    let question = alice.send_text(&room, NONCE)?;
    alice.wait_for_replies(&room, &question, 1, DEFAULT_TIMEOUT)?;
    let data = place.agent_folder("sealed").join("data");
    // While it runs (with the write-ahead log in use) and after it has stopped.
    for launcher in [Some(launcher), None] {
        let files = place.data_files("sealed")?;
        assert!(files.iter().any(|(path, _)| path.ends_with("crypto/crypto.db")));
        assert!(std::fs::symlink_metadata(data.join("crypto/crypto.db"))?.is_file());
        for (path, bytes) in &files {
            for secret in [NONCE, &account.access_token, &pickle_key("sealed"), "ed25519_priv"] {
                let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
                assert!(!found, "{} shows a secret", path.display());
            }
            if !std::fs::symlink_metadata(path)?.is_symlink() {
                assert_eq!(mode(path)?, 0o600, "{}", path.display());
            }
        }
        for folder in [&data, &data.join("crypto"), &place.path().join(".launcher")] {
            assert_eq!(mode(folder)?, 0o700, "{}", folder.display());
        }
        let crypto = std::fs::read(data.join("crypto/crypto.db"))?;
        assert!(crypto.starts_with(b"SQLite format 3"));
        if let Some(launcher) = launcher {
            assert_eq!(mode(&place.path().join(".launcher/control.sock"))?, 0o600);
            launcher.stop()?;
        }
    }
    Ok(())
}

fn logs(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let agent = place.agent(bed, "chatty")?;
    let mut launcher = place.start_with(&[], "trace")?;
    launcher.wait_for_event("agent_ready", "chatty")?;
    let alice = bed.person("alice")?;
    let room = room_with(&alice, &agent)?;
    let question = alice.send_text(&room, NONCE)?;
    alice.wait_for_replies(&room, &question, 1, DEFAULT_TIMEOUT)?;
    let log = launcher.log_text()?;
    launcher.stop()?;
    assert!(log.lines().count() > 50, "RUST_LOG has no effect");
    assert!(log.contains(r#""level":"DEBUG""#));
    let token_start = "syt_";
    for secret in [NONCE, PASSWORD, &pickle_key("chatty"), token_start] {
        let line = log.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "logged: {line:?}");
    }
    Ok(())
}
