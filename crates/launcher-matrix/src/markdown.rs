//! Markdown as chat clients show it.

mod splitting;
mod taming;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd, html};

pub(crate) use self::splitting::split;

/// The HTML of a text in Markdown (spec, `m.text`: `formatted_body`); `None` if
/// it would show nothing that the text itself does not.
///
/// Only what the specification lets clients show comes out of it. A line break
/// is one, as in every chat. HTML in the text is shown and not obeyed, pictures
/// are links: the text may quote what a machine wrote.
pub(crate) fn html(markdown: &str) -> Option<String> {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let events = taming::tamed(Parser::new_ext(markdown, options));
    if is_plain(&events, markdown) {
        return None;
    }
    let is_paragraph = |event: &&Event<'_>| matches!(event, Event::Start(Tag::Paragraph));
    let only = events.iter().filter(is_paragraph).count() == 1
        && matches!(events.first(), Some(Event::Start(Tag::Paragraph)))
        && matches!(events.last(), Some(Event::End(TagEnd::Paragraph)));
    let mut text = String::with_capacity(markdown.len() * 2);
    match only {
        // One paragraph needs no frame; clients leave a gap around it.
        true => html::push_html(&mut text, events.into_iter().filter(|event| !is_frame(event))),
        false => html::push_html(&mut text, events.into_iter()),
    }
    Some(text.trim_end().to_owned())
}

fn is_frame(event: &Event<'_>) -> bool {
    matches!(event, Event::Start(Tag::Paragraph) | Event::End(TagEnd::Paragraph))
}

/// Whether there is nothing but one paragraph of text, which is what was written.
fn is_plain(events: &[Event<'_>], markdown: &str) -> bool {
    let mut text = String::new();
    let mut paragraphs = 0;
    for event in events {
        match event {
            Event::Start(Tag::Paragraph) => paragraphs += 1,
            Event::End(TagEnd::Paragraph) => {}
            Event::Text(part) => text.push_str(part),
            Event::HardBreak => text.push('\n'),
            _ => return false,
        }
    }
    paragraphs <= 1 && text == markdown.trim()
}

#[cfg(test)]
mod tests;
