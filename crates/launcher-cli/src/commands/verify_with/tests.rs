use clap::Parser;
use launcher_runtime::ports::trust::Stage;
use tokio::sync::{mpsc, oneshot};

use super::{conversation::Screen, *};
use crate::{
    args::{Arguments, Command},
    way::tests::trust::{Bench, emojis, request as wanted},
};

/// What was shown, in order.
#[derive(Default)]
struct Paper(String);

impl Screen for Paper {
    fn print(&mut self, text: &str) {
        self.0.push_str(text);
    }

    fn say(&mut self, line: &str) {
        self.0.push_str(&format!("# {line}\n"));
    }

    fn prompt(&mut self, question: &str) {
        self.0.push_str(&format!("? {question}\n"));
    }
}

const TEXT: Form = Form::Text { colored: false };

/// A verification with `user` that a test plays the other side of. What is
/// typed is given as lines; `play` gets what interrupts the command.
async fn talk(
    user: &str,
    form: Form,
    typed: &[&str],
    play: impl AsyncFnOnce(&Bench, oneshot::Sender<()>),
) -> (String, Result<Exit, String>) {
    let bench = Bench::start().await;
    let begun = bench.way.begin_verification(&wanted(user)).await.unwrap();
    let (lines, answers) = mpsc::unbounded_channel();
    for line in typed {
        lines.send((*line).to_owned()).unwrap();
    }
    drop(lines);
    let (interrupt, interrupted) = oneshot::channel::<()>();
    let mut paper = Paper::default();
    let conversation = Conversation {
        spec: &bench.spec,
        way: bench.way.as_ref(),
        form,
        screen: &mut paper,
        answers: Lines::of(answers),
        is_asking: false,
        interrupted: Box::pin(async {
            if interrupted.await.is_err() {
                std::future::pending::<()>().await;
            }
        }),
    };
    let (done, ()) = tokio::join!(conversation.follow(begun), play(&bench, interrupt));
    (paper.0, done.map_err(|error| error.to_string()))
}

fn is_confirmed(stage: &Stage) -> bool {
    *stage == Stage::Confirmed
}

#[tokio::test]
async fn emojis_that_match_verify_a_user() {
    let (shown, done) = talk("@alice:hs.test", TEXT, &["y", "YES"], async |bench, _| {
        bench.trustee.set(emojis());
        bench.trustee.reach(is_confirmed).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        bench.trustee.set(Stage::Done);
    })
    .await;
    assert_eq!(done, Ok(Exit::Done));
    assert_eq!(
        shown,
        "# asked @alice:hs.test; waiting for them to accept in their client\n\
         # compare these with what @alice:hs.test sees:\n\
         \n\
         🐶    🔒\n\
         Dog   Lock\n\
         \n\
         ? Do they match? [yes/no] \n\
         # type `yes` or `no`\n\
         ? Do they match? [yes/no] \n\
         # confirmed here; waiting for @alice:hs.test to confirm, too\n\
         @alice:hs.test is verified now\n"
    );
}

#[tokio::test]
async fn emojis_that_differ_verify_nobody() {
    let (_, done) = talk("@alice:hs.test", TEXT, &["no"], async |bench, _| {
        bench.trustee.set(emojis());
    })
    .await;
    assert_eq!(
        done.unwrap_err(),
        "nobody was verified; cancelled here: they differ (m.mismatched_sas)"
    );
}

#[tokio::test]
async fn the_other_side_may_have_enough_while_a_question_is_open() {
    let bench = Bench::start().await;
    let begun = bench.way.begin_verification(&wanted("@alice:hs.test")).await.unwrap();
    bench.trustee.set(emojis());
    // Open, and nothing is typed.
    let (_lines, answers) = mpsc::unbounded_channel();
    let mut paper = Paper::default();
    let conversation = Conversation {
        spec: &bench.spec,
        way: bench.way.as_ref(),
        form: TEXT,
        screen: &mut paper,
        answers: Lines::of(answers),
        is_asking: false,
        interrupted: Box::pin(std::future::pending()),
    };
    let other = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        bench.trustee.set(Stage::Cancelled {
            by_us: false,
            code: "m.user".to_owned(),
            reason: "changed my mind\u{7}".to_owned(),
        });
    };
    let (done, ()) = tokio::join!(conversation.follow(begun), other);
    let refusal = done.unwrap_err().downcast::<launcher_control::wire::Refusal>().unwrap();
    assert_eq!(
        refusal.reason,
        "nobody was verified; cancelled by the other side: changed my mind\u{fffd} (m.user)"
    );
    assert_eq!(
        refusal.action.as_deref(),
        Some("`launcher verify a --with @alice:hs.test` begins again")
    );
}

#[tokio::test]
async fn the_end_of_input_and_a_signal_cancel() {
    let (shown, done) = talk("@alice:hs.test", TEXT, &["maybe"], async |bench, _| {
        bench.trustee.set(emojis());
    })
    .await;
    assert!(shown.ends_with("# there is no answer on standard input; cancelling\n"), "{shown}");
    let cancelled = "nobody was verified; cancelled here: an operator had enough (m.user)";
    assert_eq!(done.unwrap_err(), cancelled);

    let (shown, done) = talk("@alice:hs.test", TEXT, &[], async |_, interrupt| {
        interrupt.send(()).unwrap();
    })
    .await;
    assert!(shown.ends_with("# cancelling\n"), "{shown}");
    assert_eq!(done.unwrap_err(), cancelled);
}

#[tokio::test]
async fn a_code_is_shown_and_a_scan_is_confirmed() {
    let (shown, done) = talk("@a:hs.test", TEXT, &["yes"], async |bench, _| {
        bench.trustee.set(Stage::Code(b"MATRIX\x02".to_vec()));
        bench.trustee.be_shown().await;
        bench.trustee.set(Stage::Scanned);
        bench.trustee.reach(is_confirmed).await;
        bench.trustee.set(Stage::Done);
    })
    .await;
    assert_eq!(done, Ok(Exit::Done));
    assert!(
        shown.starts_with(
            "# asked every other device of @a:hs.test; waiting for it to be accepted there\n"
        ),
        "{shown}"
    );
    assert!(shown.contains("    █▀▀▀▀▀█ "), "{shown}");
    let rest = "# waiting for @a:hs.test to scan this with their client\n\
         # @a:hs.test has scanned the code\n\
         ? Does the other client say that it worked? [yes/no] \n";
    assert!(shown.contains(rest), "{shown}");
    assert!(shown.ends_with("another device of @a:hs.test is verified now\n"), "{shown}");
}

#[tokio::test]
async fn a_script_gets_an_object_for_each_stage() {
    let (shown, done) = talk("@alice:hs.test", Form::Json, &["yes"], async |bench, _| {
        tokio::time::sleep(Duration::from_millis(50)).await;
        bench.trustee.set(emojis());
        bench.trustee.reach(is_confirmed).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        bench.trustee.set(Stage::Done);
    })
    .await;
    assert_eq!(done, Ok(Exit::Done));
    let stages: Vec<VerificationReply> =
        shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(stages.len(), 4, "{shown}");
    assert_eq!(stages[0].stage, StageReply::Waiting);
    assert!(matches!(&stages[1].stage, StageReply::Emojis(emojis) if emojis.len() == 2));
    assert_eq!(stages[2].stage, StageReply::Confirmed);
    assert_eq!(stages[3].stage, StageReply::Done);
}

#[test]
fn requests_say_whose_turn_it_is() {
    let one = |number, we_asked: bool, stage| VerificationReply {
        number,
        user: "@alice:hs.test".to_owned(),
        device: (!we_asked).then(|| "PHONE".to_owned()),
        we_asked,
        began_ms: 1_772_355_900_000,
        revision: 1,
        stage,
    };
    let all = [one(1, false, StageReply::Requested), one(2, true, StageReply::Emojis(Vec::new()))];
    assert_eq!(
        table(&all),
        "USER            DEVICE  SINCE                 ASKED BY   STAGE\n\
         @alice:hs.test  PHONE   2026-03-01 09:05 UTC  them       waits for you to take it up\n\
         @alice:hs.test  -       2026-03-01 09:05 UTC  the agent  waits for you to compare emojis\n"
    );
    assert_eq!(table(&[]), "nobody asks, and nothing goes on\n");
}

fn typed(line: &str) -> Result<Option<VerificationRequest>, i32> {
    let arguments = ["launcher", "verify"].into_iter().chain(line.split_whitespace());
    let arguments = Arguments::try_parse_from(arguments).map_err(|error| error.exit_code())?;
    let Command::Verify(options) = arguments.command else { panic!("not `verify`") };
    let spec = crate::way::tests::spec(&tempfile::TempDir::new().unwrap());
    request(&spec, &options.with, &options.account).map_err(|quit| quit.exit as i32)
}

#[test]
fn flags_of_three_kinds_of_verify_do_not_mix() {
    let with = |line: &str| typed(line).unwrap().unwrap();
    assert_eq!(with("a --with @alice:hs").method, Method::Emoji);
    assert_eq!(with("a --with @alice:hs --qr --json").method, Method::Qr);
    let own = with("a --with @a:hs.test --device PHONE --config x.yaml");
    assert_eq!((own.user.as_str(), own.device), ("@a:hs.test", Some(DeviceId::new("PHONE"))));
    for other in ["a", "a --requests --json", "--homeserver http://hs --username u --device D"] {
        assert_eq!(typed(other), Ok(None), "{other}");
    }
    for wrong in [
        "",
        "--with @alice:hs",
        "--requests",
        "a --with alice",
        "a --with @alice:hs --device PHONE",
        "a --with @alice:hs --requests",
        "a --qr",
        "a --json",
        "a --device D",
        "a --username u",
        "a --with @alice:hs --token-env T",
        "a --requests --qr",
        "a --homeserver http://hs --username u",
        "--homeserver http://hs --username u --with @alice:hs",
        "--homeserver http://hs --username u --requests",
        "--homeserver http://hs --username u --qr",
        "--homeserver http://hs --username u --json",
    ] {
        assert_eq!(typed(wrong), Err(2), "{wrong}");
    }
}
