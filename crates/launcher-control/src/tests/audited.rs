//! What the audit log says about messages.

use super::*;
use crate::wire::MessageRequest;

#[tokio::test]
async fn a_message_is_written_down_with_its_room_and_without_what_it_says() {
    let (launcher, _session) = up().await;
    for room in ["!r", "#ops:hs", "@alice:hs", "!away"] {
        let request = MessageRequest {
            room: room.to_owned(),
            text: "hunter2".to_owned(),
            notice: false,
            thread: None,
            key: room.to_owned(),
        };
        let sent = launcher.client().send(&a(), &request).await;
        assert_eq!(sent.is_ok(), room != "!away", "{sent:?}");
    }
    let text = fs_err::read_to_string(launcher.folder.path().join("audit.jsonl")).unwrap();
    assert!(!text.contains("hunter2"), "{text}");
    let shown = text.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((&line["action"], &line["agent"]), (&"send_message".into(), &"a".into()));
        let subjects = line["subjects"].as_array().unwrap().iter();
        let subjects: Vec<_> = subjects.map(|subject| subject.as_str().unwrap()).collect();
        format!("{} {}", line["outcome"].as_str().unwrap(), subjects.join(" "))
    });
    assert_eq!(
        shown.collect::<Vec<_>>(),
        [
            "began !r",
            "done !r",
            "began #ops:hs",
            "done #ops:hs !r",
            "began @alice:hs",
            "done @alice:hs !r",
            "began !away",
            "refused !away",
        ]
    );
}
