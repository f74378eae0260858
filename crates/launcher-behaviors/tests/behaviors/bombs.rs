//! Programs that start themselves again and again. Each has an end of its own
//! far beyond its limit, should nobody stop it.

use std::time::Duration;

use launcher_behaviors::child::Ending;
use launcher_core::children::Limits;
use libtest_mimic::Trial;

use crate::{
    case,
    processes::{all_of, mark, start, until, with_argument},
};

/// Generations of a bomb: more than two thousand processes.
const GENERATIONS: usize = 10;

pub(crate) fn cases() -> Vec<Trial> {
    vec![
        case("a fork bomb is ended and others go on", in_one_group),
        case("a fork bomb that leaves its session each time is ended", in_many_sessions),
        case("a fork bomb whose parents end at once is ended", of_orphans),
        case("a program with too many threads is ended", threads),
        case("as many processes as are allowed may run", just_enough),
    ]
}

fn limits() -> Limits {
    Limits { processes: 20, ..Limits::default() }
}

/// Two more of each, to the last generation.
const BOMB: &str = "
import os, sys, time
mark, sessions, orphans = sys.argv[1], sys.argv[2] == 'yes', sys.argv[3] == 'yes'
def grow(left):
    if sessions:
        os.setsid()
    if left > 0:
        for _ in range(2):
            if os.fork() == 0:
                grow(left - 1)
    if left == 0 or not orphans:
        time.sleep(60)
    os._exit(0)
if os.fork() == 0:
    grow(int(sys.argv[4]))
time.sleep(60)
";

async fn explode(sessions: &str, orphans: &str) {
    let (mark, generations) = (mark(), GENERATIONS.to_string());
    let run = ["python3", "-c", BOMB, &mark, sessions, orphans, &generations];
    let mut other = start(&["sh", "-c", "sleep 0.5; echo alive"], limits()).await.unwrap();
    let mut child = start(&run, limits()).await.unwrap();
    let ending = tokio::time::timeout(Duration::from_secs(40), child.wait()).await;
    assert_eq!(ending, Ok(Ending::Crowded));
    assert_eq!(with_argument(&mark).len(), 0);
    assert_eq!(all_of(&mut other).await, "alive\n");
}

async fn in_one_group() {
    explode("no", "no").await;
}

async fn in_many_sessions() {
    explode("yes", "no").await;
}

async fn of_orphans() {
    explode("yes", "yes").await;
}

async fn threads() {
    let script = "
import sys, threading, time
for _ in range(50):
    threading.Thread(target=time.sleep, args=(60,)).start()
";
    let mark = mark();
    let mut child = start(&["python3", "-c", script, &mark], limits()).await.unwrap();
    assert_eq!(child.wait().await, Ending::Crowded);
    assert_eq!(with_argument(&mark).len(), 0);
}

async fn just_enough() {
    let mark = mark();
    // With the shell that is twenty.
    let script = format!("for one in $(seq 19); do sleep {mark} & done; wait");
    let mut child = start(&["sh", "-c", &script], limits()).await.unwrap();
    until("all of them run", || with_argument(&mark).len() == 19).await;
    // The keeper looks several times meanwhile.
    let ending = tokio::time::timeout(Duration::from_millis(300), child.wait()).await;
    assert!(ending.is_err(), "{ending:?}");
    child.kill().await;
    assert_eq!(with_argument(&mark).len(), 0);
}
