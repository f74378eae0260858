//! What a line means that somebody types in a chat.

/// What is shown by `/help`.
pub(super) const HELP: &str = "\
Lines are sent to the room that was opened last; those that begin with a stroke are orders.
  /rooms           the rooms, with numbers, and invitations
  /open WHO        the encrypted chat with somebody, by name; or a room, by its number
  /group NAME      makes an encrypted group, and opens it
  /invite NAME     invites somebody to this group
  /join NUMBER     accepts an invitation
  /decline NUMBER  declines an invitation
  /leave           leaves this room
  /remove NAME     removes somebody from this group
  /members         who is in this room
  /safety [NAME]   the safety number of you and somebody: compare it with theirs
  /devices [NAME]  the devices of somebody, with their keys
  /accept NAME DEVICE KEY
                   takes other keys of a device, after you have compared them
  /edit TEXT       your last message says this from now on
  /delete          takes your last message back
  /quit            ends; so does Ctrl-D
  //TEXT           says a line that begins with a stroke
";

/// A line, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Typed {
    Nothing,
    Say(String),
    Help,
    Quit,
    Rooms,
    Open(String),
    Group(String),
    Invite(String),
    Join(usize),
    Decline(usize),
    Leave,
    Remove(String),
    Members,
    /// Of whoever the chat is with, if nobody is named.
    Safety(Option<String>),
    Devices(Option<String>),
    Accept {
        name: String,
        device: String,
        key: String,
    },
    Edit(String),
    Delete,
    /// It means nothing; what helps.
    Wrong(String),
}

/// What `line` means.
pub(super) fn understand(line: &str) -> Typed {
    let line = line.trim();
    let Some(order) = line.strip_prefix('/') else {
        return if line.is_empty() { Typed::Nothing } else { Typed::Say(line.to_owned()) };
    };
    if order.starts_with('/') {
        return Typed::Say(order.to_owned());
    }
    let (word, rest) = order.split_once(char::is_whitespace).unwrap_or((order, ""));
    let rest = rest.trim();
    let needs = |what: &str, make: fn(String) -> Typed| match rest.is_empty() {
        true => Typed::Wrong(format!("write `/{word} {what}`")),
        false => make(rest.to_owned()),
    };
    let named = (!rest.is_empty()).then(|| rest.to_owned());
    let alone = |typed: Typed| match rest.is_empty() {
        true => typed,
        false => Typed::Wrong(format!("`/{word}` stands alone")),
    };
    match word {
        "help" | "?" => alone(Typed::Help),
        "quit" | "exit" | "q" => alone(Typed::Quit),
        "rooms" => alone(Typed::Rooms),
        "open" => needs("NAME", Typed::Open),
        "group" => needs("NAME", Typed::Group),
        "invite" => needs("NAME", Typed::Invite),
        "join" => numbered(word, rest, Typed::Join),
        "decline" => numbered(word, rest, Typed::Decline),
        "leave" => alone(Typed::Leave),
        "remove" => needs("NAME", Typed::Remove),
        "members" => alone(Typed::Members),
        "safety" => Typed::Safety(named),
        "devices" => Typed::Devices(named),
        "accept" => accept(rest).unwrap_or_else(|| {
            Typed::Wrong("write `/accept NAME DEVICE KEY`; its owner knows the key".to_owned())
        }),
        "edit" => needs("TEXT", Typed::Edit),
        "delete" => alone(Typed::Delete),
        _ => Typed::Wrong("there is no such order; `/help` lists them".to_owned()),
    }
}

/// Devices may have spaces in their names.
fn accept(rest: &str) -> Option<Typed> {
    let (name, rest) = rest.split_once(char::is_whitespace)?;
    let (device, key) = rest.trim().rsplit_once(char::is_whitespace)?;
    let (name, device, key) = (name.to_owned(), device.trim_end().to_owned(), key.to_owned());
    Some(Typed::Accept { name, device, key })
}

fn numbered(word: &str, rest: &str, make: fn(usize) -> Typed) -> Typed {
    match rest.parse() {
        Ok(number) => make(number),
        Err(_) => Typed::Wrong(format!("write `/{word} NUMBER`; `/rooms` shows the numbers")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_said_and_an_order_is_not() {
        assert_eq!(understand("  hello there \n"), Typed::Say("hello there".into()));
        assert_eq!(understand("//etc/passwd"), Typed::Say("/etc/passwd".into()));
        assert_eq!(understand(" \t"), Typed::Nothing);
        assert_eq!(understand("/open alice"), Typed::Open("alice".into()));
        assert_eq!(understand("/edit  two words "), Typed::Edit("two words".into()));
        assert_eq!(understand("/safety"), Typed::Safety(None));
        assert_eq!(understand("/safety bob"), Typed::Safety(Some("bob".into())));
        assert_eq!(understand("/join 2"), Typed::Join(2));
        assert_eq!(understand("/q"), Typed::Quit);
        let accept = Typed::Accept {
            name: "bob".to_owned(),
            device: "old phone".to_owned(),
            key: "abc".to_owned(),
        };
        assert_eq!(understand("/accept bob  old phone  abc"), accept);
    }

    #[test]
    fn what_is_not_understood_is_not_sent() {
        for line in [
            "/opne alice",
            "/open",
            "/join x",
            "/join",
            "/decline",
            "/accept bob phone",
            "/leave now",
            "/",
            "/delete 3",
        ] {
            assert!(matches!(understand(line), Typed::Wrong(_)), "{line}");
        }
    }

    #[test]
    fn every_order_that_the_help_shows_is_understood() {
        let lines = HELP.lines().map(str::trim).filter(|line| line.starts_with('/'));
        let orders: Vec<&str> = lines.map(|line| line.split("  ").next().unwrap_or(line)).collect();
        assert_eq!(orders.len(), 16);
        for order in orders {
            let line = order.replace("NUMBER", "1");
            assert!(!matches!(understand(&line), Typed::Wrong(_)), "{line}");
        }
    }
}
