//! What is known about a build, for `launcher --version`.
//!
//! Never fails: what cannot be found out is left out. Runs again only when the
//! commit or the versions of the libraries change.

use std::{env, fs, path::Path, process::Command};

/// The variable that names the commit.
const COMMIT: &str = "LAUNCHER_COMMIT";

const LOCK_FILE: &str = "../../Cargo.lock";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={LOCK_FILE}");
    println!("cargo:rerun-if-env-changed={COMMIT}");
    // Where there is no repository, whoever builds can say it: a container, a package.
    let commit = fact(COMMIT)
        .filter(|commit| !commit.trim().is_empty())
        .or_else(|| follow_commits().and_then(|()| git(&["rev-parse", "--short=12", "HEAD"])));
    let facts = [
        commit.map(|commit| format!("commit {}", commit.trim())),
        fact("TARGET").map(|target| format!("target {target}")),
        fact("PROFILE").map(|profile| format!("profile {profile}")),
        compiler(),
        sdk().map(|version| format!("matrix-sdk {version}")),
    ];
    // Lines are joined where they are shown: a value here is one line.
    let facts: Vec<String> = facts.into_iter().flatten().collect();
    println!("cargo:rustc-env=LAUNCHER_FACTS={}", facts.join("; "));
}

fn fact(name: &str) -> Option<String> {
    env::var_os(name)?.into_string().ok()
}

/// Has this run again when another commit is checked out or made.
fn follow_commits() -> Option<()> {
    let head = git(&["rev-parse", "--git-path", "HEAD"])?;
    println!("cargo:rerun-if-changed={head}");
    // A detached head names no branch; then the file itself changes.
    if let Some(branch) = git(&["symbolic-ref", "--quiet", "HEAD"]) {
        let file = git(&["rev-parse", "--git-path", &branch])?;
        // A branch that is packed has no file of its own, and one that is
        // missing would have this run each time.
        let packed = git(&["rev-parse", "--git-path", "packed-refs"])?;
        // Every move of the branch is written down there, where it is kept.
        let moves = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
        for path in [file, packed, moves].iter().filter(|path| Path::new(path).exists()) {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    Some(())
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

fn compiler() -> Option<String> {
    let output = Command::new(fact("RUSTC")?).arg("--version").output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

/// The version of matrix-sdk that is built in.
fn sdk() -> Option<String> {
    let lock = fs::read_to_string(LOCK_FILE).ok()?;
    let after = lock.split("name = \"matrix-sdk\"\nversion = \"").nth(1)?;
    after.split('"').next().map(ToOwned::to_owned)
}
