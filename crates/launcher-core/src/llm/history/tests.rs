//! What is remembered, and what is not any more.

use super::*;

fn part(event: &str, text: &str) -> Part {
    Part { event: EventId::new(event), text: text.to_owned() }
}

fn id(event: &str) -> EventId {
    EventId::new(event)
}

/// Costs 100 tokens and 12 for its two messages.
fn exchange(number: u64) -> Exchange {
    Exchange {
        asked: vec![part(&format!("${number}"), &"q".repeat(141))],
        user: UserId::new("@alice:hs"),
        file: None,
        answered: "a".repeat(150),
        answers: Vec::new(),
        at: number,
    }
}

fn history(count: u64) -> History {
    let mut history = History::default();
    (0..count).for_each(|number| history.add(exchange(number)));
    history
}

fn numbers(exchanges: &[Exchange]) -> Vec<u64> {
    exchanges.iter().map(|exchange| exchange.at).collect()
}

#[test]
fn the_newest_exchanges_are_kept_whole() {
    let history = history(5);
    for (budget, kept) in [
        (0, vec![]),
        (111, vec![]),
        (112, vec![4]),
        (224, vec![3, 4]),
        (300, vec![3, 4]),
        (10_000, vec![0, 1, 2, 3, 4]),
    ] {
        assert_eq!(numbers(history.within(budget)), kept, "{budget}");
    }
}

#[test]
fn a_long_message_does_not_let_older_ones_through() {
    let mut history = history(2);
    history.add(Exchange { answered: "long ".repeat(1000), ..exchange(2) });
    history.add(exchange(3));
    assert_eq!(numbers(history.within(500)), [3]);
}

#[test]
fn what_is_over_the_budget_makes_room_for_more_than_one_message() {
    let mut history = history(10);
    assert_eq!(numbers(history.overflow(1120)), Vec::<u64>::new());
    let summed_up = history.overflow(1119);
    assert_eq!(numbers(summed_up), [0, 1, 2, 3, 4, 5]);
    let count = summed_up.len();
    history.summarize(count, "They talked about tea.".into());
    assert_eq!(numbers(history.within(10_000)), [6, 7, 8, 9]);
    assert_eq!(history.summary(), "They talked about tea.");
    assert!(history.overflow(1119).is_empty());
}

#[test]
fn an_edit_changes_what_was_asked_and_leaves_the_file() {
    let mut history = history(2);
    history.add(Exchange { file: Some("[a file]".into()), ..exchange(2) });
    assert!(history.edit(&id("$2"), "something else"));
    assert_eq!(history.within(10_000)[2].question(), "something else\n[a file]");
    assert!(history.edit(&id("$2"), ""));
    assert_eq!(history.within(10_000)[2].question(), "[a file]");
    assert!(!history.edit(&id("$9"), "unknown"));
}

#[test]
fn each_part_of_a_question_can_be_changed_and_taken_back() {
    let parts = || vec![part("$a", "one"), part("$b", "two"), part("$1", "three")];
    let mut history = history(1);
    history.add(Exchange { asked: parts(), ..exchange(1) });
    assert!(history.edit(&id("$b"), "zwei"));
    assert_eq!(history.within(10_000)[1].question(), "one\nzwei\nthree");
    assert_eq!(history.author(&id("$a")).unwrap().as_str(), "@alice:hs");
    assert!(history.redact(&id("$a")));
    assert_eq!(numbers(history.within(10_000)), [0]);
    // And when it is in the summary.
    history.add(Exchange { asked: parts(), ..exchange(1) });
    history.summarize(2, "secret".into());
    assert!(history.redact(&id("$b")));
    assert!(history.is_empty());
}

#[test]
fn what_was_taken_back_is_in_no_summary_either() {
    for change in [
        (|history: &mut History| history.redact(&id("$1"))) as fn(&mut History) -> bool,
        |history| history.edit(&id("$1"), "else"),
    ] {
        let mut history = history(4);
        history.summarize(2, "secret".into());
        assert!(change(&mut history));
        assert_eq!(history.summary(), "");
        assert_eq!(numbers(history.within(10_000)), [2, 3]);
    }
    let mut history = history(2);
    assert!(history.redact(&id("$0")));
    assert!(!history.redact(&id("$0")));
    assert_eq!(numbers(history.within(10_000)), [1]);
}

#[test]
fn an_answer_that_was_taken_back_is_forgotten_with_its_question() {
    let answered = || {
        let mut history = history(2);
        assert!(history.answered(&id("$0"), &id("$a")));
        assert!(history.answered(&id("$0"), &id("$b")));
        // It may be said again, and of what is not remembered.
        assert!(!history.answered(&id("$0"), &id("$b")));
        assert!(!history.answered(&id("$9"), &id("$c")));
        history
    };
    for event in ["$a", "$b"] {
        let mut history = answered();
        // Nobody but the agent has written it.
        assert_eq!(history.author(&id(event)), None);
        assert!(history.redact(&id(event)));
        assert_eq!(numbers(history.within(10_000)), [1]);
        let mut history = answered();
        history.summarize(1, "secret".into());
        assert!(history.redact(&id(event)));
        assert_eq!((history.summary(), numbers(history.within(10_000))), ("", vec![1]));
    }
}

#[test]
fn it_is_known_who_wrote_what_is_summed_up() {
    let mut history = history(2);
    history.summarize(1, "tea".into());
    for event in ["$0", "$1"] {
        assert_eq!(history.author(&id(event)).unwrap().as_str(), "@alice:hs", "{event}");
    }
    assert_eq!(history.author(&id("$9")), None);
}

#[test]
fn there_is_an_end_to_what_is_in_a_summary_and_all_of_it_is_known() {
    let mut history = History::default();
    for round in 0..5 {
        (0..MOST as u64).for_each(|number| history.add(exchange(round * 1000 + number)));
        history.summary_for(MOST);
        history.summarize(MOST, format!("summary {round}"));
        assert!(history.covered.len() <= COVERED);
    }
    // Begun anew with the third and the fifth.
    assert_eq!(history.author(&id("$3399")), None);
    assert!(history.author(&id("$4000")).is_some());
    assert_eq!(history.summary(), "summary 4");
}

#[test]
fn an_answer_that_is_given_again_is_one_answer() {
    let mut history = history(2);
    history.add(Exchange { answered: "again".into(), ..exchange(0) });
    assert_eq!(numbers(history.within(10_000)), [0, 1]);
    assert_eq!(history.within(10_000)[0].answered, "again");
}

#[test]
fn what_is_too_old_is_forgotten_and_a_summary_is_as_old_as_what_is_in_it() {
    let mut history = history(6);
    history.summarize(3, "old".into());
    assert!(!history.expire(0));
    assert_eq!(history.summary(), "old");
    assert!(history.expire(1));
    assert_eq!((history.summary(), numbers(history.within(10_000))), ("", vec![3, 4, 5]));
    assert!(history.expire(5));
    assert_eq!(numbers(history.within(10_000)), [5]);
    assert!(!history.expire(5));
    // Also where nothing was said since.
    history.summarize(1, "all".into());
    assert_eq!(history.last(), 5);
    assert!(history.expire(6));
    assert!(history.is_empty());
}

#[test]
fn there_is_an_end_to_what_is_kept() {
    let mut history = history(MOST as u64 + 3);
    assert_eq!(history.within(u64::MAX).len(), MOST);
    assert_eq!(history.within(u64::MAX)[0].at, 3);
    history.trim(112);
    assert_eq!(history.within(u64::MAX).len(), 1);
}

#[test]
fn what_people_said_is_not_printed() {
    let history = history(1);
    let printed = format!("{history:?} {:?}", history.within(1000));
    assert!(!printed.contains("qqq") && !printed.contains("aaa"), "{printed}");
}
