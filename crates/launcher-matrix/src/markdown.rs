//! Markdown as chat clients show it.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd, html};

/// The HTML of a text in Markdown (spec, `m.text`: `formatted_body`); `None` if
/// it would show nothing that the text itself does not.
///
/// A line break is one, as in every chat. HTML in the text is shown and not
/// obeyed: the text may quote what a machine wrote.
pub(crate) fn html(markdown: &str) -> Option<String> {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let events: Vec<Event<'_>> = Parser::new_ext(markdown, options).map(tamed).collect();
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

fn tamed(event: Event<'_>) -> Event<'_> {
    match event {
        Event::SoftBreak => Event::HardBreak,
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
        other => other,
    }
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
mod tests {
    use super::html;

    #[test]
    fn markdown_becomes_html() {
        for (markdown, expected) in [
            ("a *b* **c** `d`", "a <em>b</em> <strong>c</strong> <code>d</code>"),
            ("one\n**two**", "one<br />\n<strong>two</strong>"),
            ("~~no~~", "<del>no</del>"),
            ("a\n\nb", "<p>a</p>\n<p>b</p>"),
            ("# head\n- x\n- y", "<h1>head</h1>\n<ul>\n<li>x</li>\n<li>y</li>\n</ul>"),
            ("```sh\nls <x>\n```", "<pre><code class=\"language-sh\">ls &lt;x&gt;\n</code></pre>"),
            ("[x](https://a.test/?a=1&b=2)", "<a href=\"https://a.test/?a=1&amp;b=2\">x</a>"),
        ] {
            assert_eq!(html(markdown).as_deref(), Some(expected), "{markdown}");
        }
    }

    #[test]
    fn what_is_only_text_stays_only_text() {
        for text in ["hello", "2 < 3 & 4 > 1", "one\ntwo", "ä – ß\n", "snake_case_name", ""] {
            assert_eq!(html(text), None, "{text}");
        }
    }

    #[test]
    fn html_is_shown_and_not_obeyed() {
        let found = html("*a* <b onclick=\"x\">b</b>\n\n<script>alert(1)</script>").unwrap();
        assert!(!found.contains("<b") && !found.contains("<script"), "{found}");
        assert!(found.contains("&lt;script&gt;"), "{found}");
    }
}
