//! The program as a service: its unit, its manual pages, its completions, and where
//! they are put.

use std::{
    ffi::OsStr,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use tokio::process::Command;

use crate::process::Running;

const BINARY: &str = env!("CARGO_BIN_EXE_messager");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn unit() -> String {
    fs_err::read_to_string(root().join("docs/operations/messager.service")).unwrap()
}

async fn run(program: &str, arguments: &[impl AsRef<OsStr>]) -> String {
    let output = Command::new(program).args(arguments).output().await.unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{program}: {said}");
    said
}

#[tokio::test]
async fn the_unit_starts_a_server() {
    let data = tempfile::tempdir().unwrap();
    let unit = unit();
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let line = line.replace("127.0.0.1:8447", "127.0.0.1:0");
    let line = line.replace("/var/lib/messager", data.path().to_str().unwrap());
    let mut words = line.split(' ');
    assert_eq!(words.next(), Some("/usr/local/bin/messager"));
    let mut command = Command::new(BINARY);
    command.args(words).kill_on_drop(true);
    Running::of(command).await.terminate().await;
}

#[tokio::test]
async fn systemd_understands_the_unit_and_finds_it_well_locked_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("messager.service");
    fs_err::write(&path, unit().replace("/usr/local/bin/messager", BINARY)).unwrap();
    let path = path.to_str().unwrap();
    run("systemd-analyze", &["verify", "--man=no", path]).await;
    // 1.5 when this was written, in tenths; 9.6 for a service without any restriction.
    run("systemd-analyze", &["security", "--offline=yes", "--threshold=20", path]).await;
}

#[tokio::test]
async fn pages_and_completions_come_out_of_the_binary() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(run(BINARY, &["completions", shell]).await.contains("push-webhook"), "{shell}");
    }
    assert!(run(BINARY, &["man"]).await.contains(".SH NAME"));
}

#[tokio::test]
async fn what_is_installed_can_be_read_by_everybody_and_taken_away_again() {
    let place = tempfile::tempdir().unwrap();
    let release = place.path().join("build/release");
    fs_err::create_dir_all(&release).unwrap();
    symlink(BINARY, release.join("messager")).unwrap();
    let system = place.path().join("system");
    let make = async |target: &str| {
        let output = Command::new("sh")
            .args(["-c", &format!("umask 077 && make {target}")])
            .current_dir(root())
            .env("CARGO_TARGET_DIR", place.path().join("build"))
            .env("DESTDIR", &system)
            // Those of a `make` that runs the tests.
            .env_remove("MAKEFLAGS")
            .env_remove("PREFIX")
            .output()
            .await
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    make("install-messager").await;
    let place = system.join("usr/local");
    for (path, mode) in [
        ("bin/messager", 0o755),
        ("lib/systemd/system/messager.service", 0o644),
        ("share/man/man1/messager.1", 0o644),
        ("share/man/man1/messager-account-revoke.1", 0o644),
        ("share/bash-completion/completions/messager", 0o644),
        ("share/zsh/site-functions/_messager", 0o644),
        ("share/fish/vendor_completions.d/messager.fish", 0o644),
    ] {
        let found = fs_err::metadata(place.join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{path}");
    }
    make("uninstall").await;
    let left: Vec<PathBuf> = files(&system);
    assert!(left.is_empty(), "{left:?}");
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}
