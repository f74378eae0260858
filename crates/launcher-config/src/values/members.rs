//! How many there may be in a room.

use super::Fault;

/// The agent and somebody else.
const LEAST: u64 = 2;

/// A number of members, the agent included.
pub(crate) fn members(text: &str) -> Result<u64, Fault> {
    let label = "write a number such as `10`";
    let number: u64 = text.parse().map_err(|_| Fault::new("is not a whole number").label(label))?;
    match number < LEAST {
        true => Err(Fault::new("is too few: the agent counts").label("at least `2`")),
        false => Ok(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_has_the_agent_and_somebody_else_in_it() {
        assert_eq!(members("2"), Ok(2));
        assert_eq!(members("500"), Ok(500));
        for text in ["1", "0", "-3", "ten", "2.5", "", "99999999999999999999"] {
            assert!(members(text).is_err(), "{text}");
        }
    }
}
