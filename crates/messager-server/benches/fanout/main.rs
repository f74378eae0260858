//! How fast messages get to those who are connected, against axum that sends
//! the same frames and does nothing else.
//!
//! `cargo bench -p messager-server` prints a table. Server and clients share
//! this process and its cores; so do the floor and its clients.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement that cannot go on has failed, and what it says goes to a terminal"
)]

mod floor;
mod messager;
mod readers;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::task::JoinSet;

use self::readers::Readers;

/// Messages that are sent one after another, to see how long each takes.
const PACED: usize = 200;

/// The time between two of them.
const PACE: Duration = Duration::from_millis(25);

/// Who sends at once, and for how long, to see how many messages go. Each waits
/// until its message is everywhere.
const SENDERS: usize = 16;
const RUSH: Duration = Duration::from_secs(5);

/// Something that hands messages on to all who are connected.
trait Subject: Clone + Send + 'static {
    /// Sends a message with this number, and returns when it is acknowledged.
    fn send(&self, number: usize) -> impl Future<Output = ()> + Send;
}

/// What was seen.
struct Seen {
    /// Messages a second that were acknowledged and had arrived at every client.
    rate: f64,
    /// From the begin of a send to the arrival at a client.
    median: Duration,
    p99: Duration,
}

/// Sends, one after another and then all at once.
async fn measure(subject: impl Subject, readers: &Arc<Readers>) -> Seen {
    let mut pace = tokio::time::interval(PACE);
    let mut begun = Vec::with_capacity(PACED);
    for number in 0..PACED {
        pace.tick().await;
        begun.push(Instant::now());
        subject.send(number).await;
        readers.have(number).await;
    }
    let times = readers.times().into_iter();
    let mut took: Vec<Duration> =
        times.map(|(number, at)| at.duration_since(begun[number])).collect();
    took.sort_unstable();
    let quantile = |part: usize| took[(took.len() - 1) * part / 100];
    let (median, p99) = (quantile(50), quantile(99));
    let (start, next) = (Instant::now(), Arc::new(AtomicUsize::new(PACED)));
    let mut senders = JoinSet::new();
    for _ in 0..SENDERS {
        let (subject, readers, next) = (subject.clone(), readers.clone(), next.clone());
        senders.spawn(async move {
            while start.elapsed() < RUSH {
                let number = next.fetch_add(1, Ordering::Relaxed);
                subject.send(number).await;
                readers.have(number).await;
            }
        });
    }
    while let Some(ended) = senders.join_next().await {
        ended.unwrap();
    }
    let sent = u32::try_from(next.load(Ordering::Relaxed) - PACED).unwrap();
    Seen { rate: f64::from(sent) / start.elapsed().as_secs_f64(), median, p99 }
}

#[tokio::main]
async fn main() {
    // `cargo test --all-targets` starts this too, to see that it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }).unwrap();
    println!("| clients | | messages/s | median | p99 |\n|---|---|---|---|---|");
    for clients in [1, 100, 1000] {
        let (seen, frame) = messager::run(clients).await;
        let floor = floor::run(clients, frame).await;
        row(clients, "messager", &seen);
        row(clients, "axum alone", &floor);
        println!(
            "| {clients} | ratio | {:.2} | {:.1} | {:.1} |",
            seen.rate / floor.rate,
            seen.median.as_secs_f64() / floor.median.as_secs_f64(),
            seen.p99.as_secs_f64() / floor.p99.as_secs_f64(),
        );
    }
}

fn row(clients: usize, what: &str, seen: &Seen) {
    let Seen { rate, median, p99 } = seen;
    let millis = |time: &Duration| time.as_secs_f64() * 1000.0;
    println!(
        "| {clients} | {what} | {rate:.0} | {:.2} ms | {:.2} ms |",
        millis(median),
        millis(p99)
    );
}
