//! Lets pass what chat clients may show (spec, `m.text`), and nothing else.
//!
//! The writer of HTML escapes all text and makes no tag that it is not told to,
//! so it is enough to look at what it is told.

use pulldown_cmark::{CodeBlockKind, CowStr, Event, LinkType, Tag, TagEnd};

/// What a link may lead to. Anything else, with addresses that are relative, is
/// only text.
const SCHEMES: [&str; 6] = ["https", "http", "ftp", "mailto", "magnet", "matrix"];

/// Tags inside each other at most. The specification lets clients stop at 100.
const DEEPEST: usize = 32;

/// The events of which allowed HTML is made.
pub(super) fn tamed<'a>(events: impl Iterator<Item = Event<'a>>) -> Vec<Event<'a>> {
    let mut taming = Taming::default();
    for event in events {
        taming.take(event);
    }
    taming.done
}

/// What has passed, and the tags that are open.
#[derive(Default)]
struct Taming<'a> {
    done: Vec<Event<'a>>,
    open: Vec<Open>,
    /// How many of the open tags have passed.
    passed: usize,
    /// A picture's text so far, and where it leads to.
    picture: Option<Picture<'a>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    /// It has passed.
    Passed(TagEnd),
    /// It has not.
    Dropped,
    /// Neither has it, and nothing in it will.
    Flattened,
}

/// A picture whose text is being read.
struct Picture<'a> {
    address: CowStr<'a>,
    text: String,
    /// The tags that are open inside.
    depth: usize,
}

impl<'a> Taming<'a> {
    fn take(&mut self, event: Event<'a>) {
        if self.picture.is_some() {
            self.take_of_picture(event);
            return;
        }
        match event {
            Event::Start(Tag::Image { dest_url, .. }) => {
                self.picture = Some(Picture { address: dest_url, text: String::new(), depth: 0 });
            }
            Event::Start(tag) => self.start(tag),
            Event::End(_) => self.end(),
            Event::SoftBreak => self.done.push(Event::HardBreak),
            Event::Html(text) => self.take_html(&text),
            Event::InlineHtml(text) => self.done.push(Event::Text(text)),
            Event::Text(_) | Event::Code(_) | Event::HardBreak | Event::Rule => {
                self.done.push(event);
            }
            // Not asked for, so that the parser does not make them.
            Event::InlineMath(text) | Event::DisplayMath(text) => {
                self.done.push(Event::Text(text));
            }
            Event::FootnoteReference(_) | Event::TaskListMarker(_) => {}
        }
    }

    fn start(&mut self, tag: Tag<'a>) {
        let tag = allowed(tag).filter(|tag| !self.is_in_link() || !is_link(tag));
        let open = match tag {
            _ if self.open.last() == Some(&Open::Flattened) => Open::Flattened,
            None => Open::Dropped,
            Some(tag) if self.passed + levels(&tag) > DEEPEST => Open::Flattened,
            Some(tag) => {
                let end = tag.to_end();
                self.passed += 1;
                self.done.push(Event::Start(tag));
                Open::Passed(end)
            }
        };
        self.open.push(open);
    }

    fn end(&mut self) {
        let end = match self.open.pop() {
            Some(Open::Passed(end)) => end,
            // Words of two paragraphs are two words.
            Some(Open::Flattened) => return self.done.push(Event::Text(CowStr::Borrowed(" "))),
            Some(Open::Dropped) | None => return,
        };
        // Raw HTML ends with its last line.
        if end == TagEnd::Paragraph && matches!(self.done.last(), Some(Event::HardBreak)) {
            self.done.pop();
        }
        self.passed -= 1;
        self.done.push(Event::End(end));
    }

    /// A line of raw HTML, as text.
    fn take_html(&mut self, line: &str) {
        let text = line.trim_end_matches(['\n', '\r']);
        self.done.push(Event::Text(text.to_owned().into()));
        if text.len() < line.len() {
            self.done.push(Event::HardBreak);
        }
    }

    fn is_in_link(&self) -> bool {
        self.open.iter().any(|open| matches!(open, Open::Passed(TagEnd::Link)))
    }

    /// What stands in a picture is its text. No client may fetch a picture from
    /// anywhere but a homeserver, and its address could carry secrets to whoever
    /// is there, so it becomes a link.
    fn take_of_picture(&mut self, event: Event<'a>) {
        let Some(picture) = &mut self.picture else { return };
        match event {
            Event::End(TagEnd::Image) if picture.depth == 0 => self.end_picture(),
            Event::Start(_) => picture.depth += 1,
            Event::End(_) => picture.depth = picture.depth.saturating_sub(1),
            Event::SoftBreak | Event::HardBreak => picture.text.push(' '),
            Event::Text(text)
            | Event::Code(text)
            | Event::Html(text)
            | Event::InlineHtml(text)
            | Event::InlineMath(text)
            | Event::DisplayMath(text) => picture.text.push_str(&text),
            Event::FootnoteReference(_) | Event::Rule | Event::TaskListMarker(_) => {}
        }
    }

    fn end_picture(&mut self) {
        let Some(Picture { address, text, .. }) = self.picture.take() else { return };
        let text = if text.trim().is_empty() { address.to_string() } else { text };
        self.start(Tag::Link {
            link_type: LinkType::Inline,
            dest_url: address,
            title: CowStr::Borrowed(""),
            id: CowStr::Borrowed(""),
        });
        self.done.push(Event::Text(text.into()));
        self.end();
    }
}

/// The tag without what is not allowed of it; `None` if nothing is.
fn allowed(tag: Tag<'_>) -> Option<Tag<'_>> {
    match tag {
        // Raw HTML, line by line.
        Tag::HtmlBlock => Some(Tag::Paragraph),
        Tag::Paragraph
        | Tag::List(_)
        | Tag::Item
        | Tag::TableHead
        | Tag::TableRow
        | Tag::TableCell
        | Tag::Emphasis
        | Tag::Strong
        | Tag::Strikethrough => Some(tag),
        Tag::Heading { level, .. } => {
            Some(Tag::Heading { level, id: None, classes: Vec::new(), attrs: Vec::new() })
        }
        Tag::BlockQuote(_) => Some(Tag::BlockQuote(None)),
        Tag::CodeBlock(kind) => Some(Tag::CodeBlock(match kind {
            CodeBlockKind::Fenced(info) if !is_language(&info) => CodeBlockKind::Indented,
            kind => kind,
        })),
        // Alignment would be a style.
        Tag::Table(_) => Some(Tag::Table(Vec::new())),
        Tag::Link { link_type, dest_url, .. } if leads_somewhere(link_type, &dest_url) => {
            let nothing = CowStr::Borrowed("");
            Some(Tag::Link { link_type, dest_url, title: nothing.clone(), id: nothing })
        }
        Tag::Link { .. }
        | Tag::Image { .. }
        | Tag::FootnoteDefinition(_)
        | Tag::DefinitionList
        | Tag::DefinitionListTitle
        | Tag::DefinitionListDefinition
        | Tag::Superscript
        | Tag::Subscript
        | Tag::MetadataBlock(_) => None,
    }
}

/// How many levels a tag makes of itself with what has to be in it.
fn levels(tag: &Tag<'_>) -> usize {
    match tag {
        Tag::Table(_) => 4,
        Tag::List(_) | Tag::CodeBlock(_) => 2,
        _ => 1,
    }
}

fn is_link(tag: &Tag<'_>) -> bool {
    matches!(tag, Tag::Link { .. })
}

/// Whether the first word after a fence can be the name of a language.
fn is_language(info: &str) -> bool {
    let name = info.split(' ').next().unwrap_or_default();
    name.chars().all(|letter| letter.is_alphanumeric() || "+-#._".contains(letter))
}

fn leads_somewhere(link_type: LinkType, address: &str) -> bool {
    // The writer itself says `mailto:`.
    let is_mail = matches!(link_type, LinkType::Email);
    let scheme = address.split_once(':').map(|(scheme, _)| scheme);
    is_mail
        || scheme
            .is_some_and(|scheme| SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)))
}
