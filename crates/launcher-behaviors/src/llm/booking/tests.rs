//! What is booked for what became of a question.

use launcher_core::llm::{fault::FaultKind, spending::MICRO};

use super::*;
use crate::llm::provider::Said;

const PRICE: Price = Price { input: MICRO, output: 2 * MICRO, cached: None };

fn reply(usage: Option<(u64, u64)>, cut: bool) -> Result<Reply, Failed> {
    let usage = usage.map(|(input, output)| Usage { input, cached: 0, output });
    Ok(Reply { said: Said::text("yes"), cut, usage })
}

/// What is booked, in tokens, when 1000 and 500 were reserved and 30 bytes came.
fn booked(asked: &Result<Reply, Failed>) -> u64 {
    let most = Usage { input: 1000, cached: 0, output: 500 };
    let spent = spent(asked, Amount::of(most, Some(&PRICE)), 1000, 30, Some(&PRICE));
    assert!(spent.money >= spent.tokens);
    spent.tokens
}

#[test]
fn a_whole_answer_costs_what_was_counted() {
    assert_eq!(booked(&reply(Some((700, 20)), false)), 720);
    assert_eq!(booked(&reply(Some((7000, 20)), false)), 7020);
    // Nothing was counted.
    assert_eq!(booked(&reply(None, false)), 1010);
    assert_eq!(booked(&reply(Some((0, 0)), false)), 1010);
    // As long as it may be, or longer.
    assert_eq!(booked(&reply(None, true)), 1500);
}

#[test]
fn what_broke_off_or_came_too_late_keeps_all_that_was_booked() {
    let late = || Err(Failed::Late("Once upon".into()));
    assert_eq!(booked(&late()), 1500);
    let broken = |usage: Option<(u64, u64)>| {
        let usage = usage.map(|(input, output)| Usage { input, cached: 0, output });
        let fault = ModelFault::for_test(FaultKind::Broken, true, usage);
        Err(Failed::Fault(fault, String::new()))
    };
    assert_eq!(booked(&broken(None)), 1500);
    assert_eq!(booked(&broken(Some((700, 1)))), 1500);
    assert_eq!(booked(&broken(Some((7000, 1)))), 7001);
}

#[test]
fn what_was_refused_costs_nothing() {
    let refused = ModelFault::for_test(FaultKind::Auth, false, None);
    assert_eq!(booked(&Err(Failed::Fault(refused, String::new()))), 0);
}
