//! Every question has the answers it should have.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

/// How many replies of `sender` there are to each event that has any.
///
/// `events` are as the homeserver gives them: what an event replies to is in
/// the part that is not encrypted. An event that is given twice counts once.
pub fn replies_by_question(events: &[Value], sender: &str) -> BTreeMap<String, usize> {
    let mut seen = HashSet::new();
    let mut replies = BTreeMap::new();
    for event in events.iter().filter(|event| event["sender"] == sender) {
        let question = event["content"]["m.relates_to"]["m.in_reply_to"]["event_id"].as_str();
        if let Some(question) = question
            && seen.insert(event["event_id"].as_str())
        {
            *replies.entry(question.to_owned()).or_default() += 1;
        }
    }
    replies
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_replies_of_a_sender_are_counted_by_question() {
        let reply = |id: &str, sender: &str, question: &str| {
            let relation = json!({ "m.in_reply_to": { "event_id": question } });
            json!({ "event_id": id, "sender": sender, "content": { "m.relates_to": relation } })
        };
        let events = [
            json!({ "event_id": "$1", "sender": "@bot:x", "content": {} }),
            reply("$2", "@bot:x", "$q"),
            reply("$3", "@bot:x", "$q"),
            reply("$3", "@bot:x", "$q"),
            reply("$4", "@bot:x", "$p"),
            reply("$5", "@other:x", "$q"),
        ];
        let expected = [("$p".to_owned(), 1), ("$q".to_owned(), 2)];
        assert_eq!(replies_by_question(&events, "@bot:x"), BTreeMap::from(expected));
    }
}
