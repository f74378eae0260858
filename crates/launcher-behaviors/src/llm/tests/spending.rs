//! What may be spent in a day.

use launcher_core::llm::spending::{MICRO, Price};
use launcher_testbed::models::{End, Refusal};

use super::*;

fn limited(server: &ModelServer, tokens: Option<u64>, money: Option<u64>) -> LlmSpec {
    let mut spec = with_spare(server);
    let price = Price { input: 10 * MICRO, output: 10 * MICRO, cached: None };
    for model in spec.models.values_mut() {
        *model = ModelSpec { price: Some(price), ..model.clone() };
    }
    LlmSpec { spending: Limits { tokens, money }, ..spec }
}

#[tokio::test]
async fn what_is_used_up_is_told_and_nobody_is_asked() {
    let server = ModelServer::start().unwrap();
    for (tokens, money, said) in [
        (Some(1000), None, "What I may read and write in a day is used up."),
        // A thousand tokens.
        (None, Some(10_000), "What I may spend in a day is used up."),
    ] {
        let (first, props) = (llm(limited(&server, tokens, money)), Props::default());
        server.push(Scripted::text("yes").usage(Some((300, 200))));
        assert_eq!(say(&first, &message(1, "hi"), &props).await, "yes");
        let before = server.calls().len();
        // 500 are left, and an answer alone may have as many.
        let text = say(&first, &message(2, "hi"), &props).await;
        assert!(text.starts_with(said) && text.contains("Europe/Madrid"), "{text}");
        // The next life knows.
        let second = llm(limited(&server, tokens, money));
        assert!(say(&second, &message(3, "hi"), &props).await.starts_with(said));
        assert_eq!(server.calls().len(), before);
    }
}

#[tokio::test]
async fn what_was_not_charged_is_not_booked() {
    let server = ModelServer::start().unwrap();
    let (llm, props) = (llm(limited(&server, Some(2000), None)), Props::default());
    for number in 0..10 {
        server.push(Scripted::refuse(Refusal::Auth));
        server.push(Scripted::refuse(Refusal::Auth));
        let text = say(&llm, &message(number, "hi"), &props).await;
        assert!(text.starts_with("My model's provider does not accept my key."), "{text}");
    }
}

#[tokio::test]
async fn what_broke_off_or_came_too_late_stays_booked() {
    let server = ModelServer::start().unwrap();
    let patient = || LlmSpec { fallback: Vec::new(), ..limited(&server, Some(1000), None) };
    for end in [End::Missing, End::Cut, End::Drip, End::Error(Refusal::Overloaded)] {
        let hasty = llm(LlmSpec { timeout: Duration::from_millis(900), ..patient() });
        let props = Props::default();
        server.push(Scripted::text("Once upon").usage(None).ending(end.clone()));
        say(&hasty, &message(1, "hi"), &props).await;
        // More than 600 are booked, and the next answer could cost as much.
        let text = say(&llm(patient()), &message(2, "hi"), &props).await;
        assert!(text.starts_with("What I may read"), "{end:?}: {text}");
    }
}

#[tokio::test]
async fn a_day_does_not_begin_twice_unless_the_clock_was_wrong() {
    use super::super::purse::Purse;
    use launcher_core::llm::spending::Amount;

    let props = Props::default();
    let date = |text: &str| text.parse::<jiff::civil::Date>().unwrap();
    let amount = Amount { tokens: 60, money: 0 };
    let limits = Limits { tokens: Some(100), money: None };
    let purse = Purse::new(limits);
    for (today, left) in [
        ("2026-11-22", true),
        ("2026-11-22", false),
        ("2026-11-21", false),
        ("2026-11-20", false),
        ("2026-11-23", true),
        ("2026-11-22", false),
        ("2031-01-01", true),
        // A year that was never there.
        ("2026-11-23", true),
        ("2026-11-23", false),
    ] {
        let reserved = purse.reserve(&props, || date(today), amount).await.unwrap();
        assert_eq!(reserved.is_ok(), left, "{today}");
    }
}

#[tokio::test]
async fn what_a_kill_cuts_off_stays_booked() {
    let server = ModelServer::start().unwrap();
    let limits = || limited(&server, Some(1100), None);
    let (cut_off, props) = (llm(limits()), Props::default());
    let gate = Gate::new();
    server.push(Scripted::text("never").hold(1, &gate));
    let hi = message(1, "hi");
    tokio::select! {
        said = say(&cut_off, &hi, &props) => panic!("{said}"),
        () = async {
            while server.calls().is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        } => {}
    }
    let text = say(&llm(limits()), &message(1, "hi"), &props).await;
    assert!(text.starts_with("What I may read and write in a day is used up."), "{text}");
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn each_request_ends_with_a_line_of_the_log_that_tells_nothing_of_what_was_said() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let server = ModelServer::start().unwrap();
    let (llm, props) = (llm(spec(&server)), Props::default());
    server.push(Scripted::text("my diary").usage(Some((30, 20))));
    say(&llm, &message(1, "my diary"), &props).await;
    server.push(Scripted::refuse(Refusal::Auth));
    say(&llm, &message(2, "my diary"), &props).await;
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<&str> = logged.lines().filter(|line| line.contains("model_asked")).collect();
    let [answered, refused] = lines.as_slice() else { panic!("{logged}") };
    for said in [
        "model=\"main\" provider=openai outcome=\"answered\" input=30 output=20 booked=50 ms=",
        "DEBUG",
    ] {
        assert!(answered.contains(said), "{answered}");
    }
    let said = "outcome=\"auth\" input=0 output=0 booked=0 ms=";
    assert!(refused.contains(said), "{refused}");
    assert!(!logged.contains("diary"), "{logged}");
}
