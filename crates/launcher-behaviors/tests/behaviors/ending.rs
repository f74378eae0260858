//! Whatever ends a child ends everything that it has started.

use std::{
    env,
    io::{BufRead as _, BufReader},
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use launcher_behaviors::child::Ending;
use launcher_core::children::Limits;
use libtest_mimic::Trial;
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    case,
    processes::{mark, start, until, with_argument},
};

/// With this variable the test program is a launcher that can be killed.
pub(crate) const FOSTER: &str = "LAUNCHER_TEST_FOSTER";

pub(crate) fn cases() -> Vec<Trial> {
    vec![
        case("what a child leaves running is ended with it", left_running),
        case("a child that is killed takes with it what has left its session", killed),
        case("a child that is dropped is ended", dropped),
        case("a child whose keeper is killed is ended", without_keeper),
        case("a child whose launcher is killed is ended", without_launcher),
    ]
}

/// Starts one in its own group, one in another session, one whose parent ends.
fn family(mark: &str, then: &str) -> String {
    format!("sleep {mark} & setsid sleep {mark} & (setsid setsid sleep {mark} &) ; {then}")
}

async fn left_running() {
    let mark = mark();
    // Ends when all three are there.
    let waits = format!("while [ $(pgrep -cxf 'sleep {mark}') -lt 3 ]; do :; done");
    let mut child = start(&["sh", "-c", &family(&mark, &waits)], Limits::default()).await.unwrap();
    assert_eq!(child.wait().await, Ending::Exited(0));
    assert_eq!(with_argument(&mark), Vec::<i32>::new());
}

async fn killed() {
    let mark = mark();
    let child = start(&["sh", "-c", &family(&mark, "wait")], Limits::default()).await.unwrap();
    until("they run", || with_argument(&mark).len() == 3).await;
    child.kill().await;
    assert_eq!(with_argument(&mark), Vec::<i32>::new());
}

async fn dropped() {
    let mark = mark();
    let child = start(&["sh", "-c", &family(&mark, "wait")], Limits::default()).await.unwrap();
    until("they run", || with_argument(&mark).len() == 3).await;
    drop(child);
    until("they are gone", || with_argument(&mark).is_empty()).await;
}

async fn without_keeper() {
    let mark = mark();
    let mut child = start(&["sleep", &mark], Limits::default()).await.unwrap();
    until("it runs", || with_argument(&mark).len() == 1).await;
    kill_process(parent_of(with_argument(&mark)[0]), Signal::KILL).unwrap();
    assert_eq!(child.wait().await, Ending::Lost);
    until("it is gone", || with_argument(&mark).is_empty()).await;
}

fn parent_of(pid: i32) -> Pid {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
    Pid::from_raw(line.trim().parse().unwrap()).unwrap()
}

async fn without_launcher() {
    let mark = mark();
    let mut launcher = Command::new(env::current_exe().unwrap())
        .env(FOSTER, &mark)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(launcher.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "started\n");
    until("they run", || with_argument(&mark).len() == 3).await;
    launcher.kill().unwrap();
    launcher.wait().unwrap();
    until("they are gone", || with_argument(&mark).is_empty()).await;
}

/// Starts children, says so, and waits for its end.
#[expect(clippy::print_stdout, reason = "this is how it says so")]
pub(crate) fn be_a_launcher(mark: &str) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let script = family(mark, "wait");
        let _child = start(&["sh", "-c", &script], Limits::default()).await.unwrap();
        println!("started");
        tokio::time::sleep(Duration::from_secs(120)).await;
    });
    ExitCode::FAILURE
}
