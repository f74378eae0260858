//! Children for tests, and what of them is running.

use std::{
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use launcher_behaviors::child::{self, Child, Plan, Streams};
use launcher_core::children::{Limits, Variables};
use tokio::io::AsyncReadExt as _;

/// Starts a program with both outputs in one.
pub(crate) async fn start(run: &[&str], limits: Limits) -> std::io::Result<Child> {
    start_in(Path::new("/"), run, &Variables::default(), limits, Streams::Joined).await
}

pub(crate) async fn start_in(
    folder: &Path,
    run: &[&str],
    variables: &Variables,
    limits: Limits,
    streams: Streams,
) -> std::io::Result<Child> {
    let run: Vec<String> = run.iter().map(ToString::to_string).collect();
    let grace = Duration::ZERO;
    child::start(Plan { run: &run, folder, variables, limits: &limits, streams, grace }).await
}

/// What a child writes until it ends or closes its output.
pub(crate) async fn all_of(child: &mut Child) -> String {
    let mut text = String::new();
    child.output.take().unwrap().read_to_string(&mut text).await.unwrap();
    text
}

/// An argument of `sleep` by which a test finds its own.
pub(crate) fn mark() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("60.{}{count:02}", std::process::id())
}

/// The processes with this as one of their arguments, without those that have
/// ended and those that are on their way of becoming one.
pub(crate) fn with_argument(mark: &str) -> Vec<i32> {
    let wanted = format!("\0{mark}\0");
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|process| {
            let line = std::fs::read(process.path().join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).into_owned();
            let found = line.contains(&wanted) && !line.contains("\0__child\0");
            found.then(|| process.file_name().to_string_lossy().parse().ok())?
        })
        .collect()
}

pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
